"""DistPro's search: the weights of the pathways, learned along one short training."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.pathways import Pathways
from kdbench.distill.scheme import Scheme
from kdbench.distill.transforms import TRANSFORMS
from kdbench.engine.position import TrainingPosition
from kdbench.errors import UnknownName
from kdbench.models.stages import Features, StagedNetwork
from kdbench.search.bilevel import alternate
from kdbench.search.hypergradient import Probe, central_difference, directional
from kdbench.search.pathway_weights import PathwayWeights, Seen
from kdbench.search.process import Process

GRADIENTS = ("finite-difference", "exact", "first-order")
Autocast = Callable[[], AbstractContextManager[Any]]


class DistProSearch:
    """A student in training whose pathway weights are learned on held-out images meanwhile.

    Args:
        student: network to train; moved and laid out as training wants it beforehand.
        teacher: gives the shapes of the teacher's stages and is never run.
        lr: of the student's SGD (and the transforms'); set `lr` to follow a schedule.
        momentum: of that SGD.
        nesterov: of that SGD.
        weight_decay: of that SGD.
        alpha_lr: of the Adam that moves the alphas (betas 0.5 and 0.999, no weight decay); 0.05 in
            the paper, 0.1 in the release. The alphas start at 1.
        gradient: "finite-difference" is the paper's central difference; "exact" is what it
            approximates; "first-order" is `kdbench.search.bilevel.first_order`.
        fd_scale: see `kdbench.search.hypergradient.central_difference`.
        normalise: see `kdbench.search.normalise`.
        connections: see `kdbench.distill.pathways.chosen`.
        stem: see `kdbench.distill.pathways.chosen`.
        transforms: see `kdbench.distill.pathways.chosen`.
        autocast: see `PathwayWeights`.

    Raises:
        UnknownName: an option has no such value.

    Source: Deng et al., DistPro: Searching a Fast Knowledge Distillation Process via Meta
    Optimization, ECCV 2022.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        lr: float = 0.1,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 5e-4,
        alpha_lr: float = 0.05,
        gradient: str = "finite-difference",
        fd_scale: float = 0.01,
        normalise: str = "biased-softmax",
        connections: str = "all",
        stem: bool = False,
        transforms: Sequence[str] = tuple(TRANSFORMS),
        autocast: Autocast = nullcontext,
    ) -> None:
        self._probe = probe(gradient, fd_scale)
        self.student = student
        space = {"connections": connections, "stem": stem, "transforms": list(transforms)}
        self.pathways = Pathways(student, teacher, **space).to(next(student.parameters()))
        self.searched = PathwayWeights(student, self.pathways, normalise, autocast)
        self.optimiser = torch.optim.SGD(
            self.searched.weights,
            lr=lr,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
        )
        self.alpha_optimiser = torch.optim.Adam(
            [self.searched.alphas], lr=alpha_lr, betas=(0.5, 0.999)
        )
        self._process = Process(len(self.pathways.names))
        found = {"gradient": gradient, "normalise": normalise, "alpha_lr": alpha_lr}
        self._about = {"search": "distpro", "fd_scale": fd_scale, **found, **space}

    @property
    def connectors(self) -> nn.Module:
        """What is trained beside the student: the transforms of the pathways."""
        return self.pathways

    @property
    def alphas(self) -> Tensor:
        """The free parameters (n,) as they are now."""
        return self.searched.alphas

    @property
    def lr(self) -> float:
        """Learning rate of the next step of the student and the transforms."""
        return float(self.optimiser.param_groups[0]["lr"])

    @lr.setter
    def lr(self, value: float) -> None:
        self.optimiser.param_groups[0]["lr"] = value

    def step(
        self, train: Batch, teacher: Features, held: Batch, position: TrainingPosition | None = None
    ) -> dict[str, Tensor]:
        """One step of the search; the process grows by the weights with which the student moved.

        Args:
            train: images of the training share.
            teacher: the teacher's features of `train`, without a graph.
            held: images of the held-out share.
            position: not looked at: every step of this search is alike.

        Returns:
            Scalars without a graph, on the device: "task" (cross-entropy), "pathways" (their
            weighted sum) and, unless the gradient is "first-order", "held_out".
        """
        for module in (self.student, self.pathways):
            if not module.training:
                module.train()
        seen, unseen = Seen(train, teacher), Seen(held)
        parts = (self.searched, self.optimiser, self.alpha_optimiser)
        outcome = alternate(*parts, seen, unseen, self._probe)
        self._process.push(outcome.mixed, outcome.alphas)
        losses = {"task": outcome.task, "pathways": outcome.mixed @ outcome.losses}
        return losses if outcome.held_out is None else {**losses, "held_out": outcome.held_out}

    def state_dict(self) -> dict[str, Any]:
        """All that a bit-exact resume needs, as tensors and plain values.

        The tensors are the living ones, as in any `state_dict`: save them before the next step.
        """
        weights, alphas = self._process.read()
        return {
            "student": self.student.state_dict(),
            "pathways": self.pathways.state_dict(),
            "alphas": self.alphas.detach(),
            "optimiser": self.optimiser.state_dict(),
            "alpha_optimiser": self.alpha_optimiser.state_dict(),
            "process_weights": weights,
            "process_alphas": alphas,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, in a search built with the same arguments."""
        for key in ("student", "pathways", "optimiser", "alpha_optimiser"):
            part = getattr(self, key)
            part.load_state_dict(state[key])
        with torch.no_grad():
            self.alphas.copy_(state["alphas"])
        self._process.write(state["process_weights"], state["process_alphas"])

    def finding(self) -> Scheme:
        """The process so far, a row a step."""
        weights, alphas = self._process.read()
        return Scheme(weights, alphas, self.pathways.names, {**self._about, "steps": len(weights)})

    def blank(self) -> Scheme:
        """Equal weights, one row."""
        n = len(self.pathways.names)
        return Scheme(torch.full((1, n), 1 / n), torch.ones(1, n), self.pathways.names)


def probe(gradient: str, scale: float) -> Probe | None:
    """How the losses are differentiated along a direction; None for "first-order".

    Raises:
        UnknownName: there is no such gradient.
    """
    if gradient not in GRADIENTS:
        raise UnknownName("gradient", gradient, GRADIENTS, where="search, gradient")
    if gradient == "first-order":
        return None
    return directional if gradient == "exact" else partial(central_difference, scale=scale)
