"""The evaluation phase: the reported numbers of a cell, all its seeds in one process."""

import re
from pathlib import Path
from typing import Any

from kdbench.data.stored.open import Stored
from kdbench.evaluate import cost
from kdbench.evaluate.classification import classify
from kdbench.evaluate.latency import latency
from kdbench.exhibits.recipe import Recipe
from kdbench.runs import assemble
from kdbench.runs.held_out import measured_loader, remark
from kdbench.runs.job import BEST, LAST, Job, Outcome
from kdbench.runs.networks import trained_network
from kdbench.store.record import read_record
from kdbench.store.spec import RunSpec

RUN = re.compile(r"run\d+")  # roles of the runs that are measured
LATENCY_SECONDS = 2.0  # how long latency may be measured
SMOKE_LATENCY_SECONDS = 0.2


def run_evaluation(job: Job) -> Outcome:
    """Measure the last and the best weights of every run of the cell on the test set."""
    data = job.data()
    roles = sorted((r for r in job.spec.upstream if RUN.fullmatch(r)), key=lambda r: int(r[3:]))
    rows = [_row(job, data, role) for role in roles]
    first = job.spec.upstream[roles[0]]
    network = trained_network(job, first, data, 0)
    operations = cost.operations(network, data.image)
    budget = SMOKE_LATENCY_SECONDS if job.spec.scale == "smoke" else LATENCY_SECONDS
    metrics = {
        "reported": first.params["recipe"]["reported"],
        "runs": rows,
        "parameters": cost.parameters(network),
        "macs": operations.multiply_adds,
        "flops_with_elements": sum(operations),
        "latency": latency(network, data.image, job.precision, budget=budget),
    }
    return Outcome(metrics=metrics, notes=remark(job.spec), data_fingerprint=data.fingerprint)


def _row(job: Job, data: Stored, role: str) -> dict[str, Any]:
    spec = job.spec.upstream[role]
    folder = job.upstream(role)
    found = read_record(job.paths.record(spec))["metrics"]
    last, best_epoch = _measure(job, data, spec, folder / LAST), found["best"]["epoch"]
    same = best_epoch == found["last"]["epoch"]
    best = last if same else _measure(job, data, spec, folder / BEST)
    return {
        "cell": spec.cell,
        "digest": spec.digest,
        "seed": spec.params.get("seed"),  # an imported teacher has none
        "last": last,
        "best": {**best, "epoch": best_epoch},
        "selected": None,
    }


def _measure(job: Job, data: Stored, spec: RunSpec, weights: Path) -> dict[str, float]:
    network = trained_network(job, spec, data, 0)
    assemble.load_weights(network, weights)
    recipe = Recipe.from_dict(spec.params["recipe"])
    loader = measured_loader(job, spec, data, recipe)
    return classify(network, loader.in_order(500), job.precision)
