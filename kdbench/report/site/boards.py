"""Methods over all pairs: what each gains, what it costs, and which of them differ."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from kdbench.report.readings.statistics import Estimate, contrast
from kdbench.report.site.standings import Board, Standing


@dataclass(frozen=True)
class MethodRow:
    """One method over all leaderboards where it and the student alone were measured.

    Attributes:
        boards: how many those are.
        gain: mean points over the student alone, and half the interval of that mean.
        beside_alone: 1 where it is shown to be better than the student alone, -1 worse, 0
            undecided; of all methods together at 95 %.
        rank: mean rank among the measured methods of those leaderboards, 1 the best; ties share
            their mean, and the student alone has none.
        better, worse: methods that it clearly beats, or that clearly beat it: the interval of the
            mean difference over the leaderboards in common leaves out 0, all intervals of the
            page together at 95 % (Bonferroni).
        open: methods for which these runs decide nothing.
        tuned: pairs for which a weight of it is declared.
        step, hours, search_hours, memory: means over the leaderboards; None where nothing says it.
    """

    method: str
    boards: int
    gain: float
    half: float | None
    beside_alone: int
    rank: float
    better: Sequence[str]
    worse: Sequence[str]
    open: Sequence[str]
    tuned: int
    plugin: bool
    step: float | None
    hours: float | None
    search_hours: float | None
    memory: float | None


def averaged(boards: Sequence[Board]) -> list[Board]:
    """The leaderboards whose numbers have one mean: those of the metric that most of them have.

    Points of accuracy, of mIoU and centimetres are not averaged.
    """
    keys = Counter(board.lines[0].metric.key for board in boards if board.standings)
    if not keys:
        return []
    (most, _), *_ = keys.most_common(1)
    return [board for board in boards if board.lines[0].metric.key == most]


def method_rows(boards: Sequence[Board]) -> list[MethodRow]:
    """All methods, the largest mean gain first."""
    cells = cells_by_method(boards)
    by_slug = {board.slug: board for board in boards}
    tries = max(1, len(cells) * (len(cells) - 1) // 2)
    rows = [_row(method, cells, by_slug, tries) for method in cells]
    return sorted(rows, key=lambda row: (-row.gain, row.method))


def cells_by_method(boards: Sequence[Board]) -> dict[str, dict[str, Standing]]:
    """Standings by method and leaderboard, of those where the student alone was measured too."""
    cells: dict[str, dict[str, Standing]] = {}
    for board in boards:
        for standing in board.standings:
            if board.alone and standing.gain:
                cells.setdefault(standing.method, {}).setdefault(board.slug, standing)
    return cells


def _row(
    method: str,
    cells: Mapping[str, Mapping[str, Standing]],
    boards: Mapping[str, Board],
    tries: int,
) -> MethodRow:
    own = cells[method]
    gain, half = _mean_gain([(own[slug], boards[slug]) for slug in own])
    decided = {other: _lead(own, cells[other], tries) for other in cells if other != method}
    standings = list(own.values())
    return MethodRow(
        method,
        len(own),
        gain,
        half,
        _beside_alone([(own[slug], boards[slug]) for slug in own], len(cells)),
        fmean(_rank(own[slug], [c[slug] for c in cells.values() if slug in c]) for slug in own),
        [other for other, lead in decided.items() if lead > 0],
        [other for other, lead in decided.items() if lead < 0],
        [other for other, lead in decided.items() if lead == 0],
        sum(standing.tuned for standing in standings),
        any(standing.plugin for standing in standings),
        _mean([standing.cost.step for standing in standings]),
        _mean([standing.hours for standing in standings]),
        _mean([standing.search_hours for standing in standings]),
        _mean([standing.cost.memory for standing in standings]),
    )


def _beside_alone(cells: Sequence[tuple[Standing, Board]], tries: int) -> int:
    return _sign_of(_mean_gain(cells, tries))


def _sign_of(lead: tuple[float, float | None]) -> int:
    """1 or -1 where the interval of a lead leaves out 0."""
    mean, half = lead
    return 0 if half is None or abs(mean) <= half else 1 if mean > 0 else -1


def _mean_gain(
    cells: Sequence[tuple[Standing, Board]], tries: int = 1
) -> tuple[float, float | None]:
    parts: list[tuple[float, Estimate]] = []
    for standing, board in cells:
        assert board.alone is not None and board.alone.now is not None
        share = _sign(standing) / len(cells)
        parts += [(share, standing.estimate), (-share, board.alone.now.estimate)]
    return contrast(parts, tries)


def _lead(own: Mapping[str, Standing], other: Mapping[str, Standing], tries: int) -> int:
    """1 where the first is clearly better over the leaderboards in common, -1 worse, else 0."""
    lead = lead_over(own, other, tries)
    return _sign_of(lead[:2]) if lead else 0


def lead_over(
    own: Mapping[str, Standing], other: Mapping[str, Standing], tries: int = 1
) -> tuple[float, float | None, int] | None:
    """Mean lead over the leaderboards in common, half its interval, and how many those are.

    Args:
        own: standings of a method by leaderboard, see `cells_by_method`.
        other: those of another one.
        tries: comparisons whose intervals hold together.
    """
    common = [slug for slug in own if slug in other and own[slug].line is not other[slug].line]
    if not common:
        return None
    parts: list[tuple[float, Estimate]] = []
    for slug in common:
        share = _sign(own[slug]) / len(common)
        parts += [(share, own[slug].estimate), (-share, other[slug].estimate)]
    return *contrast(parts, tries), len(common)


def _sign(standing: Standing) -> float:
    return 1.0 if standing.line.metric.higher_is_better else -1.0


def _rank(standing: Standing, rivals: Sequence[Standing]) -> float:
    """Its rank among the methods of a leaderboard, itself included."""
    own, means = standing.estimate.mean, [rival.estimate.mean for rival in rivals]
    better = sum(_sign(standing) * (mean - own) > 0 for mean in means)
    return better + (means.count(own) + 1) / 2


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
