"""From encoded images to batches of bytes on a GPU, for machines whose cores are too slow.

NVIDIA's nvJPEG decodes what it decodes as libjpeg does but for rounding, by a few levels of 255;
the CPU decodes all else. Which of the two an image gets depends on its bytes alone, so a batch
stays a pure function of (seed, epoch, step).
"""

import io
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeAlias

import torch
from PIL import Image
from torch import Tensor, nn

from kdbench.data.loaders.decoding import Decoder, decode
from kdbench.data.stored.arrow import Encoded
from kdbench.errors import BadValue

Files: TypeAlias = list[Tensor]  # the bytes of each file, (n,) uint8

START, END = b"\xff\xd8", b"\xff\xd9"
BASELINE = 0xC0
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers that begin a frame
SCAN, ADOBE = 0xDA, 0xEE


class GpuDecoder(Decoder):
    """From jobs to images on a GPU, which decodes, resizes and crops; the draws are the CPU's.

    Args:
        encoded, augment, plain: see `Decoder`.
        device: which GPU.

    Raises:
        BadValue: it decodes no JPEG here.
    """

    def __init__(
        self, encoded: Encoded, augment: nn.Module, plain: nn.Module, device: torch.device
    ) -> None:
        super().__init__(encoded, augment, plain)
        self._device = device
        _check(device)

    def _decoded(self, positions: Sequence[int]) -> Iterable[Tensor]:
        files = [self._encoded[position] for position in positions]
        places = [place for place, data in enumerate(files) if suits_gpu(data)]
        together = decode_together([_as_tensor(files[place]) for place in places], self._device)
        pixels = dict(zip(places, together, strict=True))
        for place, (position, data) in enumerate(zip(positions, files, strict=True)):
            on_gpu = pixels.get(place)
            if on_gpu is None:  # where the CPU cannot read it either, it names the image
                on_gpu = decode(data, self._encoded.where(position)).to(self._device)
            yield on_gpu


def suits_gpu(data: bytes) -> bool:
    """Whether nvJPEG shows the picture that libjpeg shows: a whole baseline JPEG, grey or YCbCr.

    Not for progressive ones, which few GPUs' hardware decodes; CMYK; RGB that is stored as such,
    which a decoder cannot tell from YCbCr by the number of components; a file that was cut off.
    """
    if not (data.startswith(START) and data.endswith(END)):
        return False
    place, ycbcr, frame = 2, True, b""
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, size = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        content = data[place + 4 : place + 2 + size]
        if marker == ADOBE and content[:5] == b"Adobe":
            ycbcr = content[11:12] == b"\1"
        elif marker == BASELINE:
            frame = content
        elif marker in FRAMES:
            return False
        elif marker == SCAN:
            grey, coloured = frame[5:6] == b"\1", frame[5:6] == b"\3" and frame[6::3] != b"RGB"
            return frame[:1] == b"\x08" and (grey or (coloured and ycbcr))  # 8 bits a value
        place += 2 + size
    return False


def decode_together(files: Files, device: torch.device) -> list[Tensor | None]:
    """(3, H, W) uint8 pixels of JPEGs on a GPU; None for one that it refuses.

    Raises:
        torch.OutOfMemoryError: the GPU is full; the CPU's pixels would be others.
    """
    if not files:
        return []
    try:
        return list(_decoder(device)(files))
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:  # nothing comes of a batch with one such file
        if len(files) == 1:
            return [None]
        return [pixels for file in files for pixels in decode_together([file], device)]


def _decoder(device: torch.device) -> Callable[[Files], list[Tensor]]:
    """Torchvision's way to nvJPEG, deprecated since 0.29."""
    from torchvision.io import ImageReadMode, decode_jpeg

    return partial(decode_jpeg, mode=ImageReadMode.RGB, device=device)


def _check(device: torch.device) -> None:
    """Decode one picture: else every image would be the CPU's, under a name that says otherwise."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG")
    try:
        pixels = decode_together([_as_tensor(file.getvalue())], device)
    except ImportError:
        pixels = []
    if not pixels or pixels[0] is None:
        advice = "torchvision needs its CUDA build, with nvJPEG"
        raise BadValue("decode", "gpu", f"'cpu': {device} decodes no JPEG here", advice)


def _as_tensor(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)
