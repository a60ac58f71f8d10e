"""Overhaul of feature distillation: partial L2 to the teacher's maps through a margin ReLU."""

from math import pi

import torch
from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.matching import resized, stage_pairs
from kdbench.engine import ranks
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork

RARE = 1e-3  # probability of a negative value below which its mean is not computed


def margins(norm: nn.BatchNorm2d) -> Tensor:
    """(C,): the mean of a batch norm's negative outputs, taken to be normal; negative.

    Where hardly any output is negative, three standard deviations below 0.

    Source: Heo et al., ICCV 2019, eq. 1 to 3, and its code.
    """
    mean, spread = norm.bias.detach().double(), norm.weight.detach().double().abs()
    ratio = mean / spread.clamp(min=1e-30)
    below = torch.special.ndtr(-ratio)
    density = (-ratio.square() / 2).exp() / (2 * pi) ** 0.5
    negative = mean - spread * density / below.clamp(min=1e-30)
    return torch.where(below > RARE, negative, -3 * spread).to(norm.bias.dtype)


@full_precision
def ofd(student: Tensor, teacher: Tensor, margin: Tensor) -> Tensor:
    """Squared difference to the margin-rectified teacher, where the student is not low enough.

    A place counts where the teacher is positive, or the student above the rectified teacher.

    Args:
        student: (B, C, H, W), before its ReLU, after its connector.
        teacher: the same shape, before its ReLU.
        margin: (C,), not above 0: what the teacher's lower values are raised to.

    Returns:
        Scalar: summed over channels and places, averaged over the batch.

    Source: Heo et al., ICCV 2019, eq. 4.
    """
    target = torch.maximum(teacher, margin[:, None, None])
    counts = (student > target) | (target > 0)
    return ((student - target).square() * counts).sum() / len(student)


class Margins(nn.Module):
    """Margins of one teacher stage: from its last norm, or from what its maps show.

    Without a norm, the running mean over all training steps of each channel's negative values.
    """

    margin: Tensor  # (C,), with a norm
    total: Tensor  # (C,) sums of the negative values, without one
    count: Tensor  # (C,) how many they are

    def __init__(self, teacher: StagedNetwork, stage: int) -> None:
        super().__init__()
        norm, channels = teacher.last_norm(stage), teacher.stages[stage].channels
        self.has_norm = norm is not None
        if norm is None:
            self.register_buffer("total", torch.zeros(channels, dtype=torch.float64))
            self.register_buffer("count", torch.zeros(channels, dtype=torch.float64))
        else:
            self.register_buffer("margin", margins(norm))

    def forward(self, maps: Tensor) -> Tensor:
        """(C,) for a batch of the teacher's (B, C, H, W) maps, which it counts in if need be."""
        if self.has_norm:
            return self.margin
        if self.training:
            with torch.no_grad():
                below = maps.clamp(max=0).double()
                self.total += ranks.total(below.sum((0, 2, 3)))
                self.count += ranks.total((maps < 0).sum((0, 2, 3)))
        return (self.total / self.count.clamp(min=1)).to(maps.dtype)


class OFD(DistillationLoss):
    """Weighs `ofd` of all stages but the stem; each counts half of the next deeper one.

    Connectors are 1×1 convolutions with a norm; where sizes differ, the connected map is averaged
    to the teacher's size or interpolated to the nearest pixels.

    Args:
        student: gives the widths of its stages.
        teacher: the same, and the norms that give the margins.
        weight: factor of the sum.

    Source: Heo et al., A Comprehensive Overhaul of Feature Distillation, ICCV 2019, and its code.
    """

    def __init__(self, student: StagedNetwork, teacher: StagedNetwork, *, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.pairs = stage_pairs(student, teacher)
        self.connectors = nn.ModuleList(
            _connector(student.stages[i].channels, teacher.stages[j].channels)
            for i, j in self.pairs
        )
        self.margins = nn.ModuleList(Margins(teacher, j) for _, j in self.pairs)

    def losses(self, student: Features, teacher: Features) -> Tensor:
        """`ofd` of every stage, (stages,), shallow to deep; unweighted."""
        losses = []
        stages = zip(self.pairs, self.connectors, self.margins, strict=True)
        for (i, j), connector, margin in stages:
            target = teacher.pre[j]
            maps = resized(connector(student.pre[i]), (target.shape[2], target.shape[3]))
            losses.append(ofd(maps, target, margin(target)))
        return torch.stack(losses)

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"ofd": scalar}."""
        losses = self.losses(student, teacher)
        share = 0.5 ** torch.arange(len(losses) - 1, -1, -1, device=losses.device)
        return {"ofd": self.weight * (share * losses).sum()}


def _connector(inputs: int, outputs: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 1, bias=False)
    nn.init.normal_(conv.weight, std=(2 / outputs) ** 0.5)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))
