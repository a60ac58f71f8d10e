"""`kdbench cite`: the BibTeX behind an exhibit, each entry once, under what it was used for."""

from collections.abc import Iterator

from kdbench.exhibits.tables import Exhibit
from kdbench.papers import bibtex_keys, catalogue
from kdbench.plan.bibliography import SHIPPED, entries_of, entry
from kdbench.plan.graph import Graph, make_graph, needed_by
from kdbench.plan.params import Params
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import SearchRun, StudentRun, TaughtRun
from kdbench.store.teacher_runs import DataRun, ImportedTeacher, TeacherRun

HEADS = {"dataset": "data sets", "network": "networks", "method": "methods", "search": "searches"}


def cite(graph: Graph, exhibits: list[Exhibit]) -> Iterator[str]:
    """BibTeX of the papers, data sets, networks, methods and searches behind exhibits; lines.

    Args:
        graph: the plan, with the exhibits.
        exhibits: those to cite.

    Raises:
        UnknownName: a component names an entry that does not exist.
    """
    printed: set[str] = set()
    papers = dict.fromkeys(exhibit.id.partition("/")[0] for exhibit in exhibits)
    keys = [key for paper in papers for key in bibtex_keys(paper)]
    yield from _group("paper", {key: entry(key, SHIPPED, "papers") for key in keys}, printed)
    for kind, names in used_by(graph, exhibits).items():
        entries, without = dict[str, str](), list[str]()
        for name in names:
            component = graph.components.get(kind, name, where="exhibits")
            its_own = entries_of(component)
            entries |= its_own
            if not its_own and component.declaration.citation:
                without.append(f"% {name}: {component.declaration.citation}")
        yield from _group(f"{HEADS[kind]}: {', '.join(names)}", entries, printed)
        yield from without


def plan_to_cite(params: Params) -> Graph:
    """The plan of the exhibits that `params` names, on all of their data sets.

    What an exhibit rests on does not depend on what `datasets` has.

    Raises:
        UserError: as `make_graph` does.
    """
    needed = (name for exhibit in catalogue() for name in sorted(needed_by(exhibit)))
    datasets = [*dict.fromkeys([*params.datasets, *needed])]
    return make_graph(params.model_copy(update={"datasets": datasets}))


def used_by(graph: Graph, exhibits: list[Exhibit]) -> dict[str, list[str]]:
    """Names of the components behind exhibits, by kind."""
    targets = [target for exhibit in exhibits for target in graph.behind(exhibit)]
    runs = {run.digest: run for target in targets for run in target.with_upstream()}
    pairs = sorted({pair for run in runs.values() for pair in _components(run)})
    return {kind: [name for one, name in pairs if one == kind] for kind in HEADS}


def _components(run: RunSpec) -> Iterator[tuple[str, str]]:
    """Kind and name of every component that a run uses by itself."""
    if isinstance(run, DataRun):
        yield "dataset", run.dataset
        if run.stand_in:  # what the run saw in its place
            yield "dataset", run.stand_in.name
    if isinstance(run, TeacherRun | ImportedTeacher):
        yield "network", run.network.name
    if isinstance(run, TaughtRun):
        yield "network", run.student.name
    if isinstance(run, StudentRun):
        yield from (("method", loss.name) for loss in run.method.losses)
    if isinstance(run, SearchRun):
        yield "search", run.search.name


def _group(head: str, entries: dict[str, str], printed: set[str]) -> Iterator[str]:
    """A comment, and the entries under it that were not printed before."""
    if entries:
        yield f"% {head}" + (" (above)" if entries.keys() <= printed else "")
    for key, text in entries.items():
        if key not in printed:
            printed.add(key)
            yield f"{text}\n"
