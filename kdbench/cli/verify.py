"""`kdbench verify`: compare finished runs with their seals."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.overrides import overrides_of
from kdbench.console import say


def verify_command(
    scale: Annotated[
        str | None, typer.Option(help="smoke, lite or paper; by default that of params.yaml.")
    ] = None,
    override: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Replaces top-level keys of params.yaml."),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair: from git, from DVC, or by a new run.")
    ] = False,
) -> None:
    """Compare the records and artifacts of all finished runs with their seals.

    Example: kdbench verify --scale lite --repair
    """
    from kdbench.plan.graph import load_graph
    from kdbench.store.paths import Paths
    from kdbench.workflow.verify import verify

    graph = load_graph(Path(), overrides_of(scale, override))
    if verify(graph, Paths(), say, repair=repair):
        raise typer.Exit(3)
