"""Pixel-wise distillation: KL between the class probabilities of every pixel."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork


def kd_pixel(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(teacher ‖ student) of softened probabilities, as a mean over pixels *and classes*.

    Args:
        student: (B, classes, H, W) logits.
        teacher: (B, classes, H, W) logits.
        temperature: what the logits are divided by; the result is multiplied by its square.

    Returns:
        Scalar, float32 or wider. It is 1 / classes of the KL per pixel: the released code takes
        the mean over all elements, and its weight of 10 belongs to that.

    Source: Liu et al., Structured knowledge distillation, CVPR 2019, and the code of IFVD.
    """
    dtype = torch.promote_types(student.dtype, torch.float32)
    ours = F.log_softmax(student.to(dtype) / temperature, dim=1)
    theirs = F.log_softmax(teacher.to(dtype) / temperature, dim=1)
    divergence = F.kl_div(ours, theirs, reduction="none", log_target=True).mean()
    return divergence * temperature**2


class PixelKD(DistillationLoss):
    """KL between the networks' outputs at every pixel, those that the task ignores too.

    Args:
        student: not read.
        teacher: not read.
        weight: factor of the term.
        temperature: see `kd_pixel`.

    Source: see `kd_pixel`.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        weight: float,
        temperature: float,
    ) -> None:
        super().__init__()
        self.weight, self.temperature = weight, temperature

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"kd_pixel": scalar}."""
        return {
            "kd_pixel": self.weight * kd_pixel(student.logits, teacher.logits, self.temperature)
        }
