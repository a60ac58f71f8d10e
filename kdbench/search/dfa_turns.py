"""Whose turn it is in DFA's search, and when a turn's β moves."""

from typing import NamedTuple

from kdbench.engine.position import TrainingPosition


class Turn(NamedTuple):
    """One step within the share of a group.

    Attributes:
        group: position of the group.
        moves: whether its β takes a step.
        rounds: so many steps β takes in the whole share, at least 1.
    """

    group: int
    moves: bool
    rounds: int


def turn_at(position: TrainingPosition, groups: int, head_start: float) -> Turn:
    """The turn of a step: equal shares, shallow to deep, each with a head start for the weights.

    Args:
        position: of the search.
        groups: number of groups; where the steps do not reach for all, the deep ones get none.
        head_start: the part of a share, from 0 to below 1, in which β rests.

    >>> turns = [turn_at(TrainingPosition(step, 10, 0, 1), 2, 0.4) for step in range(10)]
    >>> [(turn.group, turn.moves) for turn in turns[:4]], turns[5].group, turns[0].rounds
    ([(0, False), (0, False), (0, True), (0, True)], 1, 3)
    """
    group = position.step * groups // position.steps
    first, end = (-(-place * position.steps // groups) for place in (group, group + 1))
    rest = int(head_start * (end - first))
    return Turn(group, position.step >= first + rest, end - first - rest)
