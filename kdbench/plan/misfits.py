"""What tables of the user's own ask of a task that it is not made for: all of it at once."""

from collections.abc import Iterator, Mapping
from typing import Any

from kdbench.errors import BadValue
from kdbench.exhibits.requests import JOIN
from kdbench.exhibits.tables import TEACHER
from kdbench.plan.components import Component, Components
from kdbench.plan.pair_names import parse_pair
from kdbench.plan.params import FILE, OWN, CustomTable, Params
from kdbench.plan.tasks import check_task


def without_misfits(params: Params, components: Components) -> tuple[Params | None, list[str]]:
    """Leave out rows and columns of custom tables that are made for another task.

    A plan stops at the first of them; `kdbench check` names all and tries the rest.

    Args:
        params: what the user asks for.
        components: the declarations.

    Returns:
        The parameters without them, None where nothing is left; and a line per component that
        does not fit, once per table.

    Raises:
        UnknownName: a data set, network or method that does not exist.
        BadValue: a pair that is none.
    """
    tables, problems, gone = list[CustomTable](), list[str](), set[str]()
    for table in params.tables:
        if not {"all", OWN, f"{OWN}/{table.id}"} & {*params.exhibits}:
            tables.append(table)
            continue
        misfits = dict(_misfits(table, components))
        problems += [f"{FILE}, tables, {table.id}: {line}" for line in misfits.values()]
        fitting = _without(table, misfits, components)
        tables += [fitting] if fitting else []
        gone |= set() if fitting else {f"{OWN}/{table.id}"}
    exhibits = [name for name in params.exhibits if name not in gone]
    if not tables and OWN in exhibits:
        exhibits.remove(OWN)
    if not exhibits:
        return None, problems
    return params.model_copy(update={"tables": tables, "exhibits": exhibits}), problems


def _misfits(table: CustomTable, components: Components) -> Iterator[tuple[tuple[str, str], str]]:
    """What does not fit, by kind and name; the line says why."""
    where = f"{FILE}, tables, {table.id}"
    dataset = components.get("dataset", table.dataset, where=where)
    for part in _parts(table, components, where):
        try:
            check_task(dataset, part)
        except BadValue as error:
            yield (part.kind, part.name), str(error)


def _parts(table: CustomTable, components: Components, where: str) -> Iterator[Component]:
    for key in table.pairs:
        for name in _networks(key, components):
            yield components.get("network", name, where=where)
    for row in table.methods:
        for name in () if row == TEACHER else row.split(JOIN):
            yield components.get("method", name, where=where)


def _networks(key: str, components: Components) -> list[str]:
    pair = parse_pair(key, components, FILE)
    return [pair.teacher, pair.student, *(further.network for further in pair.further)]


def _without(
    table: CustomTable, misfits: Mapping[tuple[str, str], str], components: Components
) -> CustomTable | None:
    """The table without them; None where no row or no column is left."""
    names = {kind: {name for one, name in misfits if one == kind} for kind in ("network", "method")}
    pairs = [k for k in table.pairs if not {*_networks(k, components)} & names["network"]]
    methods = [row for row in table.methods if not {*row.split(JOIN)} & names["method"]]
    if not pairs or not methods:
        return None
    left: dict[str, Any] = {
        "pairs": pairs,
        "methods": methods,
        "labels": {k: v for k, v in table.labels.items() if k in [*pairs, *methods]},
        "comparisons": [two for two in table.comparisons if {*two} <= {*methods}],
    }
    return table.model_copy(update=left) if misfits else table
