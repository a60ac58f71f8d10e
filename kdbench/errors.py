"""Errors that the user can fix: where, what was found, what to try."""

from collections.abc import Collection
from difflib import get_close_matches

MOST_NAMED = 40  # names in one line
FEW = 5
LONGEST = 200  # characters of a value in one line
LONGEST_LIST = 900  # of names
LONGEST_PLACE = 400  # of the file and key


def shortened(text: str, most: int = LONGEST) -> str:
    """A text that fits in a line: of a long one, its beginning and its length.

    >>> shortened("abc"), shortened("abcdef", 3)
    ('abc', 'abc... (6 characters)')
    """
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


class UserError(Exception):
    """An error that the user can fix; the command line shows one line, without a traceback."""

    exit_code = 2


class UnknownName(UserError):
    """A component, exhibit or key that does not exist.

    Attributes:
        name: as the user wrote it.
    """

    def __init__(
        self, kind: str, name: str, known: Collection[str], *, where: str, lister: str = ""
    ) -> None:
        """The error, with the nearest name, the names that contain it, or the first known ones.

        Args:
            kind: of what has names: "method", "run".
            name: that nothing has.
            known: the names that there are.
            where: the file and key that say it, or the command.
            lister: the command that lists all of them, where they are too many for a line.
        """
        self.name = name
        hint = _hint(name, known, lister)
        super().__init__(f"{_place(where)}: no {kind} is called {shortened(repr(name))}; {hint}")


def _hint(name: str, known: Collection[str], lister: str) -> str:
    near = get_close_matches(name, sorted(known), n=1) if len(name) <= LONGEST else []
    if near:
        return f"did you mean {near[0]!r}?"
    containing = [one for one in known if name and name in one]
    if containing and lister:
        return f"names with it: {_some(containing, FEW)}"
    if lister and len(known) > MOST_NAMED:
        return f"{lister} lists all {len(known)}"
    return f"known: {_some(known)}"


def _place(where: object) -> str:
    """The file and key, however long the key is."""
    return shortened(str(where), LONGEST_PLACE)


def _some(names: Collection[str], most: int = MOST_NAMED) -> str:
    """Names in order, the first of very many."""
    listed = sorted(names)[:most]
    while len(", ".join(listed)) > LONGEST_LIST and len(listed) > 1:
        listed = listed[: len(listed) // 2]
    more = len(names) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more > 0 else "")


class BadValue(UserError):
    """A value that is out of its range or of the wrong kind."""

    def __init__(self, where: str, found: object, expected: str, advice: str = "") -> None:
        tail = f"; {advice}" if advice else ""
        value = shortened(repr(found))
        super().__init__(f"{_place(where)}: found {value}, expected {expected}{tail}")


class DamagedData(UserError):
    """Data, a checkpoint or an archive that is not what it should be."""

    exit_code = 3

    def __init__(self, where: object, found: object, expected: object, advice: str) -> None:
        value = shortened(str(found))
        super().__init__(f"{_place(where)}: found {value}, expected {expected}; {advice}")


class Diverged(UserError):
    """A training whose loss is not a finite number."""

    exit_code = 4


class TryAgain(UserError):
    """Work stopped before its end with a checkpoint on disk; the same command continues it."""

    exit_code = 75
