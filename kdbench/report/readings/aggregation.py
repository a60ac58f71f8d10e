"""The weights that a search among a teacher's blocks ended with, group by group."""

import re
from collections import defaultdict
from dataclasses import dataclass

from kdbench.exhibits.keys import RunKey
from kdbench.report.readings.process import read_rows
from kdbench.report.readings.records import Record, as_search
from kdbench.store.canonical import canonical
from kdbench.store.spec import RunSpec

NAME = re.compile(r"g(\d+)-b(\d+)")  # a block's, in records


@dataclass(frozen=True)
class Aggregation:
    """What one search found.

    Attributes:
        name: of the search in its figure.
        kind: equal for searches of one method on one teacher, whose weights can be set side by
            side.
        groups: weights of a group's blocks, shallow to deep, by the group's number.
    """

    name: str
    kind: str
    groups: dict[int, list[float]]


def read_aggregation(key: RunKey, spec: RunSpec, record: Record) -> Aggregation:
    """The last row of a search's process, by group and block.

    Raises:
        DamagedData: a name is not of a block of a group, or see `read_rows`.
    """
    rows = read_rows(record)
    groups: dict[int, dict[int, float]] = defaultdict(dict)
    for block, weight in zip(rows.names, rows.weights[-1], strict=True):
        match = NAME.fullmatch(block)
        if match is None:
            raise record.damaged(("process", "pathways"), block, "a name like g1-b3")
        groups[int(match[1])][int(match[2])] = weight
    ordered = {g: [blocks[b] for b in sorted(blocks)] for g, blocks in sorted(groups.items())}
    search = as_search(spec)
    teachers = [teacher.network.identity() for teacher in search.teachers]
    kind = canonical([search.search.identity(), *teachers])
    return Aggregation(str(key), kind, ordered)
