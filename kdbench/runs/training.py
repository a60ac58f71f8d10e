"""The teacher and student phases: a network trained to the end of its recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from kdbench.data.stored.open import Stored
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.schedules import FirstPart
from kdbench.distill.scheme import Scheme
from kdbench.engine import ranks
from kdbench.engine.cuda_graphs import count_on_device, replayed
from kdbench.engine.fit import fit
from kdbench.engine.optimisers import make_optimiser
from kdbench.engine.precision import Precision
from kdbench.engine.train_state import TrainState
from kdbench.errors import BadValue, Diverged
from kdbench.evaluate.tasks import task_of
from kdbench.exhibits.recipe import Recipe
from kdbench.exhibits.tasks import score_curve
from kdbench.models import recompute
from kdbench.models.folding import fold_norms
from kdbench.models.stages import StagedNetwork
from kdbench.runs import assemble, reading
from kdbench.runs.assemble import Loader, Teacher, make_teacher
from kdbench.runs.encoders import start_encoder
from kdbench.runs.held_out import remark, teacher_weights, training_loaders
from kdbench.runs.job import BEST, LAST, Job, PhaseResult
from kdbench.runs.steps import FirstStep, TrainStep, TwoParts
from kdbench.store.atomic import whole_file
from kdbench.store.record import thinned
from kdbench.store.student_runs import StudentRun
from kdbench.store.teacher_runs import TeacherRun


@dataclass
class Evaluator:
    """Measures a network every so many epochs, and at the end.

    Attributes:
        before: epochs of a first part, which is not measured and has curves of its own.
    """

    network: StagedNetwork
    loader: Loader
    recipe: Recipe
    precision: Precision
    before: int = 0

    def log(self, state: TrainState, means: Mapping[str, float]) -> None:
        """Log an epoch's mean losses and, where it is time, the test score; keep the best."""
        epoch = state.epoch - self.before
        if epoch <= 0:
            own = {f"first_{name}": value for name, value in means.items()}
            state.log({"first_epoch": float(state.epoch), **own})
            return
        values, curve = {"epoch": float(epoch), **means}, curve_of(self.network)
        task = task_of(self.network)
        if epoch % self.recipe.evaluate_every == 0 or epoch == self.recipe.epochs:
            values[curve] = score = self._look(epoch)
            if not state.best or task.better(score, state.best[task.score.key]):
                weights = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
                state.best = {task.score.key: score, "epoch": epoch, "weights": weights}
        else:
            values[curve] = -1.0  # no look; None in the record
        state.log(values)

    def _look(self, epoch: int) -> float:
        """The task's score.

        Raises:
            Diverged: the network is not finite in evaluation mode.
        """
        task = task_of(self.network)
        ranks.take_buffers(self.network)
        batches = self.loader.in_order(task.at_once(self.network))
        try:
            return task.look(self.network, batches, self.precision)
        except Diverged as error:
            raise Diverged(f"epoch {epoch}: {error}") from None


def curve_of(network: StagedNetwork) -> str:
    """The name of the curve of a network's scores on what it is measured on."""
    return score_curve(task_of(network).name)


@dataclass(frozen=True)
class Training:
    """A training before its first step.

    Attributes:
        student: what is trained.
        loss: None for a teacher's own training.
        step: does one training step.
        parts: whatever the training changes, by the names that a checkpoint has for it.
        before: epochs of a first part.
    """

    student: StagedNetwork
    loss: DistillationLoss | None
    step: TrainStep | TwoParts
    parts: Mapping[str, Any]
    before: int


def build_training(job: Job[TeacherRun | StudentRun], data: Stored, steps: int) -> Training:
    """Networks, loss, optimisers and the step of a teacher's or a student's run.

    Args:
        job: the run.
        data: its prepared data set.
        steps: of an epoch.
    """
    run, recipe, precision = job.spec, job.spec.recipe, job.precision
    student = assemble.trained_network(run, data, run.seed, job.inputs, precision)
    start_encoder(student, run.trained, job.inputs.encoder(run.trained))
    if recompute.wanted():
        recompute.recompute_blocks(student)
    teacher, loss, task_weight = _distillation(job, data, student)
    trained = [student] if loss is None else [student, loss.trained_with_student()]
    optimiser = make_optimiser(recipe, *trained)
    scaler, at_once = precision.scaler(), run.runtime.images_at_once
    step = TrainStep(
        student, teacher, loss, task_weight, optimiser, recipe, steps, precision, at_once, scaler
    )
    parts: dict[str, Any] = {"student": student, "optimiser": optimiser}
    if scaler is not None:
        parts["scaler"] = scaler
    if loss is None:
        return Training(student, None, step, parts, 0)
    _check_step(run, loss)
    parts["loss"] = loss
    parts |= loss.optimisers
    if loss.first is None:
        return Training(student, loss, step, parts, 0)
    two_parts, before = _two_parts(step, loss, loss.first, recipe)
    parts["first"] = two_parts.first.optimiser
    return Training(student, loss, two_parts, parts, before)


