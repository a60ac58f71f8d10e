"""What a paper shows: tables and figures, and the requests that they make."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from kdbench.exhibits.keys import RunKey
from kdbench.exhibits.recipe import Recipe
from kdbench.exhibits.requests import (
    JOIN,
    FurtherTeacher,
    Pair,
    Parameters,
    Request,
    SearchRequest,
    StudentRequest,
    TeacherRequest,
)


@dataclass(frozen=True)
class Metric:
    """A measured quantity: its key in records, its name, its unit, which way is better.

    Attributes:
        complement: the printed number is 100 minus the recorded one.
        times: the printed number is so many times the recorded one, and the paper's.
        printed: its key in the CSV of published numbers; by default `key`.
    """

    key: str
    label: str
    unit: str
    higher_is_better: bool = True
    complement: bool = False
    printed: str = ""
    times: float = 1.0

    def shown(self, recorded: float) -> float:
        """The number as the exhibit prints it."""
        return 100.0 - recorded if self.complement else self.times * recorded


TEACHER = "teacher"  # as the network that a search prunes: the column's own
TOP1 = Metric("top1", "top-1 accuracy", "%")
MIOU = Metric("miou", "mIoU", "%")
# Recorded and printed by papers in metres; their differences are centimetres.
RMSE = Metric("rmse", "RMSE", "cm", higher_is_better=False, times=100.0)
TOP5 = Metric("top5", "top-5 accuracy", "%")
TEST_ERROR = Metric(
    "top1", "test error", "%", higher_is_better=False, complement=True, printed="test_error"
)


@dataclass(frozen=True)
class Origin:
    """Where a row's scheme is searched; what is empty or None is the cell's own.

    Attributes:
        dataset: another data set.
        pair: another pair.
        recipe, search_recipe: protocols there.
    """

    dataset: str = ""
    pair: Pair | None = None
    recipe: Recipe | None = None
    search_recipe: Recipe | None = None


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        label: as the paper prints it.
        method: the distillation method; None for the teacher's own line, for pending ones, and
            where the columns say it.
        role: "student" (a method's line), "teacher", or "pending" (not built yet).
        published: the method's name in the CSV of published numbers; empty where the paper has
            no such line.
        parameters: of the method, where this row differs from the declaration.
        search_parameters: of its search, or of `pruned_by`.
        pruned_by: the search whose pruned network is the student, in place of the pair's.
        pruned_from: the network that it prunes, or "teacher"; by default the pair's student.
        origin: where the scheme is searched.
        teacher_last: see `StudentRequest`.
        further: teachers beside the columns' own.
        recipe: the students' protocol, where the row is about another than its columns'.
        only: the row's columns, by their pairs or labels; all by default.
    """

    label: str
    method: str | None = None
    role: str = "student"
    published: str = ""
    parameters: Parameters = ()
    search_parameters: Parameters = ()
    pruned_by: str = ""
    pruned_from: str = ""
    origin: Origin | None = None
    teacher_last: bool = False
    further: tuple[FurtherTeacher, ...] = ()
    recipe: Recipe | None = None
    only: tuple[Pair | str, ...] = ()

    def stands_in(self, column: "Column") -> bool:
        """Whether the row has a cell in a column."""
        return not self.only or column.pair in self.only or column.label in self.only

    @property
    def methods(self) -> list[str]:
        """The row's methods, whose losses are added; none where `method` is None."""
        return self.method.split(JOIN) if self.method else []


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        pair: teacher and student.
        dataset: another than the table's.
        method: in place of the row's.
        parameters: of that method.
        label: printed over the column; by default the networks' labels.
        setting: the CSV's name of the column; by default the table's.
        recipe, search_recipe, teacher_recipe: protocols of its students, searches and teachers;
            by default the table's.
        budget: share of the students' protocol's epochs.
    """

    pair: Pair
    dataset: str = ""
    method: str = ""
    parameters: Parameters = ()
    label: str = ""
    setting: str = ""
    recipe: Recipe | None = None
    search_recipe: Recipe | None = None
    teacher_recipe: Recipe | None = None
    budget: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A table or figure of a paper. `id` is `paper/name` and names its files.

    Attributes:
        dataset: the data set that it needs; its columns and requests may name others.
        on_request: made only where params.yaml names it or its paper, not by "all".
        on_request_at: scales at which the same holds.
    """

    id: str
    title: str
    dataset: str
    notes: tuple[str, ...] = ()
    on_request: bool = False
    on_request_at: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The id as a file name."""
        return self.id.replace("/", "-")


@dataclass(frozen=True, kw_only=True)
class Table(Exhibit):
    """Rows are methods, columns are pairs, a cell is a mean over seeds.

    Attributes:
        pairs: the columns, where each is a pair and nothing else.
        columns: the columns otherwise.
        recipe: protocol of every training in the table.
        search_recipe: protocol of the searches its methods need; None where none does.
        teacher_recipe: protocol of the teachers; by default the students'.
        seeds: student runs of a cell.
        tolerance: largest gap to the printed number that still counts as the same, in the
            metric's unit.
        published: CSV beside the papers' declarations; `exhibit` the key of this table in it.
        setting: the CSV's name of a column, with {teacher} and {student} labels.
        spread_is_variance: the paper prints variances; they are shown as their square roots.
        tuning_holdout: see `StudentRequest`; a table with it chooses parameters.
        leads: its first column has the scale's `lead_seeds`.
        least_seeds: student runs of a cell at every scale, where fewer would decide nothing.
        comparisons: labels of two rows each, the first of which is thought to be the better one;
            the report says in which columns the runs show it.
        sizes: whether the report shows the parameters and multiply-adds of every cell's network.
    """

    metric: Metric
    pairs: tuple[Pair, ...] = ()
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...]
    recipe: Recipe
    search_recipe: Recipe | None = None
    teacher_recipe: Recipe | None = None
    seeds: int
    tolerance: float = 0.0
    published: str = ""
    exhibit: str = ""
    setting: str = ""
    spread_is_variance: bool = False
    tuning_holdout: float = 0.0
    leads: bool = False
    least_seeds: int = 1
    comparisons: tuple[tuple[str, str], ...] = ()
    sizes: bool = False

    @cached_property
    def all_columns(self) -> tuple[Column, ...]:
        """`columns`, or one per pair."""
        return self.columns or tuple(Column(pair) for pair in self.pairs)

    def shows(self, row: Row, column: Column) -> bool:
        """Whether the table has a cell there."""
        return row.role != "pending" and row.stands_in(column)

    def request(self, row: Row, column: Column) -> TeacherRequest | StudentRequest:
        """What one cell needs."""
        dataset, pair = column.dataset or self.dataset, column.pair
        if row.further:
            pair = replace(pair, further=(*pair.further, *row.further))
        if row.role == "teacher":
            recipe = self._teachers_recipe(column) or self.recipe
            return TeacherRequest(dataset=dataset, network=pair.teacher, recipe=recipe)
        return StudentRequest(
            dataset=dataset,
            pair=pair,
            method=column.method or str(row.method),
            recipe=row.recipe or column.recipe or self.recipe,
            seeds=self.seeds,
            lead=self.leads and column == self.all_columns[0],
            least=self.least_seeds,
            search_recipe=column.search_recipe or self.search_recipe,
            parameters=(*column.parameters, *row.parameters),
            search_parameters=() if row.pruned_by else row.search_parameters,
            pruned_by=self._pruning(row, dataset, pair),
            origin=self._origin(row, column, dataset, pair),
            tuning_holdout=self.tuning_holdout,
            teacher_last=row.teacher_last,
            budget=column.budget,
            teacher_recipe=self._teachers_recipe(column),
        )

    def _teachers_recipe(self, column: Column) -> Recipe | None:
        return column.teacher_recipe or self.teacher_recipe

    def _pruning(self, row: Row, dataset: str, pair: Pair) -> SearchRequest | None:
        if not row.pruned_by or self.search_recipe is None:
            return None
        whole = pair.teacher if row.pruned_from == TEACHER else row.pruned_from or pair.student
        return SearchRequest(
            dataset=dataset,
            pair=Pair(whole, whole),
            search=row.pruned_by,
            recipe=self.recipe,
            search_recipe=self.search_recipe,
            parameters=row.search_parameters,
        )

    def _origin(self, row: Row, column: Column, dataset: str, pair: Pair) -> SearchRequest | None:
        origin = row.origin
        if origin is None:
            return None
        search_recipe = origin.search_recipe or column.search_recipe or self.search_recipe
        if search_recipe is None:
            return None
        return SearchRequest(
            dataset=origin.dataset or dataset,
            pair=origin.pair or pair,
            search="",  # the method's own
            recipe=origin.recipe or self._teachers_recipe(column) or self.recipe,
            search_recipe=search_recipe,
            parameters=row.search_parameters,
        )


@dataclass(frozen=True, kw_only=True)
class NamedRuns(Exhibit):
    """What its own renderer makes of runs that it names; a figure or a summary.

    Attributes:
        renderer: module with a function `render`; the kind of exhibit says in which folder.
        requests: what it reads, by its own keys for it.
        caption: what the paper says of it.
        options: for the renderer.
    """

    renderer: str
    requests: tuple[tuple[RunKey, Request], ...]
    caption: str = ""
    options: Parameters = ()

    def option(self, key: str, default: object = None) -> object:
        """One of the renderer's options."""
        return dict(self.options).get(key, default)


@dataclass(frozen=True, kw_only=True)
class Figure(NamedRuns):
    """Something drawn, by a module of `kdbench/report/figures`."""


@dataclass(frozen=True, kw_only=True)
class Summary(NamedRuns):
    """A table that is no grid of methods and pairs, by a module of `kdbench/report/summaries`."""


def requests_of(exhibit: Exhibit) -> Iterator[Request]:
    """Every request of an exhibit; pending rows make none."""
    if isinstance(exhibit, Table):
        yield from (
            exhibit.request(row, column)
            for row in exhibit.rows
            for column in exhibit.all_columns
            if exhibit.shows(row, column)
        )
    elif isinstance(exhibit, NamedRuns):
        yield from (request for _, request in exhibit.requests)
