"""Custom tables: any method and search on any pair and data set, from params.yaml."""

from dataclasses import replace
from itertools import product
from math import prod
from typing import Any

from kdbench.errors import BadValue, UnknownName
from kdbench.exhibits.protocols import (
    CONSTANTS_OF,
    DEFAULT,
    DEFAULT_OF,
    PROTOCOLS,
    SEARCH_PROTOCOLS,
)
from kdbench.exhibits.recipe import Recipe
from kdbench.exhibits.requests import JOIN, Pair, Parameters
from kdbench.exhibits.tables import TEACHER, Column, Origin, Row, Table
from kdbench.exhibits.tasks import CLASSIFICATION, SCORES
from kdbench.plan.components import Component, Components
from kdbench.plan.pair_names import parse_pair
from kdbench.plan.params import FILE, OWN, CustomTable, Params
from kdbench.plan.tasks import task_of

MOST_CELLS = 1000  # of a table
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
            raise BadValue(f"{FILE}, tables", f"{ids.count(name)} tables {name!r}", "one per id")
    return [_table(custom, components, f"{FILE}, tables, {custom.id}") for custom in params.tables]


def _table(custom: CustomTable, components: Components, where: str) -> Table:
    task = task_of(components.get("dataset", custom.dataset, where=where))
    protocol = _protocol(custom.protocol, custom.dataset, components, where)
    _check_pruning(custom, components, where)
    _check_labels(custom, where)
    _check_size(custom, where)
    _check_grid(custom, components, where)
    origin = _origin(custom, components, where)
    rows = tuple(
        row for name in custom.methods for row in _rows_of(name, custom, origin, components, where)
    )
    return Table(
        id=f"{OWN}/{custom.id}",
        title=custom.title or custom.id,
        dataset=custom.dataset,
        metric=SCORES[task],
        columns=tuple(_column(key, custom, components, where) for key in custom.pairs),
        rows=rows,
        recipe=_suited(PROTOCOLS[protocol], protocol, custom.dataset),
        search_recipe=_suited(SEARCH_PROTOCOLS[protocol], protocol, custom.dataset),
        seeds=custom.seeds or 1,
        least_seeds=custom.seeds or 1,
        tuning_holdout=custom.tuning_holdout,
        notes=(HELD_OUT,) if custom.tuning_holdout else (),
        comparisons=_comparisons(custom, rows, where),
        sizes=custom.sizes,
    )


def _protocol(named: str, dataset: str, components: Components, where: str) -> str:
    """The protocol that is named, or the default of a data set.

    Raises:
        UnknownName: no such protocol or data set.
        BadValue: what is named is meant for another task than the data set's, or nothing is named
            and classification's default does not suit it.
    """
    task = task_of(components.get("dataset", dataset, where=where))
    protocol = named or DEFAULT_OF.get(dataset, DEFAULT)
    if protocol not in PROTOCOLS:
        raise UnknownName("protocol", protocol, list(PROTOCOLS), where=where)
    tasks = {name: _task_of_protocol(name, components, where) for name in PROTOCOLS}
    if tasks[protocol] != task:
        fitting = " or ".join(name for name in PROTOCOLS if tasks[name] == task)
        expected = f"one that suits {dataset}, for {task}: {fitting}"
        advice = "docs/protocols.md describes them"
        raise BadValue(f"{where}, protocol", named or "none", expected, advice)
    return protocol


def _task_of_protocol(protocol: str, components: Components, where: str) -> str:
    """The task of the data sets that have it by default, else classification."""
    known = (dataset for dataset, default in DEFAULT_OF.items() if default == protocol)
    tasks = (task_of(components.get("dataset", dataset, where=where)) for dataset in known)
    return next(tasks, CLASSIFICATION)


def _check_labels(custom: CustomTable, where: str) -> None:
    """Refuse labels of what the table does not have."""
    known = [*custom.methods, *custom.pairs]
    for key in custom.labels:
        if key not in known:
            raise UnknownName("row or column", key, known, where=f"{where}, labels")


def _comparisons(
    custom: CustomTable, rows: tuple[Row, ...], where: str
) -> tuple[tuple[str, str], ...]:
    """Which row is held against which, by their labels.

    Raises:
        UnknownName: no such row.
        BadValue: a row against itself, or a method that a grid gives several rows.
    """
    place = f"{where}, comparisons"
    if custom.comparisons and custom.grid:
        raise BadValue(
            place, custom.comparisons, "none beside a grid, whose methods have many rows"
        )
    labels = {name: row.label for name, row in zip(custom.methods, rows, strict=False)}
    for pair in custom.comparisons:
        for name in pair:
            if name not in labels:
                raise UnknownName("row", name, custom.methods, where=place)
        if pair[0] == pair[1]:
            raise BadValue(place, pair, "two rows of the table")
    return tuple((labels[first], labels[second]) for first, second in custom.comparisons)


