"""Prepared data in either form: pixels in one array per split, or encoded images in shards."""

from pathlib import Path
from typing import TypeAlias

from kdbench.data.stored import arrays, shards
from kdbench.data.stored.arrays import Prepared
from kdbench.data.stored.base import format_of
from kdbench.data.stored.shards import Sharded
from kdbench.errors import DamagedData
from kdbench.store.prepared import META, read_meta

Stored: TypeAlias = Prepared | Sharded


def open_data(folder: Path) -> Stored:
    """Open a prepared data set of either form; its contents are not hashed.

    Raises:
        UserError: no data set was prepared there.
        DamagedData: its files do not fit together, or a later version made them.
    """
    return Sharded.open(folder) if _in_shards(folder) else Prepared.open(folder)


def verify_data(folder: Path) -> str:
    """Compute a prepared data set's fingerprint anew from its contents.

    Raises:
        UserError: no data set was prepared there.
        DamagedData: its contents are not those that were prepared.
    """
    return shards.verify(folder) if _in_shards(folder) else arrays.verify(folder)


def _in_shards(folder: Path) -> bool:
    """Whether the form that `meta.json` tells is that of encoded images."""
    form = format_of(read_meta(folder))
    if form not in (Prepared.FORMAT, Sharded.FORMAT):
        known = f"{Prepared.FORMAT!r} or {Sharded.FORMAT!r}"
        advice = "another version of kdbench made it; prepare the data set again"
        raise DamagedData(folder / META, f"format {form!r}", known, advice)
    return bool(form == Sharded.FORMAT)
