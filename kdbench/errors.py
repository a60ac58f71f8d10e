"""Mistakes that the person at the keyboard can mend: where, what was found, what to try."""

from collections.abc import Collection
from difflib import get_close_matches

MOST_NAMED = 40  # names in one line


class UserError(Exception):
    """A mistake the user can mend; the command line shows it as one line, without a traceback."""

    exit_code = 2


class UnknownName(UserError):
    """A component, exhibit or key that does not exist."""

    def __init__(self, kind: str, name: str, known: Collection[str], *, where: str) -> None:
        near = get_close_matches(name, sorted(known), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {_some(known)}"
        super().__init__(f"{where}: no {kind} is called {name!r}; {hint}")


def _some(names: Collection[str]) -> str:
    """Names in order, the first of very many."""
    listed = sorted(names)
    more = len(listed) - MOST_NAMED
    return ", ".join(listed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


class BadValue(UserError):
    """A value that is out of its range or of the wrong kind."""

    def __init__(self, where: str, found: object, expected: str, advice: str = "") -> None:
        tail = f"; {advice}" if advice else ""
        super().__init__(f"{where}: found {found!r}, expected {expected}{tail}")


class DamagedData(UserError):
    """Data, a checkpoint or an archive that is not what it should be."""

    exit_code = 3

    def __init__(self, where: object, found: object, expected: object, advice: str) -> None:
        super().__init__(f"{where}: found {found}, expected {expected}; {advice}")


class Diverged(UserError):
    """A training whose loss is not a finite number."""

    exit_code = 4


class TryAgain(UserError):
    """Work stopped before its end with a checkpoint on disk; the same command continues it."""

    exit_code = 75
