"""`kdbench cite`: BibTeX of what an exhibit rests on."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.overrides import overrides_of
from kdbench.console import say


def cite_command(
    exhibits: Annotated[
        list[str], typer.Argument(metavar="EXHIBIT...", help="Exhibits, papers or claims, or all.")
    ],
    scale: Annotated[
        str | None, typer.Option(help="smoke, lite or paper; by default that of params.yaml.")
    ] = None,
    override: Annotated[
        str | None, typer.Option(metavar="JSON", help="Replaces top-level keys of params.yaml.")
    ] = None,
) -> None:
    """Print BibTeX for the paper, data sets, networks, methods and searches of exhibits.

    Example: kdbench cite distpro/table1 --scale paper
    """
    from kdbench.plan.params import FILE, blamed_on_call, load_params
    from kdbench.workflow.asking.cite import cite, plan_to_cite
    from kdbench.workflow.named import find_claim

    claims = {name: find_claim(name) for name in exhibits}
    named = [e for name, claim in claims.items() for e in (claim.exhibits if claim else [name])]
    overrides = {**overrides_of(scale, override), "exhibits": named}
    params = load_params(Path(FILE), overrides)
    with blamed_on_call(overrides):
        graph = plan_to_cite(params)
    for line in cite(graph, graph.exhibits):
        say(line)