def _column(key: str, custom: CustomTable, components: Components, where: str) -> Column:
    pair = parse_pair(key, components, where)
    return Column(pair, label=custom.labels.get(key) or _head(pair, custom, components))


def _rows_of(
    name: str,
    custom: CustomTable,
    origin: Origin | None,
    components: Components,
    where: str,
) -> list[Row]:
    """The rows of one entry of `methods`: one for every combination of the grid's values.

    Raises:
        BadValue: a teacher's row, which measures test images, in a table that looks at none.
    """
    if name != TEACHER:
        taken = _taken(_parts(name, components, where), custom, components, where)
        grids = product(*([(key, value) for value in values] for key, values in taken.items()))
        return [_row(name, custom, origin, components, where, grid) for grid in grids]
    if custom.tuning_holdout:
        expected = "methods: such a table looks at no test image"
        raise BadValue(f"{where}, methods", name, expected, "remove held_out or this row")
    return [Row(custom.labels.get(name, "Teacher"), role="teacher")]


def _suited(recipe: Recipe, protocol: str, dataset: str) -> Recipe:
    """A protocol for a data set, whose own constants it takes if its own are another's."""
    if CONSTANTS_OF.get(protocol) == dataset:
        return recipe
    return replace(recipe, mean=(), std=())


def _check_pruning(custom: CustomTable, components: Components, where: str) -> None:
    """Refuse a search that prunes nothing, or methods that would search on another student."""
    if not custom.pruned_by:
        if custom.pruned_from:
            advice = "pruned_by says which search prunes it"
            raise BadValue(f"{where}, pruned_from", custom.pruned_from, "pruned_by as well", advice)
        return
    search = components.get("search", custom.pruned_by, where=where)
    if search.start != "teacher":
        raise BadValue(f"{where}, pruned_by", custom.pruned_by, "a search that prunes a network")
    if custom.pruned_from and custom.pruned_from != TEACHER:
        components.get("network", custom.pruned_from, where=where)
    names = [name for name in custom.methods if name != TEACHER]
    searching = [m for name in names for m in _parts(name, components, where) if m.search]
    if searching and custom.searched_on is None:
        advice = "searched_on says whose scheme the pruned student takes"
        expected = "methods that search nothing"
        raise BadValue(f"{where}, methods", searching[0].name, expected, advice)


def _origin(custom: CustomTable, components: Components, where: str) -> Origin | None:
    """Where the schemes of a table are searched, if not on its own pairs and data set."""
    elsewhere = custom.searched_on
    if elsewhere is None:
        return None
    dataset = elsewhere.dataset or custom.dataset
    named = elsewhere.protocol or custom.protocol
    protocol = _protocol(named, dataset, components, f"{where}, searched_on")
    pair = parse_pair(elsewhere.pair, components, where) if elsewhere.pair else None
    return Origin(
        elsewhere.dataset,
        pair,
        recipe=_suited(PROTOCOLS[protocol], protocol, dataset),
        search_recipe=_suited(SEARCH_PROTOCOLS[protocol], protocol, dataset),
    )


def _head(pair: Pair, custom: CustomTable, components: Components) -> str:
    """What stands over a column; "" for the networks' labels."""
    if not custom.pruned_by:
        return ""
    network = pair.teacher if custom.pruned_from == TEACHER else custom.pruned_from or pair.student
    teacher, pruned_from = (
        components.get("network", n, where=FILE) for n in (pair.teacher, network)
    )
    return f"{teacher.label}<br>→ found in {pruned_from.label}"


def _parts(name: str, components: Components, where: str) -> list[Component]:
    """The methods whose losses a row adds.

    Raises:
        UnknownName: no such method.
        BadValue: one of them twice.
    """
    names = name.split(JOIN)
    if len(set(names)) < len(names):
        raise BadValue(f"{where}, methods", name, "each method once")
    return [components.get("method", part, where=where) for part in names]


