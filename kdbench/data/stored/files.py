"""The files of a prepared folder, whatever form its images have."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.data.stored.fingerprint import Index, blocks
from kdbench.errors import BadValue, DamagedData
from kdbench.store.atomic import write_text
from kdbench.store.disk import plain_errors
from kdbench.store.prepared import AGAIN, META

# The first two are the description, and what a process leaves that is killed while writing it.
OWN_FILES = re.compile(
    r"meta\.json|\.meta\.json\.\d+|\w+_(images|labels|maps)\.npy|\w+-\d{4,}\.arrow"
)
ENCODED_FORMATS = ("JPEG", "PNG")  # of images that stay encoded


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Write the description of a prepared data set; the order of its keys is kept."""
    write_text(folder / META, json.dumps(meta, indent=1) + "\n")


def check_place(folder: Path) -> None:
    """Never replace a folder that holds anything but a prepared data set.

    Raises:
        BadValue: it holds something else.
        UserError: it cannot be read.
    """
    with plain_errors(folder):
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
    foreign = sorted(name for name in names if not OWN_FILES.fullmatch(name))
    if foreign:
        advice = "choose another folder"
        raise BadValue(str(folder), foreign[0], "an empty place or a prepared data set", advice)


def save_array(path: Path, array: NDArray[Any], positions: Index | None = None) -> None:
    """Write `array[positions]`, or all of it, as `np.save` would, a part at a time.

    The error of `np.save` on a full disk does not say that the disk is full.
    """
    with path.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(array)
        header["fortran_order"] = False
        np.lib.format.write_array_header_1_0(file, header)
        for part in blocks(array, positions):
            file.write(part.data)


def map_array(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Memory-map an array, read-only.

    Raises:
        DamagedData: it is absent, cut, or has another shape or type.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DamagedData(path, f"no whole array ({error})", f"an array {shape}", AGAIN) from error
    if array.shape != shape or array.dtype != dtype:
        actual = f"{array.dtype} {array.shape}"
        raise DamagedData(path, actual, f"{np.dtype(dtype)} {shape}", AGAIN)
    return array
