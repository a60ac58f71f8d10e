"""Tables of a user's own: any method and search on any pair and data set, from params.yaml."""

from itertools import product
from typing import Any

from kdbench.errors import BadValue, UnknownName
from kdbench.plan.asks import Pair, Parameters
from kdbench.plan.build import JOIN
from kdbench.plan.components import Components
from kdbench.plan.exhibits import TOP1, Origin, Row, Table
from kdbench.plan.params import FILE, OwnTable, Params
from kdbench.plan.protocols import PROTOCOLS, SEARCH_PROTOCOLS

PAPER = "own"
SEARCH = "search."  # before a parameter of the search in a grid
HELD_OUT = (
    "Measured on training images that are held out: neither search nor student sees a test image."
)


def own_tables(params: Params, components: Components) -> list[Table]:
    """The tables that params.yaml declares, as exhibits `own/<id>`.

    Raises:
        UnknownName: a data set, network, method, search or protocol that does not exist.
        BadValue: a pair that is none, or two tables of one id.
    """
    ids = [table.id for table in params.tables]
    for name in ids:
        if ids.count(name) > 1:
            raise BadValue(f"{FILE}, tables", f"{ids.count(name)} tables {name!r}", "one an id")
    return [_table(own, components, f"{FILE}, tables, {own.id}") for own in params.tables]


def _table(own: OwnTable, components: Components, where: str) -> Table:
    if own.protocol not in PROTOCOLS:
        raise UnknownName("protocol", own.protocol, list(PROTOCOLS), where=where)
    components.get("dataset", own.dataset, where=where)
    if own.found_by:
        found = components.get("search", own.found_by, where=where)
        if found.declaration.get("start") != "teacher":
            raise BadValue(f"{where}, found_by", own.found_by, "a search that finds a student")
    origin = None
    if own.searched_on is not None:
        there = own.searched_on
        if there.dataset:
            components.get("dataset", there.dataset, where=where)
        pair = _pair(there.pair, components, where) if there.pair else None
        origin = Origin(there.dataset, pair)
    return Table(
        id=f"{PAPER}/{own.id}",
        title=own.title or own.id,
        dataset=own.dataset,
        metric=TOP1,
        pairs=tuple(_pair(key, components, where) for key in own.pairs),
        rows=tuple(
            _row(name, own, origin, components, where, grid)
            for name in own.methods
            for grid in _grid(own)
        ),
        recipe=PROTOCOLS[own.protocol],
        search_recipe=SEARCH_PROTOCOLS[own.protocol],
        seeds=own.seeds,
        held_out=own.held_out,
        notes=(HELD_OUT,) if own.held_out else (),
    )


def _grid(own: OwnTable) -> list[tuple[tuple[str, Any], ...]]:
    """Every combination of the grid's values, as (key, value) pairs."""
    names = list(own.grid)
    values = ([tuple(v) if isinstance(v, list) else v for v in own.grid[name]] for name in names)
    return [tuple(zip(names, chosen, strict=True)) for chosen in product(*values)]


def _pair(key: str, components: Components, where: str) -> Pair:
    teacher, colon, student = key.partition(":")
    if not colon:
        raise BadValue(f"{where}, pairs", key, "teacher:student")
    for network in (teacher, student):
        components.get("network", network, where=where)
    return Pair(teacher, student)


def _row(
    name: str,
    own: OwnTable,
    origin: Origin | None,
    components: Components,
    where: str,
    grid: Parameters,
) -> Row:
    parts = [components.get("method", part, where=where) for part in name.split(JOIN)]
    label = " + ".join(part.label for part in parts)
    if own.found_in:
        components.get("network", own.found_in, where=where)
    searched = origin if any(part.search for part in parts) else None
    told = ", ".join(f"{key} = {value}" for key, value in grid)
    ours = tuple((k, v) for k, v in grid if not k.startswith(SEARCH))
    theirs = tuple((k.removeprefix(SEARCH), v) for k, v in grid if k.startswith(SEARCH))
    return Row(
        f"{label}, {told}" if told else label,
        name,
        parameters=ours,
        search_parameters=theirs,
        origin=searched,
        found_by=own.found_by,
        found_in=own.found_in,
    )
