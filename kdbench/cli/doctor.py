"""`kdbench doctor`: what will go wrong, before it does."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.overrides import overrides_of
from kdbench.console import say


def doctor_command(
    scale: Annotated[
        str | None, typer.Option(help="smoke, lite or paper; by default that of params.yaml.")
    ] = None,
    override: Annotated[
        str | None, typer.Option(metavar="JSON", help="Replaces top-level keys of params.yaml.")
    ] = None,
) -> None:
    """Check machine, versions, devices, data, disk, locks, DVC and Snakemake before runs start.

    Exits with code 3 if something is wrong.

    Example: kdbench doctor --scale paper
    """
    from kdbench.plan.graph import load_graph
    from kdbench.store.paths import Paths
    from kdbench.workflow.doctor.examine import examine
    from kdbench.workflow.doctor.findings import WRONG

    findings = list(examine(load_graph(Path(), overrides_of(scale, override)), Paths()))
    for finding in findings:
        say(finding.line)
    if any(finding.level == WRONG for finding in findings):
        raise typer.Exit(3)
