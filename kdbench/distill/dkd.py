"""Decoupled knowledge distillation: the target's share, and the shares of all other classes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.schedules import warmup
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork


@full_precision
def tckd(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Divergence of the two-way split into the target and everything else.

    Args:
        student: (B, classes) logits.
        teacher: the same.
        labels: (B,).
        temperature: what the logits are divided by, above 0.

    Returns:
        Scalar in nats, averaged over the batch, times the temperature squared.

    Source: Zhao et al., CVPR 2022, eq. 5 (the first term).
    """
    ours, theirs = (split(x / temperature, labels) for x in (student, teacher))
    return F.kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature**2


def split(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, 2): log-probabilities of the target and of all other classes together."""
    rows = F.log_softmax(logits, dim=1)
    target = rows.gather(1, labels[:, None])
    others = rows.scatter(1, labels[:, None], float("-inf")).logsumexp(1, keepdim=True)
    return torch.cat([target, others], dim=1)


@full_precision
def nckd(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Divergence of the probabilities among the classes that are not the target.

    Arguments, reduction and source as in `tckd` (the second term, without its factor).
    """
    ours, theirs = (others(x / temperature, labels) for x in (student, teacher))
    return F.kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature**2


def others(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, classes - 1): log-probabilities of the other classes, given that it is one of them."""
    count = logits.shape[1]
    classes = torch.arange(count - 1, device=logits.device).expand(len(logits), -1)
    classes = classes + (classes >= labels[:, None])  # skips the target
    return F.log_softmax(logits.gather(1, classes), dim=1)


class DKD(DistillationLoss):
    """Weighs `tckd` and `nckd` of the logits.

    Args:
        student: not looked at.
        teacher: not looked at.
        alpha: factor of `tckd`.
        beta: factor of `nckd`.
        temperature: of both.
        warmup_epochs: see `kdbench.distill.schedules.warmup`; 0 switches it off.
        warmup_of: see `kdbench.distill.schedules.warmup`.

    Source: Zhao et al., Decoupled Knowledge Distillation, CVPR 2022, and its code.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        alpha: float,
        beta: float,
        temperature: float,
        warmup_epochs: int,
        warmup_of: int,
    ) -> None:
        super().__init__()
        self.alpha, self.beta, self.temperature = alpha, beta, temperature
        self.warmup_epochs, self.warmup_of = warmup_epochs, warmup_of

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """Two terms, {"tckd": scalar, "nckd": scalar}."""
        arguments = student.logits, teacher.logits, batch.labels, self.temperature
        scale = position.read(self._scale)
        return {
            "tckd": scale * self.alpha * tckd(*arguments),
            "nckd": scale * self.beta * nckd(*arguments),
        }

    def _scale(self, position: TrainingPosition) -> float:
        return warmup(position, self.warmup_epochs, self.warmup_of, first=1)
