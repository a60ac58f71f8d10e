"""Learning what and where to transfer: meta-learnt weights of channels and of pairs of stages."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss, read_features
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork
from kdbench.models.statistics import frozen_statistics

Tensors: TypeAlias = Sequence[Tensor]
Connect: TypeAlias = Callable[[int, Tensor], Tensor]


@full_precision
def matching(student: Tensor, teacher: Tensor, channels: Tensor, pair: Tensor) -> Tensor:
    """Weighted squared difference of two maps.

    Args:
        student: (B, C_t, H, W), after its connector.
        teacher: (B, C_t, H_t, W_t); bilinearly resized to the student's size.
        channels: (B, C_t) weights that sum to 1 over the channels.
        pair: (B,) weight of this pair of stages.

    Returns:
        Scalar: mean over places, weighted sum over channels, weighted mean over the batch.

    Source: Jang et al., ICML 2019, eq. 2 and 3.
    """
    if teacher.shape[2:] != student.shape[2:]:
        size = (student.shape[2], student.shape[3])
        teacher = F.interpolate(teacher, size, mode="bilinear", align_corners=False)
    gaps = (teacher - student).square().mean((2, 3))
    return ((gaps * channels).sum(1) * pair).mean()


class Weights(nn.Module):
    """What the meta-learner decides for each pair: weights of channels, and of the pair.

    Args:
        channels: of the teacher's stage of every pair.
    """

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        what = [nn.Linear(c, c) for c in channels]
        where = [nn.Linear(c, 1) for c in channels]
        for layer in what:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for layer in where:
            nn.init.ones_(layer.bias)
        self.what, self.where = nn.ModuleList(what), nn.ModuleList(where)

    def forward(self, pair: int, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C) channel weights that sum to 1 and (B,) pair weights in 0..6, from (B, C, H, W)."""
        pooled = maps.mean((2, 3))
        return self.what[pair](pooled).softmax(1), F.relu6(self.where[pair](pooled)).squeeze(1)


