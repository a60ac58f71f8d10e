"""`kdbench tune`: choose parameters without test images."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.overrides import overrides_of
from kdbench.errors import UserError


def tune_command(
    table: Annotated[str, typer.Argument(help="A table with held_out, for instance dfa/tuning.")],
    scale: Annotated[str | None, typer.Option(help="smoke, lite or paper.")] = None,
    override: Annotated[
        str | None, typer.Option(help="Replaces top-level keys of params.yaml.", metavar="JSON")
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="Jobs at a time; by default all.")
    ] = None,
) -> None:
    """Run a table that measures on held-out training images, and rank its rows.

    Your own tables in params.yaml may have `grid` and `held_out`. Every run leaves its record, so
    the same command later only ranks again.

    Example: kdbench tune dfa/tuning --scale lite
    """
    from kdbench.plan.graph import load_graph
    from kdbench.report.readings.banner import banner
    from kdbench.store.paths import Paths
    from kdbench.workflow.tune import lines, make, ranked, tuning_table

    config = {**overrides_of(scale, override), "exhibits": [table]}
    graph, paths = load_graph(Path(), config), Paths()
    tuned = tuning_table(graph, table)
    exit_code = make(graph, paths, tuned, cores, config)
    for line in lines(ranked(graph, paths, tuned)):
        typer.echo(line)
    if notice := banner(graph):
        typer.echo(notice)
    if exit_code:
        raise UserError("some runs failed or were stopped; the same command resumes them")
