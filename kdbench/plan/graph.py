"""The only cell-level graph: exhibits become runs, each once, with all that they depend on."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from kdbench.errors import BadValue, UnknownName, UserError
from kdbench.exhibits.keys import RunKey
from kdbench.exhibits.requests import Pair, Request, StudentRequest, TeacherRequest
from kdbench.exhibits.tables import Column, Exhibit, NamedRuns, Row, Table, requests_of
from kdbench.papers import catalogue
from kdbench.plan.build import Builder
from kdbench.plan.check_names import check_names
from kdbench.plan.components import Components, find_components
from kdbench.plan.custom_tables import custom_tables
from kdbench.plan.params import FILE, OWN, Params, blamed_on_call, load_params
from kdbench.plan.scales import Scale
from kdbench.store.spec import PHASES, RunSpec
from kdbench.store.student_runs import EvaluationRun, SearchRun

MOST_NAMED = 3
FigureRun: TypeAlias = SearchRun | EvaluationRun


@dataclass(frozen=True)
class Cell:
    """One cell of a table: where its number comes from; None where nothing is built yet."""

    row: Row
    column: Column
    evaluation: EvaluationRun | None


@dataclass
class Graph:
    """The runs behind today's params.yaml.

    Attributes:
        params: what the user asked for.
        exhibits: the exhibits that were asked for, in the papers' order.
        cells: per table, its cells in reading order.
        drawn: per figure or summary, the runs that it reads, by its own keys for them; None for
            what the filters of params.yaml leave out.
    """

    params: Params
    components: Components
    exhibits: list[Exhibit]
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    drawn: dict[str, dict[RunKey, FigureRun | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.cells or self.drawn:  # a part of a plan
            return
        builder = Builder(self.params, self.components)
        for exhibit in self.exhibits:
            if isinstance(exhibit, Table):
                self.cells[exhibit.id] = list(self._table(exhibit, builder))
            elif isinstance(exhibit, NamedRuns):
                self.drawn[exhibit.id] = {
                    key: builder.build(request) if self._keeps(request, exhibit) else None
                    for key, request in exhibit.requests
                }

    @property
    def own(self) -> bool:
        """Whether all exhibits are the user's own tables."""
        return bool(self.exhibits) and all(map(is_own, self.exhibits))

    def parts(self) -> list["Graph"]:
        """The plan by report: the exhibits of papers and studies, then the user's own tables."""
        if len({is_own(exhibit) for exhibit in self.exhibits}) < 2:
            return [self]
        return [self._part(own) for own in (False, True)]

    def _part(self, own: bool) -> "Graph":
        """The exhibits that are the user's own, or the others, with the runs that are planned."""
        exhibits = [exhibit for exhibit in self.exhibits if is_own(exhibit) == own]
        ids = {exhibit.id for exhibit in exhibits}
        cells = {name: cells for name, cells in self.cells.items() if name in ids}
        drawn = {name: runs for name, runs in self.drawn.items() if name in ids}
        return replace(self, exhibits=exhibits, cells=cells, drawn=drawn)

    @cached_property
    def scale(self) -> Scale:
        """The scale in force."""
        return self.params.settings()

    @cached_property
    def runs(self) -> dict[str, RunSpec]:
        """Every run by digest, dependencies first."""
        runs: dict[str, RunSpec] = {}
        for target in self.targets():
            for spec in target.with_upstream():
                runs.setdefault(spec.digest, spec)
        return runs

    def targets(self) -> Iterator[FigureRun]:
        """The runs that exhibits read directly."""
        for cells in self.cells.values():
            yield from (cell.evaluation for cell in cells if cell.evaluation)
        for runs in self.drawn.values():
            yield from (spec for spec in runs.values() if spec)

    def behind(self, exhibit: Exhibit) -> list[FigureRun]:
        """The runs that one exhibit reads directly."""
        cells = [cell.evaluation for cell in self.cells.get(exhibit.id, [])]
        return [spec for spec in (*cells, *self.drawn.get(exhibit.id, {}).values()) if spec]

    def of_phase(self, phase: str, dataset: str) -> list[RunSpec]:
        """All runs of one phase on one data set: what one DVC stage builds."""
        return [r for r in self.runs.values() if (r.phase, r.dataset) == (phase, dataset)]

    def run(self, digest: str, *, with_artifacts: bool = False) -> RunSpec:
        """Find a run by its digest or the beginning of it, or by one of its names.

        A cell's name alone means its evaluation, which needs all others, rather than the search of
        that name; but the teacher rather than the teacher's evaluation. `phase/cell` names either,
        and `phase/dataset/cell` tells data sets apart.

        Args:
            digest: the name.
            with_artifacts: a cell's name means the search too, as evaluations write no artifacts.

        Raises:
            UnknownName: there is none.
            UserError: more than one is meant.
        """
        where = f"{FILE} at scale {self.params.scale}"
        full = {key: f"{spec.phase}/{spec.cell}" for key, spec in self.runs.items()}
        named = [key for key, spec in self.runs.items() if digest in names_of(spec)]
        named = self._meant(named, with_artifacts)
        matches = named or [key for key in full if key.startswith(digest)]
        if not matches:
            known = {*full.values(), *(spec.cell for spec in self.runs.values())}
            lister = f"kdbench status --runs --scale {self.params.scale}"
            raise UnknownName("run", digest, known, where=where, lister=lister)
        if len(matches) > 1 or not digest:
            some = [self._only_name(key) or self._described(key) for key in matches]
            listed = ", ".join(some[:MOST_NAMED]) + (" ..." if len(some) > MOST_NAMED else "")
            meant = f"{where}: {digest!r} matches {len(some)} runs: {listed}"
            nameless = named and not any(map(self._only_name, named))
            more = "a digest" if nameless else "more of the name, or a digest"
            raise UserError(f"{meant}; give {more}")
        return self.runs[matches[0]]

    def _meant(self, matches: list[str], with_artifacts: bool) -> list[str]:
        """Of runs of one name, those that it means: a teacher, an evaluation, or a search."""
        phases = {self.runs[key].phase for key in matches}
        least = "evaluation" if with_artifacts or "teacher" in phases else "search"
        return [key for key in matches if self.runs[key].phase != least] or matches

    @cached_property
    def _shared(self) -> Counter[str]:
        """How many runs have a name, of those with a phase."""
        return Counter(name for spec in self.runs.values() for name in names_of(spec)[1:])

    def _only_name(self, digest: str) -> str:
        """The shortest name with a phase that no other run has; empty where there is none."""
        return next((n for n in names_of(self.runs[digest])[1:] if self._shared[n] == 1), "")

    def _described(self, digest: str) -> str:
        """A digest, with the protocol and the exhibit that tell it from runs of the same names."""
        run = self.runs[digest]
        of = run.first if isinstance(run, EvaluationRun) else run
        exhibits = (e.id for e in self.exhibits for t in self.behind(e) if t.digest == digest)
        told = " in ".join(part for part in (of.protocol, next(exhibits, "")) if part)
        return f"{digest} ({told})" if told else digest

    def tables(self) -> list[Table]:
        """The tables among the exhibits."""
        return [e for e in self.exhibits if isinstance(e, Table)]

    def _table(self, table: Table, builder: Builder) -> Iterator[Cell]:
        for row in table.rows:
            for column in table.all_columns:
                request = table.request(row, column) if table.shows(row, column) else None
                keeps = request and self._keeps_pair(column.pair) and self._keeps(request, table)
                run = builder.evaluation(request) if request and keeps else None
                yield Cell(row, column, run)

    def _keeps(self, request: Request, exhibit: Exhibit) -> bool:
        """Whether the filters of params.yaml leave something in.

        Who writes a table of their own asks for its data sets by that.
        """
        params, methods = self.params, set(self.params.methods_only)
        if not (is_own(exhibit) or _datasets(request) <= {*params.datasets}):
            return False
        if isinstance(request, TeacherRequest):
            return not params.pairs or any(
                key.startswith(f"{request.network}:") for key in params.pairs
            )
        if isinstance(request, StudentRequest) and methods and request.method not in methods:
            return False
        return self._keeps_pair(request.pair)

    def _keeps_pair(self, pair: Pair) -> bool:
        return not self.params.pairs or pair.key in self.params.pairs


