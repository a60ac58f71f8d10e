"""The teacher and student phases: a network trained to the end of its recipe."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from kdbench import assemble
from kdbench.assemble import Teacher
from kdbench.data.batch import Batch
from kdbench.data.dataset import Prepared
from kdbench.data.resident import Resident
from kdbench.distill.scheme import Scheme, whole
from kdbench.engine.fit import fit
from kdbench.engine.moment import Moment
from kdbench.engine.precision import Precision
from kdbench.engine.progress import Progress
from kdbench.engine.schedules import rate_at
from kdbench.evaluate.classification import accuracy, predict
from kdbench.models.stages import StagedNetwork
from kdbench.phases.job import BEST, LAST, Job, Outcome
from kdbench.plan.recipe import Recipe
from kdbench.plan.record import thinned


@dataclass
class TrainStep:
    """One step of a training: the teacher's look, both losses, the optimiser."""

    student: StagedNetwork
    teacher: Teacher | None
    loss: nn.Module | None  # None for a teacher's own training
    task_weight: float
    optimiser: torch.optim.SGD
    recipe: Recipe
    steps: int
    precision: Precision

    def __call__(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Train on one batch; returns the weighted loss terms."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(self.recipe, moment.step, self.steps)
        with self.precision.autocast():
            terms = self._terms(batch, moment)
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack([term.float() for term in terms.values()]).sum().backward()
        self.optimiser.step()
        return terms

    def _terms(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        if self.loss is None:
            return {"task": self._task(self.student(batch.images), batch.labels)}
        theirs = self.teacher.read(batch.images) if self.teacher else None
        ours = self.student.read(batch.images)
        terms: Mapping[str, Tensor] = self.loss(ours, theirs, batch, moment)
        return {"task": self._task(ours.logits, batch.labels), **terms}

    def _task(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.task_weight * F.cross_entropy(logits.float(), labels)


@dataclass
class Look:
    """A look at the test set every so many epochs, and at the end."""

    network: StagedNetwork
    loader: Resident
    recipe: Recipe
    precision: Precision

    def log(self, progress: Progress, means: Mapping[str, float]) -> None:
        """Log an epoch's mean losses and, where it is time, the test accuracy; keep the best."""
        epoch = progress.epoch
        values = {"epoch": float(epoch), **means}
        if epoch % self.recipe.evaluate_every == 0 or epoch == self.recipe.epochs:
            batches = self.loader.in_order(500)
            top1 = accuracy(*predict(self.network, batches, self.precision))
            values["test_top1"] = top1
            if not progress.best or top1 > progress.best["top1"]:
                weights = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
                progress.best = {"top1": top1, "epoch": epoch, "weights": weights}
        else:
            values["test_top1"] = -1.0  # no look; None in the record
        progress.log(values)


def run_training(job: Job) -> Outcome:
    """Train a teacher or a student, from the start or from its checkpoint."""
    data, recipe, precision = job.data(), job.recipe, job.precision
    entry = job.spec.params["student" if job.spec.phase == "student" else "network"]
    student = assemble.make_network(entry, data, job.seed, precision)
    teacher, loss, task_weight = _distillation(job, data, student)
    modules: list[nn.Module] = [student] if loss is None else [student, loss]
    optimiser = assemble.make_sgd(recipe, *modules)
    loader = assemble.make_loader(data.training_only(), "train", recipe, job.seed, precision)
    parts: dict[str, Any] = {"student": student, "optimiser": optimiser}
    if loss is not None:
        parts["loss"] = loss
    progress = Progress(job.folder, job.spec.digest, parts, job.origin)
    progress.load(precision.device)
    step = TrainStep(
        student, teacher, loss, task_weight, optimiser, recipe, loader.steps, precision
    )
    test = assemble.make_loader(data, "test", recipe, job.seed, precision, purpose="test")
    look = Look(student, test, recipe, precision)
    done = progress.epoch * loader.steps + progress.step
    tick = job.start_bar(job.spec.title, recipe.epochs * loader.steps, done)
    student.train()
    for means in fit(progress, step, loader, recipe.epochs, job.stopper, tick):
        look.log(progress, means)
    return _finish(job, progress, student, loader, data)


def _distillation(
    job: Job, data: Prepared, student: StagedNetwork
) -> tuple[Teacher | None, nn.Module | None, float]:
    """The teacher, the loss with its connectors, and the weight of the cross-entropy."""
    method = job.spec.params.get("method")
    if method is None:
        return None, None, 1.0
    teacher = network = None
    if "teacher" in job.spec.upstream:
        network = assemble.make_network(job.spec.params["teacher"], data, job.seed, job.precision)
        reported = job.spec.upstream["teacher"].params["recipe"]["reported"]
        weights = BEST if reported == "best" else LAST
        assemble.load_weights(network, job.upstream("teacher") / weights)
        teacher = Teacher(network, method["teacher_bn"])
    extra = {}
    if "search" in job.spec.upstream:
        extra["scheme"] = Scheme.load(job.upstream("search"))
    loss, weight = assemble.make_loss(method, student, network, job.seed, job.precision, **extra)
    return teacher, loss, weight


def _finish(
    job: Job, progress: Progress, student: StagedNetwork, loader: Resident, data: Prepared
) -> Outcome:
    """Save the last and the best weights, and say what was found."""
    job.folder.mkdir(parents=True, exist_ok=True)
    save_weights(student.state_dict(), job.folder / LAST)
    save_weights(progress.best["weights"], job.folder / BEST)
    steps = progress.epoch * loader.steps
    images = progress.epoch * min(len(loader), loader.steps * job.recipe.batch)
    curves = {name: thinned(values) for name, values in progress.curves.items()}
    curves["test_top1"] = [None if v < 0 else v for v in curves["test_top1"]]
    last = progress.curves["test_top1"][-1]
    return Outcome(
        metrics={
            "last": {"top1": last, "epoch": progress.epoch},
            "best": {"top1": progress.best["top1"], "epoch": progress.best["epoch"]},
            "selected": None,
        },
        curves=curves,
        cost={
            "seconds": progress.seconds,
            "steps": steps,
            "images_per_second": images / max(progress.seconds, 1e-9),
        },
        origins=progress.origins,
        data_fingerprint=data.fingerprint,
    )


def save_weights(state: Mapping[str, Tensor], file: Path) -> None:
    """Write a state whole, as contiguous tensors of the CPU: equal values are equal bytes."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    whole(file, lambda path: save_file(tensors, path))
