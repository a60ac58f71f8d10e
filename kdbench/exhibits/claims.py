"""What a paper says beyond its numbers, and which numbers would show it; `CLAIMS` of its module."""

from dataclasses import dataclass

from kdbench.exhibits.keys import RunKey
from kdbench.exhibits.requests import Pair


@dataclass(frozen=True)
class Thresholds:
    """From where a measured value counts for or against a claim that a paper makes in words.

    The papers give no such numbers: these are ours, and the report prints them.

    Attributes:
        holds: this value, and what lies beyond it as seen from `fails`, shows the claim.
        fails: this value, and what lies beyond it as seen from `holds`, shows the contrary.
    """

    holds: float
    fails: float


@dataclass(frozen=True)
class RowsAbove:
    """In every column of a table the first row of each pair is better than the second.

    Attributes:
        columns: of these teachers and students; by default all.
    """

    pairs: tuple[tuple[str, str], ...]
    columns: tuple[Pair, ...] = ()


@dataclass(frozen=True)
class SomeRowsAbove:
    """In at least `least` columns of a table one row is better than another."""

    row: str
    other: str
    least: int


@dataclass(frozen=True)
class RowBest:
    """In every column of a table one student's row is better than all others but those `apart`."""

    row: str
    apart: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowsNear:
    """In every column of a table two rows differ by at most `within`, in the metric's unit."""

    row: str
    other: str
    within: float


@dataclass(frozen=True)
class ColumnsAbove:
    """In every student's row of a table the first of two columns, by setting, is better."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RunsAbove:
    """Of each pair of a figure's runs the first has the smaller test error."""

    pairs: tuple[tuple[RunKey, RunKey], ...]


@dataclass(frozen=True)
class RunsReach:
    """Of each pair of a figure's runs the first is at most `within` points worse in test error."""

    pairs: tuple[tuple[RunKey, RunKey], ...]
    within: float


@dataclass(frozen=True)
class SomeRunsAbove:
    """Of at least `least` pairs of a figure's runs the first has the smaller test error."""

    pairs: tuple[tuple[RunKey, RunKey], ...]
    least: int


@dataclass(frozen=True)
class FewerParameters:
    """Of each pair of a figure's runs the first has the fewer parameters."""

    pairs: tuple[tuple[RunKey, RunKey], ...]


@dataclass(frozen=True)
class ErrorsApart:
    """How far the best and the worst of a figure's runs are apart in test error, in points.

    Attributes:
        groups: the runs of each; the claim is about every group.
    """

    groups: tuple[tuple[RunKey, ...], ...]
    thresholds: Thresholds


@dataclass(frozen=True)
class ProcessesAlike:
    """How alike the processes of several pairs are, as a share of how alike one pair's seeds are.

    Both are the smallest correlation of two of a figure's processes. Where the seeds of one pair
    are no more alike than `fails`, the processes of several pairs cannot be held to more.

    Attributes:
        seeds: the figure's runs that differ in nothing but the seed; of these the first alone is
            held against other pairs.
    """

    seeds: tuple[RunKey, ...]
    thresholds: Thresholds


@dataclass(frozen=True)
class WeightsVanish:
    """The largest weight at the end of a process over the mean weight at its beginning."""

    thresholds: Thresholds


@dataclass(frozen=True)
class WeightsRise:
    """The weights' centre among the teacher maps is low early and then moves to higher maps.

    Attributes:
        early: of the centre over the first quarter of the process, less that of equal weights.
        thresholds: of how far it moves from the beginning to the end, in maps.
    """

    early: Thresholds
    thresholds: Thresholds


@dataclass(frozen=True)
class ShallowTakesAll:
    """Weight of the shallowest block, 0 where it is 1/n and 1 where it is all; smallest group.

    Attributes:
        run: the figure's key of the search.
    """

    run: RunKey
    thresholds: Thresholds


@dataclass(frozen=True)
class StepsCost:
    """Time of a training step of one row of a cost table over that of another."""

    row: str
    other: str
    thresholds: Thresholds


@dataclass(frozen=True)
class SearchCosts:
    """Time of the searches that a row of a cost table needs over that of one training."""

    row: str
    thresholds: Thresholds


@dataclass(frozen=True)
class LossesSaved:
    """Share of the losses' cost that one row of a cost table saves of another's.

    What a loss costs is the time of a step beyond that of `base`, which has both networks too.
    """

    row: str
    whole: str
    base: str
    thresholds: Thresholds


@dataclass(frozen=True)
class BlockDropped:
    """Share removed of what the layers of one dense block read, the largest of a figure."""

    block: int
    thresholds: Thresholds


@dataclass(frozen=True)
class LastLayerRead:
    """Connections into the last layer of one dense block that vanished, the most of a figure.

    Attributes:
        block: its number.
        thresholds: in connections.
    """

    block: int
    thresholds: Thresholds


@dataclass(frozen=True)
class DearestRemoved:
    """Correlation of what a search removes per connection and what its penalty alone would.

    The penalty alone removes what costs most. The smallest correlation of a figure counts.
    """

    thresholds: Thresholds


@dataclass(frozen=True)
class NoneBestEverywhere:
    """No student of a figure has the smallest test error in every group.

    Attributes:
        groups: by student, its run in each of the groups, in one order.
    """

    groups: tuple[tuple[RunKey, ...], ...]


@dataclass(frozen=True)
class SmallestBest:
    """The smallest value of a sweep takes longer and finds a better student than the largest.

    Attributes:
        x: the parameter of the search.
    """

    x: str


@dataclass(frozen=True)
class LeadGrows:
    """In test error, a figure's run leads another by more than a third leads a fourth.

    Attributes:
        here: the pair whose lead is claimed to be larger, the leading run first.
        there: the other pair, likewise.
    """

    here: tuple[RunKey, RunKey]
    there: tuple[RunKey, RunKey]


@dataclass(frozen=True)
class ErrorRises:
    """Test error rises with the parameter of a sweep: Pearson's correlation is above 0.

    Attributes:
        x: the parameter of the search.
        p: largest probability by chance at which a correlation counts.
    """

    x: str
    p: float = 0.05


Check = (
    RowsAbove
    | SomeRowsAbove
    | RowBest
    | RowsNear
    | ColumnsAbove
    | RunsAbove
    | RunsReach
    | SomeRunsAbove
    | FewerParameters
    | ErrorsApart
    | ProcessesAlike
    | WeightsVanish
    | WeightsRise
    | ShallowTakesAll
    | StepsCost
    | SearchCosts
    | LossesSaved
    | BlockDropped
    | LastLayerRead
    | DearestRemoved
    | NoneBestEverywhere
    | SmallestBest
    | LeadGrows
    | ErrorRises
)


@dataclass(frozen=True)
class Elsewhere:
    """An exhibit that was made for another question and holds evidence of a claim too.

    It counts where params.yaml asks for it; without it the claim is judged all the same.

    Attributes:
        exhibit: its id.
        names: what the check calls a row, column or run, and what it is called there; the check
            is made of those alone that have a name there.
    """

    exhibit: str
    names: tuple[tuple[RunKey, RunKey], ...]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One sentence of a paper.

    Attributes:
        id: `paper/name`.
        text: the claim, in our words.
        where: the paper's table, figure or section.
        exhibits: ids of ours that test it; none where nothing does yet.
        check: what is read from them; None where there are none.
        elsewhere: other exhibits that hold evidence of it.
    """

    id: str
    text: str
    where: str
    exhibits: tuple[str, ...] = ()
    check: Check | None = None
    elsewhere: tuple[Elsewhere, ...] = ()
