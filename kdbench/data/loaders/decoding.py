"""From encoded images to batches of bytes: what a loader's worker processes do."""

import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset, get_worker_info

from kdbench.data.stored.arrow import Encoded
from kdbench.data.stored.files import ENCODED_FORMATS
from kdbench.data.stored.rgb import rgb_pixels
from kdbench.errors import BadValue, DamagedData, UnknownName, UserError
from kdbench.store.prepared import AGAIN

Pixels: TypeAlias = Tensor | NDArray[np.uint8]  # what a worker hands over, see `_shared`


class DecodingJob(NamedTuple):
    """The images of one batch.

    Attributes:
        positions: in the prepared split.
        seeds: of each image's augmentation; None serves the images without any, as for evaluation.
    """

    positions: list[int]
    seeds: list[int] | None


class Decoder(Dataset[Any]):
    """From jobs to images; what worker processes have."""

    def __init__(self, encoded: Encoded, augment: nn.Module, plain: nn.Module) -> None:
        self._encoded, self._augment, self._plain = encoded, augment, plain

    def __getitem__(self, job: DecodingJob) -> tuple[DecodingJob, Pixels | None]:
        """A job with its images, or with None where something is wrong with them.

        Errors of the package do not survive the way to another process: that which asked does the
        job again, and sees for itself.
        """
        try:
            return job, _shared(self.batch(job))
        except UserError:
            return job, None

    def batch(self, job: DecodingJob) -> Tensor:
        """(B, 3, H, W) uint8 images; torch's global generator is as before after it.

        Raises:
            DamagedData: an image or a shard cannot be read.
        """
        with torch.random.fork_rng(devices=[]):
            seeds: Sequence[int | None] = job.seeds or [None] * len(job.positions)
            pairs = zip(self._decoded(job.positions), seeds, strict=True)
            return torch.stack([self._image(pixels, seed) for pixels, seed in pairs])

    def _decoded(self, positions: Sequence[int]) -> Iterable[Tensor]:
        """The (3, h, w) uint8 pixels of each image."""
        return (decode(self._encoded[p], self._encoded.where(p)) for p in positions)

    def _image(self, pixels: Tensor, seed: int | None) -> Tensor:
        if seed is None:
            return self._plain(pixels)  # type: ignore[no-any-return]
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed: CUDA's stay as they are
        return self._augment(pixels)  # type: ignore[no-any-return]


def _shared(pixels: Tensor) -> Pixels:
    """Images on their way from a worker: in shared memory, or in a pipe where that has no room.

    PyTorch would put them there in a thread of its own, whose error nobody hears: the one who waits
    for the batch would wait for ever. Containers often have 64 MB of shared memory.
    """
    if get_worker_info() is None:
        return pixels
    try:
        return pixels.share_memory_()  # type: ignore[no-any-return]
    except RuntimeError:
        return pixels.numpy()


def transforms(augment: str, image: Sequence[int]) -> tuple[nn.Module, nn.Module]:
    """What happens to (3, H, W) uint8 images of any size in training, and in evaluation.

    Args:
        augment: "rrcS-flip", "rrcS" without mirroring, or "none".
        image: (3, S, S), what both make.

    Raises:
        UnknownName: another augmentation, also one of another size.
        BadValue: images that are not square, or not of three channels.
    """
    from torchvision.transforms import v2  # takes seconds, which only runs that need it pay

    channels, size, width = image
    if channels != 3 or size != width:
        raise BadValue("image", list(image), "three channels and a square for encoded images")
    plain = v2.Compose([v2.Resize(round(size * 256 / 224), antialias=True), v2.CenterCrop(size)])
    crop = v2.RandomResizedCrop(size, antialias=True)
    flipped = v2.Compose([crop, v2.RandomHorizontalFlip()])
    known = {"none": plain, f"rrc{size}": crop, f"rrc{size}-flip": flipped}
    if augment not in known:
        raise UnknownName("augmentation of encoded images", augment, known, where="augment")
    return known[augment], plain


def decode(data: bytes, where: str) -> Tensor:
    """The (3, H, W) uint8 pixels of an image file; grey, CMYK and palettes become RGB.

    torchvision decodes; what it cannot, or not to bytes, Pillow does. They agree to the bit.

    Args:
        data: a JPEG or PNG.
        where: what errors call it.

    Raises:
        DamagedData: neither can decode it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pixels = _decode_fast(data)
        if pixels is not None and pixels.dtype == torch.uint8:
            return pixels
        try:
            with Image.open(io.BytesIO(data), formats=ENCODED_FORMATS) as opened:
                array = rgb_pixels(opened)
        except Exception as error:  # decoders of damaged bytes raise many kinds
            actual = f"an unreadable picture of {len(data)} bytes"
            expected = f"one in {' or '.join(ENCODED_FORMATS)}"
            raise DamagedData(where, actual, expected, AGAIN) from error
    return torch.from_numpy(array).permute(2, 0, 1)


def _decode_fast(data: bytes) -> Tensor | None:
    """What torchvision makes of a file; None where it refuses."""
    decoder = _torchvision()
    if decoder is None or not data:
        return None
    try:
        return decoder(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    except RuntimeError:
        return None


@cache
def _torchvision() -> Callable[[Tensor], Tensor] | None:
    """Its decoder: three quarters of Pillow's time, but deprecated since torchvision 0.29."""
    try:
        from torchvision.io import ImageReadMode, decode_image
    except ImportError:
        return None
    return partial(decode_image, mode=ImageReadMode.RGB)
