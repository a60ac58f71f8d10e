"""Jacobian matching: the two networks' outputs change alike when the image changes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.kd import kd
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork


@full_precision
def jacobian(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two directions in image space.

    Args:
        student: (B, C, H, W) gradient of each image's logit with respect to the image.
        teacher: the same of the teacher.

    Returns:
        Scalar, averaged over images and pixels; each image's gradient is divided by its L2 norm.

    Source: Srinivas & Fleuret, ICML 2018, eq. 8 for the label's logit (there the largest one).
    """
    ours, theirs = (F.normalize(slope.flatten(1)) for slope in (student, teacher))
    return F.mse_loss(ours, theirs)


def slopes(logits: Tensor, images: Tensor, labels: Tensor, *, keep: bool) -> Tensor:
    """(B, C, H, W): gradient of each image's label logit in that image.

    Args:
        logits: (B, classes), with a graph to the images.
        images: (B, C, H, W).
        labels: (B,).
        keep: whether the result has a graph of its own, for a second differentiation.
    """
    chosen = logits.gather(1, labels[:, None]).sum()
    return torch.autograd.grad(chosen, images, create_graph=keep, retain_graph=True)[0]


class Jacobian(DistillationLoss):
    """Weighs `jacobian`, and `kd` beside it.

    Needs the images' own gradients, hence a second differentiation through the student.

    Args:
        student: not looked at.
        teacher: not looked at.
        weight: factor of `jacobian`.
        kd_weight: factor of `kd`.
        temperature: of `kd`.

    Source: Srinivas & Fleuret, Knowledge Transfer with Jacobian Matching, ICML 2018; no benchmark
    code has it, so weights are our choice.
    """

    images_need_grad = True

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        weight: float,
        kd_weight: float,
        temperature: float,
    ) -> None:
        super().__init__()
        self.weight, self.kd_weight, self.temperature = weight, kd_weight, temperature

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """Two terms, {"jacobian": scalar, "kd": scalar}."""
        ours = slopes(student.logits, batch.images, batch.labels, keep=True)
        theirs = slopes(teacher.logits, batch.images, batch.labels, keep=False)
        return {
            "jacobian": self.weight * jacobian(ours, theirs.detach()),
            "kd": self.kd_weight * kd(student.logits, teacher.logits, self.temperature),
        }
