"""What a task does with tensors: its loss, and how well a network does it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.engine import ranks
from kdbench.engine.precision import Precision
from kdbench.evaluate.classification import accuracy, accuracy_by_class, predict, scores
from kdbench.evaluate.depth import DepthErrors
from kdbench.evaluate.segmentation import Confusion
from kdbench.exhibits.tables import Metric
from kdbench.exhibits.tasks import (
    CLASSIFICATION,
    DEPTH,
    IGNORED,
    NO_DEPTH,
    SCORES,
    SEGMENTATION,
    TaskName,
)
from kdbench.models.stages import Features, StagedNetwork

MEASURED_AT_ONCE = 500  # small images
MEASURED_PIXELS = 1 << 18  # of images that are measured at once where there is a map for each
AUXILIARY = 0.4  # weight of an auxiliary head's loss: PSPNet's and IFVD's


class Task(ABC):
    """One task. Its loss is what networks are trained by, its score what they are watched by."""

    name: ClassVar[TaskName]

    @property
    def score(self) -> Metric:
        """The number that chooses the best epoch."""
        return SCORES[self.name]

    @abstractmethod
    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of a network's output, a scalar of float32 or wider."""

    def training_loss(self, features: Features, targets: Tensor) -> Tensor:
        """The same of all that a network in training shows: here nothing besides its output."""
        return self.loss(features.logits, targets)

    def loss_of_images(self, network: StagedNetwork, images: Tensor, targets: Tensor) -> Tensor:
        """The loss of a network in training that nobody else looks into."""
        return self.training_loss(network.read(images), targets)

    def at_once(self, network: StagedNetwork) -> int:
        """How many images are measured at once: fewer where the network is made for large ones."""
        return max(1, MEASURED_PIXELS // prod(network.image[1:]))

    @abstractmethod
    def look(self, network: StagedNetwork, batches: Iterable[Batch], precision: Precision) -> float:
        """The score alone, as the training asks for it.

        Raises:
            Diverged: the network is not finite in evaluation mode.
        """

    @abstractmethod
    def measure(
        self, network: StagedNetwork, batches: Iterable[Batch], precision: Precision
    ) -> dict[str, Any]:
        """All numbers of an evaluation, by their keys in records.

        Raises:
            Diverged: see `look`.
        """

    def better(self, score: float, other: float) -> bool:
        """Whether a score is better than another one."""
        return score > other if self.score.higher_is_better else score < other


class Classification(Task):
    """A class per image: cross-entropy and accuracy."""

    name = CLASSIFICATION

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats of logits (B, classes) and labels (B,), averaged over the batch."""
        return F.cross_entropy(wide(logits), targets)

    def loss_of_images(self, network: StagedNetwork, images: Tensor, targets: Tensor) -> Tensor:
        """See `Task`; such networks have nothing but their logits."""
        return self.loss(network(images), targets)

    def at_once(self, network: StagedNetwork) -> int:
        """See `Task`."""
        return MEASURED_AT_ONCE

    def look(self, network: StagedNetwork, batches: Iterable[Batch], precision: Precision) -> float:
        """Top-1 accuracy in percent."""
        return accuracy(*predict(network, batches, precision))

    def measure(
        self, network: StagedNetwork, batches: Iterable[Batch], precision: Precision
    ) -> dict[str, Any]:
        """Accuracies, calibration error, and the accuracy of every class."""
        logits, labels = predict(network, batches, precision)
        return {**scores(logits, labels), "by_class": accuracy_by_class(logits, labels)}


class Segmentation(Task):
    """A class per pixel: cross-entropy and mIoU, ignored pixels left out of both."""

    name = SEGMENTATION

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of logits (B, classes, H, W) and masks (B, H, W), averaged over the pixels.

        A batch without a pixel that counts has the loss 0. The batch is that of all ranks, whose
        mean loss is averaged over its pixels.
        """
        total = F.cross_entropy(wide(logits), targets, ignore_index=IGNORED, reduction="sum")
        return total / over_ranks((targets != IGNORED).sum(), total).clamp(min=1)

    def training_loss(self, features: Features, targets: Tensor) -> Tensor:
        """The same, and 0.4 times that of the auxiliary head's logits.

        Source: Zhao et al., PSPNet, CVPR 2017, section 3.3.
        """
        loss = self.loss(features.logits, targets)
        if features.auxiliary is None:
            return loss
        return loss + AUXILIARY * self.loss(features.auxiliary, targets)

    def look(self, network: StagedNetwork, batches: Iterable[Batch], precision: Precision) -> float:
        """MIoU in percent."""
        return float(self.measure(network, batches, precision)["miou"])

    def measure(
        self, network: StagedNetwork, batches: Iterable[Batch], precision: Precision
    ) -> dict[str, Any]:
        """MIoU, pixel accuracy and the IoU of every class, from one matrix over all images."""
        return Confusion.of(network, batches, precision).scores()


class Depth(Task):
    """Metres per pixel: mean absolute error and RMSE, pixels without a measurement left out."""

    name = DEPTH

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Absolute error in metres of depths (B, 1, H, W), averaged over the measured pixels.

        A batch without a measured pixel has the loss 0. The batch is that of all ranks, see
        `Segmentation.loss`.

        Args:
            logits: (B, 1, H, W) depths that a network gives.
            targets: (B, H, W) measured ones, 0 where there is none.

        Source: Ma and Karaman, Sparse-to-dense, ICRA 2018, section III-D, and its code.
        """
        measured = targets != NO_DEPTH
        errors = (wide(logits)[:, 0] - targets).abs()
        total = torch.where(measured, errors, torch.zeros_like(errors)).sum()
        return total / over_ranks(measured.sum(), total).clamp(min=1)

    def look(self, network: StagedNetwork, batches: Iterable[Batch], precision: Precision) -> float:
        """RMSE in metres, averaged over images."""
        return float(self.measure(network, batches, precision)["rmse"])

    def measure(
        self, network: StagedNetwork, batches: Iterable[Batch], precision: Precision
    ) -> dict[str, Any]:
        """Seven numbers, each averaged over images and over pixels; see `DepthErrors.scores`."""
        return DepthErrors.of(network, batches, precision).scores()


EVERY = (Classification(), Segmentation(), Depth())
TASKS: Mapping[str, Task] = {task.name: task for task in EVERY}


def task_of(network: StagedNetwork) -> Task:
    """What a network is for; a plug-in's that is no `StagedNetwork` classifies."""
    return TASKS[getattr(network, "task", CLASSIFICATION)]


def over_ranks(counted: Tensor, like: Tensor) -> Tensor:
    """The mean of a number of pixels over ranks, in another tensor's type; alone the number."""
    return ranks.mean(counted.to(like.dtype)) if ranks.size() > 1 else counted


def wide(values: Tensor) -> Tensor:
    """The values in float32, or in their own type where that is wider."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
