"""DFA's search: how much each of a teacher's layers counts, group after group."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from kdbench.distill.scheme import Scheme
from kdbench.engine import ranks
from kdbench.engine.position import TrainingPosition
from kdbench.engine.seeds import seeded
from kdbench.errors import BadValue, UnknownName
from kdbench.models.stages import StagedNetwork
from kdbench.search.bilevel import buffers_of, move, rates_of
from kdbench.search.darts import Loss, MetaGradient, Parts, differenced, exact, first_order, total
from kdbench.search.dfa_finding import DFAScheme, gradient_names, gradient_sizes
from kdbench.search.dfa_losses import DFALosses
from kdbench.search.dfa_turns import Turn, turn_at
from kdbench.search.problem import Tensors
from kdbench.search.process_log import ProcessLog
from kdbench.search.searcher import Autocast, SearchBatch, Searcher, TeacherDepth, required

ORDERS = ("first", "second")
GRADIENTS = ("finite-difference", "exact")
FITTED = ("all", "turn")
TABLES = ("process_weights", "process_alphas", "process_gradients")


class DFASearch(Searcher):
    """A student in training, and one β per group, which learns on validation images meanwhile.

    The groups have equal shares of the steps, shallow to deep. In the share of group i a step moves
    β_i down the validation loss of that group (`kdbench.search.dfa_losses`), then student and
    connectors down the training loss of all groups; the other β stay. So the connectors of a deep
    group are trained when its turn comes, or it would be searched through random convolutions. A
    scheme's row is the softmax of every group's β after the step.

    Args:
        student: network to train; moved and laid out as training wants it beforehand.
        teacher: gives the shapes of the teacher's maps and is never run.
        lr: of the SGD of student and connectors; set `lr` to follow a schedule.
        momentum: of that SGD.
        nesterov: of that SGD.
        weight_decay: of that SGD.
        losses: "bridge", "st", "ts" or "plain".
        fitted: whose terms are in the training loss: "all" groups', or those of the group whose
            "turn" it is alone.
        head_start: part of a group's share, from 0 to below 1, in which the weights learn and β
            rests.
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
        beta_budget: rate of β's Adam times the steps that it takes in a group's share, which
            bounds how far an entry of β can go at any length of search. DARTS's is 5.9: 50 epochs
            of 391 steps at 3e-4.
        adam_betas: two decay rates of that Adam; the declared ones and the next are DARTS's.
        beta_weight_decay: its weight decay.
        spread: standard deviation of the normal draw that β starts from.
        stem: whether the stems are a group too.
        strength: of the aggregated maps, see `kdbench.distill.dfa`.
        draw: number of the draw of connectors and first β: another one changes these alone, and
            neither the student's weights nor the order of the images.
        held_out_at_rest: whether the validation loss is measured while β rests too, which moves
            nothing: the search then costs a validation pass of teacher and student more, for the
            curve "held_out", which it has not without.
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

    uncaptured = ""
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
        fitted: str,
        head_start: float,
        order: str,
        gradient: str,
        fd_scale: float,
        gamma_ce: float,
        gamma_st: float,
        gamma_ts: float,
        gamma_fd: float,
        l2: float,
        beta_budget: float,
        adam_betas: Sequence[float],
        beta_weight_decay: float,
        spread: float,
        stem: bool,
        strength: str,
        draw: int,
        held_out_at_rest: bool = True,
        autocast: Autocast = nullcontext,
    ) -> None:
        self._second_order = second_order_of(order, gradient, fd_scale)
        _check(adam_betas, fitted)
        gammas = {"ce": gamma_ce, "st": gamma_st, "ts": gamma_ts, "fd": gamma_fd}
        like = next(student.parameters())
        self.student, self.autocast, self.l2 = student, autocast, l2
        self.fitted, self.head_start, self.beta_budget = fitted, head_start, beta_budget
        self.held_out_at_rest = held_out_at_rest
        with seeded(torch.initial_seed(), "draw", draw) if draw else nullcontext():
            self.losses = DFALosses(
                student, teacher, losses=losses, gammas=gammas, stem=stem, strength=strength
            ).to(like)
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
            self.betas, betas=(first, second), weight_decay=beta_weight_decay
        )
        self.names = tuple(name for group in self.losses.groups for name in group.names)
        self._process = ProcessLog(len(self.names), len(gradient_names(self.losses.terms)))
        about = {"losses": losses, "fitted": fitted, "head_start": head_start, "order": order}
        more = {"gradient": gradient, "fd_scale": fd_scale, "gammas": gammas, "l2": l2}
        self._about = {"search": "dfa", **about, **more, "beta_budget": beta_budget}
        if not held_out_at_rest:
            self._about["held_out_at_rest"] = False

    @property
    def connectors(self) -> nn.Module:
        """What is trained beside the student: the convolutions of both paths."""
        return self.losses.connectors

    @property
    def weights(self) -> list[Tensor]:
        """The leaves that training fits: the student's and the connectors'."""
        return list(self._weights.values())

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
            weighted and of `train` with the new β, those of a group of the group whose turn it is;
            "others", the sum of those of the other groups that are fitted; and, with
            `held_out_at_rest`, "held_out" (the validation loss).

        Raises:
            BadValue: there are no validation images.
        """
        return self.note(self.compute(train, validation, position))

    def compute(
        self, train: SearchBatch, validation: SearchBatch | None, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """See `Searcher`: the terms of `step`, and its rows of the process."""
        if not self.losses.training or not self.student.training:
            self.losses.train()
        turn = position.read(lambda at: turn_at(at, len(self.betas), self.head_start))
        shown, sizes = self._search_beta(train, validation, turn)
        with self.autocast():
            betas = self._fitted_betas(turn.group, self.betas[turn.group].detach())
            terms = self.losses(train.batch, train.features(), betas, real=True)
        gradients = torch.autograd.grad(terms.total(), self.weights, allow_unused=True)
        move(self.optimiser, self.weights, gradients)
        rows = dict(zip(TABLES, (*self._row(), sizes), strict=True))
        return {**terms.shown(turn.group), **(shown if self.held_out_at_rest else {}), **rows}

    def note(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Searcher`: the process grows by a row."""
        terms = dict(seen)
        self._process.push(*(terms.pop(name) for name in TABLES))
        return terms

    def work(self, position: TrainingPosition) -> Hashable:
        """Whose turn it is, and whether its β moves."""
        turn = turn_at(position, len(self.betas), self.head_start)
        return turn.group, turn.moves

    def teacher_depth(self, position: TrainingPosition) -> TeacherDepth:
        """The validation loss looks at one group; training at all groups, or at that one too."""
        turn = turn_at(position, len(self.betas), self.head_start)
        fitted = self._fitted_betas(turn.group, self.betas[turn.group])
        deepest = max(self.losses.groups[group].index for group in fitted)
        return TeacherDepth(train=deepest, validation=self.losses.groups[turn.group].index)

    def inner(self, data: SearchBatch, group: int, weights: Tensors, beta: Tensor) -> Tensor:
        """Training loss as a function of weights and of one group's β, without side effects."""
        named = dict(zip(self._weights, weights, strict=True))
        given = (data.batch, data.features(), self._fitted_betas(group, beta))
        loss: Tensor = functional_call(self.losses, named, given).total()
        return loss

    def outer(
        self, data: SearchBatch, group: int, weights: Tensors, beta: Tensor
    ) -> dict[str, Tensor]:
        """Validation loss of one group in parts: "task", its terms, and "penalty", λ R(β)."""
        named = dict(zip(self._weights, weights, strict=True))
        with self.autocast():
            terms = functional_call(
                self.losses, named, (data.batch, data.features(), {group: beta})
            )
        penalty = {"penalty": self.l2 * beta.square().sum()} if self.l2 else {}
        return {"task": terms.task, **terms.groups[group], **penalty}

    def state_dict(self) -> dict[str, Any]:
        """All that a bit-exact resume needs, as tensors and plain values."""
        return {
            "student": self.student.state_dict(),
            "connectors": self.connectors.state_dict(),
            "betas": [beta.detach() for beta in self.betas],
            "optimiser": self.optimiser.state_dict(),
            "beta_optimiser": self.beta_optimiser.state_dict(),
            **dict(zip(TABLES, self._process.read(), strict=True)),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned, in a search built with the same arguments."""
        for key in ("student", "connectors", "optimiser", "beta_optimiser"):
            getattr(self, key).load_state_dict(state[key])
        with torch.no_grad():
            for beta, value in zip(self.betas, state["betas"], strict=True):
                beta.copy_(value)
        self._process.write(*(state[key] for key in TABLES))

    def finding(self) -> DFAScheme:
        """The process so far, one row per step; its last row is what students train with."""
        weights, alphas, gradients = self._process.read()
        about = {**self._about, "steps": len(weights)}
        by_name = dict(zip(gradient_names(self.losses.terms), gradients.T, strict=True))
        return DFAScheme(weights, alphas, self.names, about, by_name)

    def blank(self) -> Scheme:
        """Equal weights, one row."""
        weights = torch.cat([torch.zeros(len(beta)).softmax(0) for beta in self.betas])
        return Scheme(weights[None], torch.zeros(1, len(self.names)), self.names)

    def _row(self) -> tuple[Tensor, Tensor]:
        """Weights and alphas (n,) of all groups as they are now, copies without a graph."""
        betas = [beta.detach() for beta in self.betas]
        return torch.cat([beta.softmax(0) for beta in betas]), torch.cat(betas)

    def _fitted_betas(self, group: int, beta: Tensor) -> Mapping[int, Tensor]:
        """The β of all groups that are in the training loss; only the given one has a graph."""
        if self.fitted == "turn":
            return {group: beta}
        return {**{k: other.detach() for k, other in enumerate(self.betas)}, group: beta}

    def reads_held_out(self, position: TrainingPosition) -> bool:
        """Where β rests, the validation loss is for the curve alone."""
        return self.held_out_at_rest or turn_at(position, len(self.betas), self.head_start).moves

    def _search_beta(
        self, train: SearchBatch, validation: SearchBatch | None, turn: Turn
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The part of a step that is β's; "held_out" where it was measured, and the row of sizes.

        Raises:
            BadValue: there are no validation images.
        """
        beta = self.betas[turn.group]
        if not turn.moves:
            sizes = gradient_sizes(self.losses.terms, {}, like=beta)
            if not self.held_out_at_rest:
                return {}, sizes
            with torch.no_grad():
                parts = self.outer(required(validation), turn.group, self.weights, beta)
                return {"held_out": total(parts)}, sizes
        inner = partial(self.inner, train, turn.group)
        outer = partial(self.outer, required(validation), turn.group)
        loss, sizes = self._move_beta(inner, outer, turn.group, turn.rounds)
        return {"held_out": loss}, sizes

    def _move_beta(
        self, inner: Loss, outer: Parts, group: int, rounds: int
    ) -> tuple[Tensor, Tensor]:
        """One step of a group's β; the validation loss, and what `gradient_sizes` makes of it."""
        meta = self._meta_gradient(inner, outer, self.betas[group])
        self.beta_optimiser.param_groups[0]["lr"] = self.beta_budget / rounds
        gradients = [meta.gradient if k == group else None for k in range(len(self.betas))]
        move(self.beta_optimiser, self.betas, gradients)
        direct = {name: ranks.mean(slope) for name, slope in meta.direct.items()}
        return meta.loss, gradient_sizes(self.losses.terms, direct, like=meta.gradient)

    def _meta_gradient(self, inner: Loss, outer: Parts, beta: Tensor) -> MetaGradient:
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


def _check(adam_betas: Sequence[float], fitted: str) -> None:
    """Refuse what no search can use; arguments as `DFASearch` has them."""
    if len(adam_betas) != 2 or not all(0 <= beta < 1 for beta in adam_betas):
        raise BadValue("dfa, adam_betas", list(adam_betas), "two numbers from 0 to below 1")
    if fitted not in FITTED:
        raise UnknownName("choice", fitted, FITTED, where="dfa, fitted")
