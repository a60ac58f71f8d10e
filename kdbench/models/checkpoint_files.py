"""The files that checkpoints come in: read without running anything in them, or called by name."""

import math
import re
import tarfile
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from kdbench.errors import DamagedData, UserError

# What codes save beside the weights, the accuracy of these very weights before that of the best.
CLAIMS = (
    "accuracy", "acc", "test_acc", "test_accuracy", "val_acc", "top1", "acc1", "prec1",
    "best_acc", "best_acc1", "best_prec1", "best_top1", "best_accuracy",
)  # fmt: skip
_NUMPY = np._core.multiarray  # type: ignore[attr-defined]
# What NumPy's numbers and arrays are pickled with; none of it runs anything.
PLAIN: tuple[Any, ...] = (
    # Argument lists, which RepDistiller's code saves beside the weights.
    Namespace,
    np.dtype,
    np.ndarray,
    *(getattr(np, name) for name in ("float64", "float32", "float16", "int64", "int32", "bool_")),
    *(getattr(np.dtypes, f"{name}DType") for name in (
        "Float64", "Float32", "Float16", "Int64", "Int32", "Int16", "Int8", "UInt8", "Bool")),
    *(
        entry
        for function in (_NUMPY.scalar, _NUMPY._reconstruct)
        for entry in (function, (function, f"numpy.core.multiarray.{function.__name__}"))
    ),
)  # fmt: skip
TORCH_TAR = {"pickle", "storages", "tensors"}  # members of the oldest format of torch.save
SHOWN = 3  # names in a line


def read_content(file: Path) -> Mapping[Any, Any]:
    """What a safetensors file, or one of `torch.save`, holds; nothing in it is run.

    Raises:
        UserError: there is no such file.
        DamagedData: it is damaged, another kind of file, or holds objects that are no plain data.
    """
    check_kind(file)
    advice = "save the plain state_dict with its own code, or get the file again"
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as opened:
                return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        with torch.serialization.safe_globals([*PLAIN]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as that sparse tensors are validated
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DamagedData(file, f"no whole checkpoint ({reason})", "tensors", advice) from None
    except Exception as error:  # the restricted unpickler raises an UnpicklingError of its own
        actual = f"{_culprit(file, str(error))}, not loaded"
        raise DamagedData(file, actual, "tensors and plain data", advice) from None
    return content if isinstance(content, Mapping) else {}


def check_kind(file: Path) -> None:
    """Call by name what is commonly taken for a checkpoint.

    Raises:
        UserError: there is no such file.
        DamagedData: a folder, a pointer of Git LFS, a web page, or an archive.
    """
    if not file.exists():
        raise UserError(f"{file}: no such file; give the checkpoint to import")
    if file.is_dir():
        advice = "give the file in it"
        raise DamagedData(file, "a folder", "a checkpoint, or what kdbench export wrote", advice)
    with file.open("rb") as opened:
        start = opened.read(512).lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        advice = "run git lfs pull, or download the file itself"
        raise DamagedData(file, "a pointer of Git LFS", "the file that it stands for", advice)
    if start.startswith((b"<!doctype html", b"<html")):
        advice = "the address leads to a page about the file; download the file itself"
        raise DamagedData(file, "an HTML page", "a checkpoint", advice)
    names = _packed(file)
    if names:
        actual = f"an archive ({', '.join(names[:SHOWN])}{', ...' if names[SHOWN:] else ''})"
        raise DamagedData(file, actual, "a checkpoint", "unpack it and give one of its files")


def _packed(file: Path) -> list[str]:
    """The first names in an archive that is none of torch's."""
    with suppress(tarfile.TarError, OSError, EOFError), tarfile.open(file) as tar:
        names = [entry.name for entry, _ in zip(tar, range(SHOWN + 1), strict=False)]
        return [] if TORCH_TAR & {name.partition("/")[0] for name in names} else names
    # After the tar: a tar that ends in a file of torch passes for a zip.
    with suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(file) as packed:
        names = packed.namelist()
        return [] if any(name.endswith("data.pkl") for name in names) else names
    return []


def _culprit(file: Path, reason: str) -> str:
    """What the restricted unpickler refused."""
    named = re.search(r"GLOBAL ([\w.]+)", reason) or re.search(r"<class '([\w.]+)'>", reason)
    if named:
        return f"an object of {named[1]}"
    if zipfile.is_zipfile(file):
        return f"something beside tensors and plain data ({' '.join(reason.split())[:80]})"
    return "something that torch.save did not write"


def claims(content: Mapping[Any, Any]) -> dict[str, float]:
    """The accuracies in percent that a checkpoint states, by what it calls them.

    Some codes save a share: what is below 1 is one. What is no accuracy, such as -100 or NaN as
    the best of no epoch, is passed over.
    """
    values = {name: _number(content.get(name)) for name in CLAIMS}
    shares = {name: v * (100 if v < 1 else 1) for name, v in values.items() if v is not None}
    return {name: v for name, v in shares.items() if math.isfinite(v) and 0 < v <= 100}


def _number(value: Any) -> float | None:
    """A number of Python, NumPy or torch; None of anything else."""
    try:
        if isinstance(value, Tensor | np.ndarray | np.generic):
            value = value.item()
    except (RuntimeError, ValueError, NotImplementedError):
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number else None
