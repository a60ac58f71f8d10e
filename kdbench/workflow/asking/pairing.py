"""Pairs records of two sets: by digest, by place, then by similar parameters."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from kdbench.store.record_sets import RecordSet
from kdbench.workflow.asking.difference import Content, Difference, changed, given

Place = tuple[str, ...]
MOST_KEYS = 2  # that two runs of different names may differ in to be one run, changed


@dataclass(frozen=True)
class Pairing:
    """Two sets of records side by side.

    Attributes:
        pairs: records of one run, or of two runs of which one took the other's place.
        first_only, second_only: records without a partner.
    """

    pairs: list[Difference]
    first_only: list[Content]
    second_only: list[Content]


def pair_up(first: RecordSet, second: RecordSet) -> Pairing:
    """Pair the records of two sets.

    Records of one digest are of one run. Of the others those go together that have the same name at
    the same place, then those that differ in at most `MOST_KEYS` parameters, as where a seed, which
    names have in them, was changed. Each record is in one pair at most.
    """
    both = [digest for digest in first.records if digest in second.records]
    pairs = [Difference(first.records[digest], second.records[digest]) for digest in both]
    ours, theirs = (
        {d: r for d, r in one.records.items() if d not in {*both}} for one in (first, second)
    )
    for place, most in ((_named, None), (_folder, MOST_KEYS)):
        pairs += _matched(ours, theirs, place, most)
    return Pairing(pairs, [*ours.values()], [*theirs.values()])


def _matched(
    ours: dict[str, Content],
    theirs: dict[str, Content],
    place: Callable[[Content], Place],
    most: int | None,
) -> list[Difference]:
    """Pair records of equal places, the most alike first, and take them out of both sets.

    Args:
        ours: records without a partner, by digest.
        theirs: those of the other set.
        place: in which a record lies.
        most: parameters in which two records of a pair may differ; None for any number.
    """
    at_place = defaultdict[Place, list[str]](list)
    for digest, record in theirs.items():
        at_place[place(record)].append(digest)
    distances = sorted(
        (distance, mine, other)
        for mine, record in ours.items()
        for other in at_place[place(record)]
        for distance in [len(changed(given(record), given(theirs[other])))]
        if most is None or 0 < distance <= most
    )
    pairs = []
    for _, mine, other in distances:
        if mine in ours and other in theirs:
            pairs.append(Difference(ours.pop(mine), theirs.pop(other)))
    return pairs


def _folder(record: Content) -> Place:
    spec = record["spec"]
    return spec["scale"], spec["phase"], spec["dataset"]


def _named(record: Content) -> Place:
    return (*_folder(record), record["spec"]["cell"])