class L2T(DistillationLoss):
    """Every stage of the student is matched with every stage of the teacher, by learnt weights.

    Each training step takes a real step on the task and the matching; then, virtually, two on the
    matching alone and one on the task; the task's loss after them is differentiated, exactly,
    through the three steps (momentum and weight decay included) in the weights of `Weights`, which
    Adam then moves. The virtual steps leave no trace.

    Args:
        student: gives the widths of its stages.
        teacher: the same.
        weight: factor of every pair's matching.
        meta_lr: of Adam.
        meta_decay: weight decay of Adam.
        virtual_steps: on the matching.

    Source: Jang et al., Learning What and Where to Transfer, ICML 2019, algorithm 1 and its code.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        weight: float,
        meta_lr: float,
        meta_decay: float,
        virtual_steps: int,
    ) -> None:
        super().__init__()
        self.weight, self.virtual_steps = weight, virtual_steps
        ours, theirs = range(1, len(student.stages)), range(1, len(teacher.stages))
        self.pairs = [(i, j) for j in theirs for i in ours]
        channels = [teacher.stages[j].channels for _, j in self.pairs]
        self.trained = nn.ModuleList(
            nn.Conv2d(student.stages[i].channels, c, 1)
            for (i, _), c in zip(self.pairs, channels, strict=True)
        )
        self.weights = Weights(channels)
        self.meta = torch.optim.Adam(self.weights.parameters(), lr=meta_lr, weight_decay=meta_decay)
        self.optimisers = {"meta": self.meta}

    def trained_with_student(self) -> nn.Module:
        """The connectors; `Weights` are moved by an optimiser of their own."""
        return self.trained

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"matching": scalar}."""
        return {"matching": self.match(student, teacher, lambda pair, x: self.trained[pair](x))}

    def match(self, student: Features, teacher: Features, connect: Connect) -> Tensor:
        """Sum of `matching` over all pairs, times the weight; `connect(pair, maps)` is given."""
        losses = [
            matching(
                connect(pair, student.out[i]), teacher.out[j], *self.weights(pair, teacher.out[j])
            )
            for pair, (i, j) in enumerate(self.pairs)
        ]
        return self.weight * torch.stack(losses).sum()

    def after_step(
        self, student: StagedNetwork, teacher: Features | None, batch: Batch, optimiser: Optimizer
    ) -> None:
        """Move the weights of channels and pairs, once the real step has been taken.

        Args:
            student: in train mode; as it was afterwards, batch norms' statistics included.
            teacher: features of the batch.
            batch: the batch that the real step was taken on; the virtual ones use it too.
            optimiser: of student and connectors, one parameter group; only looked at.
        """
        parameters = list(self.weights.parameters())
        slopes = self.meta_gradient(student, read_features(teacher), batch, optimiser)
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = slope
        self.meta.step()
        self.meta.zero_grad(set_to_none=True)

    def meta_gradient(
        self, student: StagedNetwork, teacher: Features, batch: Batch, optimiser: Optimizer
    ) -> tuple[Tensor, ...]:
        """Gradient of the task's loss after the virtual steps, in `self.weights`' parameters.

        Always in the weights' own precision: it is a difference of nearly equal passes. Arguments
        as in `after_step`.
        """
        network = _Functional(student, self.trained)
        point = [p.detach().clone().requires_grad_() for p in network.parameters]
        buffers = [_momentum(optimiser, p) for p in network.parameters]

        def match(point: Tensors) -> Tensor:
            return self.match(network.read(point, batch.images), teacher, network.connect(point))

        def task(point: Tensors) -> Tensor:
            return F.cross_entropy(network.read(point, batch.images).logits, batch.labels)

        with (
            frozen_statistics(student),
            torch.autocast(batch.images.device.type, enabled=False),
            torch.enable_grad(),
        ):
            for objective in [*[match] * self.virtual_steps, task]:
                point, buffers = _sgd_step(objective(point), point, buffers, optimiser)
            return torch.autograd.grad(task(point), list(self.weights.parameters()))


class _Functional:
    """Student and connectors as functions of their parameters, in one list."""

    def __init__(self, student: StagedNetwork, connectors: nn.ModuleList) -> None:
        self.student = student
        self.names = [name for name, _ in student.named_parameters()]
        self.parameters = [*student.parameters(), *connectors.parameters()]

    def read(self, point: Tensors, images: Tensor) -> Features:
        """Features under the given parameters."""
        weights = dict(zip(self.names, point, strict=False))
        features: Features = functional_call(self.student, weights, (images,), {"read": True})
        return features

    def connect(self, point: Tensors) -> Connect:
        """Connectors under the given parameters: a weight and a bias each."""
        connectors = point[len(self.names) :]
        return lambda pair, maps: F.conv2d(maps, connectors[2 * pair], connectors[2 * pair + 1])


def _momentum(optimiser: Optimizer, parameter: nn.Parameter) -> Tensor:
    buffer = optimiser.state.get(parameter, {}).get("momentum_buffer")
    return torch.zeros_like(parameter) if buffer is None else buffer.detach()


def _sgd_step(
    loss: Tensor, point: Tensors, buffers: Tensors, optimiser: Optimizer
) -> tuple[list[Tensor], list[Tensor]]:
    """One step of SGD with a graph; a parameter that the loss ignores has the gradient 0."""
    (group,) = optimiser.param_groups
    lr, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
    slopes = torch.autograd.grad(loss, point, create_graph=True, materialize_grads=True)
    weights, momenta = [], []
    for weight, slope, buffer in zip(point, slopes, buffers, strict=True):
        direction = slope + decay * weight
        buffer = momentum * buffer + direction
        momenta.append(buffer)
        step = direction + momentum * buffer if group["nesterov"] else buffer
        weights.append(weight - lr * step)
    return weights, momenta
