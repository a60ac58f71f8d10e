"""Reading the pickles of the official CIFAR archives without running anything in them."""

import codecs
import io
import math
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import DamagedData

AGAIN = "do not trust this file; get the official archive"
ARRAYS = ("numpy.core", "numpy._core")  # numpy 1 and 2 name their modules differently


class _Type:
    """A numpy type as a pickle describes it; only plain one-byte integers are understood."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code
        if self.code != "u1":
            raise pickle.UnpicklingError(f"an array of type {self.code!r}")

    def __setstate__(self, state: object) -> None:
        """Byte order and flags: bytes have none."""


class _Array:
    """An array as a pickle describes it; no code of numpy's sees anything unchecked."""

    def __init__(self, *_: object) -> None:
        self.array: NDArray[np.uint8] = np.empty(0, np.uint8)

    def __setstate__(self, state: tuple[object, Any, object, object, Any]) -> None:
        _, shape, _, fortran, data = state
        self.array = _array(data, shape, "F" if fortran else "C")


def _from_buffer(data: Any, _: object, shape: Any, order: Any) -> _Array:
    """What numpy 2 writes with pickle protocol 5."""
    result = _Array()
    result.array = _array(data, shape, order)
    return result


def _array(data: Any, shape: Any, order: Any) -> NDArray[np.uint8]:
    if not isinstance(data, bytes | bytearray) or len(data) != math.prod(shape):
        raise pickle.UnpicklingError(f"an array whose bytes do not fill its shape {shape!r}")
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if order == "F" else "C")


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes with the old protocols; the codec is always latin1."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the codec {encoding!r}")
    return codecs.latin_1_encode(text)[0]


ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): "ndarray",  # named as an argument only, so a name is enough
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
    **{(f"{root}.multiarray", "_reconstruct"): _Array for root in ARRAYS},
    **{(f"{root}.numeric", "_frombuffer"): _from_buffer for root in ARRAYS},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The harmless twin of an allowed name; all other names are refused."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"a call of {module}.{name}")
        return ALLOWED[module, name]


def loads(data: bytes, where: object) -> dict[str, Any]:
    """The dictionary in a pickle of dictionaries, lists, numbers, text and arrays of bytes.

    Args:
        data: a pickle of Python 2 or 3, with arrays of numpy 1 or 2.
        where: the file's name, for errors.

    Returns:
        The dictionary; its keys are text, its arrays uint8 and read-only, other text as the
        pickle has it (bytes, where Python 2 wrote it).

    Raises:
        DamagedData: truncated, not a dictionary, or with anything else in it; the error names
            what the pickle would call.
    """
    expected = "a dictionary of lists, text and byte arrays"
    try:
        content = _Reader(io.BytesIO(data), encoding="bytes").load()
        if not isinstance(content, dict):
            raise pickle.UnpicklingError(f"a {type(content).__name__}")
        return {_text(key): _plain(value) for key, value in content.items()}
    except Exception as error:  # a damaged pickle can raise anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DamagedData(where, reason, expected, AGAIN) from error


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> Any:
    return value.array if isinstance(value, _Array) else value


def texts(values: list[Any]) -> list[str]:
    """A list of names as text, whichever Python wrote them."""
    return [_text(value) for value in values]
