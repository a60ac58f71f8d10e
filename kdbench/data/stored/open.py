"""Prepared data in any form: pixels in one array per split, with or without maps, or shards."""

from pathlib import Path
from typing import TypeAlias

from kdbench.data.stored import arrays, maps, shards
from kdbench.data.stored.arrays import Prepared
from kdbench.data.stored.base import format_of
from kdbench.data.stored.maps import Mapped
from kdbench.data.stored.shards import Sharded
from kdbench.errors import DamagedData
from kdbench.store.prepared import META, read_meta

Stored: TypeAlias = Prepared | Sharded | Mapped
VERIFY = {Prepared: arrays.verify, Sharded: shards.verify, Mapped: maps.verify}


def open_data(folder: Path) -> Stored:
    """Open a prepared data set of any form; its contents are not hashed.

    Raises:
        UserError: no data set was prepared there.
        DamagedData: its files do not fit together, or a later version made them.
    """
    return _form(folder).open(folder)


def verify_data(folder: Path) -> str:
    """Compute a prepared data set's fingerprint anew from its contents.

    Raises:
        UserError: no data set was prepared there.
        DamagedData: its contents are not those that were prepared.
    """
    return VERIFY[_form(folder)](folder)


def _form(folder: Path) -> type[Prepared] | type[Sharded] | type[Mapped]:
    """The form that `meta.json` tells."""
    form = format_of(read_meta(folder))
    for known in (Prepared, Sharded, Mapped):
        if form == known.FORMAT:
            return known
    names = f"{Prepared.FORMAT!r}, {Sharded.FORMAT!r} or {Mapped.FORMAT!r}"
    advice = "another version of kdbench made it; prepare the data set again"
    raise DamagedData(folder / META, f"format {form!r}", names, advice)
