"""DistPro's search: the weights of the pathways, learned along one short training."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kdbench.distill.pathways import Pathways
from kdbench.distill.scheme import Scheme
from kdbench.engine.position import TrainingPosition
from kdbench.errors import UnknownName
from kdbench.models.stages import StagedNetwork
from kdbench.search.bilevel import alternate
from kdbench.search.hypergradient import central_difference, exact_jvp
from kdbench.search.pathway_weights import PathwayWeights
from kdbench.search.problem import JVP
from kdbench.search.process_log import ProcessLog
from kdbench.search.searcher import Autocast, SearchBatch, Searcher, required

GRADIENTS = ("finite-difference", "exact", "first-order")


class DistProSearch(Searcher):
    """A student in training whose pathway weights are learned on validation images meanwhile.

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
        scale_free: see `kdbench.search.bilevel.second_order`.
        normalise: see `kdbench.search.normalise`.
        connections: see `kdbench.distill.pathways.chosen`.
        maps: see `kdbench.distill.pathways.chosen`.
        stem: see `kdbench.distill.pathways.chosen`.
        transforms: see `kdbench.distill.pathways.chosen`.
        autocast: see `PathwayWeights`.

    Raises:
        UnknownName: an option has no such value.

    Source: Deng et al., DistPro: Searching a Fast Knowledge Distillation Process via Meta
    Optimization, ECCV 2022.
    """

    uncaptured = ""

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        alpha_lr: float,
        gradient: str,
        fd_scale: float,
        scale_free: bool,
        normalise: str,
        connections: str,
        maps: Sequence[str],
        stem: bool,
        transforms: Sequence[str],
        autocast: Autocast = nullcontext,
    ) -> None:
        self._jvp, self._scale_free = jvp_of(gradient, fd_scale), scale_free
        self.student = student
        space: dict[str, Any] = {
            "connections": connections,
            "maps": list(maps),
            "stem": stem,
            "transforms": list(transforms),
        }
        # They only measure here: the search itself weighs the distances, and drops none.
        unused: dict[str, Any] = {"weights": "equal", "factor": "none"}
        unused |= {"kd_weight": 1.0, "drop": False, "tau": 0.0}
        pathways = Pathways(student, teacher, **space, **unused)
        self.pathways = pathways.to(next(student.parameters()))
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
        self._process = ProcessLog(len(self.pathways.names))
        options: dict[str, Any] = {
            "gradient": gradient,
            "normalise": normalise,
            "alpha_lr": alpha_lr,
        }
        options["scale_free"] = scale_free
        self._about = {"search": "distpro", "fd_scale": fd_scale, **options, **space}

    @property
    def connectors(self) -> Pathways:
        """What is trained beside the student: the transforms of the pathways."""
        return self.pathways

    @property
    def alphas(self) -> Tensor:
        """The free parameters (n,) as they are now."""
        return self.searched.alphas

    def step(
        self, train: SearchBatch, validation: SearchBatch | None, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One step of the search; the process grows by the weights with which the student moved.

        Args:
            train: images of the training share, with the teacher's features.
            validation: images of the validation share.
            position: not read: every step of this search is alike.

        Returns:
            Scalars without a graph, on the device: "task" (cross-entropy), "pathways" (their
            weighted sum) and, unless the gradient is "first-order", "held_out" (the validation
            loss).

        Raises:
            BadValue: there are no validation images.
        """
        return self.note(self.compute(train, validation, position))

    def compute(
        self, train: SearchBatch, validation: SearchBatch | None, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """See `Searcher`: the terms of `step`, and its "process_weights" and "process_alphas"."""
        for module in (self.student, self.pathways):
            if not module.training:
                module.train()
        result = alternate(
            self.searched,
            self.optimiser,
            self.alpha_optimiser,
            train,
            required(validation),
            self._jvp,
            scale_free=self._scale_free,
        )
        seen = {"task": result.task, "pathways": result.loss_weights @ result.losses}
        if result.validation_loss is not None:
            seen["held_out"] = result.validation_loss
        return seen | {"process_weights": result.loss_weights, "process_alphas": result.alphas}

    def note(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Searcher`: the process grows by a row."""
        terms = dict(seen)
        self._process.push(terms.pop("process_weights"), terms.pop("process_alphas"))
        return terms

    def state_dict(self) -> dict[str, Any]:
        """All that a bit-exact resume needs, as tensors and plain values."""
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
        """Continue from what `state_dict` returned, in a search built with the same arguments."""
        for key in ("student", "pathways", "optimiser", "alpha_optimiser"):
            getattr(self, key).load_state_dict(state[key])
        with torch.no_grad():
            self.alphas.copy_(state["alphas"])
        self._process.write(state["process_weights"], state["process_alphas"])

    def finding(self) -> Scheme:
        """The process so far, one row per step."""
        weights, alphas = self._process.read()
        return Scheme(weights, alphas, self.pathways.names, {**self._about, "steps": len(weights)})

    def blank(self) -> Scheme:
        """Equal weights, one row."""
        n = len(self.pathways.names)
        return Scheme(torch.full((1, n), 1 / n), torch.ones(1, n), self.pathways.names)


def jvp_of(gradient: str, scale: float) -> JVP | None:
    """How the losses are differentiated along a direction; None for "first-order".

    Raises:
        UnknownName: there is no such gradient.
    """
    if gradient not in GRADIENTS:
        raise UnknownName("gradient", gradient, GRADIENTS, where="search, gradient")
    if gradient == "first-order":
        return None
    return exact_jvp if gradient == "exact" else partial(central_difference, scale=scale)
