"""`kdbench why`: why a number may differ from the published one, and how a claim stands."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.overrides import overrides_of
from kdbench.console import say


def why_command(
    name: Annotated[
        str,
        typer.Argument(help="A cell, one of its runs, a digest, or the id of a claim or exhibit."),
    ],
    scale: Annotated[
        str | None, typer.Option(help="smoke, lite or paper; by default that of params.yaml.")
    ] = None,
    override: Annotated[
        str | None, typer.Option(metavar="JSON", help="Replaces top-level keys of params.yaml.")
    ] = None,
) -> None:
    """Say why a cell's number may differ from the published one, or how a claim stands.

    Of a cell: protocol, epochs, teacher, seeds, versions, device, code and more, aspect by aspect.

    Of a claim, such as distpro/advantage: state, evidence, exhibits, and the command for its
    missing runs. The report prints the ids of claims.

    Of an exhibit, such as distpro/table1: its claims, runs, and cells with their numbers.

    Example: kdbench why wrn-40-2_wrn-16-2_kd --scale lite
    """
    from kdbench.plan.graph import load_graph
    from kdbench.store.paths import Paths
    from kdbench.workflow.asking.why import why

    for line in why(load_graph(Path(), overrides_of(scale, override)), Paths(), name):
        say(line)
