"""Trained networks leave the project: weights, what they belong to, and ONNX on request."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kdbench.data.loaders.mapped import image_measured
from kdbench.engine.precision import Precision
from kdbench.errors import BadValue, DamagedData, Diverged, UnknownName, UserError
from kdbench.evaluate.classification import require_finite
from kdbench.exhibits.tasks import CLASSIFICATION
from kdbench.models.pruning.build import build_pruned
from kdbench.models.pruning.structure import Structure
from kdbench.models.stages import StagedNetwork
from kdbench.plan.components import Components, find_components
from kdbench.runs import assemble
from kdbench.runs.job import BEST, LAST, Inputs
from kdbench.runs.model_card import CARD, OPSET, check_place, model_card
from kdbench.runs.training import save_weights
from kdbench.store.atomic import whole_file, write_json, write_text
from kdbench.store.disk import checksum_of
from kdbench.store.paths import Paths
from kdbench.store.record import read_intact
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, MeasuredRun

WEIGHTS = "model.safetensors"
TEXT = "architecture.json"
ONNX = "model.onnx"
FORMAT = 3  # raised when the files change; 1 had neither data set nor checksums, 2 no other task
READABLE = (1, 2, FORMAT)
NEEDED = ("onnx", "onnxscript")  # packages of the extra
ADVICE = "export the run again"
CPU = Precision("float32", False, torch.device("cpu"))


@dataclass(frozen=True)
class About:
    """What a network is, and how its images are made.

    Attributes:
        network: name, such as "wrn-16-2"; of a pruned student, the network that it was pruned from.
        arguments: keyword arguments of the network's class, without classes and image.
        classes: names in the order of the logits.
        image: (C, H, W).
        mean: of every channel in 0..1: pixels / 255, minus `mean`, over `std`, is what the network
            sees.
        std: see `mean`.
        top1: accuracy in percent on the test set, as the run recorded it; None where unknown, and
            of other tasks.
        structure: of a pruned student, its `Structure` in JSON form.
        provenance: where the weights come from.
        dataset: what it was trained on; "" where unknown.
        stand_in: what the images really were, where they stood in for those of `dataset`.
        test_images: how many test images `top1` is of; None where unknown.
        files: SHA-256 of the other files in the folder, by name; none in exports of format 1.
        task: "classification", "segmentation" or "depth".
        scores: what the run recorded on the test set at that epoch, by name, such as `top1` in
            percent, or `rmse` in metres; none where unknown.
    """

    network: str
    arguments: Mapping[str, Any]
    classes: Sequence[str]
    image: Sequence[int]
    mean: Sequence[float]
    std: Sequence[float]
    top1: float | None = None
    structure: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    dataset: str = ""
    stand_in: str | None = None
    test_images: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    task: str = CLASSIFICATION
    scores: Mapping[str, float] = field(default_factory=dict)


def export_network(
    network: StagedNetwork, about: About, folder: Path, *, onnx: bool = False, card: str = ""
) -> list[Path]:
    """Write a network and what it is into a folder.

    Args:
        network: trained.
        about: see `About`.
        folder: made where it does not exist; files of the same names are replaced.
        onnx: whether to write `model.onnx` too: images (batch, C, H, W) to logits, in eval mode.
        card: a model card, written as `README.md`; "" for none.

    Returns:
        The files, the description last.

    Raises:
        UserError: ONNX without the packages that it needs, a folder that cannot be made, or one
            with a README.md that is no model card; nothing was written then.
    """
    if onnx:
        check_onnx()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        why = str(problem.strerror)
        raise BadValue("export, out", str(folder), "a folder that can be made", why) from None
    page = folder / CARD
    if card:
        check_place(page.read_text(errors="replace") if page.exists() else None, page)
    files = [folder / WEIGHTS]
    save_weights(network.state_dict(), folder / WEIGHTS)
    if onnx:
        files.append(folder / ONNX)
        with whole_file(folder / ONNX) as temporary:
            _write_onnx(network, about, temporary)
    if card:
        write_text(page, card)
    fields = {name: getattr(about, name) for name in About.__dataclass_fields__}
    fields["files"] = {file.name: checksum_of(file) for file in files}
    write_json(folder / TEXT, {"format": FORMAT, **fields})
    return [*files, *([page] if card else []), folder / TEXT]


def read_about(folder: Path) -> About:
    """What a folder of `export_network` says of its network; the weights are not read.

    Raises:
        DamagedData: the description is missing, unreadable or of another format, or the weights
            are not those that it names by their SHA-256.
    """
    file = folder / TEXT
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        version = fields.pop("format")
        if version not in READABLE:
            raise DamagedData(file, f"format {version}", f"format {FORMAT}", ADVICE)
        about = About(**fields)
        expected = dict(about.files)
    except FileNotFoundError:
        raise DamagedData(file, "no such file", "an exported network", ADVICE) from None
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        content = f"unreadable content ({type(problem).__name__})"
        raise DamagedData(file, content, "an exported network", ADVICE) from None
    weights = folder / WEIGHTS
    if WEIGHTS in expected and weights.is_file() and checksum_of(weights) != expected[WEIGHTS]:
        raise DamagedData(weights, "other bytes", f"those that {TEXT} names", ADVICE)
    return about


def load(folder: str | Path, plugins: Sequence[str] = ()) -> tuple[StagedNetwork, About]:
    """Rebuild an exported network, in eval mode, on the CPU.

    Args:
        folder: what `export_network` wrote.
        plugins: folders with the declarations of networks that are not the package's own.

    Raises:
        DamagedData: a file is missing, unreadable, of another format or of another network.
        UnknownName: no network is called so.
    """
    folder = Path(folder)
    about = read_about(folder)
    network = _build(about, plugins, folder / TEXT)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, RuntimeError, OSError) as problem:
        first = " ".join(str(problem).split())[:200]
        raise DamagedData(folder / WEIGHTS, first, f"weights of {about.network}", ADVICE) from None
    return network.eval(), about


def export_run(
    spec: RunSpec, paths: Paths, folder: Path, *, weights: str | None = None, onnx: bool = False
) -> list[Path]:
    """Export what a finished teacher's or student's run trained.

    Args:
        spec: of the run.
        paths: of the project.
        folder: where the files go.
        weights: "best" (on the test set) or "last"; by default what the run's protocol reports.
        onnx: see `export_network`.

    Raises:
        BadValue: a run of another phase, or other weights than these two.
        UserError: the run is not done, or ONNX without the packages that it needs.
        DamagedData: the run's artifacts are absent or damaged, or its record was changed.
        Diverged: the network is not finite in evaluation mode.
    """
    if not isinstance(spec, MeasuredRun):
        named, advice = f"{spec.phase}/{spec.cell}", ""
        if isinstance(spec, EvaluationRun):
            advice = f"it measures {spec.first.phase}/{spec.first.cell}"
        raise BadValue("kdbench export", named, "a teacher or a student", advice)
    chosen = weights or spec.recipe.reported
    if chosen not in ("best", "last"):
        raise BadValue("--weights", chosen, "'best' or 'last'")
    if onnx:
        check_onnx()
    if not paths.record(spec).is_file():
        raise UserError(
            f"{spec.title}: not done yet; kdbench run {spec.digest} --scale {spec.scale}"
        )
    inputs, record = Inputs(paths), read_intact(paths.record(spec))
    file = inputs.folder(spec) / (BEST if chosen == "best" else LAST)
    network = assemble.trained_network(spec, inputs.data(spec.data), 0, inputs, CPU)
    assemble.load_weights(network, file)
    _check_finite(network, file)
    about = _about(inputs, spec, record, chosen)
    card = model_card(about, spec, record, _components_of(spec), onnx=onnx)
    return export_network(network, about, folder, onnx=onnx, card=card)


def _components_of(run: RunSpec) -> Components:
    """The declarations of a run's components; those of plug-ins lie beside the code."""
    runs = run.with_upstream()
    modules = [Path(module) for run in runs for module in run.modules if module.endswith(".py")]
    return find_components(str(folder) for folder in dict.fromkeys(m.parent for m in modules))