def _check_grid(custom: CustomTable, components: Components, where: str) -> None:
    """Refuse values that no run would take, or that stand twice.

    Raises:
        UnknownName, BadValue: naming the key.
    """
    if not custom.grid:
        return
    known: set[str] = set()
    for name in (name for name in custom.methods if name != TEACHER):
        parts = _parts(name, components, where)
        if len(parts) > 1:
            advice = "the parameters of joined methods stand in params.yaml's methods and searches"
            raise BadValue(f"{where}, grid", name, "methods that stand alone", advice)
        known |= _varied(parts[0], custom, components, where).keys()
    for key, values in custom.grid.items():
        if key not in known:
            if key.startswith(SEARCH) and not any(one.startswith(SEARCH) for one in known):
                expected = f"parameters of {', '.join(custom.methods)}, which searches nothing"
                raise BadValue(f"{where}, grid", key, expected)
            raise UnknownName("parameter", key, known, where=f"{where}, grid")
        for value in values:
            if not _is_plain(value):
                expected = "numbers, texts, true or false, or lists of these"
                raise BadValue(f"{where}, grid.{key}", value, expected)
            if values.count(value) > 1:
                raise BadValue(f"{where}, grid.{key}", value, "each value once")


def _varied(
    part: Component, custom: CustomTable, components: Components, where: str
) -> dict[str, tuple[Component, str]]:
    """What a grid may vary of a method: its parameters, and as `search.name` its search's."""
    found = {key: (part, key) for key in part.overridable}
    named = custom.pruned_by or part.search
    if named:
        search = components.get("search", named, where=where)
        found |= {f"{SEARCH}{key}": (search, key) for key in search.overridable}
    return found


def _taken(
    parts: list[Component], custom: CustomTable, components: Components, where: str
) -> dict[str, list[Any]]:
    """The values of the grid by those of its keys that a row's method has.

    A method without any of them has one row, as it is.

    Raises:
        UnknownName, BadValue: a value that the parameter cannot have.
    """
    known = _varied(parts[0], custom, components, where) if custom.grid else {}
    taken = {}
    for key, values in custom.grid.items():
        if key in known:
            owner, name = known[key]
            place = f"{where}, grid.{key}"
            taken[key] = [_hashable(owner.checked(name, value, place)) for value in values]
    return taken


def _hashable(value: Any) -> Any:
    """Lists as tuples: requests are hashed."""
    return tuple(value) if isinstance(value, list) else value


def _check_size(custom: CustomTable, where: str) -> None:
    """Refuse rows or columns that stand twice, and more than anybody reads.

    Raises:
        BadValue: naming the key.
    """
    for key, entries in (("pairs", custom.pairs), ("methods", custom.methods)):
        twice = [entry for entry in entries if entries.count(entry) > 1]
        if twice:
            raise BadValue(f"{where}, {key}", twice[0], "each entry once", "remove the second")
    rows = len(custom.methods) * prod(len(values) for values in custom.grid.values())
    if rows * len(custom.pairs) > MOST_CELLS:
        cells = f"{rows * len(custom.pairs)} cells"
        raise BadValue(where, cells, f"at most {MOST_CELLS}", "split it into several tables")


def _is_plain(entry: Any) -> bool:
    """Whether a run specification can hold it."""
    if isinstance(entry, list):
        return all(isinstance(one, bool | int | float | str) for one in entry)
    return isinstance(entry, bool | int | float | str)


def _check_search(
    name: str, parts: list[Component], custom: CustomTable, components: Components, where: str
) -> None:
    """Refuse a method that searches where a pair has several teachers: a search has one."""
    pairs = [parse_pair(key, components, where) for key in custom.pairs]
    several = next((pair for pair in pairs if pair.further), None)
    if several and any(part.search for part in parts):
        raise BadValue(f"{where}, pairs", several.key, f"one teacher for {name}, which searches")


def _row(
    name: str,
    custom: CustomTable,
    origin: Origin | None,
    components: Components,
    where: str,
    grid: Parameters,
) -> Row:
    parts = _parts(name, components, where)
    _check_search(name, parts, custom, components, where)
    label = custom.labels.get(name) or " + ".join(part.label for part in parts)
    searched = origin if any(part.search for part in parts) else None
    settings = ", ".join(f"{key} = {value}" for key, value in grid)
    method_grid = tuple((k, v) for k, v in grid if not k.startswith(SEARCH))
    search_grid = tuple((k.removeprefix(SEARCH), v) for k, v in grid if k.startswith(SEARCH))
    return Row(
        f"{label}, {settings}" if settings else label,
        name,
        parameters=method_grid,
        search_parameters=search_grid,
        origin=searched,
        pruned_by=custom.pruned_by,
        pruned_from=custom.pruned_from,
    )
