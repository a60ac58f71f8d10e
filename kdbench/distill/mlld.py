"""Multi-level logit distillation: probabilities of images, relations of images, of classes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork

TEMPERATURES = (2.0, 3.0, 4.0, 5.0, 6.0)


@full_precision
def instance_level(student: Tensor, teacher: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """KD of the images that are kept.

    Args:
        student: (B, classes) logits.
        teacher: the same.
        mask: (B,) bool; an image where it is False counts 0.
        temperature: what the logits are divided by; its square multiplies the divergence.

    Returns:
        Scalar in nats, averaged over all B images.

    Source: Jin et al., CVPR 2023, eq. 4.
    """
    ours, theirs = (F.log_softmax(x / temperature, dim=1) for x in (student, teacher))
    each = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(1)
    return (each * mask).mean() * temperature**2


@full_precision
def batch_level(student: Tensor, teacher: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Squared difference of the inner products of all pairs of images, averaged over B.

    Arguments as in `instance_level`; a pair counts where its second image is kept.

    Source: Jin et al., CVPR 2023, eq. 6 and 7.
    """
    ours, theirs = ((x / temperature).softmax(1) for x in (student, teacher))
    gap = theirs @ theirs.T - ours @ ours.T
    return (gap.square() * mask).sum() / len(student)


@full_precision
def class_level(student: Tensor, teacher: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Squared difference of the inner products of all pairs of classes, averaged over classes.

    Arguments as in `instance_level`, with `mask` (classes,); a pair counts where its second class
    is kept.

    Source: Jin et al., CVPR 2023, eq. 8 and 9.
    """
    ours, theirs = ((x / temperature).softmax(1) for x in (student, teacher))
    gap = theirs.T @ theirs - ours.T @ ours
    return (gap.square() * mask).sum() / student.shape[1]


class MLLD(DistillationLoss):
    """Weighs the three levels, each summed over five temperatures.

    Images, and classes, of which the teacher is more confident than of the median one are left
    out.

    Args:
        student: not looked at.
        teacher: not looked at.
        weight: factor of all terms.

    Source: Jin et al., Multi-Level Logit Distillation, CVPR 2023.
    """

    def __init__(self, student: StagedNetwork, teacher: StagedNetwork, *, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """Three terms, {"instance": scalar, "batch": scalar, "class": scalar}."""
        images, classes = self.masks(teacher.logits)
        levels = {
            "instance": (instance_level, images),
            "batch": (batch_level, images),
            "class": (class_level, classes),
        }
        return {
            name: self.weight
            * torch.stack(
                [level(student.logits, teacher.logits, mask, t) for t in TEMPERATURES]
            ).sum()
            for name, (level, mask) in levels.items()
        }

    @staticmethod
    def masks(logits: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) and (classes,) bool: not more confident than the median image, or class."""
        shares = logits.detach().float().softmax(1)
        images, classes = shares.amax(1), shares.sum(0)
        return images <= images.quantile(0.5), classes <= classes.quantile(0.5)
