"""`kdbench prune`: drop what nothing needs any more."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.overrides import overrides_of
from kdbench.console import say


def prune_command(
    scale: Annotated[
        str | None, typer.Option(help="smoke, lite or paper; by default that of params.yaml.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them; without it, a list.")] = False,
) -> None:
    """List the runs that no exhibit of the current params.yaml needs; --yes deletes them.

    Other scales, runs that your own tables in params.yaml need, and DVC's copies stay.

    Example: kdbench prune --scale lite
    """
    from kdbench.plan.graph import load_graph
    from kdbench.store.paths import Paths
    from kdbench.workflow.prune import prune

    prune(load_graph(Path(), overrides_of(scale, None)), Paths(), say, delete=yes)