def _check_finite(network: StagedNetwork, file: Path) -> None:
    """Refuse a network that is not finite in eval mode, which runs of older versions may have left.

    Raises:
        Diverged: it is not.
    """
    require_finite(network)
    grey = torch.zeros(1, *network.image)
    with torch.inference_mode():
        logits = network.eval()(grey)
    if not logits.isfinite().all():
        raise Diverged(f"{file}: found logits that are not finite, expected a network to export")


def check_onnx() -> None:
    """Refuse where the packages are missing that torch writes ONNX with.

    Raises:
        UserError: with what to install.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"ONNX: found no package {' and no '.join(missing)}, expected both of "
            f"{', '.join(NEEDED)}; pip install 'kdbench[export]', or export without --onnx"
        )


class Logits(nn.Module):
    """A network's plain forward pass: images to logits and nothing else, in eval mode."""

    def __init__(self, network: StagedNetwork) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        return self.network(images)  # type: ignore[no-any-return]


def _write_onnx(network: StagedNetwork, about: About, file: Path) -> None:
    torch.onnx.export(
        Logits(network),
        (torch.zeros(2, *about.image),),
        str(file),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
    )


def _build(about: About, plugins: Sequence[str], file: Path) -> StagedNetwork:
    if about.structure is not None:
        structure = Structure.from_dict(dict(about.structure), file)
        return build_pruned(structure, len(about.classes), about.image)
    try:
        component = find_components(plugins).get("network", about.network, where=str(file))
    except UnknownName as error:
        error.args = (f"{error}; kdbench.load(folder, plugins=[FOLDER]) finds a plug-in's network",)
        raise
    cls = assemble.find_class(component)
    built: StagedNetwork = cls(**about.arguments, classes=len(about.classes), image=about.image)
    return built


def _about(inputs: Inputs, run: MeasuredRun, record: Mapping[str, Any], chosen: str) -> About:
    data, recipe = inputs.data(run.data), run.recipe
    pruned = Structure.load(inputs.folder(run.structure)).as_dict() if run.structure else None
    copied = ("commit", "dirty", "versions", "device", "precision", "seed", "started", "finished")
    return About(
        network=run.trained.name,
        arguments=dict(run.trained.parameters),
        classes=list(data.classes),
        image=list(image_measured(data, recipe)),
        mean=list(recipe.mean or data.mean),
        std=list(recipe.std or data.std),
        top1=None if run.tuning_holdout else record["metrics"][chosen].get("top1"),
        structure=pruned,
        dataset=run.dataset,
        stand_in=data.stand_in,
        test_images=None if run.tuning_holdout else len(data.labels("test")),
        provenance={
            "run": {key: record["spec"][key] for key in ("scale", "phase", "dataset", "cell")},
            "digest": run.digest,
            "stand_in": data.stand_in,
            "weights": chosen,
            "epoch": record["metrics"][chosen]["epoch"],
            **{key: record["provenance"].get(key) for key in copied},
        },
        task=run.task,
        scores={} if run.tuning_holdout else _scores(record["metrics"][chosen]),
    )


def _scores(measured: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a record's epoch, without the epoch's own."""
    numbers = {key: value for key, value in measured.items() if key != "epoch"}
    return {key: float(value) for key, value in numbers.items() if isinstance(value, int | float)}
