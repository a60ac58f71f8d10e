"""SBS: a better student is searched inside its teacher, by closing gates on what layers read."""

from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdbench.engine import ranks
from kdbench.engine.position import TrainingPosition
from kdbench.errors import UnknownName
from kdbench.models.pruning.build import structure_of
from kdbench.models.pruning.channel_layout import Plan
from kdbench.models.pruning.structure import Structure
from kdbench.models.stages import StagedNetwork
from kdbench.search.bilevel import move
from kdbench.search.divergence import plain_cross_entropy, softened_kl
from kdbench.search.gate_optimiser import GateOptimiser
from kdbench.search.pruning_summary import connections, pruning_summary
from kdbench.search.searcher import Autocast, SearchBatch, Searcher

LOSSES = ("kl", "np", "kl0")


class SBSSearch(Searcher):
    """A copy of the student in training whose gates are closed by what they cost.

    Minimises mean(L) + λ₁‖w‖₂ + λ₂ Σ_j α_j |g_j|. Weights take the protocol's SGD, and λ₁ is its
    weight decay: the gradient of half the squared norm, which is what the authors' recipe (1e-4)
    means, though a norm is printed. Gates start at 1 and take `accelerated_step` with the same
    gradient, without weight decay and without the schedule. All are moved on the same images.

    The search is over as soon as the open gates leave a student within the budget. A step that
    leads past it is taken in part (`GateOptimiser.stop_at`); from then on no gate moves, so that
    the result is the first student that fits. One that never gets there is returned as it is,
    with `met` false.

    Args:
        student: network to search in, of a family in `models.pruning.build.layouts`, with the
            teacher's weights; it is copied and never changed.
        teacher: not read; its features come with every step.
        lr: of the weights' SGD; set `lr` to follow a schedule.
        momentum: of that SGD.
        nesterov: of that SGD.
        weight_decay: of that SGD.
        loss: L. "kl" is `softened_kl`; "np" is `plain_cross_entropy`; "kl0" is |KL - kl0| image by
            image.
        kl0_share: of "kl0" alone: the divergence to keep from the teacher, as a share of the
            largest that the base search met on an image.
        base: what the base search found; without one, before any has run, kl0 is 0.
        temperature: see `softened_kl`; order and times_square too.
        order: as above.
        times_square: as above.
        budget: share of the operations (with elements of norms and ReLUs) of the network with all
            gates open at which the search is over: 90 of DenseNet-BC(100, 12)'s 296.5 million in
            the paper. A share, so that it holds for any size of image.
        autocast: makes the context of the forward pass.
        weighted: see `kdbench.search.gate_optimiser.GateOptimiser`, as for the next eight.
        saving: as above.
        lambda_2: as above.
        of_steps: as above.
        resistance: as above.
        gate_lr: as above.
        gate_momentum: as above.
        mu: as above.
        nonnegative: as above.

    Raises:
        UnknownName: an option has no such value.
        UserError: networks of this family cannot be pruned.

    Source: Gu & Tresp, Search for better students to learn distilled knowledge, ECAI 2020.
    """

    uncaptured = "sbs looks after every step whether a gate closed"

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        loss: str,
        kl0_share: float,
        temperature: float,
        order: str,
        times_square: bool,
        weighted: bool,
        saving: str,
        lambda_2: float,
        of_steps: int,
        resistance: float,
        gate_lr: float,
        gate_momentum: str,
        mu: float,
        nonnegative: bool,
        budget: float,
        base: Structure | None = None,
        autocast: Autocast = nullcontext,
    ) -> None:
        if loss not in LOSSES:
            raise UnknownName("loss", loss, LOSSES, where="search, loss")
        gates: dict[str, Any] = {
            "weighted": weighted,
            "saving": saving,
            "lambda_2": lambda_2,
            "of_steps": of_steps,
            "resistance": resistance,
            "gate_lr": gate_lr,
            "gate_momentum": gate_momentum,
            "mu": mu,
            "nonnegative": nonnegative,
        }
        softened: dict[str, Any] = {
            "temperature": temperature,
            "order": order,
            "times_square": times_square,
        }
        self.student = deepcopy(student).train()
        self.weights = list(self.student.parameters())
        self.gates = GateOptimiser(self.student, budget=budget, **gates)
        self.optimiser = torch.optim.SGD(
            self.weights, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
        )
        largest = float(base.metadata.get("largest_kl", 0.0)) if base else 0.0
        self._softened, self._loss, self._kl0 = softened, loss, kl0_share * largest
        self._budget, self._autocast = budget, autocast
        self._progress = {"steps": 0, "epoch": 0, "met_at": -1, "planned": 0}
        self._pulls: list[Tensor] = []
        self._share = 1.0
        self._largest = torch.zeros(2, dtype=self.gates.values.dtype).to(self.gates.values.device)
        chosen = {"loss": loss, "kl0": self._kl0, "budget": budget}
        self._about = {"search": "sbs", **chosen, **softened, **gates}

    @property
    def finished(self) -> bool:
        """Whether the open gates leave a student within the budget."""
        return self._progress["met_at"] >= 0

    @classmethod
    def load_finding(cls, folder: Path) -> Structure:
        """Read a student that a search found."""
        return Structure.load(folder)

    def step(
        self, train: SearchBatch, validation: SearchBatch | None, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One step of weights and gates.

        Args:
            train: training images, with the teacher's features.
            validation: not read.
            position: where the search stands; its length scales the price of the gates.

        Returns:
            Scalars without a graph, on the device: "loss" (L), "kl" (mean of `softened_kl`
            whatever L is), "price" (λ₂ Σ α |g|), "open_share" (of the gates) and "flops_share"
            (operations left of the whole network's), the last three after the step.
        """
        if not self.student.training:
            self.student.train()
        with self._autocast():
            logits = self.student(train.batch.images)
        kl, loss = self._losses(logits, train.features().logits)
        gradients = torch.autograd.grad(loss, [*self.weights, *self.gates.leaves])
        move(self.optimiser, self.weights, gradients[: len(self.weights)])
        number = position.step + 1
        if not self.finished:
            slopes = ranks.mean(torch.cat(gradients[len(self.weights) :]))
            self._pulls.append(self.gates.pull(slopes, position.steps))
            self.gates.move(slopes, number, position.steps)
            self._measure_share(number)
        self._progress |= {"steps": number, "epoch": position.epoch + 1, "planned": position.steps}
        return {
            "loss": loss.detach(),
            "kl": kl,
            "price": self.gates.cost(position.steps),
            "open_share": self.gates.open_share(),
            "flops_share": kl.new_full((), self._share),
        }

    def state_dict(self) -> dict[str, Any]:
        """All that a bit-exact resume needs, as tensors and plain values."""
        return {
            "student": self.student.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "velocity": self.gates.velocity,
            "largest": self._largest,
            "pulls": torch.stack(self._pulls) if self._pulls else torch.zeros(0),
            "place": dict(self._progress),
            "share": self._share,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned, in a search built with the same arguments."""
        self.student.load_state_dict(state["student"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.gates.velocity.copy_(state["velocity"])
        self._largest.copy_(state["largest"])
        self._pulls = list(state["pulls"].to(self._largest.device))
        self._progress, self._share = dict(state["place"]), state["share"]

    def finding(self) -> Structure:
        """The student that the open gates leave.

        Its metadata say how it was searched: whether and at which of the planned steps the budget
        was met, the pace of the gates, the median over steps of `GateOptimiser.pull`, the largest
        divergences met, and what the penalty alone would have left.
        """
        one, mean = self._largest.tolist()
        planned = self._progress["planned"]
        reached = {
            "met": self.finished,
            "met_at": self._progress["met_at"] if self.finished else None,
            "steps": self._progress["steps"],
            "epoch": self._progress["epoch"],
            "planned_steps": planned,
            "pace": self.gates.pace(planned)._asdict() if planned else None,
            "loss_to_penalty": self._median_pull(),
            "penalty_alone": self._penalty_alone(),
            "largest_kl": one,
            "largest_mean_kl": mean,
        }
        return self._structure(self.gates.plan(), reached)

    def blank(self) -> Structure:
        """The whole network: all gates open."""
        layout = self.gates.layout
        return self._structure(layout.plan(layout.open()), {"met": False, "steps": 0})

    def _median_pull(self) -> float | None:
        """Median over the steps in which gates moved; None where they pay nothing."""
        finite = [pull for pull in self._pulls if bool(torch.isfinite(pull))]
        return torch.stack(finite).median().item() if finite else None

    def _penalty_alone(self) -> dict[str, Any] | None:
        """What the penalty alone would leave; None where it makes no difference between gates."""
        plan = self.gates.alone.plan
        if plan is None or bool((self.gates.alphas == self.gates.alphas[0]).all()):
            return None
        share = {"share": self.gates.share(plan)}
        return {**share, "connections": connections(self.gates.layout, plan)}

    def _losses(self, logits: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Mean divergence without a graph, and the loss to descend with one."""
        each = softened_kl(logits, teacher, **self._softened)
        by_image = each.detach()
        kl = by_image.mean()
        seen = ranks.largest(by_image.max()), ranks.mean(kl)
        self._largest = torch.maximum(self._largest, torch.stack(seen))
        if self._loss == "np":
            return kl, plain_cross_entropy(logits, teacher).mean()
        return kl, each.mean() if self._loss == "kl" else (each - self._kl0).abs().mean()

    def _measure_share(self, number: int) -> None:
        """Count what is left if a gate closed; the search is over where that fits the budget."""
        if not self.gates.has_closed():
            return
        self._share = self.gates.share(self.gates.plan())
        if self._share <= self._budget:
            self.gates.stop_at(self._budget)
            self._share = self.gates.share(self.gates.plan())
            self._progress["met_at"] = number

    def _structure(self, plan: Plan, reached: dict[str, Any]) -> Structure:
        """The pruned student of a plan, with what its record holds."""
        about = {**self._about, **reached, "share": self.gates.share(plan)}
        return structure_of(
            self.student, plan, {**about, **pruning_summary(self.gates.layout, plan)}
        )
