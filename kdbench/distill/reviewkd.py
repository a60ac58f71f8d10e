"""ReviewKD: each teacher stage is compared with a review of the student's deeper stages."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.hcl import hcl
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.schedules import warmup
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork

WIDEST = 512  # most channels of the fused maps


class ABF(nn.Module):
    """Attention-based fusion of one student stage with what came from the deeper stages.

    Args:
        channels: of the student's map.
        middle: of the fused map.
        target: of the teacher's map.
        fuse: whether a deeper stage exists.

    Source: Chen et al., CVPR 2021, section 3.3; layers and initialisation of its code.
    """

    def __init__(self, channels: int, middle: int, target: int, *, fuse: bool) -> None:
        super().__init__()
        enter = nn.Conv2d(channels, middle, 1, bias=False)
        leave = nn.Conv2d(middle, target, 3, padding=1, bias=False)
        self.enter = nn.Sequential(enter, nn.BatchNorm2d(middle))
        self.leave = nn.Sequential(leave, nn.BatchNorm2d(target))
        self.attention = nn.Conv2d(2 * middle, 2, 1) if fuse else None
        for layer in (enter, leave):
            nn.init.kaiming_uniform_(layer.weight, a=1)

    def forward(
        self, maps: Tensor, deeper: Tensor | None, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Fuse one stage.

        Args:
            maps: (B, channels, H, W) of the student.
            deeper: (B, middle, h, w) handed on by the next deeper stage; None at the deepest.
            size: (H_t, W_t) of the teacher's map.

        Returns:
            (B, target, H_t, W_t) to compare with the teacher, and (B, middle, H_t, W_t) to hand on
            to the next shallower stage.
        """
        fused = self.enter(maps)
        if self.attention is not None and deeper is not None:
            deeper = F.interpolate(deeper, fused.shape[-2:], mode="nearest")
            share = self.attention(torch.cat([fused, deeper], dim=1)).sigmoid()
            fused = fused * share[:, :1] + deeper * share[:, 1:]
        if fused.shape[-2:] != torch.Size(size):
            fused = F.interpolate(fused, size, mode="nearest")
        return self.leave(fused), fused


def fusions(student: StagedNetwork, teacher: StagedNetwork, widest: int) -> nn.ModuleList:
    """A fusion per level from stage 1 to the pooled vector, at most `widest` channels inside."""
    ours = [*(stage.channels for stage in student.stages[1:]), student.pooled_width]
    theirs = [*(stage.channels for stage in teacher.stages[1:]), teacher.pooled_width]
    levels = min(len(ours), len(theirs))
    middle = min(widest, ours[-1])
    pairs = list(zip(ours[-levels:], theirs[-levels:], strict=True))
    return nn.ModuleList(
        ABF(channels, middle, target, fuse=level < levels - 1)
        for level, (channels, target) in enumerate(pairs)
    )


def reviewed_losses(
    fused: nn.ModuleList, maps: Sequence[Tensor], student: Features, teacher: Features
) -> Tensor:
    """HCL of every level, (levels,), from stage 1 to the pooled vector; unweighted.

    Args:
        fused: of `fusions`.
        maps: the student's, by stage, the stem included.
        student: gives the pooled vector.
        teacher: gives maps before the last ReLU, and the pooled vector.
    """
    levels = len(fused)
    ours = [*maps[1:], student.pooled[:, :, None, None]][-levels:]
    theirs = [*teacher.pre[1:], teacher.pooled[:, :, None, None]][-levels:]
    losses, deeper = [], None
    for fusion, own, target in reversed(list(zip(fused, ours, theirs, strict=True))):
        reviewed, deeper = fusion(own, deeper, tuple(target.shape[-2:]))
        losses.append(hcl(reviewed, target))
    return torch.stack(losses[::-1])


class ReviewKD(DistillationLoss):
    """HCL between reviewed student stages and teacher stages, from the pooled vector up to stage 1.

    The student gives what its stages hand on (`out`), the teacher the maps before the last ReLU
    (`pre`); the stem is left out and the pooled vector is one more stage, of size 1 x 1. Where the
    networks have different numbers of stages, they are matched from the deep end.

    Args:
        student: gives the widths of the student's stages.
        teacher: gives the widths of the teacher's stages.
        weight: factor of the summed HCL.
        warmup_epochs: see `kdbench.distill.schedules.warmup`; 0 switches it off.
        warmup_of: see `kdbench.distill.schedules.warmup`.

    Source: Chen et al., Distilling Knowledge via Knowledge Review, CVPR 2021, and its code for
    CIFAR-100.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        weight: float,
        warmup_epochs: int,
        warmup_of: int,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.warmup_epochs = warmup_epochs
        self.warmup_of = warmup_of
        self.fusions = fusions(student, teacher, WIDEST)
        self.levels = len(self.fusions)

    def losses(self, student: Features, teacher: Features) -> Tensor:
        """HCL of every level, (levels,), from stage 1 to the pooled vector; unweighted."""
        return reviewed_losses(self.fusions, student.out, student, teacher)

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"reviewkd": scalar}: exactly 0 during the first epoch of a warm-up."""
        scale = position.read(self._scale)
        return {"reviewkd": scale * self.losses(student, teacher).sum()}

    def _scale(self, position: TrainingPosition) -> float:
        return self.weight * warmup(position, self.warmup_epochs, self.warmup_of, first=0)
