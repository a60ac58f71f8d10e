"""Every encoded image decoded once, to name those that cannot be before a training meets them."""

from collections.abc import Iterator

from torch.utils.data import DataLoader, Dataset

from kdbench.data.loaders.decoding import decode
from kdbench.data.stored.arrow import Encoded
from kdbench.errors import DamagedData

CHUNK = 256  # images that a worker decodes before it answers


class _Chunks(Dataset[list[str]]):
    """From the number of a chunk to one line for each of its images that cannot be decoded."""

    def __init__(self, encoded: Encoded) -> None:
        self._encoded = encoded

    def __len__(self) -> int:
        return -(-len(self._encoded) // CHUNK)

    def __getitem__(self, chunk: int) -> list[str]:
        positions = range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(self._encoded)))
        return [line for position in positions if (line := self._damage(position))]

    def _damage(self, position: int) -> str:
        """What is wrong with an image; "" for nothing."""
        try:
            decode(self._encoded[position], self._encoded.where(position))
        except DamagedData as damage:
            return str(damage)
        return ""


def damaged_images(encoded: Encoded, workers: int = 0) -> Iterator[str]:
    """A line for each image that cannot be decoded, in order.

    Args:
        encoded: images of a split.
        workers: decoding processes; 0 decodes in this one.
    """
    loader = DataLoader(_Chunks(encoded), batch_size=None, num_workers=workers)
    for lines in loader:
        yield from lines