def names_of(spec: RunSpec) -> tuple[str, ...]:
    """The names of a run, the shortest first; other runs may have them too."""
    return spec.cell, f"{spec.phase}/{spec.cell}", f"{spec.phase}/{spec.dataset}/{spec.cell}"


def choose(params: Params, exhibits: list[Exhibit]) -> list[Exhibit]:
    """The exhibits that params.yaml names, of the data sets that it names.

    Raises:
        UnknownName: an exhibit, data set, pair or method that no exhibit has.
        UserError: no exhibit is left.
    """
    ids = {exhibit.id for exhibit in exhibits}
    papers = {exhibit.id.partition("/")[0] for exhibit in exhibits}
    for name in params.exhibits:
        if name not in ids | papers | {"all"}:
            raise UnknownName("exhibit", name, ids | papers | {"all"}, where=f"{FILE}, exhibits")
    requests = [request for exhibit in exhibits for request in requests_of(exhibit)]
    pairs = {request.pair.key for request in requests if not isinstance(request, TeacherRequest)}
    for key in params.pairs:
        if key not in pairs:
            raise UnknownName("pair", key, pairs, where=f"{FILE}, pairs")
    asked = {*params.exhibits}
    named = [
        e
        for e in exhibits
        if {e.id, e.id.partition("/")[0]} & asked or ("all" in asked and not _on_request(e, params))
    ]
    chosen = [e for e in named if is_own(e) or datasets_of(e) & {*params.datasets}]
    if not chosen:
        shown = {name for exhibit in named for name in datasets_of(exhibit)}
        searched = {name for exhibit in named for name in needed_by(exhibit)} - shown
        expected = f"those of the exhibits: {', '.join(sorted(shown))}"
        expected += f"; and of their searches: {', '.join(sorted(searched))}" if searched else ""
        raise BadValue(f"{FILE}, datasets", params.datasets, expected)
    return chosen


