"""The model card of an exported network: Markdown, with the keys that model hubs read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.errors import BadValue
from kdbench.exhibits.tasks import CLASSIFICATION, DEPTH, SCORES, SEGMENTATION
from kdbench.plan.components import Component, Components
from kdbench.store.student_runs import MeasuredRun, StudentRun
from kdbench.store.teacher_runs import ImportedTeacher

if TYPE_CHECKING:
    from kdbench.runs.export import About

CARD = "README.md"
OPSET = 20  # of ONNX files
MARK = "library_name: kdbench"  # in the front matter of a card of ours
ON_HUBS = {  # by task: what model hubs call it, and its metric
    CLASSIFICATION: ("image-classification", "accuracy"),
    SEGMENTATION: ("image-segmentation", "mean_iou"),
    DEPTH: ("depth-estimation", "rmse"),
}
SCORE_NAMES: Mapping[str, str] = {
    CLASSIFICATION: "accuracy",
    SEGMENTATION: "mean IoU",
    DEPTH: "error",
}


def check_place(old: str | None, where: object) -> None:
    """Refuse to write a card over a page that is none of ours.

    Args:
        old: what stands in its place; None for nothing.
        where: its path, for errors.

    Raises:
        BadValue: it is another page.
    """
    if old is not None and MARK not in old:
        advice = "give the export a folder of its own"
        raise BadValue("export, out", str(where), f"no {CARD} that is not a model card", advice)


def model_card(
    about: "About",
    run: MeasuredRun,
    record: Mapping[str, Any],
    components: Components,
    *,
    onnx: bool = False,
) -> str:
    """The card of what a finished run trained.

    Args:
        about: what is exported.
        run: the teacher's or student's.
        record: of the run.
        components: the declarations, of which the card cites those that the run uses.
        onnx: whether `model.onnx` lies beside it.
    """
    data = components.get("dataset", run.dataset, where="export")
    parts = [
        _front_matter(about, data),
        f"# {_title(about, run)}\n",
        _warning(about),
        _facts(about, run, record),
        _training(run, components),
        _use(run),
        _onnx(about, run) if onnx else "",
        _images(about),
        _origin(about),
        _citations(run, components, data),
    ]
    return "\n".join(part for part in parts if part)


USE = """\
## How to use it

```python
import torch
import kdbench

network, about = kdbench.load("."{plugins})  # this folder; checks the weights' SHA-256
{call}
```

{needs}{as_teacher}The weights are safetensors: nothing in them is run.
"""
CALLS: Mapping[str, str] = {  # by task: the line that uses the network, on images as below
    CLASSIFICATION: "logits = network({zeros})  # (1, classes), in the order of about.classes",
    SEGMENTATION: "logits = network({zeros})  # (1, classes, H, W), in the order of about.classes",
    DEPTH: "depths = network({zeros})  # (1, 1, H, W), in metres",
}
ZEROS = "torch.zeros(1, *about.image)"
AS_TEACHER = """\
`kdbench teacher import` takes this folder as a teacher, whose network and accuracy it reads from
there (`--dataset` as in the table above), or `model.safetensors` alone with `--network` and
`--claim`. """


NEEDS_PLUGIN = """\
The network is a plug-in's: `plugins` names the folder with `{name}.py` and `{name}.toml`, which you
need beside this one.

