"""`kdbench watch`: what trains and searches at this moment."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.overrides import overrides_of
from kdbench.console import say, screen


def watch_command(
    scale: Annotated[
        str | None, typer.Option(help="smoke, lite or paper; by default that of params.yaml.")
    ] = None,
    override: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Replaces top-level keys of params.yaml."),
    ] = None,
    every: Annotated[float, typer.Option(min=1, help="Seconds between updates.")] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="Show the state once, and end.")] = False,
    page: Annotated[
        bool, typer.Option("--page", help="Also update the report's page, running.html.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard's event files.")
    ] = False,
) -> None:
    """Show running trainings and searches: how far, how fast, how much time is left.

    Example: kdbench watch --scale lite --page
    """
    from kdbench.plan.graph import load_graph
    from kdbench.store.paths import Paths
    from kdbench.workflow.watch import watch

    graph, paths = load_graph(Path(), overrides_of(scale, override)), Paths()
    if page:
        say(str(paths.report(graph.scale.name, own=graph.own) / "running.html"))
    if tensorboard:
        say(f"tensorboard --logdir {paths.event_files(graph.scale.name)}")
    seconds = None if once else every
    try:
        with screen(live=not once) as show:
            watch(graph, paths, show, every=seconds, page=page, event_files=tensorboard)
    except KeyboardInterrupt:
        return
