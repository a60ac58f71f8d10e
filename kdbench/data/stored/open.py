"""Prepared data in either form: pixels in one array, or encoded images in shards."""

from pathlib import Path
from typing import TypeAlias

from kdbench.data.stored import arrays as dataset
from kdbench.data.stored import shards
from kdbench.data.stored.arrays import Prepared
from kdbench.data.stored.shards import Sharded
from kdbench.errors import DamagedData

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
    return shards.verify(folder) if _in_shards(folder) else dataset.verify(folder)


def _in_shards(folder: Path) -> bool:
    """What `meta.json` says the form is; older arrays say nothing."""
    form = shards.read_meta(folder).get("format")
    if form not in (None, dataset.FORMAT, shards.FORMAT):
        known = f"{dataset.FORMAT!r} or {shards.FORMAT!r}"
        advice = "another version of kdbench made it; prepare the data set again"
        raise DamagedData(folder / "meta.json", f"format {form!r}", known, advice)
    return form == shards.FORMAT
