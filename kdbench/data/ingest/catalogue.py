"""Which data sets there are, which of them are prepared, and whether they are whole."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from kdbench.data.stored.open import open_data, verify_data
from kdbench.errors import DamagedData, UserError
from kdbench.store.prepared import AGAIN

PREPARED, ABSENT, STAND_IN, DAMAGED = "prepared", "absent", "stand-in only", "damaged"
WIDTHS = [None, None, 14, None, 18, 30, 30]  # characters a column of the table, None for any


@dataclass(frozen=True)
class CatalogueEntry:
    """One data set, as its declaration and the disk tell it.

    Attributes:
        name: as params.yaml writes it.
        label: printed name.
        state: "prepared"; "absent"; "stand-in only", where only digits in its place were made, or
            where it is itself such a stand-in; "damaged", where what lies there cannot be opened.
        images: by split; of what is prepared, else as declared.
        size: bytes on the disk.
        licence: of the images.
        citation: whom to cite.
        how: how to get it.
        problem: what is damaged, else empty.
    """

    name: str
    label: str
    state: str
    images: Mapping[str, int]
    size: int
    licence: str
    citation: str
    how: str
    problem: str = ""


def describe(
    declared: Mapping[str, Any], folder: Path, has_stand_in: bool = False
) -> CatalogueEntry:
    """The state of one data set; files are opened, not hashed.

    Args:
        declared: its declaration with `name`.
        folder: where its prepared form would lie.
        has_stand_in: whether a stand-in was made in its place.
    """
    is_stand_in = declared.get("role") == "stand-in"
    state = STAND_IN if has_stand_in or is_stand_in else ABSENT
    images, problem = declared.get("splits", {}), ""
    if folder.exists():
        state = PREPARED
        try:
            data = open_data(folder)
            images = {split: len(data.labels(split)) for split in data.splits}
        except UserError as error:
            state, problem = DAMAGED, str(error)
    return CatalogueEntry(
        name=declared["name"],
        label=declared["label"],
        state=state,
        images=images or {"all": declared.get("images", 0)},
        size=_size_on_disk(folder),
        licence=declared.get("licence", "unknown"),
        citation=declared.get("citation", "none given"),
        how=declared.get("how", f"See {declared.get('source', 'its declaration')}."),
        problem=problem,
    )


def check(folder: Path, declared: Mapping[str, Any] | None) -> str:
    """Hash a prepared data set anew.

    Args:
        folder: where it lies.
        declared: its declaration, if it is known.

    Returns:
        The fingerprint.

    Raises:
        DamagedData: it is not what was prepared, or not what its declaration says.
        UserError: nothing was prepared there.
    """
    computed, data = verify_data(folder), open_data(folder)
    published = (declared or {}).get("fingerprint", computed)
    if data.stand_in is None and computed != published:
        actual, expected = f"fingerprint {computed}", f"{published}, as published"
        raise DamagedData(folder, actual, expected, AGAIN)
    return computed


def prepared_below(folder: Path) -> Iterator[str]:
    """Names of the data sets in a project's folder, damaged ones too."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_dir() and not path.name.startswith("."):
            yield path.name


def stand_ins_below(runs: Path) -> bool:
    """Whether a run of the data phase, in a folder `runs/<run>/<prepared>`, made a stand-in."""
    for meta in runs.glob("*/*/meta.json"):
        try:
            if json.loads(meta.read_text(encoding="utf-8")).get("stand_in") is not None:
                return True
        except (OSError, ValueError, AttributeError):
            continue
    return False


def as_table(entries: Sequence[CatalogueEntry]) -> str:
    """Entries for people to read, with a line below for each that is damaged."""
    rows = [
        [e.name, e.state, _as_text(e.images), _in_megabytes(e.size), e.licence, e.citation, e.how]
        for e in entries
    ]
    headers = ["name", "state", "images", "on disk", "licence", "citation", "how to get it"]
    table = tabulate(rows, headers, tablefmt="plain", maxcolwidths=WIDTHS)
    return "\n".join([table, *(f"{e.name}: {e.problem}" for e in entries if e.problem)])


def as_markdown(declared: Iterable[Mapping[str, Any]]) -> str:
    """Declarations as the table of the documentation, which no machine's state changes."""
    rows = [
        [
            f"`{d['name']}`",
            d["label"],
            _as_text(d.get("splits") or {"all": d.get("images", 0)}),
            f"{d['classes']}",
            " x ".join(str(size) for size in d["image"][1:]),
            d.get("licence", ""),
            f"[{d.get('citation', '')}]({d.get('source', '')})",
            d.get("how", ""),
        ]
        for d in declared
    ]
    headers = ["name", "data set", "images", "classes", "pixels", "licence", "source"]
    lines = [[*headers, "how to get it"], ["---"] * (len(headers) + 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _as_text(images: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in images.items())


def _in_megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size else "-"


def _size_on_disk(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) if folder.exists() else 0
