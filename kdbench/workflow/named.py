"""What a name on the command line means: an exhibit, a claim or a run."""

import json
import shlex
from collections.abc import Sequence
from difflib import get_close_matches

from kdbench.errors import UnknownName
from kdbench.exhibits.claims import Claim
from kdbench.exhibits.tables import Exhibit
from kdbench.papers import all_claims, catalogue
from kdbench.plan.custom_tables import custom_tables
from kdbench.plan.graph import Graph, is_own, needed_by
from kdbench.plan.params import FILE
from kdbench.store.spec import RunSpec

MOST = 200  # letters of a name that are compared


def find_exhibit(graph: Graph, name: str) -> Exhibit | None:
    """The exhibit of that id, planned or not; None if there is none."""
    return next((exhibit for exhibit in _exhibits(graph) if exhibit.id == name), None)


def find_claim(name: str) -> Claim | None:
    """The claim of that id, if there is one."""
    return next((claim for claim in all_claims() if claim.id == name), None)


def find_run(graph: Graph, name: str, *, with_artifacts: bool = False) -> RunSpec:
    """A run as `Graph.run` takes it; the error knows exhibits and claims too.

    Args:
        graph: the plan.
        name: see `Graph.run`.
        with_artifacts: see there.

    Raises:
        UnknownName: no run is called so. The line says what an exhibit or a claim of that name
            is for, or the nearest of all names.
        UserError: more than one run is meant.
    """
    try:
        return graph.run(name, with_artifacts=with_artifacts)
    except UnknownName as error:
        where = f"{FILE} at scale {graph.params.scale}"
        exhibits = {exhibit.id for exhibit in _exhibits(graph)}
        others = exhibits | {claim.id for claim in all_claims()}
        if name in others:
            raise NotARun("an exhibit" if name in exhibits else "a claim", name, where) from error
        if not get_close_matches(name[:MOST], others, n=1):
            raise
        cells = ((run.cell, f"{run.phase}/{run.cell}") for run in graph.runs.values())
        known = others.union(*cells)
        raise UnknownName("run, exhibit or claim", name, known, where=where) from error


def to_plan(exhibits: Sequence[str], graph: Graph) -> str:
    """How to plan exhibits that are not planned: for good, or for one call; a line.

    With all data sets that they need, where `datasets` lacks some.
    """
    asked, keys = graph.params.datasets, {"exhibits": [*exhibits]}
    needed = {name for one in exhibits for name in _needed(graph, one)}
    always = f"exhibits: [{', '.join(exhibits)}]"
    if missing := sorted(needed - {*asked}):
        keys["datasets"] = sorted(needed)
        always += f" and datasets: [{', '.join([*asked, *missing])}]"
    now = shlex.quote(json.dumps(keys))
    always = f"put into params.yaml:  {always}"
    return f"  to plan its runs, {always};  for this call alone:  --override {now}"


def _needed(graph: Graph, name: str) -> set[str]:
    """The data sets that `datasets` must have for an exhibit; for a table of one's own none."""
    exhibit = find_exhibit(graph, name)
    return set() if exhibit is None or is_own(exhibit) else needed_by(exhibit)


class NotARun(UnknownName):
    """A name that an exhibit or a claim has, where a run is meant."""

    def __init__(self, kind: str, name: str, where: str) -> None:
        """The error, with the commands that take such a name."""
        super().__init__("run", name, (), where=where)
        commands = f"kdbench why {name} describes it"
        if kind == "an exhibit":
            commands += f", kdbench status {name} --runs lists its runs"
        self.args = (f"{where}: {name} is {kind}, not a run; {commands}",)


def _exhibits(graph: Graph) -> list[Exhibit]:
    return [*catalogue(), *custom_tables(graph.params, graph.components)]
