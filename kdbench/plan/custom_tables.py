"""Tables of a user's own: any method and search on any pair and data set, from params.yaml."""

from dataclasses import replace
from itertools import product
from typing import Any

from kdbench.errors import BadValue, UnknownName
from kdbench.exhibits.protocols import CONSTANTS_OF, PROTOCOLS, SEARCH_PROTOCOLS
from kdbench.exhibits.recipe import Recipe
from kdbench.exhibits.requests import JOIN, Pair, Parameters
from kdbench.exhibits.tables import TEACHER, TOP1, Column, Origin, Row, Table
from kdbench.plan.components import Component, Components
from kdbench.plan.params import FILE, CustomTable, Params

PAPER = "own"
SEARCH = "search."  # before a parameter of the search in a grid
HELD_OUT = (
    "Measured on training images that are held out: neither search nor student sees them, or any "
    "test image. The teacher is trained on them, and taken at its last epoch."
)


def custom_tables(params: Params, components: Components) -> list[Table]:
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


def _table(own: CustomTable, components: Components, where: str) -> Table:
    if own.protocol not in PROTOCOLS:
        raise UnknownName("protocol", own.protocol, list(PROTOCOLS), where=where)
    components.get("dataset", own.dataset, where=where)
    _check_found(own, components, where)
    origin = _origin(own, components, where)
    pairs = [_pair(key, components, where) for key in own.pairs]
    return Table(
        id=f"{PAPER}/{own.id}",
        title=own.title or own.id,
        dataset=own.dataset,
        metric=TOP1,
        columns=tuple(Column(pair, label=_head(pair, own, components)) for pair in pairs),
        rows=tuple(
            _row(name, own, origin, components, where, grid)
            for name in own.methods
            for grid in _grid(own)
        ),
        recipe=_suited(PROTOCOLS[own.protocol], own.protocol, own.dataset),
        search_recipe=_suited(SEARCH_PROTOCOLS[own.protocol], own.protocol, own.dataset),
        seeds=own.seeds,
        tuning_holdout=own.tuning_holdout,
        notes=(HELD_OUT,) if own.tuning_holdout else (),
    )


def _suited(recipe: Recipe, protocol: str, dataset: str) -> Recipe:
    """A protocol for a data set, whose own constants it takes if its own are another's."""
    if CONSTANTS_OF.get(protocol) == dataset:
        return recipe
    return replace(recipe, mean=(), std=())


def _check_found(own: CustomTable, components: Components, where: str) -> None:
    """Refuse a found student that no search finds, or whose methods would search on another."""
    if not own.pruned_by:
        if own.pruned_from:
            advice = "pruned_by says which search finds a student there"
            raise BadValue(f"{where}, pruned_from", own.pruned_from, "pruned_by beside it", advice)
        return
    found = components.get("search", own.pruned_by, where=where)
    if found.start != "teacher":
        raise BadValue(f"{where}, pruned_by", own.pruned_by, "a search that finds a student")
    if own.pruned_from and own.pruned_from != TEACHER:
        components.get("network", own.pruned_from, where=where)
    searching = [m for name in own.methods for m in _parts(name, components, where) if m.search]
    if searching and own.searched_on is None:
        advice = "searched_on says whose scheme a found student is to take"
        expected = "methods that search nothing"
        raise BadValue(f"{where}, methods", searching[0].name, expected, advice)


def _origin(own: CustomTable, components: Components, where: str) -> Origin | None:
    """Where the schemes of a table are searched, if not on its own pairs and data set."""
    there = own.searched_on
    if there is None:
        return None
    protocol = there.protocol or own.protocol
    if protocol not in PROTOCOLS:
        raise UnknownName("protocol", protocol, list(PROTOCOLS), where=f"{where}, searched_on")
    dataset = there.dataset or own.dataset
    components.get("dataset", dataset, where=where)
    pair = _pair(there.pair, components, where) if there.pair else None
    return Origin(
        there.dataset,
        pair,
        recipe=_suited(PROTOCOLS[protocol], protocol, dataset),
        search_recipe=_suited(SEARCH_PROTOCOLS[protocol], protocol, dataset),
    )


def _head(pair: Pair, own: CustomTable, components: Components) -> str:
    """What stands over a column; "" for the networks' labels."""
    if not own.pruned_by:
        return ""
    network = pair.teacher if own.pruned_from == TEACHER else own.pruned_from or pair.student
    teacher, pruned_from = (
        components.get("network", n, where=FILE) for n in (pair.teacher, network)
    )
    return f"{teacher.label}<br>→ found in {pruned_from.label}"


def _parts(name: str, components: Components, where: str) -> list[Component]:
    """The methods whose losses a row adds."""
    return [components.get("method", part, where=where) for part in name.split(JOIN)]


def _check_grid(name: str, parts: list[Component], own: CustomTable, where: str) -> None:
    """Refuse values that no run would take: rows would print what they do not have."""
    if not own.grid:
        return
    if len(parts) > 1:
        advice = "the parameters of joined methods stand in params.yaml's methods and searches"
        raise BadValue(f"{where}, grid", name, "methods that stand alone", advice)
    for key in own.grid:
        if key.startswith(SEARCH) and not (parts[0].search or own.pruned_by):
            raise BadValue(f"{where}, grid", key, f"parameters of {name}, which searches nothing")


def _grid(own: CustomTable) -> list[tuple[tuple[str, Any], ...]]:
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
    own: CustomTable,
    origin: Origin | None,
    components: Components,
    where: str,
    grid: Parameters,
) -> Row:
    parts = _parts(name, components, where)
    _check_grid(name, parts, own, where)
    label = " + ".join(part.label for part in parts)
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
        pruned_by=own.pruned_by,
        pruned_from=own.pruned_from,
    )
