"""Many comparisons at once: which are significant, and which methods do not differ."""

from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from typing import TypeVar

LEVEL = 0.05  # chance that any comparison counts that should not
Key = TypeVar("Key", bound=Hashable)
Name = TypeVar("Name", bound=Hashable)


def holm(chances: Mapping[Key, float], level: float = LEVEL) -> set[Key]:
    """The hypotheses that are rejected, so that one is rejected wrongly in 5 % of all uses at most.

    Nothing is assumed of how the comparisons depend on each other.

    Args:
        chances: p-value of each hypothesis.
        level: of all of them together.

    >>> sorted(holm({"a": 0.01, "b": 0.02, "c": 0.04, "d": 0.3}))
    ['a']
    >>> sorted(holm({"a": 0.01, "b": 0.016, "c": 0.02, "d": 0.04}))
    ['a', 'b', 'c', 'd']

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    rejected: set[Key] = set()
    for key, chance in sorted(chances.items(), key=lambda pair: pair[1]):
        if chance > level / (len(chances) - len(rejected)):
            break
        rejected.add(key)
    return rejected


def joined(names: Sequence[Name], apart: Iterable[tuple[Name, Name]]) -> list[list[Name]]:
    """The largest groups, of two or more, within which no two differ significantly.

    Two names that share a group are not told apart; two that are not told apart share one.

    Args:
        names: in the order that groups and their members keep.
        apart: pairs that are told apart, in either order.

    >>> joined("abcd", [("a", "c"), ("a", "d")])
    [['a', 'b'], ['b', 'c', 'd']]

    Source: Bron & Kerbosch, Communications of the ACM 16 (1973): maximal cliques.
    """
    separated = {frozenset(pair) for pair in apart}
    near = {
        name: {
            other for other in names if other != name and frozenset((name, other)) not in separated
        }
        for name in names
    }
    places = {name: place for place, name in enumerate(names)}
    groups = [
        sorted(group, key=places.__getitem__) for group in _cliques(set(), set(names), set(), near)
    ]
    return sorted((g for g in groups if len(g) > 1), key=lambda g: [places[name] for name in g])


def _cliques(
    group: Set[Name], candidates: set[Name], done: set[Name], near: Mapping[Name, Set[Name]]
) -> Iterable[Set[Name]]:
    """Maximal cliques that hold `group`, grow by `candidates` and hold none of `done`."""
    if not candidates and not done:
        yield group
        return
    pivot = max(candidates | done, key=lambda name: len(near[name] & candidates))
    for name in list(candidates - near[pivot]):
        yield from _cliques(group | {name}, candidates & near[name], done & near[name], near)
        candidates.remove(name)
        done.add(name)
