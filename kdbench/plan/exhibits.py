"""What a paper shows: tables, figures, and how their numbers are measured and published."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kdbench.plan.recipe import Recipe

PAPERS = Path(__file__).parent.parent / "papers"


@dataclass(frozen=True)
class Metric:
    """A measured quantity: its key in records, its name, its unit, which way is better."""

    key: str
    label: str
    unit: str
    higher_is_better: bool = True


TOP1 = Metric("top1", "top-1 accuracy", "%")


@dataclass(frozen=True)
class Pair:
    """A teacher and a student, by their networks' names."""

    teacher: str
    student: str

    @property
    def key(self) -> str:
        """`teacher:student`, the pair's name in declarations and in params.yaml."""
        return f"{self.teacher}:{self.student}"


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        label: as the paper prints it.
        method: the distillation method; None for the teacher's own line and for pending ones.
        role: "student" (a method's line), "teacher", or "pending" (not built yet).
        published: the method's name in the CSV of published numbers; empty where the paper has
            no such line.
    """

    label: str
    method: str | None
    role: str = "student"
    published: str = ""


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A table or figure of a paper. `id` is `paper/name` and names its files.

    Attributes:
        on_request: made only where params.yaml names it or its paper, not by "all".
    """

    id: str
    title: str
    dataset: str
    notes: tuple[str, ...] = ()
    on_request: bool = False

    @property
    def slug(self) -> str:
        """The id as a file name."""
        return self.id.replace("/", "-")


@dataclass(frozen=True, kw_only=True)
class Table(Exhibit):
    """Rows are methods, columns are pairs, a cell is a mean over seeds.

    Attributes:
        recipe: protocol of every training in the table.
        search_recipe: protocol of the searches its methods need; None where none does.
        seeds: student runs of a cell.
        tolerance: largest gap to the printed number that still counts as the same, in the
            metric's unit.
        published: CSV beside the papers' declarations; `exhibit` the key of this table in it.
        setting: the CSV's name of a column, with {teacher} and {student} labels.
        spread_is_variance: the paper prints variances; they are shown as their square roots.
    """

    metric: Metric
    pairs: tuple[Pair, ...]
    rows: tuple[Row, ...]
    recipe: Recipe
    search_recipe: Recipe | None = None
    seeds: int
    tolerance: float
    published: str
    exhibit: str
    setting: str
    spread_is_variance: bool = False


@dataclass(frozen=True, kw_only=True)
class ProcessFigure(Exhibit):
    """Searched pathway weights over the search, one panel a teacher map."""

    pair: Pair
    search: str
    recipe: Recipe
    search_recipe: Recipe
    caption: str = ""


@dataclass(frozen=True)
class Published:
    """One printed number, its spread, and how we know it."""

    value: float
    spread: float | None
    source: str


@cache
def published_numbers(csv_name: str) -> dict[tuple[str, str, str, str], Published]:
    """All numbers of one CSV by (exhibit, setting, method, metric)."""
    with (PAPERS / csv_name).open(newline="", encoding="utf-8") as file:
        return {
            (row["exhibit"], row["setting"], row["method"], row["metric"]): Published(
                float(row["value"]), float(row["spread"]) if row["spread"] else None, row["source"]
            )
            for row in csv.DictReader(file)
        }
