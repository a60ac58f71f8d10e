"""The evaluation phase: the reported numbers of a cell, all its seeds in one process."""

from pathlib import Path
from typing import Any

from kdbench.data.loaders.mapped import image_measured
from kdbench.data.stored.open import Stored
from kdbench.errors import Diverged
from kdbench.evaluate import cost
from kdbench.evaluate.latency import latency
from kdbench.evaluate.tasks import task_of
from kdbench.runs import assemble
from kdbench.runs.held_out import measured_loader, remark
from kdbench.runs.job import BEST, LAST, Job, PhaseResult
from kdbench.runs.panels import panels_of_network, shown_places
from kdbench.store.record import read_intact
from kdbench.store.student_runs import EvaluationRun, MeasuredRun, StudentRun
from kdbench.store.teacher_runs import TeacherRun

LATENCY_SECONDS = 2.0  # how long latency may be measured
SMOKE_LATENCY_SECONDS = 0.2


def run_evaluation(job: Job[EvaluationRun]) -> PhaseResult:
    """Measure the last and the best weights of every run of the cell on the test set.

    Raises:
        Diverged: a network is not finite in evaluation mode.
        DamagedData: the record of a measured run was changed after the run.
    """
    data = job.inputs.data(job.spec.data)
    rows = [_row(job, data, run) for run in job.spec.runs]
    network = assemble.trained_network(job.spec.first, data, 0, job.inputs, job.precision)
    image = image_measured(data, job.spec.first.recipe)
    operations = cost.operations(network, image)
    budget = SMOKE_LATENCY_SECONDS if job.spec.scale == "smoke" else LATENCY_SECONDS
    metrics = {
        "reported": job.spec.first.recipe.reported,
        "runs": rows,
        "classes": list(data.classes),
        "parameters": cost.parameters(network),
        "macs": operations.multiply_adds,
        "flops_with_elements": sum(operations),
        "latency": latency(network, image, job.precision, budget=budget),
    }
    return PhaseResult(
        metrics=metrics,
        extra=_panels(job, data),
        notes=remark(job.spec),
        data_fingerprint=data.fingerprint,
    )


def _panels(job: Job[EvaluationRun], data: Stored) -> dict[str, Any]:
    """What the first network says of a few test images; none where no test image may be seen."""
    first = job.spec.first
    if job.spec.tuning_holdout or not shown_places(data):
        return {}
    network = assemble.trained_network(first, data, 0, job.inputs, job.precision)
    weights = BEST if first.recipe.reported == "best" else LAST
    assemble.load_weights(network, job.inputs.folder(first) / weights)
    return panels_of_network(network, data, first.recipe, job.precision)


def _row(job: Job[EvaluationRun], data: Stored, run: MeasuredRun) -> dict[str, Any]:
    folder = job.inputs.folder(run)
    trained = read_intact(job.paths.record(run))["metrics"]
    last, best_epoch = _measure(job, data, run, folder / LAST), trained["best"]["epoch"]
    same = best_epoch == trained["last"]["epoch"]
    best = last if same else _measure(job, data, run, folder / BEST)
    return {
        "cell": run.cell,
        "digest": run.digest,
        "seed": run.seed if isinstance(run, TeacherRun | StudentRun) else None,
        "last": last,
        "best": {**best, "epoch": best_epoch},
        "selected": None,
    }


def _measure(
    job: Job[EvaluationRun], data: Stored, run: MeasuredRun, weights: Path
) -> dict[str, Any]:
    network = assemble.trained_network(run, data, 0, job.inputs, job.precision)
    assemble.load_weights(network, weights)
    loader, task = measured_loader(run, data, job.precision), task_of(network)
    try:
        return task.measure(network, loader.in_order(task.at_once(network)), job.precision)
    except Diverged as error:
        raise Diverged(f"{run.title}, {weights.stem}: {error}") from None
