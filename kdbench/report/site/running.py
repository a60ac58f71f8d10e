"""The page of what runs at this moment. `kdbench watch` writes it; a report writes it empty."""

import time
from collections.abc import Sequence

from jinja2 import Environment

from kdbench.plan.graph import Graph
from kdbench.report.site import charts
from kdbench.report.site.assets import write_needed
from kdbench.report.site.shell import RUNNING, frame_of, page
from kdbench.store.atomic import write_bytes
from kdbench.store.paths import Paths
from kdbench.store.running import Running

ABOUT = "what runs write as they go"


def idle_page(graph: Graph) -> bytes:
    """The page while `kdbench watch` does not run: equal plans give equal bytes."""
    return _page(frame_of(graph, ABOUT), [], None, None)


class RunningPage:
    """The page in a plan's report, written again and again."""

    def __init__(self, graph: Graph, paths: Paths) -> None:
        """Write the assets that the page needs and that are not there."""
        folder = paths.report(graph.scale.name, own=graph.own)
        self.file = folder / RUNNING
        self._frame = frame_of(graph, ABOUT)
        for name, content in write_needed(folder).items():
            if not (folder / name).is_file():
                write_bytes(folder / name, content)

    def write(self, running: Sequence[Running], now: float, every: float | None) -> None:
        """Write what runs at a time, in seconds since the epoch.

        Args:
            running: what runs.
            now: the time.
            every: seconds after which the page loads itself again; None for never.
        """
        write_bytes(self.file, _page(self._frame, running, now, every))


def _page(
    frame: Environment, running: Sequence[Running], now: float | None, every: float | None
) -> bytes:
    seen = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now)) if now else ""
    views = [(one, one.state(now or 0.0), _curves(one)) for one in running]
    context = {"views": views, "now": now, "seen": seen, "every": every}
    return page(frame, "running", RUNNING, context).encode()


def _curves(one: Running) -> charts.Spec | None:
    return charts.curve_chart([("this run", name, one.points(name)) for name in one.measured])
