"""Teachers trained elsewhere: taken into our network, checked, and used in a training's place."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kdbench.data.stored.open import Stored
from kdbench.engine import environment
from kdbench.engine.precision import Precision
from kdbench.errors import BadValue, DamagedData, Diverged, UserError
from kdbench.evaluate.classification import accuracy, predict
from kdbench.exhibits.protocols import CONSTANTS, REVIEW
from kdbench.exhibits.recipe import Recipe
from kdbench.models.checkpoints import fit, read_checkpoint
from kdbench.models.stages import StagedNetwork
from kdbench.plan.components import Component
from kdbench.runs import assemble
from kdbench.runs.job import BEST, LAST, Job, PhaseResult
from kdbench.runs.training import save_weights
from kdbench.store.atomic import write_text
from kdbench.store.disk import checksum_of
from kdbench.store.parts import Network
from kdbench.store.paths import Paths
from kdbench.store.teacher_runs import ImportedTeacher

TEST_BATCH = 500


@dataclass(frozen=True)
class Imported:
    """What is known of an imported teacher; lies as JSON beside its weights.

    Attributes:
        sha256: of the file it came in: the teacher's identity.
        file: that file's name.
        dataset, network: what it was trained on, and what it is.
        naming: the code base whose keys the file has.
        constants: channel constants with which `top1` was measured.
        claim: the accuracy in percent that its source claims.
        top1: the accuracy in percent that we measured on the whole test set.
        images: how many test images that were.
        weights: SHA-256 of the weights file made from it.
        imported: when, UTC.
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


@dataclass(frozen=True)
class ExpectedAccuracy:
    """What a checkpoint should reach.

    Attributes:
        top1: accuracy in percent on the test set; None takes what the file states.
        tolerance: percentage points by which the measured accuracy may differ.
        constants: a name in `exhibits.protocols.CONSTANTS`, or "data" for the data set's own.
    """

    top1: float | None
    tolerance: float
    constants: str


def import_teacher(
    file: Path,
    component: Component,
    data: Stored,
    paths: Paths,
    expected: ExpectedAccuracy,
    *,
    precision: Precision,
    naming: str | None = None,
    say: Callable[[str], None] = print,
) -> Imported:
    """Check a checkpoint against its claim and keep it as a teacher; or keep nothing.

    Args:
        file: what the authors' code saved.
        component: the network that it holds.
        data: the whole prepared data set.
        paths: the project's; the weights go to `paths.checkpoint(sha256)`.
        expected: the accuracy to confirm, and how near.
        precision: number format and device of the check.
        naming: of the file's keys; None tries all that the declaration knows.
        say: prints one line.

    Raises:
        ForeignKeys: the keys fit the network under no naming.
        DamagedData: the file is damaged, or the network does not reach its claim.
        BadValue: there is no claim to check.
    """
    checkpoint = read_checkpoint(file)
    claimed = checkpoint.claim if expected.top1 is None else expected.top1
    if claimed is None:
        advice = "give --claim, the top-1 accuracy that its source states"
        raise BadValue(f"{file}, claim", None, "an accuracy in percent", advice)
    described = Network(
        name=component.name,
        module=component.module,
        class_name=component.class_name,
        parameters=component.arguments,
        label=component.label,
    )
    network = assemble.make_network(described, data, 0, precision)
    names: Mapping[str, Any] = component.described.get("names", {})
    used, weights = fit(
        file, checkpoint.weights, network.state_dict(), names, network=component.name, naming=naming
    )
    network.load_state_dict(weights)
    say(f"{file}: the weights of {component.label}, named as by {used}; checking on the test set")
    try:
        top1 = measure(network, data, _recipe(expected.constants), precision)
    except Diverged as error:
        advice = "check the file and the network; nothing was kept"
        raise DamagedData(file, str(error).partition(",")[0], "finite ones", advice) from None
    _check_claim(file, top1, claimed, expected)
    sha256 = checksum_of(file)
    target = paths.checkpoint(sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_weights(weights, target)
    imported = Imported(
        sha256=sha256,
        file=file.name,
        dataset=data.name,
        network=component.name,
        naming=used,
        constants=expected.constants,
        claim=claimed,
        top1=top1,
        images=len(data.labels("test")),
        weights=checksum_of(target),
        imported=environment.now(),
    )
    text = json.dumps(asdict(imported), indent=1) + "\n"
    write_text(target.with_suffix(".json"), text)
    return imported


def run_imported(job: Job[ImportedTeacher]) -> PhaseResult:
    """The teacher phase where params.yaml names a checkpoint: measure it under the protocol."""
    run = job.spec
    imported, file = _stored(run, job.paths), job.paths.checkpoint(run.checkpoint)
    data = job.inputs.data(run.data)
    network = assemble.make_network(run.network, data, 0, job.precision)
    weights = _load(file, imported)
    network.load_state_dict(weights)
    top1 = measure(network, data, run.recipe, job.precision)
    job.folder.mkdir(parents=True, exist_ok=True)
    for target in (LAST, BEST):
        save_weights(weights, job.folder / target)
    shown = {"top1": top1, "epoch": None}
    note = (
        f"imported: {imported.file} (sha256 {run.checkpoint}), {run.network.name} as "
        f"{imported.naming} names its weights; "
        f"claimed {imported.claim:.2f} %, measured {imported.top1:.2f} % with the constants of "
        f"{imported.constants} and {top1:.2f} % with those of this protocol"
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


def _recipe(constants: str) -> Recipe:
    mean, std = ((), ()) if constants == "data" else CONSTANTS[constants]
    return replace(REVIEW, mean=mean, std=std)


def _check_claim(file: Path, top1: float, claimed: float, expected: ExpectedAccuracy) -> None:
    if abs(top1 - claimed) <= expected.tolerance:
        return
    others = ", ".join(name for name in (*CONSTANTS, "data") if name != expected.constants)
    advice = f"check the network, the data set, the claim and --constants (others: {others})"
    interval = f"{claimed:.2f} % within {expected.tolerance:g}"
    measured = f"top-1 {top1:.2f} % with the constants of {expected.constants}"
    raise DamagedData(file, measured, interval, f"{advice}; nothing was kept")


def _stored(run: ImportedTeacher, paths: Paths) -> Imported:
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


def check_precision() -> Precision:
    """How an import is checked: float32 on the device at hand."""
    from kdbench.engine.devices import choose_device

    device = choose_device()
    return Precision("float32", False, torch.device(device))
