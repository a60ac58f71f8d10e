"""From bytes to what a network reads: normalised float32 images on their device."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Normalise:
    """Scale bytes to 0..1, subtract the mean, divide by the deviation, on the device.

    Operation by operation as torchvision does it, so that bits agree.

    Args:
        mean: per channel, in 0..1.
        std: the same.
        device: where images are normalised, and stay.
        memory_format: of the images that come out.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        device: torch.device | str = "cpu",
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self._mean = torch.tensor(mean, dtype=torch.float32, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(std, dtype=torch.float32, device=device).view(1, -1, 1, 1)
        self._device, self._format = device, memory_format

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, H, W) float32 of (B, C, H, W) uint8 images on any device."""
        pixels = images.to(self._device, non_blocking=True)
        pixels = pixels.to(torch.float32, memory_format=self._format).div_(255)
        return pixels.sub_(self._mean).div_(self._std)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on a device, whose queue of kernels does not stop for the copy."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()  # from pageable memory it would
    return tensor.to(device, non_blocking=True)
