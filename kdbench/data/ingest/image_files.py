"""Image files in whatever file they lie: their bytes, and whether they are whole."""

import io
import warnings
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from kdbench.data.stored.files import ENCODED_FORMATS
from kdbench.errors import DamagedData
from kdbench.store.disk import plain_errors

LARGEST = 64 << 20  # bytes of an image; the largest of ImageNet have some 15 MB
AGAIN = "get this file again from its source"


class ImageFile(NamedTuple):
    """An image file, alone or within an archive.

    Attributes:
        name: its own name.
        where: what errors call it.
        path: the file that it lies in.
        offset: of its bytes there.
        size: in bytes.
    """

    name: str
    where: str
    path: Path
    offset: int
    size: int


def read(file: ImageFile) -> bytes:
    """An image's bytes.

    Raises:
        DamagedData: too large for an image, or the file ends before it does.
        UserError: the file cannot be read.
    """
    if file.size > LARGEST:
        raise DamagedData(file.where, f"{file.size} bytes", f"at most {LARGEST}", AGAIN)
    with plain_errors(file.path), file.path.open("rb", buffering=0) as opened:
        opened.seek(file.offset)
        data = opened.read(file.size)
    if len(data) != file.size:
        raise DamagedData(file.where, f"{len(data)} bytes", f"{file.size} bytes", AGAIN)
    return data


def check_picture(data: bytes, where: str, decode: bool = False) -> tuple[int, int]:
    """Refuse what is no whole picture.

    Args:
        data: a file's bytes.
        where: the file, for errors.
        decode: whether to decode it although it is a JPEG with its end. Only that finds damage in
            the middle; without, header and end are looked at.

    Returns:
        Its width and height in pixels.

    Raises:
        DamagedData: no JPEG or PNG, or not whole.
    """
    try:
        with warnings.catch_warnings():
            # Real images of ImageNet have damaged EXIF blocks, which concern nobody.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=ENCODED_FORMATS) as opened:
                # A thumbnail in the header has an end of its own, but before the image's scans.
                ended = data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda") >= 0
                if decode or opened.format == "PNG" or not ended:
                    opened.load()
                return opened.size
    except Exception as error:  # decoders of damaged bytes raise many kinds
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        actual = f"an unreadable picture of {len(data)} bytes ({reason})"
        expected = f"a whole picture in {' or '.join(ENCODED_FORMATS)}"
        raise DamagedData(where, actual, expected, AGAIN) from error
