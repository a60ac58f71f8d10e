"""`kdbench teacher`: teachers that were trained elsewhere."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from kdbench.console import download_lines, say
from kdbench.errors import BadValue, UnknownName, UserError

app = typer.Typer(help="Use teachers that were trained elsewhere.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Use teachers that were trained elsewhere."""


@app.command("import")
def teacher_import(
    file: Annotated[Path, typer.Argument(help="What the authors' code saved, or safetensors.")],
    network: Annotated[str, typer.Option(help="What it holds, for instance wrn-40-2.")],
    dataset: Annotated[str, typer.Option(help="What it was trained on.")] = "cifar100",
    claim: Annotated[
        float | None,
        typer.Option(help="Top-1 accuracy in percent that its source states; else the file's own."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Points by which the measured accuracy may differ.")
    ] = 0.1,
    naming: Annotated[
        str | None, typer.Option(help="Code base whose keys it has; by default all are tried.")
    ] = None,
    constants: Annotated[
        str, typer.Option(help="Channel constants to normalise with: review, crd, or data.")
    ] = "review",
) -> None:
    """Take a checkpoint made elsewhere as a teacher, after checking its accuracy.

    Nothing in the file is run. What params.yaml then needs is printed.

    Example: kdbench teacher import wrn_40_2.pth --network wrn-40-2 --claim 75.61 --constants crd
    """
    from kdbench.exhibits.protocols import CONSTANTS
    from kdbench.plan.components import find_components
    from kdbench.plan.params import FILE, load_params
    from kdbench.store.paths import Paths

    if constants not in (*CONSTANTS, "data"):
        raise UnknownName("set of constants", constants, [*CONSTANTS, "data"], where="--constants")
    if claim is not None and not 0 < claim <= 100:
        raise BadValue("--claim", claim, "an accuracy in percent, above 0 and at most 100")
    if not file.is_file():
        raise UserError(f"teacher import: {file}: no such file; give what the authors' code saved")
    plugins = load_params(Path(FILE)).plugins if Path(FILE).is_file() else []
    components = find_components(plugins)
    component = components.get("network", network, where="--network")
    declared = components.get("dataset", dataset, where="--dataset").described
    from kdbench.data.ingest.prepare import provide
    from kdbench.models.checkpoints import ForeignKeys
    from kdbench.runs.imported import ExpectedAccuracy, check_precision, import_teacher

    paths = Paths()
    data = provide(paths.data, declared, progress=download_lines(dataset))
    expected = ExpectedAccuracy(claim, tolerance, constants)
    try:
        imported = import_teacher(
            file, component, data, paths, expected,
            precision=check_precision(), naming=naming, say=say,
        )  # fmt: skip
    except ForeignKeys as error:
        print(*error.differences.lines(), sep="\n", file=sys.stderr)
        raise
    say(
        f"top-1 {imported.top1:.2f} % on {imported.images} test images, "
        f"claimed {imported.claim:.2f} %"
    )
    say(f"To use it at the scales lite and paper, put into {FILE}:")
    say(f"teachers: {{{dataset}/{network}: {imported.sha256}}}")
