"""`kdbench compare`: what changed between two sets of records."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.overrides import check_scale
from kdbench.console import say


def compare_command(
    first: Annotated[str, typer.Argument(metavar="A", help="A folder with records, or a commit.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another, or '.' for this project.")],
    scale: Annotated[
        str | None, typer.Option(help="Only records of smoke, lite or paper; by default all.")
    ] = None,
) -> None:
    """Compare two sets of records: parameters, versions, devices, numbers, and noise.

    A set is a project folder, any folder of records (another machine's, say), or a commit.

    Example: kdbench compare HEAD~1 .
    """
    from kdbench.store.record_sets import read_record_set
    from kdbench.workflow.asking.compare import compare

    scale = check_scale(scale)
    sets = [read_record_set(name, Path(), scale) for name in (first, second)]
    for line in compare(*sets):
        say(line)
