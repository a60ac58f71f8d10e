"""How far a network's depths are from measured ones, averaged over images and over pixels."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.engine import ranks
from kdbench.engine.precision import Precision
from kdbench.errors import Diverged
from kdbench.evaluate.classification import FINITE_LOSSES, require_finite
from kdbench.exhibits.tasks import NO_DEPTH
from kdbench.models.stages import StagedNetwork

NEAREST = 1e-3  # metres; a network's depth below it counts as this in ratios and logarithms
STEP = 1.25  # of the ratios: delta1 is within one step, delta2 within its square
PER_PIXEL = "_per_pixel"
NAMES = ("rmse", "mae", "absrel", "lg10", "delta1", "delta2", "delta3")


@dataclass(frozen=True)
class DepthErrors:
    """Errors of every image, as sums over its measured pixels.

    Attributes:
        sums: (N, 7) float64 in the order of `NAMES`, for the first of squared errors.
        pixels: (N,) int64, how many are measured.
    """

    sums: Tensor
    pixels: Tensor

    @classmethod
    @torch.inference_mode()
    def of(cls, network: StagedNetwork, batches: Iterable[Batch], precision: Precision) -> Self:
        """Measure a network; its mode is as before.

        Ranks that have some of the batches each all get the errors of all.

        Args:
            network: gives depths (B, 1, H, W) in metres.
            batches: images with depths (B, H, W).
            precision: of the passes.

        Raises:
            Diverged: a depth is not finite, or see `require_finite`.
        """
        require_finite(network)
        finite = True
        sums = [torch.empty(0, len(NAMES), dtype=torch.float64, device=precision.device)]
        pixels = [torch.empty(0, dtype=torch.int64, device=precision.device)]
        for batch in batches:
            depths = depths_of(network, batch.images, precision)
            if not depths.isfinite().all():
                finite = False
                break
            sums.append(sums_of(depths, batch.labels))
            pixels.append((batch.labels != NO_DEPTH).sum((1, 2)))
        if any(ranks.any_of(not finite)):
            raise Diverged(f"in evaluation mode depths are not finite, {FINITE_LOSSES}")
        return cls(ranks.rows(torch.cat(sums)), ranks.rows(torch.cat(pixels)))

    def scores(self) -> dict[str, float]:
        """Every number of `NAMES` as the mean over images and, with `_per_pixel`, over pixels.

        `rmse` and `mae` in metres, `absrel` and `lg10` as they are, `delta1` to `delta3` in
        percent. Sparse-to-dense's code measures image by image, and so do the numbers that are
        compared with its; the root of all squared errors together is larger. Images without a
        measured pixel count in neither.

        Raises:
            ValueError: no pixel of no image is measured.
        """
        seen = self.pixels > 0
        if not seen.any():
            raise ValueError("no pixel is measured")
        sums, pixels = self.sums[seen], self.pixels[seen].double()
        by_image, by_pixel = sums / pixels[:, None], sums.sum(0) / pixels.sum()
        for means in (by_image, by_pixel):
            means[..., 0] = means[..., 0].sqrt()
            means[..., 4:] *= 100
        names = [*NAMES, *(f"{name}{PER_PIXEL}" for name in NAMES)]
        values = [*by_image.mean(0).tolist(), *by_pixel.tolist()]
        return dict(zip(names, values, strict=True))


@torch.inference_mode()
def depths_of(network: StagedNetwork, images: Tensor, precision: Precision) -> Tensor:
    """A network's depths of images, (B, H, W) float32 metres; its mode is as before."""
    training = network.training
    network.eval()
    with precision.autocast():
        depths: Tensor = network(images).float()[:, 0]
    network.train(training)
    return depths


def sums_of(depths: Tensor, measured: Tensor) -> Tensor:
    """Errors of each image, summed over its measured pixels; (B, 7) float64, see `NAMES`.

    Args:
        depths: (B, H, W) metres.
        measured: (B, H, W) metres, 0 where there is none.
    """
    counted = measured != NO_DEPTH
    truth = torch.where(counted, measured, torch.ones_like(measured)).double()
    guess = torch.where(counted, depths, torch.ones_like(depths)).double()
    error, near = (guess - truth).abs(), guess.clamp(min=NEAREST)
    ratio = torch.maximum(near / truth, truth / near)
    within = [counted & (ratio < STEP**power) for power in (1, 2, 3)]
    logarithm = (near.log10() - truth.log10()).abs()
    # Where nothing is measured both are 1, so that no error is counted.
    parts = [error.square(), error, error / truth, logarithm, *within]
    return torch.stack([part.double().sum((1, 2)) for part in parts], dim=1)
