"""`kdbench teacher`: teachers that were trained elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdbench.console import download_lines, say
from kdbench.errors import BadValue, UnknownName, UserError

if TYPE_CHECKING:
    from kdbench.data.stored.open import Stored
    from kdbench.models.view import View
    from kdbench.plan.components import Component, Components
    from kdbench.runs.imported import Imported
    from kdbench.runs.importing import Reading, Source

app = typer.Typer(help="Use teachers that were trained elsewhere.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Use teachers that were trained elsewhere."""


@app.command("import")
def teacher_import(
    file: Annotated[
        Path, typer.Argument(help="A checkpoint (torch.save or safetensors) or an export.")
    ],
    network: Annotated[
        str | None, typer.Option(help="Its network, for instance wrn-40-2; an export says it.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="Its data set.")] = "cifar100",
    claim: Annotated[
        float | None,
        typer.Option(help="Published top-1 accuracy in percent; by default the file's."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Points by which the measured accuracy may differ.")
    ] = 0.1,
    naming: Annotated[
        str | None, typer.Option(help="Naming scheme of its keys; by default all are tried.")
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="Place of the weights, if the file has several networks.")
    ] = None,
    class_order: Annotated[
        str | None,
        typer.Option(help="File with the class names in the order of its outputs (wnids.txt)."),
    ] = None,
    constants: Annotated[
        str | None,
        typer.Option(help="Its normalisation: review, crd, or data; by default the protocol's."),
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="Channel means in 0..1, such as 0.5,0.5,0.5; with --std.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="Standard deviations; with --mean.")] = None,
    resize: Annotated[
        int | None, typer.Option(min=1, help="Scale its images to this side, in pixels.")
    ] = None,
    crop: Annotated[
        int | None, typer.Option(min=1, help="Then crop their centre to this side.")
    ] = None,
    interpolation: Annotated[
        str, typer.Option(help="How to scale: bilinear, bicubic or nearest.")
    ] = "bilinear",
) -> None:
    """Import a checkpoint made elsewhere as a teacher, after checking its accuracy.

    Nothing in the file is run. Prints the line that params.yaml then needs.

    Example: kdbench teacher import wrn_40_2.pth --network wrn-40-2 --claim 75.61 --constants crd
    """
    view = _view(constants, mean, std, resize, crop, interpolation)
    given = Given(network, dataset, naming, part, class_order, constants, view)
    imported, name = _import(file, given, _percent(claim), tolerance)
    say(
        f"top-1 {imported.top1:.2f} % on {imported.images} test images, "
        f"claimed {imported.claim:.2f} %"
    )
    say("To use it at the scales lite and paper, put into params.yaml:")
    say(f"teachers: {{{dataset}/{name}: {imported.sha256}}}")


@dataclass(frozen=True)
class Given:
    """What the command line says of a file; see the options of `teacher_import`."""

    network: str | None
    dataset: str
    naming: str | None
    part: str | None
    class_order: str | None
    constants: str | None
    view: "View"


def _import(
    file: Path, given: Given, claim: float | None, tolerance: float
) -> tuple["Imported", str]:
    """Read and check the file; what was imported, and the network's name."""
    from kdbench.plan.components import find_components
    from kdbench.plan.params import FILE, load_params
    from kdbench.store.paths import Paths

    if not file.exists():
        raise UserError(f"teacher import: {file}: no such file; give the checkpoint to import")
    plugins = load_params(Path(FILE)).plugins if Path(FILE).is_file() else []
    components = find_components(plugins)
    declared = components.get("dataset", given.dataset, where="--dataset").described
    from kdbench.data.ingest.prepare import provide
    from kdbench.runs.importing import (
        ExpectedAccuracy,
        Reading,
        Source,
        check_precision,
        import_teacher,
    )

    source, paths = Source.find(file), Paths()
    component = components.get("network", _network(source, given.network), where="--network")
    reading = Reading(given.naming, given.part, None, _exported_view(source, given.view))
    if not (paths.data / given.dataset / "meta.json").is_file():
        _look_ahead(source, component, components, declared, reading)
    data = provide(paths.data, declared, progress=download_lines(given.dataset))
    view = _with_data(reading.view, data, given.constants)
    reading = Reading(given.naming, given.part, _order(source, data, given.class_order), view)
    imported = import_teacher(
        source, component, data, paths, ExpectedAccuracy(claim, tolerance),
        components=components, precision=check_precision(), reading=reading, say=say,
    )  # fmt: skip
    return imported, component.name


def _look_ahead(
    source: "Source",
    component: "Component",
    components: "Components",
    declared: Mapping[str, Any],
    reading: "Reading",
) -> None:
    """Read the file before a data set is downloaded for it, where its classes are declared."""
    from kdbench.models.view import Shape
    from kdbench.runs.importing import read_weights

    if declared.get("classes"):
        shape = Shape([""] * declared["classes"], tuple(declared["image"]))
        read_weights(source, component, components, shape, reading)


def _order(source: "Source", data: "Stored", class_order: str | None) -> list[str] | None:
    """Class names in the order of the file's outputs: a known order, a file's, an export's."""
    from kdbench.models.class_order import read_order
    from kdbench.runs.importing import known_orders

    if class_order is None:
        return _exported_order(source, data)
    known = known_orders(data)
    return known.get(class_order) or read_order(Path(class_order), data.classes)


def _percent(claim: float | None) -> float | None:
    """An accuracy in percent; a share is converted, and the command prints that."""
    if claim is None:
        return None
    if not 0 < claim <= 100:
        raise BadValue("--claim", claim, "an accuracy in percent, above 0 and at most 100")
    if claim <= 1:
        say(f"--claim {claim:g} is taken as a share: {100 * claim:.2f} %")
        return 100 * claim
    return claim


def _view(
    constants: str | None,
    mean: str | None,
    std: str | None,
    resize: int | None,
    crop: int | None,
    interpolation: str,
) -> "View":
    """How the teacher looks at images; the data set's own constants come later."""
    from kdbench.exhibits.protocols import CONSTANTS
    from kdbench.models.view import INTERPOLATIONS, View

    if interpolation not in INTERPOLATIONS:
        known = [*INTERPOLATIONS]
        raise UnknownName("interpolation", interpolation, known, where="--interpolation")
    if constants is not None and constants not in (*CONSTANTS, "data"):
        raise UnknownName("set of constants", constants, [*CONSTANTS, "data"], where="--constants")
    if (mean is None) != (std is None) or (mean is not None and constants is not None):
        given = {"--constants": constants, "--mean": mean, "--std": std}
        actual = " and ".join(name for name, value in given.items() if value is not None)
        raise UserError(
            f"teacher import: found {actual}, expected --constants, or --mean and --std"
        )
    own = {"mean": _numbers("--mean", mean, 0.0), "std": _numbers("--std", std, 1e-6)}
    if constants in CONSTANTS:
        own = dict(zip(("mean", "std"), CONSTANTS[constants], strict=True))
    return View(**own, resize=resize, crop=crop, interpolation=interpolation)


def _with_data(view: "View", data: "Stored", constants: str | None) -> "View":
    """The view with the data set's constants where it asks for them."""
    from dataclasses import replace

    if view.mean and len(view.mean) != data.image[0]:
        channels = f"{data.image[0]} numbers"
        raise BadValue("--mean and --std", len(view.mean), channels, "one per channel")
    return replace(view, mean=data.mean, std=data.std) if constants == "data" else view


def _numbers(option: str, text: str | None, least: float) -> tuple[float, ...]:
    """Numbers between commas, in the range of channel constants."""
    try:
        values = tuple(float(word) for word in text.split(",")) if text is not None else ()
    except ValueError:
        values = (-1.0,)
    if not all(least <= value <= 1 for value in values):
        raise BadValue(option, text, "numbers in 0..1 between commas", "such as 0.507,0.487,0.441")
    return values


def _network(source: "Source", network: str | None) -> str:
    """The network's name, from the command line or an export, which must agree."""
    exported: str | None = source.about.get("network")
    if network is None and exported is None:
        raise UserError("teacher import: no --network; name what the file holds, such as wrn-40-2")
    if network is not None and exported is not None and network != exported:
        raise BadValue("--network", network, f"{exported!r}, as {source.file.parent} says")
    return network or str(exported)


def _exported_view(source: "Source", view: "View") -> "View":
    """The view, with the constants of an export where no others are given."""
    from dataclasses import replace

    if view.mean or not source.about:
        return view
    return replace(view, mean=tuple(source.about["mean"]), std=tuple(source.about["std"]))


def _exported_order(source: "Source", data: "Stored") -> list[str] | None:
    """The classes of an export where their order is another than ours."""
    classes: Any = source.about.get("classes")
    if not classes or list(classes) == list(data.classes):
        return None
    if sorted(classes) != sorted(data.classes):
        actual = f"{len(classes)} classes, such as {classes[0]!r}"
        expected = f"the {len(data.classes)} of {data.name}"
        raise BadValue(f"{source.file.parent}, classes", actual, expected, "give its data set")
    return list(classes)