def _check_step(run: TeacherRun | StudentRun, loss: DistillationLoss) -> None:
    """Refuse a loss that learns after each step where it could not read that step.

    Raises:
        BadValue: another optimiser than SGD, batches in parts, or several ranks.
    """
    if type(loss).after_step is DistillationLoss.after_step:
        return
    where, advice = f"{run.title}, {type(loss).__name__}", "its own steps are SGD's, on the batch"
    if run.recipe.optimiser != "sgd":
        raise BadValue(f"{where}, optimiser", run.recipe.optimiser, "'sgd'", advice)
    if ranks.size() > 1:
        expected = "1: what it learns beside the training is not averaged over ranks"
        raise BadValue(f"{where}, ranks", ranks.size(), expected)
    if run.runtime.images_at_once is not None:
        at_once = run.runtime.images_at_once
        raise BadValue(f"{where}, images_at_once", at_once, "whole batches (null)", advice)


def run_training(job: Job[TeacherRun | StudentRun]) -> PhaseResult:
    """Train a teacher or a student, from the start or from its checkpoint."""
    run, recipe, precision = job.spec, job.spec.recipe, job.precision
    data = job.inputs.data(run.data)
    loader, measured = training_loaders(run, data, precision)
    training = build_training(job, data, loader.steps)
    student, before = training.student, training.before
    state = TrainState(job.folder, job.spec.digest, training.parts, job.origin)
    state.load(precision.device, job.say)
    evaluator = Evaluator(student, measured, recipe, precision, before)
    done, epochs = state.epoch * loader.steps + state.step, before + recipe.epochs
    tick = job.follow(epochs * loader.steps, done, state.curves)
    student.train()
    device = precision.device
    count_on_device(training.parts.values(), device)
    step = replayed(training.step, state.parts, device, training.step.uncaptured, job.say)
    work, watch = training.step.work, reading.watch(job.say, job.spec.title, loader, recipe.batch)
    for means in fit(state, step, loader, epochs, job.stopper, tick, work, watch):
        evaluator.log(state, means)
    return _finish(job, state, student, loader, data, before) if ranks.is_first() else PhaseResult()


def _two_parts(
    main: TrainStep, loss: DistillationLoss, first: FirstPart, recipe: Recipe
) -> tuple[TwoParts, int]:
    """The steps of a loss that has a first part, and the length of that in epochs."""
    own = replace(recipe, lr=first.lr or recipe.lr)
    if main.teacher is None:
        raise BadValue("method", type(loss).__name__, "a teacher for a loss with a first part")
    trunk = [main.student.trunk] if first.trains_trunk else []
    optimiser = make_optimiser(own, *trunk, loss)
    step = FirstStep(
        main.student, main.teacher, loss, first, optimiser, main.precision, main.scaler
    )
    epochs = first.scaled(recipe.epochs)
    return TwoParts(step, main, epochs), epochs


def _distillation(
    job: Job[TeacherRun | StudentRun], data: Stored, student: StagedNetwork
) -> tuple[Teacher | None, DistillationLoss | None, float]:
    """The teacher, the loss with its connectors, and the weight of the task's own loss."""
    run = job.spec
    if not isinstance(run, StudentRun):
        return None, None, 1.0
    networks = []
    for upstream in run.teachers:
        network = assemble.make_teacher_network(
            upstream, data, run.seed, job.inputs, job.precision, run.recipe
        )
        assemble.load_weights(network, job.inputs.folder(upstream) / teacher_weights(run))
        networks.append(network)
    loss, task_weight = assemble.make_student_loss(
        run,
        student,
        networks[0] if networks else None,
        run.seed,
        job.precision,
        further=networks[1:],
        scheme=lambda search: Scheme.load(job.inputs.folder(search)),
        labels=lambda: torch.from_numpy(np.array(data.labels("train"), dtype=np.int64)),
    )
    if run.runtime.fold_teacher:  # after the loss was made, which may look at the norms
        for network in networks:
            fold_norms(network)
    modes = [method.teacher_mode for method in run.method.losses]
    return make_teacher(networks, *modes), loss, task_weight


def _finish(
    job: Job[TeacherRun | StudentRun],
    state: TrainState,
    student: StagedNetwork,
    loader: Loader,
    data: Stored,
    before: int,
) -> PhaseResult:
    """Save the last and the best weights, and say what was found."""
    job.folder.mkdir(parents=True, exist_ok=True)
    save_weights(student.state_dict(), job.folder / LAST)
    save_weights(state.best["weights"], job.folder / BEST)
    steps = state.epoch * loader.steps
    images = state.epoch * min(len(loader), loader.steps * job.spec.recipe.batch)
    curves = {name: thinned(values) for name, values in state.curves.items()}
    curve, key = curve_of(student), task_of(student).score.key
    curves[curve] = [None if v < 0 else v for v in curves[curve]]
    last = state.curves[curve][-1]
    return PhaseResult(
        metrics={
            "last": {key: last, "epoch": state.epoch - before},
            "best": {key: state.best[key], "epoch": state.best["epoch"]},
            "selected": None,
        },
        curves=curves,
        cost={
            "seconds": state.seconds,
            "wall_seconds": state.clock(),
            "steps": steps,
            "macs": state.macs,
            "images_per_second": images / max(state.seconds, 1e-9),
        },
        notes=remark(job.spec),
        origins=state.origins,
        data_fingerprint=data.fingerprint,
    )


def save_weights(state: Mapping[str, Tensor], file: Path) -> None:
    """Write a state whole, as contiguous tensors of the CPU: equal values are equal bytes."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    with whole_file(file) as temporary:
        save_file(tensors, temporary)
