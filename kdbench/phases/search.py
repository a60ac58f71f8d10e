"""The search phase: a searcher driven along its recipe, on training images only."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kdbench import assemble
from kdbench.assemble import Loader, Teacher
from kdbench.data import splits
from kdbench.data.batch import Batch
from kdbench.data.stored import Stored
from kdbench.distill.scheme import Scheme
from kdbench.engine.fit import fit
from kdbench.engine.moment import Moment
from kdbench.engine.precision import Precision
from kdbench.engine.progress import Progress
from kdbench.engine.schedules import rate_at
from kdbench.engine.seeds import derive
from kdbench.phases.job import BEST, LAST, Job, Outcome
from kdbench.plan.recipe import Recipe
from kdbench.plan.record import thinned


@dataclass
class SearchStep:
    """One step of a search: a training batch, the teacher's look at it, a held-out batch."""

    searcher: Any
    teacher: Teacher
    held: Loader
    recipe: Recipe
    steps: int
    precision: Precision

    def __call__(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Search on one batch; the held-out batches go round in epochs of their own."""
        self.searcher.lr = rate_at(self.recipe, moment.step, self.steps)
        with self.precision.autocast():
            theirs = self.teacher.read(batch.images)
        held = self.held.batch(*divmod(moment.step, self.held.steps))
        return self.searcher.step(batch, theirs, held)


def run_search(job: Job) -> Outcome:
    """Search from the start or from the checkpoint; the test split is out of reach here."""
    data, recipe, precision = job.data().training_only(), job.recipe, job.precision
    searcher, teacher, share = _make(job, data)
    fit_index, held_index = splits.held_out(
        len(data.labels("train")), share, derive(job.seed, "held-out") % 2**32
    )
    arguments = (data, "train", recipe, job.seed, precision)
    loader = assemble.make_loader(*arguments, index=fit_index)
    held = assemble.make_loader(*arguments, index=held_index, purpose="held")
    progress = Progress(job.folder, job.spec.digest, {"search": searcher}, job.origin)
    progress.load(precision.device)
    step = SearchStep(searcher, teacher, held, recipe, loader.steps, precision)
    done = progress.epoch * loader.steps + progress.step
    tick = job.start_bar(job.spec.title, recipe.epochs * loader.steps, done)
    for means in fit(progress, step, loader, recipe.epochs, job.stopper, tick):
        progress.log({"epoch": float(progress.epoch), **means})
    return _finish(job, progress, searcher.finding(), loader, data)


def _make(job: Job, data: Stored) -> tuple[Any, Teacher, float]:
    """The searcher, the teacher, and the share of the training images to hold out."""
    params, recipe, precision = job.spec.params, job.recipe, job.precision
    student = assemble.make_network(params["student"], data, job.seed, precision).train()
    network = assemble.make_network(params["teacher"], data, job.seed, precision)
    reported = job.spec.upstream["teacher"].params["recipe"]["reported"]
    assemble.load_weights(network, job.upstream("teacher") / (BEST if reported == "best" else LAST))
    share = float(params["search"]["parameters"]["held_out"])
    searcher = assemble.make_searcher(
        params["search"], student, network, recipe, job.seed, precision
    )
    return searcher, Teacher(network, params["search"]["teacher_bn"]), share


def _finish(job: Job, progress: Progress, scheme: Scheme, loader: Loader, data: Stored) -> Outcome:
    scheme.save(job.folder)
    listed = thinned(range(len(scheme)))
    process = {
        "pathways": list(scheme.names),
        "steps": listed,
        "total_steps": len(scheme),
        "weights": _rounded(scheme.weights[listed]),
        "alphas": _rounded(scheme.alphas[listed]),
    }
    images = progress.epoch * min(len(loader), loader.steps * job.recipe.batch)
    return Outcome(
        curves={name: thinned(values) for name, values in progress.curves.items()},
        cost={
            "seconds": progress.seconds,
            "steps": len(scheme),
            "images_per_second": images / max(progress.seconds, 1e-9),
        },
        extra={"process": process},
        origins=progress.origins,
        data_fingerprint=data.fingerprint,
    )


def _rounded(table: Tensor) -> list[list[float]]:
    """Rows as plain numbers; 7 digits say all that float32 knows."""
    return [[float(f"{value:.7g}") for value in row] for row in table.tolist()]
