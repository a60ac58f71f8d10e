"""Which channels a search removed from a DenseNet, connection by connection."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kdbench.report.readings.records import Record

LAYER = re.compile(r"trunk\.stage(\d+)\.blocks\.(\d+)\.norm1")
END = re.compile(r"trunk\.stage(\d+)\.norm")
MAKER = re.compile(r"trunk\.stage\d+\.blocks\.(\d+)")
INPUT = -1  # place of a block's input among what its layers read

Pair = tuple[int, int]
"""Channels before and after."""
Counts = dict[int, Pair]
"""Of one reader, by what it reads: `INPUT`, or a layer's number from 0."""


@dataclass(frozen=True)
class Block:
    """One dense block.

    Attributes:
        layers: by layer, what it reads.
        end: what the norm that ends the block reads, for the transition or the classifier.
    """

    layers: dict[int, Counts]
    end: Counts

    def rates(self) -> list[list[float]]:
        """Drop rates: one row per reading layer, one column per source, the input first."""
        return [rates(counts) for _, counts in sorted(self.layers.items())]

    def dropped(self) -> float:
        """Share of the channels that the layers read which was removed."""
        return share(pair for counts in self.layers.values() for pair in counts.values())


def share(pairs: Iterable[Pair]) -> float:
    """Removed channels over channels before.

    >>> share([(12, 9), (12, 3)])
    0.5
    """
    listed = list(pairs)
    return 1 - sum(after for _, after in listed) / sum(before for before, _ in listed)


def rates(counts: Counts) -> list[float]:
    """Drop rates in the order of the sources."""
    return [share([counts[source]]) for source in sorted(counts)]


def read_alone(record: Record) -> dict[int, Block] | None:
    """The dense blocks as the penalty alone would leave them; None where all gates pay the same.

    Raises:
        DamagedData: see `read_blocks`.
    """
    if record.at("structure", "penalty_alone") is None:
        return None
    return read_blocks(record, ("structure", "penalty_alone", "connections"))


def read_blocks(
    record: Record, place: tuple[str, ...] = ("structure", "connections")
) -> dict[int, Block]:
    """The dense blocks in the record of a search in a DenseNet, by their number.

    Args:
        record: of the search.
        place: of the connections in it.

    Raises:
        DamagedData: the record has no connections, or not those of dense blocks.
    """
    layers: dict[int, dict[int, Counts]] = {}
    ends: dict[int, Counts] = {}
    for reader in record.at(*place):
        if match := LAYER.fullmatch(reader):
            layers.setdefault(int(match[1]), {})[int(match[2])] = _counts(record, (*place, reader))
        elif match := END.fullmatch(reader):
            ends[int(match[1])] = _counts(record, (*place, reader))
    if not layers or layers.keys() != ends.keys():
        blocks = f"dense blocks {sorted(layers)} with ends {sorted(ends)}"
        raise record.damaged(place, blocks, "blocks that each have an end")
    return {block: Block(layers[block], ends[block]) for block in sorted(layers)}


def _counts(record: Record, place: tuple[str, ...]) -> Counts:
    counts: Counts = {}
    for maker in record.at(*place):
        before, after = (int(record.number(*place, maker, i)) for i in (0, 1))
        if not 0 <= after <= before or not before:
            raise record.damaged((*place, maker), f"{after} of {before}", "channels left of some")
        match = MAKER.fullmatch(maker)  # the stem or a transition makes what comes in
        counts[int(match[1]) if match else INPUT] = (before, after)
    return counts
