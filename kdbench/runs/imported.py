"""Teachers trained elsewhere, used in a training's place; `importing` takes them in."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kdbench.data.stored.open import Stored
from kdbench.engine.precision import Precision
from kdbench.errors import DamagedData, UserError
from kdbench.evaluate.classification import accuracy, predict
from kdbench.exhibits.recipe import Recipe
from kdbench.models.stages import StagedNetwork
from kdbench.models.view import View
from kdbench.runs import assemble
from kdbench.runs.job import BEST, LAST, Job, PhaseResult
from kdbench.runs.training import save_weights
from kdbench.store.disk import checksum_of
from kdbench.store.paths import Paths
from kdbench.store.teacher_runs import ImportedTeacher

TEST_BATCH = 500


@dataclass(frozen=True)
class Imported:
    """What is known of an imported teacher; lies as JSON beside its weights.

    Attributes:
        sha256: the teacher's identity: of the file it came in, or of that and of how it is read
            and looks at images, where that is not as the file and the protocol have it.
        file: that file's name.
        dataset, network: what it was trained on, and what it is.
        naming: the code base whose keys the file has.
        constants: channel constants with which `top1` was measured.
        claim: the accuracy in percent that its source claims.
        top1: the accuracy in percent that we measured on the whole test set.
        images: how many test images that were.
        weights: SHA-256 of the weights file made from it.
        imported: when, UTC.
        source: SHA-256 of the file it came in; empty where that is `sha256`.
        view: how it looks at images, see `kdbench.models.view.View.as_dict`.
        order: class names in the order of the file's outputs, where that is not ours.
        part: place of the weights in the file, where it was given.
    """

    sha256: str
    file: str
    dataset: str
    network: str
    naming: str
    constants: str
    claim: float
    top1: float
    images: int
    weights: str
    imported: str
    source: str = ""
    view: dict[str, Any] = field(default_factory=dict)
    order: list[str] | None = None
    part: str | None = None


def run_imported(job: Job[ImportedTeacher]) -> PhaseResult:
    """The teacher phase where params.yaml names a checkpoint: measure it under the protocol."""
    run = job.spec
    imported, file = read_imported(run, job.paths), job.paths.checkpoint(run.checkpoint)
    data = job.inputs.data(run.data)
    view = View.from_dict(imported.view)
    network = assemble.make_viewing_network(
        run.network, data, 0, job.precision, view=view, recipe=run.recipe
    )
    weights = _load(file, imported)
    network.load_state_dict(weights)
    top1 = measure(network, data, run.recipe, job.precision)
    job.folder.mkdir(parents=True, exist_ok=True)
    view.save(job.folder)
    for target in (LAST, BEST):
        save_weights(weights, job.folder / target)
    shown = {"top1": top1, "epoch": None}
    note = (
        f"imported: {imported.file} (sha256 {run.checkpoint}), {run.network.name} as "
        f"{imported.naming} names its weights; "
        f"claimed {imported.claim:.2f} %, measured {imported.top1:.2f} % with the constants of "
        f"{imported.constants} and {top1:.2f} % "
        f"{'as it looks at images here' if view.as_dict() else 'with those of this protocol'}"
    )
    return PhaseResult(
        metrics={"last": shown, "best": shown, "selected": None},
        cost={"steps": 0},
        extra={"imported": asdict(imported)},
        notes=[note],
        data_fingerprint=data.fingerprint,
    )


def measure(network: StagedNetwork, data: Stored, recipe: Recipe, precision: Precision) -> float:
    """Top-1 accuracy in percent on the whole test set, normalised as the recipe says."""
    loader = assemble.make_loader(data, "test", recipe, 0, precision, purpose="test")
    return accuracy(*predict(network, loader.in_order(TEST_BATCH), precision))


def read_imported(run: ImportedTeacher, paths: Paths) -> Imported:
    """What is known of the checkpoint that a run names.

    Raises:
        UserError: it was not imported here.
        DamagedData: it is of another network or data set, or its description is unreadable.
    """
    name, file = run.network.name, paths.checkpoint(run.checkpoint)
    command = f"kdbench teacher import FILE --dataset {run.dataset} --network {name}"
    try:
        imported = Imported(**json.loads(file.with_suffix(".json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        request = f"params.yaml wants the checkpoint {run.checkpoint[:12]}... as teacher {name}"
        raise UserError(f"{request}, which is not here; {command}") from None
    except (ValueError, TypeError) as error:
        where = file.with_suffix(".json")
        raise DamagedData(where, f"{error}", "what an import writes", command) from None
    if (imported.dataset, imported.network) != (run.dataset, name):
        key = f"params.yaml, teachers.{run.dataset}/{name}"
        described = f"a checkpoint of {imported.network} on {imported.dataset}"
        raise DamagedData(key, described, f"one of {name} on {run.dataset}", command)
    return imported


def _load(file: Path, imported: Imported) -> dict[str, Tensor]:
    advice = "import it again with kdbench teacher import"
    try:
        if checksum_of(file) != imported.weights:
            raise DamagedData(file, "other bytes", f"sha256 {imported.weights[:12]}...", advice)
        weights: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise DamagedData(file, f"unreadable ({error})", "imported weights", advice) from None
    return weights
