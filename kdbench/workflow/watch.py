"""What runs at this moment: how far, how fast, how long it still takes. For terminals and pages."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kdbench.plan.graph import Graph
from kdbench.report.site.running import RunningPage
from kdbench.report.site.words import duration
from kdbench.store.paths import Paths
from kdbench.store.running import Running, read_running
from kdbench.store.spec import PHASES
from kdbench.workflow.event_files import EventFiles

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 24  # of a curve, in characters


@dataclass(frozen=True)
class Moment:
    """The state of a scale at one time.

    Attributes:
        now: seconds since the epoch.
        running: runs in progress, and those whose process is gone.
        done: finished and planned runs by phase.
    """

    now: float
    running: Sequence[Running]
    done: dict[str, tuple[int, int]]


def look(graph: Graph, paths: Paths) -> Moment:
    """Read what runs write as they go, and count the records of the plan."""
    done: dict[str, tuple[int, int]] = {}
    for phase in PHASES:
        specs = [spec for spec in graph.runs.values() if spec.phase == phase]
        if specs:
            done[phase] = (sum(paths.record(spec).is_file() for spec in specs), len(specs))
    return Moment(time.time(), read_running(paths.all_running(graph.scale.name)), done)


def lines(moment: Moment) -> Iterator[str]:
    """What a terminal shows: two lines per run, one for all."""
    for one in moment.running:
        yield f"{one.title}  ({one.digest}, {one.device})"
        yield f"  {how_far(one, moment.now)}{_curve(one)}"
    if not moment.running:
        yield "No training or search is in progress."
    counts = [f"{phase} {n} of {planned}" for phase, (n, planned) in moment.done.items()]
    yield f"done: {', '.join(counts)}"


def how_far(one: Running, now: float) -> str:
    """Share and steps done, speed, and how long a run still takes; or since when it is silent."""
    state, step, left = one.state(now), one.step_seconds, one.seconds_left
    facts = [f"{100 * one.share:5.1f} %", f"step {one.done:,} of {one.total:,}"]
    facts += [f"{1000 * step:,.0f} ms per step"] if step else []
    facts += [f"{duration(left)} left"] if left is not None and state == "running" else []
    if state != "running":
        facts.append(f"{state}: no sign of it for {duration(one.silence(now))}")
    return ", ".join(facts)


def _curve(one: Running) -> str:
    """The first curve in a line of its own; "" before its first value."""
    shown = [(name, one.points(name)) for name in one.measured]
    name, points = next(((name, points) for name, points in shown if points), ("", []))
    if not points:
        return ""
    values = [value for _, value in points][-WIDTH:]
    low, high = min(values), max(values)
    unit = (len(BARS) - 1) / (high - low) if high > low else 0.0
    drawn = "".join(BARS[round((value - low) * unit)] for value in values)
    return f"\n  {name} {values[-1]:.4g}  {drawn}"


def watch(
    graph: Graph,
    paths: Paths,
    show: Callable[[Sequence[str]], None],
    *,
    every: float | None,
    page: bool = False,
    event_files: bool = False,
) -> None:
    """Show what runs, again and again, until the caller is interrupted.

    Args:
        graph: the plan.
        paths: of the project.
        show: prints the lines of a moment.
        every: seconds between two moments; None looks once.
        page: also renew the report's page of what runs.
        event_files: also write TensorBoard's event files.

    Raises:
        UserError: TensorBoard is not installed.
    """
    events = EventFiles(paths, graph) if event_files else None
    html = RunningPage(graph, paths) if page else None
    moment = look(graph, paths)
    try:
        while True:
            if html:
                html.write(moment.running, moment.now, every)
            if events:
                events.write(moment.running)
            show(list(lines(moment)))
            if every is None:
                return
            time.sleep(every)
            moment = look(graph, paths)
    finally:
        if html and every is not None:  # nobody will write it again
            html.write(moment.running, moment.now, None)
