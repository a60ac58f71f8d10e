"""Student customised distillation: teaching that opposes the task is dropped, step by step."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.hcl import hcl
from kdbench.distill.kd import kd
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.matching import resized, stage_pairs
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork


def agrees(task: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    """Whether the inner product of two gradients, given parameter by parameter, is not negative.

    A scalar of the device: no step waits for it.

    Source: Zhu & Wang, ICCV 2021, section 3.3, as we read it.
    """
    products = [(a * b).sum() for a, b in zip(task, other, strict=True)]
    return sum(products[1:], start=products[0]) >= 0


class SCKD(DistillationLoss):
    """KD of the logits and a hint a stage, each of which is used only where it helps the task.

    A term whose gradient in the student's weights points against the cross-entropy's is dropped
    for this step; its connector goes on learning.

    Args:
        student: gives the widths of its stages.
        teacher: the same.
        kd_weight: factor of `kd`.
        hint_weight: factor of the hierarchical context loss of every stage.
        temperature: of `kd`.

    Source: Zhu & Wang, Student Customized Knowledge Distillation, ICCV 2021. Its code is not
    public; this is our reading of the published description.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        kd_weight: float,
        hint_weight: float,
        temperature: float,
    ) -> None:
        super().__init__()
        self.pairs = stage_pairs(student, teacher)
        self.kd_weight, self.hint_weight = kd_weight, hint_weight
        self.temperature = temperature
        self.connectors = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(student.stages[i].channels, teacher.stages[j].channels, 1, bias=False),
                nn.BatchNorm2d(teacher.stages[j].channels),
            )
            for i, j in self.pairs
        )

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """A term for the logits, "kd", and one a stage, "hint1", "hint2", ..."""
        logits = per_row(student.logits), per_row(teacher.logits)
        terms = {"kd": self.kd_weight * kd(*logits, self.temperature)}
        for (i, j), connector in zip(self.pairs, self.connectors, strict=True):
            target = teacher.pre[j]
            maps = resized(connector(student.pre[i]), (target.shape[2], target.shape[3]))
            terms[f"hint{i}"] = self.hint_weight * hcl(maps, target)
        return terms

    def combine(
        self, task: Tensor, terms: Mapping[str, Tensor], student: Sequence[nn.Parameter]
    ) -> None:
        """Put the gradients of the task and of the terms that agree with it into `.grad`.

        Args:
            task: the weighted cross-entropy.
            terms: what `forward` gave.
            student: the student's parameters; the connectors' get the gradients of all terms.
        """
        own = list(self.parameters())
        parameters = [*student, *own]
        main = _gradient(task, student)
        total = [gradient.clone() for gradient in main] + [torch.zeros_like(p) for p in own]
        for term in terms.values():
            gradients = _gradient(term, parameters)
            helps = agrees(main, gradients[: len(main)])
            for place, gradient in enumerate(gradients):
                more = total[place] + gradient
                own_part = place >= len(main)
                total[place] = more if own_part else torch.where(helps, more, total[place])
        for parameter, gradient in zip(parameters, total, strict=True):
            parameter.grad = gradient


def per_row(logits: Tensor) -> Tensor:
    """(N, classes): logits as they are, or of dense networks a row for every pixel."""
    return logits if logits.ndim == 2 else logits.movedim(1, -1).flatten(0, -2)


def _gradient(loss: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    slopes = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    pairs = zip(slopes, parameters, strict=True)
    return [torch.zeros_like(p) if slope is None else slope for slope, p in pairs]
