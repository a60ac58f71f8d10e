"""What runs at a scale of stand-ins in the place of what an exhibit names, as texts."""

from collections.abc import Iterable, Iterator

from kdbench.exhibits.requests import Pair, TeacherRequest
from kdbench.exhibits.tables import NamedRuns, Table
from kdbench.plan.graph import Graph
from kdbench.store.student_runs import EvaluationRun, SearchRun

DEPTHS = "rgbd"  # a modality of colours and so many depths


def stand_in_notes(graph: Graph, exhibit: Table | NamedRuns) -> list[str]:
    """A note on the small networks that were trained, and one on fewer depths; none elsewhere."""
    if not graph.scale.stand_in:
        return []
    pairs = _pairs(graph, exhibit)
    return [*_networks(graph, dict.fromkeys(pairs)), *_depths(graph, exhibit)]


def _pairs(graph: Graph, exhibit: Table | NamedRuns) -> Iterator[tuple[str, Pair]]:
    """The data sets and pairs that are planned."""
    if isinstance(exhibit, Table):
        for cell in graph.cells[exhibit.id]:
            if cell.evaluation:
                yield cell.column.dataset or exhibit.dataset, cell.column.pair
        return
    planned = graph.drawn[exhibit.id]
    for key, request in exhibit.requests:
        if planned.get(key) and not isinstance(request, TeacherRequest):
            yield request.dataset, request.pair


def _networks(graph: Graph, pairs: Iterable[tuple[str, Pair]]) -> list[str]:
    replaced = dict[str, str]()
    for dataset, pair in pairs:
        declared = graph.components.get("dataset", dataset, where="exhibits").described
        small = declared.get("smoke_networks", {})
        for name in (pair.teacher, *(further.network for further in pair.further), pair.student):
            if name in small:
                replaced[_label(graph, name)] = _label(graph, small[name])
    if not replaced:
        return []
    listed = ", ".join(f"{small} for {large}" for large, small in replaced.items())
    return [f"At scale {graph.scale.name} small networks stand in for the large ones: {listed}."]


def _label(graph: Graph, network: str) -> str:
    return graph.components.get("network", network, where="exhibits").label


def _depths(graph: Graph, exhibit: Table | NamedRuns) -> list[str]:
    """How many depths are given, where that is another number than the protocol's."""
    runs = graph.behind(exhibit)
    here = {_modality(run) for run in runs}
    published = getattr(exhibit, "recipe", None)
    there = published.modality if published else ""
    changed = sorted(one for one in here if one != there and one.startswith(DEPTHS))
    if not changed or not there.startswith(DEPTHS):
        return []
    numbers = [one.removeprefix(DEPTHS) for one in (*changed, there)]
    return [
        f"At scale {graph.scale.name} {' or '.join(numbers[:-1])} depths are given per image, "
        f"because the stand-in's images are small, in place of {numbers[-1]}."
    ]


def _modality(run: EvaluationRun | SearchRun) -> str:
    return (run.first if isinstance(run, EvaluationRun) else run).recipe.modality
