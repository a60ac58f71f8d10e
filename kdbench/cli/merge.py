"""`kdbench merge` and `kdbench share`: records travel between people and machines."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.overrides import check_scale, overrides_of
from kdbench.console import say

LICENCE = "https://spdx.org/licenses/Apache-2.0"


def merge_command(
    source: Annotated[Path, typer.Argument(help="What kdbench share wrote, or a project folder.")],
    scale: Annotated[
        str | None, typer.Option(help="Only records of smoke, lite or paper; by default all.")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would be added.")] = False,
) -> None:
    """Add records and artifacts of another person or machine; nothing is overwritten.

    Each record is checked by digest, seal and hash. Conflicts are shown; the exit code is then 3.

    Example: kdbench merge ../from-alice --dry-run
    """
    from kdbench.store.paths import Paths
    from kdbench.workflow.sharing.merge import merge
    from kdbench.workflow.sharing.packed import unpacked

    with unpacked(source) as folder:

        def tell(line: str) -> None:
            say(line.replace(str(folder), str(source)))

        result = merge(folder, Paths(), tell, dry=dry, scale=check_scale(scale))
    say(f"{'would be: ' if dry else ''}{result.summary}")
    if result.conflicts or result.refused:
        raise typer.Exit(3)


def share_command(
    out: Annotated[Path, typer.Argument(help="A new folder, or a new file *.tar.xz.")],
    scale: Annotated[
        str | None, typer.Option(help="smoke, lite or paper; by default that of params.yaml.")
    ] = None,
    override: Annotated[
        str | None, typer.Option(metavar="JSON", help="Replaces top-level keys of params.yaml.")
    ] = None,
    artifacts: Annotated[
        bool, typer.Option("--artifacts", help="Add weights and schemes: gigabytes at scale paper.")
    ] = False,
    licence: Annotated[str, typer.Option(help="Address of the files' licence.")] = LICENCE,
) -> None:
    """Copy the finished runs of the plan into a folder or file that you can share (an RO-Crate).

    Example: kdbench share to-bob.tar.xz --scale lite --override '{"exhibits": ["distpro/table1"]}'
    """
    from kdbench.plan.graph import load_graph
    from kdbench.store.paths import Paths
    from kdbench.workflow.sharing.share import share

    graph = load_graph(Path(), overrides_of(scale, override))
    count, unsealed = share(graph, Paths(), out, licence=licence, artifacts=artifacts)
    if unsealed:
        say(f"left out: {unsealed} runs whose records have no seal, which kdbench merge refuses")
    gets = f"kdbench merge {shlex.quote(out.name)}"
    say(f"{out}: {count} finished runs; whoever gets it: {gets}")
