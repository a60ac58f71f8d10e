"""How well a network segments: one confusion matrix over all pixels of all images.

Ours, not torchmetrics': counts are whole numbers here, so that no pixel is lost however many there
are, and importing torchmetrics takes seconds. Tests hold it against scikit-learn's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.engine import ranks
from kdbench.engine.precision import Precision
from kdbench.errors import Diverged
from kdbench.evaluate.classification import FINITE_LOSSES, require_finite
from kdbench.exhibits.tasks import IGNORED
from kdbench.models.stages import StagedNetwork


@dataclass(frozen=True)
class Confusion:
    """Which class pixels are, and which one they were taken for.

    Attributes:
        counts: (classes, classes) int64; a row per true class, a column per guess.
    """

    counts: Tensor

    @classmethod
    @torch.inference_mode()
    def of(cls, network: StagedNetwork, batches: Iterable[Batch], precision: Precision) -> Self:
        """Count a network's guesses on images of any size; its mode is as before.

        Ranks that have some of the batches each all get the counts of all.

        Args:
            network: gives logits (B, classes, H, W).
            batches: images with masks (B, H, W).
            precision: of the passes.

        Raises:
            Diverged: a logit is not finite, or see `require_finite`.
        """
        require_finite(network)
        training = network.training
        network.eval()
        counts: Tensor | None = None
        finite = True
        for batch in batches:
            logits = _logits(network, batch.images, precision)
            if not logits.isfinite().all():
                finite = False
                break
            more = count(logits.argmax(1), batch.labels, logits.shape[1])
            counts = more if counts is None else counts + more
        network.train(training)
        if any(ranks.any_of(not finite)):
            raise Diverged(f"in evaluation mode logits are not finite, {FINITE_LOSSES}")
        if ranks.size() > 1:
            nothing = torch.empty(0, dtype=torch.int64, device=precision.device)
            counts = ranks.rows(nothing if counts is None else counts[None]).sum(0)
        if counts is None:
            raise ValueError("no batch to measure on")
        return cls(counts)

    def by_class(self) -> list[float | None]:
        """Intersection over union of every class, in percent; None for one that never occurs.

        A class that no pixel is and that none is taken for has none, and is not averaged.
        """
        hits = self.counts.diagonal()
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        pairs = zip(hits.tolist(), union.tolist(), strict=True)
        return [100 * hit / pixels if pixels else None for hit, pixels in pairs]

    def scores(self) -> dict[str, Any]:
        """`miou` (mean over classes), `pixel_accuracy` and `by_class`, in percent."""
        each = self.by_class()
        values = [value for value in each if value is not None]
        pixels = int(self.counts.sum())
        hits = int(self.counts.diagonal().sum())
        return {
            "miou": sum(values) / max(1, len(values)),
            "pixel_accuracy": 100 * hits / max(1, pixels),
            "by_class": each,
        }


def _logits(network: StagedNetwork, images: Tensor, precision: Precision) -> Tensor:
    """(B, classes, H, W) in float32."""
    with precision.autocast():
        logits: Tensor = network(images).float()
    return logits


@torch.inference_mode()
def segment(network: StagedNetwork, images: Tensor, precision: Precision) -> Tensor:
    """The class that a network takes every pixel for, (B, H, W) int64; its mode is as before.

    Args:
        network: gives logits (B, classes, H, W).
        images: (B, C, H, W).
        precision: of the pass.
    """
    training = network.training
    network.eval()
    guesses = _logits(network, images, precision).argmax(1)
    network.train(training)
    return guesses


def count(guesses: Tensor, masks: Tensor, classes: int) -> Tensor:
    """Pixels by (true class, guess), (classes, classes) int64; ignored ones are in none.

    Args:
        guesses: integers of any shape, from 0 to `classes` - 1.
        masks: true classes of the same shape; `IGNORED` for pixels that do not count.
        classes: how many there are.
    """
    counted = masks != IGNORED
    cells = masks[counted].long() * classes + guesses[counted]
    return cells.bincount(minlength=classes * classes).view(classes, classes)
