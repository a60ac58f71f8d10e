"""What DistPro searches, as `bilevel` drives it: pathway weights and the losses they weight."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from kdbench.distill.pathways import Pathways
from kdbench.evaluate.tasks import task_of
from kdbench.models.stages import Features, StagedNetwork
from kdbench.models.statistics import frozen_statistics
from kdbench.search.hypergradient import exact_jvp, forward_mode
from kdbench.search.normalise import normalisation
from kdbench.search.problem import JVP, Directions, Tensors
from kdbench.search.searcher import Autocast, SearchBatch


@dataclass(frozen=True)
class CutTerms:
    """A forward pass whose pathways were differentiated on their own, up to the student's maps.

    The gradient of a weighted sum of pathway losses is the weighted sum of their gradients, and a
    pathway's loss reaches the student through one map alone. So the pathways' backward pass is run
    once, unweighted, for all that is asked afterwards: the virtual and the real step differ in the
    loss weights, and the exact derivative along a direction needs the student's maps only.

    Attributes:
        task: the task's loss, with the student's graph.
        losses: (n,) of the pathways, without a graph.
        student: the student's weights.
        maps: the student's map of each pathway, with its graph; several may be the same tensor.
        map_gradients: gradient of each loss in its map.
        transform_gradients: gradient of the losses in the transforms' weights, each of which
            belongs to one pathway.
        owners: that pathway's position, one number per tensor of `transform_gradients`.
    """

    task: Tensor
    losses: Tensor
    student: Tensors
    maps: Sequence[Tensor]
    map_gradients: Tensors
    transform_gradients: Tensors
    owners: Sequence[int]

    def gradients(self, loss_weights: Tensor) -> Directions:
        """Gradients of task + loss_weights · losses: the student's, then the transforms'."""
        sums: dict[int, tuple[Tensor, Tensor]] = {}
        for a_map, gradient, weight in zip(
            self.maps, self.map_gradients, loss_weights, strict=True
        ):
            term = weight * gradient.to(loss_weights.dtype)  # summed in the weights' precision
            before = sums.get(id(a_map))
            sums[id(a_map)] = (a_map, term if before is None else before[1] + term)
        outputs = [self.task, *(a_map for a_map, _ in sums.values())]
        along = [torch.ones_like(self.task), *(g.to(m.dtype) for m, g in sums.values())]
        student = torch.autograd.grad(
            outputs, self.student, along, retain_graph=True, allow_unused=True
        )
        transforms = zip(self.owners, self.transform_gradients, strict=True)
        return [*student, *(loss_weights[owner] * gradient for owner, gradient in transforms)]


class _Losses(nn.Module):
    """Makes `Pathways.losses` what a functional call reaches."""

    def __init__(self, pathways: Pathways) -> None:
        super().__init__()
        self.pathways = pathways

    def forward(self, student: Features, teacher: Features) -> Tensor:
        return self.pathways.losses(student, teacher)


class PathwayWeights:
    """What DistPro searches: one weight per pathway (a `BilevelProblem`).

    The weights to fit are the student's, then the transforms'; only the student's are visible to
    the validation loss, which is that of the task alone. Every pass but `terms` leaves the running
    statistics of the batch norms as they are; all passes normalise with the batch's own.

    Args:
        student: in train mode.
        pathways: the losses and their transforms.
        normalise: see `kdbench.search.normalise`.
        autocast: makes the context for all passes but those of `directional_derivatives`, which
            stay in the weights' own precision.

    Source: Deng et al., DistPro, ECCV 2022, section 3.3.
    """

    def __init__(
        self, student: StagedNetwork, pathways: Pathways, normalise: str, autocast: Autocast
    ) -> None:
        self.student, self.pathways, self.task = student, pathways, task_of(student)
        self.mix = normalisation(normalise)
        self.autocast = autocast
        self._losses = _Losses(pathways)
        self._names = [name for name, _ in student.named_parameters()]
        self._hidden = [name for name, _ in self._losses.named_parameters()]
        self._owners = [i for i, t in enumerate(pathways.transforms) for _ in t.parameters()]
        self.weights: list[Tensor] = [*student.parameters(), *self._losses.parameters()]
        self.visible = len(self._names)
        start = torch.ones(len(pathways.names), device=self.weights[0].device)
        self.alphas = start.to(self.weights[0].dtype).requires_grad_()

    def terms(self, data: SearchBatch) -> CutTerms:
        """The real forward pass, and the pathways' backward pass."""
        with self.autocast():
            features = self.student.read(data.batch.images)
            maps = [features.pre[stage] for _, stage, _ in self.pathways.pathways]
            ends = [a_map.detach().requires_grad_() for a_map in maps]
            losses = self.pathways.distances(ends, data.features())
        hidden = self.weights[self.visible :]
        gradients = torch.autograd.grad(losses.sum(), [*ends, *hidden])
        task = self.task.training_loss(features, data.batch.labels)
        weights, n = self.weights[: self.visible], len(ends)
        parts = (maps, gradients[:n], gradients[n:], self._owners)
        return CutTerms(task, losses.detach(), weights, *parts)

    def directional_derivatives(
        self, terms: CutTerms, along: Directions, data: SearchBatch, jvp: JVP
    ) -> Tensor:
        """Derivatives (n,) of the pathway losses along a direction of the student's weights.

        The exact one goes through the student alone in forward mode; from its maps on, `terms` has
        the gradients already. Any other `jvp` gets the losses as a function of the weights.
        """
        student = self.weights[: self.visible]
        if jvp is not exact_jvp:
            hidden = self.weights[self.visible :]
            everywhere = [*along, *(None for _ in hidden)]
            return jvp(lambda values: self.losses(values, data), [*student, *hidden], everywhere)
        changes = forward_mode(lambda values: self._maps(values, data), student, along)
        by_stage = dict(zip(self._stages(), changes, strict=True))
        derivatives = [
            (gradient.to(terms.losses.dtype) * by_stage[stage]).sum()
            for gradient, (_, stage, _) in zip(
                terms.map_gradients, self.pathways.pathways, strict=True
            )
        ]
        return torch.stack(derivatives)

    def losses(self, weights: Tensors, data: SearchBatch) -> Tensor:
        """Pathway losses (n,) with other weights."""
        return self._terms(weights, data)[1]

    def inner(self, weights: Tensors, alphas: Tensor, data: SearchBatch) -> Tensor:
        """The task's loss and weighted pathway losses with other weights and alphas."""
        features, losses = self._terms(weights, data)
        task = self.task.training_loss(features, data.batch.labels)
        return task + self.mix(alphas) @ losses

    def outer(self, weights: Tensors, data: SearchBatch) -> Tensor:
        """The loss of the output, with other weights, of which only the student's are read."""
        named = dict(zip(self._names, weights[: self.visible], strict=True))
        with self.autocast(), frozen_statistics(self.student):
            logits = functional_call(self.student, named, (data.batch.images,))
        return self.task.loss(logits, data.batch.labels)

    def _stages(self) -> list[int]:
        """The student's stages that pathways start from."""
        return sorted({stage for _, stage, _ in self.pathways.pathways})

    def _read(self, weights: Tensors, data: SearchBatch) -> Features:
        """What the student sees with other weights."""
        named = dict(zip(self._names, weights[: self.visible], strict=True))
        with frozen_statistics(self.student):
            images = (data.batch.images,)
            features: Features = functional_call(self.student, named, images, {"read": True})
        return features

    def _maps(self, weights: Tensors, data: SearchBatch) -> tuple[Tensor, ...]:
        """The student's maps at `_stages`, with other weights."""
        features = self._read(weights, data)
        return tuple(features.pre[stage] for stage in self._stages())

    def _terms(self, weights: Tensors, data: SearchBatch) -> tuple[Features, Tensor]:
        """What the student sees and the pathway losses, with other weights."""
        hidden = dict(zip(self._hidden, weights[self.visible :], strict=True))
        features = self._read(weights, data)
        with frozen_statistics(self.pathways):
            losses = functional_call(self._losses, hidden, (features, data.features()))
        return features, losses