def _on_request(exhibit: Exhibit, params: Params) -> bool:
    """Whether an exhibit is made where it or its paper is named, and not by "all"."""
    return exhibit.on_request or params.scale in exhibit.on_request_at


def datasets_of(exhibit: Exhibit) -> set[str]:
    """The data sets that an exhibit shows."""
    return {exhibit.dataset, *(request.dataset for request in requests_of(exhibit))}


def needed_by(exhibit: Exhibit) -> set[str]:
    """The data sets that all runs of an exhibit need: those that it shows, and its searches'."""
    return datasets_of(exhibit).union(*(_datasets(request) for request in requests_of(exhibit)))


def _datasets(request: Request) -> set[str]:
    """The data sets of a request and of its search."""
    origin = request.origin if isinstance(request, StudentRequest) else None
    return {request.dataset, (origin or request).dataset}


def is_own(exhibit: Exhibit) -> bool:
    """Whether an exhibit is a table of the user's own."""
    return exhibit.id.startswith(f"{OWN}/")


def with_plugins(exhibit: Exhibit, components: Components) -> Exhibit:
    """A table with one row more for every plug-in method; the papers have no number for it.

    A table of the user's own has exactly the rows that it names.
    """
    if is_own(exhibit):
        return exhibit
    own = [components.get("method", name, where=FILE) for name in components.plugin_methods()]
    if not isinstance(exhibit, Table) or not own or exhibit.tuning_holdout:
        return exhibit
    about_one_thing = any(row.pruned_by or row.search_parameters for row in exhibit.rows)
    if about_one_thing or any(column.method for column in exhibit.columns):
        return exhibit
    return replace(exhibit, rows=(*exhibit.rows, *(Row(m.label, m.name) for m in own)))


_kept: list[Graph] = []


def make_graph(params: Params) -> Graph:
    """Plan everything that `params` asks for.

    Raises:
        UserError: a name that does not exist (one line that names the key and the nearest name),
            or nothing left to do.
    """
    components = find_components(params.plugins)
    check_names(params, components)
    exhibits = choose(params, [*catalogue(), *custom_tables(params, components)])
    graph = Graph(params, components, [with_plugins(e, components) for e in exhibits])
    if not graph.runs:
        left = f"exhibits {params.exhibits}, pairs {params.pairs}"
        left += f", methods_only {params.methods_only}"
        raise UserError(f"{FILE}: no run is left of {left}; remove one of these filters")
    return graph


def load_graph(root: Path = Path(), overrides: Mapping[str, Any] | None = None) -> Graph:
    """Plan what the params.yaml of a project folder asks for.

    Raises:
        UserError: params.yaml is missing or wrong.
    """
    params = load_params(root / FILE, overrides)
    if kept := next((kept for kept in _kept if kept.params == params), None):
        return kept
    with blamed_on_call(overrides or {}):
        return make_graph(params)


def keep_graph(root: Path = Path(), overrides: Mapping[str, Any] | None = None) -> None:
    """Plan now what processes that are forked from this one will ask for.

    Not where params.yaml names plug-ins: their files may change meanwhile.

    Raises:
        UserError: params.yaml is missing or wrong.
    """
    graph = load_graph(root, overrides)
    if not graph.params.plugins:
        _kept.append(graph)
        list(graph.runs)  # planned when they are asked for, and kept too


def ordered(runs: Mapping[str, RunSpec]) -> list[RunSpec]:
    """Runs by phase, then data set, then cell, for listings."""
    return sorted(runs.values(), key=lambda r: (PHASES.index(r.phase), r.dataset, r.cell))
