"""BibTeX of what runs use: the entries that components name, from sources.bib files."""

import re
from functools import cache
from pathlib import Path

from kdbench.errors import BadValue, UnknownName
from kdbench.plan.components import Component
from kdbench.store.disk import read_text

FILE = "sources.bib"
SHIPPED = Path(__file__).parents[1] / "papers" / FILE
ENTRY = re.compile(r"^@\w+\s*\{\s*([^,\s]+)\s*,.*?^\}", re.MULTILINE | re.DOTALL)


@cache
def read_entries(file: Path) -> dict[str, str]:
    """The entries of a BibTeX file by key, as they stand there; each ends with a line `}`.

    Raises:
        BadValue: a key twice.
        UserError: the file cannot be read.
    """
    entries: dict[str, str] = {}
    for match in ENTRY.finditer(read_text(file)):
        if match[1] in entries:
            raise BadValue(str(file), f"the key {match[1]!r} again", "each key once")
        entries[match[1]] = match[0]
    return entries


def entries_of(component: Component) -> dict[str, str]:
    """The BibTeX of a component by key; none where it names none.

    Raises:
        UnknownName: it names a key that its file does not have.
    """
    keys = component.declaration.bibtex
    if not keys:
        return {}
    file = SHIPPED if not component.plugin else Path(component.module).with_name(FILE)
    return {key: entry(key, file, component.name) for key in keys}


def entry(key: str, file: Path, where: str) -> str:
    """One entry of a BibTeX file.

    Raises:
        UnknownName: the file does not have it.
    """
    entries = read_entries(file)
    if key not in entries:
        raise UnknownName("BibTeX entry", key, entries, where=f"{where}, bibtex")
    return entries[key]
