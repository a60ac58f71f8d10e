"""What DistPro searches, as `bilevel` wants it: pathway weights and the losses they meet in."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from kdbench.data.loaders.batch import Batch
from kdbench.distill.pathways import Pathways
from kdbench.models.stages import Features, StagedNetwork
from kdbench.models.statistics import frozen_statistics
from kdbench.search.hypergradient import Probe, directional, exact_change
from kdbench.search.normalise import normalisation
from kdbench.search.searcher import Slopes, Tensors
from kdbench.search.task import cross_entropy

Autocast = Callable[[], AbstractContextManager[Any]]


class Seen(NamedTuple):
    """A batch, and what the teacher says about it where that is needed."""

    batch: Batch
    teacher: Features | None = None


@dataclass(frozen=True)
class CutTerms:
    """A forward pass whose pathways were differentiated on their own, up to the student's maps.

    The gradient of a weighted sum of pathway losses is the weighted sum of their gradients, and a
    pathway's loss reaches the student through one map alone. So the pathways' backward pass is run
    once, unweighted, for all that is asked afterwards: the virtual and the real step differ in the
    factors, and the exact derivative along a direction needs the student's maps only.

    Attributes:
        task: cross-entropy, with the student's graph.
        losses: (n,) of the pathways, without a graph.
        student: the student's weights.
        maps: the student's map of each pathway, with its graph; several may be the same tensor.
        pulls: gradient of each loss in its map.
        hidden: gradient of the losses in the transforms' weights, of which each has one pathway.
        owners: that pathway's position, a number a tensor of `hidden`.
    """

    task: Tensor
    losses: Tensor
    student: Tensors
    maps: Sequence[Tensor]
    pulls: Tensors
    hidden: Tensors
    owners: Sequence[int]

    def slopes(self, mixed: Tensor) -> Slopes:
        """Gradient of task + mixed · losses: the student's weights, then the transforms'."""
        joined: dict[int, tuple[Tensor, Tensor]] = {}
        for seen, pull, factor in zip(self.maps, self.pulls, mixed, strict=True):
            wide = factor * pull.to(mixed.dtype)  # summed in the factors' precision
            before = joined.get(id(seen))
            joined[id(seen)] = (seen, wide if before is None else before[1] + wide)
        outputs = [self.task, *(seen for seen, _ in joined.values())]
        along = [torch.ones_like(self.task), *(w.to(s.dtype) for s, w in joined.values())]
        found = torch.autograd.grad(
            outputs, self.student, along, retain_graph=True, allow_unused=True
        )
        ours = zip(self.owners, self.hidden, strict=True)
        return [*found, *(mixed[owner] * slope for owner, slope in ours)]


class _Losses(nn.Module):
    """Makes `Pathways.losses` what a functional call reaches."""

    def __init__(self, pathways: Pathways) -> None:
        super().__init__()
        self.pathways = pathways

    def forward(self, student: Features, teacher: Features) -> Tensor:
        return self.pathways.losses(student, teacher)


class PathwayWeights:
    """What DistPro searches: one weight a pathway (a `Searcher`).

    The weights to fit are the student's, then the transforms'; only the student's are visible to
    the held-out loss, which is the cross-entropy alone. Every pass but `terms` leaves the running
    statistics of the batch norms as they are; all passes normalise with the batch's own.

    Args:
        student: in train mode.
        pathways: the losses and their transforms.
        normalise: see `kdbench.search.normalise`.
        autocast: makes the context for all passes but those of `rises`, which stay in the weights'
            own precision.

    Source: Deng et al., DistPro, ECCV 2022, section 3.3.
    """

    def __init__(
        self, student: StagedNetwork, pathways: Pathways, normalise: str, autocast: Autocast
    ) -> None:
        self.student, self.pathways = student, pathways
        self.mix = normalisation(normalise)
        self.autocast = autocast
        self._losses = _Losses(pathways)
        self._names = [name for name, _ in student.named_parameters()]
        self._hidden = [name for name, _ in self._losses.named_parameters()]
        self._owners = [i for i, t in enumerate(pathways.transforms) for _ in t.parameters()]
        self.weights = [*student.parameters(), *self._losses.parameters()]
        self.visible = len(self._names)
        start = torch.ones(len(pathways.names), device=self.weights[0].device)
        self.alphas = start.to(self.weights[0].dtype).requires_grad_()

    def terms(self, data: Seen) -> CutTerms:
        """The real forward pass, and the pathways' backward pass."""
        with self.autocast():
            features = self.student.read(data.batch.images)
            maps = [features.pre[ours] for _, ours, _ in self.pathways.pathways]
            ends = [seen.detach().requires_grad_() for seen in maps]
            losses = self.pathways.distances(ends, data.teacher)
        hidden = self.weights[self.visible :]
        slopes = torch.autograd.grad(losses.sum(), [*ends, *hidden])
        task = cross_entropy(features.logits, data.batch.labels)
        weights, n = self.weights[: self.visible], len(ends)
        parts = (maps, slopes[:n], slopes[n:], self._owners)
        return CutTerms(task, losses.detach(), weights, *parts)

    def rises(self, terms: CutTerms, along: Slopes, data: Seen, probe: Probe) -> Tensor:
        """Derivatives (n,) of the pathway losses along a direction of the student's weights.

        The exact one goes through the student alone in forward mode; from its maps on, `terms` has
        the gradients already. Any other probe gets the losses as a function of the weights.
        """
        ours = self.weights[: self.visible]
        if probe is not directional:
            hidden = self.weights[self.visible :]
            everywhere = [*along, *(None for _ in hidden)]
            return probe(lambda values: self.losses(values, data), [*ours, *hidden], everywhere)
        changes = exact_change(lambda values: self._maps(values, data), ours, along)
        moved = dict(zip(self._stages(), changes, strict=True))
        rises = [
            (pull.to(terms.losses.dtype) * moved[stage]).sum()
            for pull, (_, stage, _) in zip(terms.pulls, self.pathways.pathways, strict=True)
        ]
        return torch.stack(rises)

    def losses(self, weights: Tensors, data: Seen) -> Tensor:
        """Pathway losses (n,) with other weights."""
        return self._terms(weights, data)[1]

    def inner(self, weights: Tensors, alphas: Tensor, data: Seen) -> Tensor:
        """Cross-entropy and weighted pathway losses with other weights and alphas."""
        logits, losses = self._terms(weights, data)
        return cross_entropy(logits, data.batch.labels) + self.mix(alphas) @ losses

    def outer(self, weights: Tensors, data: Seen) -> Tensor:
        """Cross-entropy with other weights, of which only the student's are read."""
        named = dict(zip(self._names, weights[: self.visible], strict=True))
        with self.autocast(), frozen_statistics(self.student):
            logits = functional_call(self.student, named, (data.batch.images,))
        return cross_entropy(logits, data.batch.labels)

    def _stages(self) -> list[int]:
        """The student's stages that pathways start from."""
        return sorted({ours for _, ours, _ in self.pathways.pathways})

    def _read(self, weights: Tensors, data: Seen) -> Features:
        """What the student sees with other weights."""
        named = dict(zip(self._names, weights[: self.visible], strict=True))
        with frozen_statistics(self.student):
            return functional_call(self.student, named, (data.batch.images,), {"read": True})

    def _maps(self, weights: Tensors, data: Seen) -> tuple[Tensor, ...]:
        features = self._read(weights, data)
        return tuple(features.pre[stage] for stage in self._stages())

    def _terms(self, weights: Tensors, data: Seen) -> tuple[Tensor, Tensor]:
        theirs = dict(zip(self._hidden, weights[self.visible :], strict=True))
        features = self._read(weights, data)
        with frozen_statistics(self.pathways):
            losses = functional_call(self._losses, theirs, (features, data.teacher))
        return features.logits, losses
