"""DFA's search: how much each of a teacher's layers counts, group after group."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from kdbench.distill.scheme import Scheme
from kdbench.engine.position import TrainingPosition
from kdbench.errors import BadValue, UnknownName
from kdbench.models.stages import StagedNetwork
from kdbench.search.bilevel import buffers_of, move, rates_of
from kdbench.search.darts import Loss, MetaGradient, differenced, exact, first_order
from kdbench.search.dfa_losses import DFALosses
from kdbench.search.problem import Tensors
from kdbench.search.process_log import ProcessLog
from kdbench.search.searcher import Autocast, SearchBatch, Searcher, required

ORDERS = ("first", "second")
GRADIENTS = ("finite-difference", "exact")


class DFASearch(Searcher):
    """A student in training, and one β per group, which learns on validation images meanwhile.

    The groups have equal shares of the steps, shallow to deep. In the share of group i a step moves
    β_i down the validation loss, then student and connectors down the training loss, both with the
    losses of group i alone (`kdbench.search.dfa_losses`); the other β stay. A scheme's row is the
    softmax of every group's β after the step.

    Args:
        student: network to train; moved and laid out as training wants it beforehand.
        teacher: gives the shapes of the teacher's maps and is never run.
        lr: of the SGD of student and connectors; set `lr` to follow a schedule.
        momentum: of that SGD.
        nesterov: of that SGD.
        weight_decay: of that SGD.
        losses: "bridge", "st", "ts" or "plain".
        order: "first" takes β's gradient at the weights as they are, "second" after a virtual
            training step (DARTS).
        gradient: of the second order: DARTS's "finite-difference", or the "exact" one.
        fd_scale: see `kdbench.search.hypergradient.central_difference`.
        gamma_ce: factor of the student's own cross-entropy, in both losses. It does not depend on
            β but through a virtual step.
        gamma_st: factor of "st".
        gamma_ts: factor of "ts".
        gamma_fd: factor of the plain loss.
        l2: λ of R(β) = |β_i|², added to the validation loss. In Adam it is what a
            `beta_weight_decay` of 2 λ is.
        beta_lr: of β's Adam, as the next two; the declared defaults are those of DARTS.
        adam_betas: its two decay rates.
        beta_weight_decay: its weight decay.
        spread: standard deviation of the normal draw that β starts from.
        stem: whether the stems are a group too.
        autocast: makes the context for the real and the validation passes. The training loss of the
            second order stays in the weights' own precision: its gradients in β are subtracted
            from one another, or differentiated again.

    Raises:
        UnknownName: an option has no such value.
        BadValue: `adam_betas`; or see `kdbench.distill.aggregation.groups_of`.
        UserError: the student cannot go on from a map.

    Source: Guan et al., Differentiable Feature Aggregation Search for Knowledge Distillation,
    ECCV 2020, section 3.
    """

    teacher_on_validation = True

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        losses: str,
        order: str,
        gradient: str,
        fd_scale: float,
        gamma_ce: float,
        gamma_st: float,
        gamma_ts: float,
        gamma_fd: float,
        l2: float,
        beta_lr: float,
        adam_betas: Sequence[float],
        beta_weight_decay: float,
        spread: float,
        stem: bool,
        autocast: Autocast = nullcontext,
    ) -> None:
        self._second_order = second_order_of(order, gradient, fd_scale)
        if len(adam_betas) != 2 or not all(0 <= beta < 1 for beta in adam_betas):
            raise BadValue("dfa, adam_betas", list(adam_betas), "two numbers from 0 to below 1")
        gammas = {"ce": gamma_ce, "st": gamma_st, "ts": gamma_ts, "fd": gamma_fd}
        like = next(student.parameters())
        self.student, self.autocast, self.l2 = student, autocast, l2
        self.losses = DFALosses(student, teacher, losses=losses, gammas=gammas, stem=stem).to(like)
        self.betas = [
            (spread * torch.randn(group.blocks)).to(like).requires_grad_()
            for group in self.losses.groups
        ]
        self._weights = dict(self.losses.named_parameters())
        self.optimiser = torch.optim.SGD(
            self.weights, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
        )
        first, second = adam_betas
        self.beta_optimiser = torch.optim.Adam(
            self.betas, lr=beta_lr, betas=(first, second), weight_decay=beta_weight_decay
        )
        self.names = tuple(name for group in self.losses.groups for name in group.names)
        self._process = ProcessLog(len(self.names))
        about = {"losses": losses, "order": order, "gradient": gradient, "fd_scale": fd_scale}
        self._about = {"search": "dfa", **about, "gammas": gammas, "l2": l2, "beta_lr": beta_lr}

    @property
    def connectors(self) -> nn.Module:
        """What is trained beside the student: the convolutions of both paths."""
        return self.losses.connectors

    @property
    def weights(self) -> list[Tensor]:
        """The leaves that training fits: the student's and the connectors'."""
        return list(self._weights.values())

    def group_at(self, position: TrainingPosition) -> int:
        """Position of the group whose turn it is; groups that are out of steps get none."""
        return position.step * len(self.betas) // position.steps

    def step(
        self, train: SearchBatch, validation: SearchBatch | None, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One step of the search: β of the group whose turn it is, then the weights.

        Args:
            train: images of the training share, with the teacher's features.
            validation: images of the validation share, with the teacher's features.
            position: says whose turn it is.

        Returns:
            Scalars without a graph, on the device: "task" (cross-entropy), "st", "ts" or "fd", all
            weighted and of `train` with the new β, and "held_out" (the validation loss).

        Raises:
            BadValue: there are no validation images.
        """
        if not self.losses.training or not self.student.training:
            self.losses.train()
        group = self.group_at(position)
        beta = self.betas[group]
        inner = partial(self.inner, train, group)
        outer = partial(self.outer, required(validation), group)
        gradient, validation_loss = self._meta_gradient(inner, outer, beta)
        gradients = [gradient if k == group else None for k in range(len(self.betas))]
        move(self.beta_optimiser, self.betas, gradients)
        with self.autocast():
            terms = self.losses(train.batch, train.features(), group, beta.detach(), real=True)
        total = torch.stack(list(terms.values())).sum()
        move(
            self.optimiser,
            self.weights,
            torch.autograd.grad(total, self.weights, allow_unused=True),
        )
        self._process.push(*self._row())
        scalars = {name: term.detach() for name, term in terms.items()}
        return {**scalars, "held_out": validation_loss}

    def inner(self, data: SearchBatch, group: int, weights: Tensors, beta: Tensor) -> Tensor:
        """Sum of all terms as a function of weights and β, without side effects."""
        named = dict(zip(self._weights, weights, strict=True))
        given = (data.batch, data.features(), group, beta)
        terms = functional_call(self.losses, named, given)
        return torch.stack(list(terms.values())).sum()

    def outer(self, data: SearchBatch, group: int, weights: Tensors, beta: Tensor) -> Tensor:
        """The same of validation images, with λ R(β)."""
        with self.autocast():
            loss = self.inner(data, group, weights, beta)
        return loss + self.l2 * beta.square().sum() if self.l2 else loss

    def state_dict(self) -> dict[str, Any]:
        """All that a bit-exact resume needs, as tensors and plain values."""
        weights, alphas = self._process.read()
        return {
            "student": self.student.state_dict(),
            "connectors": self.connectors.state_dict(),
            "betas": [beta.detach() for beta in self.betas],
            "optimiser": self.optimiser.state_dict(),
            "beta_optimiser": self.beta_optimiser.state_dict(),
            "process_weights": weights,
            "process_alphas": alphas,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned, in a search built with the same arguments."""
        for key in ("student", "connectors", "optimiser", "beta_optimiser"):
            getattr(self, key).load_state_dict(state[key])
        with torch.no_grad():
            for beta, value in zip(self.betas, state["betas"], strict=True):
                beta.copy_(value)
        self._process.write(state["process_weights"], state["process_alphas"])

    def finding(self) -> Scheme:
        """The process so far, one row per step; its last row is what students train with."""
        weights, alphas = self._process.read()
        return Scheme(weights, alphas, self.names, {**self._about, "steps": len(weights)})

    def blank(self) -> Scheme:
        """Equal weights, one row."""
        weights = torch.cat([torch.zeros(len(beta)).softmax(0) for beta in self.betas])
        return Scheme(weights[None], torch.zeros(1, len(self.names)), self.names)

    def _row(self) -> tuple[Tensor, Tensor]:
        """Weights and alphas (n,) of all groups as they are now, copies without a graph."""
        betas = [beta.detach() for beta in self.betas]
        return torch.cat([beta.softmax(0) for beta in betas]), torch.cat(betas)

    def _meta_gradient(self, inner: Loss, outer: Loss, beta: Tensor) -> MetaGradient:
        """Gradient of β and the validation loss, in the order that was chosen."""
        weights = self.weights
        if self._second_order is None:
            return first_order(outer, weights, beta)
        buffers, rates = buffers_of(self.optimiser, weights), rates_of(self.optimiser)
        return self._second_order(inner, outer, weights, beta, buffers, rates)


def second_order_of(order: str, gradient: str, scale: float) -> Callable[..., MetaGradient] | None:
    """How the second order is taken; None for "first".

    Raises:
        UnknownName: an option has no such value.
    """
    for key, value, known in (("order", order, ORDERS), ("gradient", gradient, GRADIENTS)):
        if value not in known:
            raise UnknownName("choice", value, known, where=f"dfa, {key}")
    if order == "first":
        return None
    return exact if gradient == "exact" else partial(differenced, scale=scale)
