"""Methods ranked over the pairs on which all of them were measured, as far as the seeds decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from kdbench.report.readings.multiple import holm, joined
from kdbench.report.readings.statistics import Estimate, estimate, one_sided
from kdbench.report.site.standings import Board, Standing


@dataclass(frozen=True)
class Ranked:
    """One method among the ranked ones.

    Attributes:
        ranks: on each leaderboard, 1 the best; ties share their mean.
        mean: of the ranks, with half its 95 % interval over the leaderboards, which says how much
            they differ from pair to pair.
        first: the best place that it may have by its mean accuracy, as far as the seeds decide.
        last: the worst such place.
        groups: numbers of the groups that it is in.
    """

    method: str
    ranks: Sequence[float]
    mean: Estimate
    first: int
    last: int
    groups: Sequence[int]


@dataclass(frozen=True)
class Ranking:
    """All ranked methods, the best mean rank first.

    Attributes:
        boards: the leaderboards that all of them are on.
        groups: the methods of each group within which the seeds tell no two apart.
        others: methods that were not measured on all of these leaderboards.
    """

    boards: Sequence[Board]
    rows: Sequence[Ranked]
    groups: Sequence[Sequence[str]]
    others: Sequence[str]


def ranking(cells: Mapping[str, Mapping[str, Standing]], boards: Sequence[Board]) -> Ranking | None:
    """Rank the methods; None where no two were measured on a leaderboard in common.

    Args:
        cells: standings by method and leaderboard.
        boards: leaderboards, of which those are taken that leave most cells to compare.
    """
    slugs, methods = _block(cells)
    if len(methods) < 2:
        return None
    chosen = [board for board in boards if board.slug in slugs]
    means = {name: [_better(cells[name][board.slug]) for board in chosen] for name in methods}
    ranks = {name: [_rank(name, place, means) for place in range(len(chosen))] for name in methods}
    ordered = sorted(methods, key=lambda name: (sum(ranks[name]), name))
    beats = holm(
        {
            (one, other): _chance([cells[one][s] for s in slugs], [cells[other][s] for s in slugs])
            for one, other in permutations(ordered, 2)
        }
    )
    groups = joined(ordered, beats)
    rows = [
        Ranked(
            name,
            ranks[name],
            estimate(ranks[name]),
            1 + sum(worse == name for _, worse in beats),
            len(ordered) - sum(better == name for better, _ in beats),
            [number for number, group in enumerate(groups) if name in group],
        )
        for name in ordered
    ]
    return Ranking(chosen, rows, groups, sorted(cells.keys() - set(methods)))


def _block(cells: Mapping[str, Mapping[str, Standing]]) -> tuple[list[str], list[str]]:
    """Leaderboards and the methods that are on all of them.

    Several leaderboards for three methods or more, if there are such; then the most cells.
    """
    own = [frozenset(by_board) for by_board in cells.values()]
    choices = sorted(map(sorted, {one & other for one in own for other in own if one & other}))
    blocks = [
        (slugs, [name for name, by_board in cells.items() if by_board.keys() >= set(slugs)])
        for slugs in choices
    ]

    def worth(block: tuple[list[str], list[str]]) -> tuple[bool, int, int]:
        slugs, names = block
        return len(slugs) > 1 and len(names) > 2, len(slugs) * len(names), len(slugs)

    return max(blocks, key=worth, default=([], []))


def _better(standing: Standing) -> float:
    """Its mean, larger where better."""
    sign = 1.0 if standing.line.metric.higher_is_better else -1.0
    return sign * standing.estimate.mean


def _rank(name: str, place: int, means: Mapping[str, Sequence[float]]) -> float:
    own = means[name][place]
    better = sum(values[place] > own for values in means.values())
    equal = sum(values[place] == own for values in means.values())
    return better + (equal + 1) / 2


def _chance(one: Sequence[Standing], other: Sequence[Standing]) -> float:
    """Of a mean lead as large where the first is no better than the second; 1 without spreads."""
    share = 1 / len(one)
    signs = [1.0 if cell.line.metric.higher_is_better else -1.0 for cell in one]
    parts = [(share * sign, cell.estimate) for sign, cell in zip(signs, one, strict=True)]
    parts += [(-share * sign, cell.estimate) for sign, cell in zip(signs, other, strict=True)]
    return one_sided(parts)
