"""What all pages share: the frame around them, its links, its libraries."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment

from kdbench.plan.graph import Graph
from kdbench.report.readings.banner import banner
from kdbench.report.readings.lines import RULES
from kdbench.report.site import charts
from kdbench.report.site.assets import chart_library, table_library
from kdbench.report.site.words import environment

GENERATOR = '<meta name="generator" content="kdbench">'
RUNNING = "running.html"
DOORS = (
    ("index.html", "Overview"),
    ("cells.html", "Every cell"),
    ("methods.html", "Which method?"),
    ("mine.html", "My method"),
    (RUNNING, "Running"),
)


def frame_of(graph: Graph, about: str) -> Environment:
    """Templates with the frame of a plan's report; `about` says what its pages were made from."""
    made = environment()
    notice = banner(graph)
    made.globals.update(
        scale=graph.scale.name,
        notice=notice,
        own=graph.own,
        banner=notice,
        tables=table_library(),
        charts=chart_library(),
        doors=DOORS,
        generator=GENERATOR,
        about=about,
        rule_names=RULES,
        curves=charts.curves,
    )
    return made


def page(made: Environment, template: str, here: str, context: Mapping[str, Any]) -> str:
    """One page as text; `here` is its path in the report."""
    root = "../" * here.count("/")
    return made.get_template(f"{template}.html.jinja").render(here=here, root=root, **context)
