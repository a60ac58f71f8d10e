"""`kdbench export`: write a trained network to a folder."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.overrides import overrides_of
from kdbench.console import say


def export_command(
    name: Annotated[str, typer.Argument(help="The run's digest (or first letters), or its cell.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    scale: Annotated[
        str | None, typer.Option(help="smoke, lite or paper; by default that of params.yaml.")
    ] = None,
    override: Annotated[
        str | None, typer.Option(help="Replaces top-level keys of params.yaml.", metavar="JSON")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="best or last; by default as the protocol reports.")
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write model.onnx too; needs onnx and onnxscript.")
    ] = False,
) -> None:
    """Write a finished teacher or student: weights, description and, on request, ONNX.

    `kdbench.load(folder)` gives the network back in Python.

    Example: kdbench export teacher/wrn-40-2 --out wrn-40-2 --scale lite
    """
    from kdbench.plan.graph import load_graph
    from kdbench.store.paths import Paths

    spec = load_graph(Path(), overrides_of(scale, override)).run(name, with_artifacts=True)
    from kdbench.runs.export import export_run  # loads torch, so only after the name was checked

    for file in export_run(spec, Paths(), out, weights=weights, onnx=onnx):
        say(str(file))