"""


def _use(run: MeasuredRun) -> str:
    """How to call it; teachers of other tasks than classification cannot be imported."""
    as_teacher = AS_TEACHER if run.task == CLASSIFICATION else ""
    module = Path(run.trained.module)
    own = module.suffix == ".py" and not run.trained.pruned_by
    return USE.format(
        call=CALLS[run.task].format(zeros=ZEROS),
        as_teacher=as_teacher,
        plugins=f', plugins=["{module.parent.name}"]' if own else "",
        needs=NEEDS_PLUGIN.format(name=module.stem) if own else "",
    )


def _onnx(about: "About", run: MeasuredRun) -> str:
    """What a caller of the ONNX file must know."""
    channels, height, width = about.image
    answers: Mapping[str, str] = {
        CLASSIFICATION: f"(batch, {len(about.classes)})",
        SEGMENTATION: f"(batch, {len(about.classes)}, {height}, {width})",
        DEPTH: f"(batch, 1, {height}, {width})",
    }
    return (
        f"`model.onnx` (opset {OPSET}): input `images`, float32 (batch, {channels}, {height}, "
        f"{width}),\nnormalised as below, any batch; output `logits`, float32 "
        f"{answers[run.task]}.\n"
    )


def _front_matter(about: "About", data: Component) -> str:
    """The keys that model hubs read; every text quoted as JSON, which YAML reads too."""
    dataset = about.stand_in or data.name
    pipeline, metric = ON_HUBS[data.described.get("task", CLASSIFICATION)]
    lines = [
        MARK,
        f"pipeline_tag: {pipeline}",
        "tags: [knowledge-distillation]",
        f"datasets: {json.dumps([dataset])}",
        f"metrics: [{metric}]",
    ]
    return "\n".join(["---", *lines, "---", ""])


def _title(about: "About", run: MeasuredRun) -> str:
    pruned = ", pruned" if about.structure else ""
    return f"{run.trained.label}{pruned} on {about.dataset}"


def _warning(about: "About") -> str:
    if about.stand_in is None:
        return ""
    return (
        f"> **Trained on {about.stand_in}, which stand in for {about.dataset}: this network shows "
        "that everything works, and is of no other use.**\n"
    )


def _facts(about: "About", run: MeasuredRun, record: Mapping[str, Any]) -> str:
    chosen = about.provenance["weights"]
    chosen_by = "that was best on the test set" if chosen == "best" else "that was the last"
    epoch = record["metrics"][chosen]["epoch"]
    classes = f"{len(about.classes)}{', of a pixel' if run.task == SEGMENTATION else ''}"
    at = "" if epoch is None else f" of epoch {epoch}, {chosen_by}"
    rows = [
        ("architecture", f"`{about.network}`"),
        ("data set", about.dataset),
        ("depth per pixel", "in metres") if run.task == DEPTH else ("classes", classes),
        (SCORE_NAMES[run.task], _score(about, run, record["metrics"][chosen])),
        ("weights", f"`{chosen}`{at}"),
        ("seed", str(record["provenance"].get("seed"))),
    ]
    return _table(rows)


def _score(about: "About", run: MeasuredRun, measured: Mapping[str, Any]) -> str:
    score = SCORES[run.task]
    value = about.top1 if run.task == CLASSIFICATION else measured.get(score.key)
    if run.tuning_holdout or value is None:
        return "not measured on the test images: training images were held out in their place"
    label = "top-1" if run.task == CLASSIFICATION else score.label
    return f"{score.shown(value):.2f} {score.unit} {label} on the test set, as its run recorded it"


def _training(run: MeasuredRun, components: Components) -> str:
    """How it was trained: teachers, method and protocol."""
    recipe, rows = run.recipe, []
    if isinstance(run, ImportedTeacher):
        rows.append(("imported", f"a checkpoint with SHA-256 `{run.checkpoint}`"))
        return f"## Training\n\n{_table(rows)}"
    if isinstance(run, StudentRun):
        teachers = ", ".join(f"{t.network.label} (run `{t.digest}`)" for t in run.teachers)
        rows.append(("method", " + ".join(_labels(run, components))))
        rows.append(("teachers", teachers or "none"))
        parameters = {m.name: dict(m.parameters) for m in run.method.losses if m.parameters}
        rows.append(("parameters", f"`{json.dumps(parameters, sort_keys=True)}`"))
    rows.append(("protocol", f"`{recipe.name}`"))
    fields = ("epochs", "batch", "lr", "milestones", "momentum", "weight_decay", "augment")
    settings = {name: getattr(recipe, name) for name in fields}
    rows.append(("settings", f"`{json.dumps(settings)}`"))
    rows.append(("scale", f"`{run.scale}`, precision `{run.runtime.precision}`"))
    return f"## Training\n\n{_table(rows)}"


def _labels(run: StudentRun, components: Components) -> list[str]:
    names = [method.name for method in run.method.losses]
    return [components.get("method", name, where="export").label for name in names]


def _images(about: "About") -> str:
    channels, height, width = about.image
    depths = (
        "The last channel is a depth map in metres, as it is, 0 at pixels without a depth.\n"
        if channels != len(about.mean)
        else ""
    )
    return (
        "## Images\n\n"
        f"{channels} x {height} x {width}, as `(pixels / 255 - mean) / std` per channel, with\n"
        f"mean `{list(about.mean)}` and std `{list(about.std)}`.\n{depths}"
    )


def _origin(about: "About") -> str:
    keys = ("digest", "commit", "dirty", "device", "versions", "started", "finished")
    rows = [(key, f"`{json.dumps(about.provenance.get(key))}`") for key in keys]
    return f"## Where it comes from\n\n{_table(rows)}"


def _citations(run: MeasuredRun, components: Components, data: Component) -> str:
    """Whom to cite, and the licence of the images; that of the weights is for who shares them."""
    cited = [data]
    if isinstance(run, StudentRun):
        cited += [components.get("method", m.name, where="export") for m in run.method.losses]
    sources = [(one.label, one.declaration.citation) for one in cited]
    lines = [f"- {label}: {citation}" for label, citation in sources if citation]
    licence = str(data.described.get("licence") or "not known")
    lines.append(f"- Licence of the images: {licence}. That of the weights is up to its authors.")
    return "\n".join(["## Sources and licence\n", *lines, ""])


def _table(rows: list[tuple[str, str]]) -> str:
    lines = [f"| {key} | {value.replace('|', chr(92) + '|')} |" for key, value in rows]
    return "\n".join(["| | |", "|---|---|", *lines, ""])
