"""`kdbench redo`: a finished run is made again."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.overrides import overrides_of
from kdbench.cli.run_options import options_of
from kdbench.console import say


def redo_command(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Digests (or first letters), or cells.")
    ],
    scale: Annotated[
        str | None, typer.Option(help="smoke, lite or paper; by default that of params.yaml.")
    ] = None,
    override: Annotated[
        str | None, typer.Option(metavar="JSON", help="Replaces top-level keys of params.yaml.")
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Stop with a checkpoint after this time; run again to resume."),
    ] = None,
) -> None:
    """Make finished runs again and compare; each record stays until the new one is complete.

    Example: kdbench redo wrn-40-2_wrn-16-2_kd_s0 --scale lite
    """
    from kdbench.plan.graph import load_graph
    from kdbench.store.paths import Paths
    from kdbench.store.spec import RunSpec
    from kdbench.workflow.named import find_run
    from kdbench.workflow.redo import lines, redo

    graph, paths = load_graph(Path(), overrides_of(scale, override)), Paths()
    runs = [find_run(graph, name) for name in names]
    from kdbench.runs import execute  # loads torch, so only after the names were checked

    options = options_of(max_minutes)

    def make(run: RunSpec, aside: Paths) -> None:
        execute.run(run, aside, options)

    for run in runs:
        for line in lines(run, redo(run, graph, paths, make)):
            say(line)
