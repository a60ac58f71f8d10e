"""Finished runs without a training: records and sealed artifacts, for tests of the tools alone."""

import json

from kdbench.plan.graph import load_graph
from kdbench.store.artifacts import seal
from kdbench.store.paths import Paths
from kdbench.workflow.report import readmes, report_record

LITE = {"scale": "lite", "methods_only": ["none"], "methods": {}}
SMOKE = {**LITE, "scale": "smoke"}


def finish(project, **changes):
    """Make every planned run a finished one; returns the folders of the new artifacts."""
    paths = Paths(project.root)
    graph = load_graph(project.root, changes)
    folders = []
    for run in graph.runs.values():
        if paths.record(run).is_file():
            continue
        _write(paths.record(run), json.dumps({"spec": {"digest": run.digest}}))
        if run.phase != "evaluation":
            folders.append(paths.artifacts(run))
            _write(folders[-1] / "weights.bin", run.digest * 100)
            seal(folders[-1])
    _write(report_record(graph, paths), "{}")
    for page in readmes(graph, paths):
        _write(page, "A page.\n")
    return folders


def begin(folder):
    """An unfinished run beside a finished one: a folder with nothing but a checkpoint."""
    checkpoint = folder.with_name("begun.000000000000") / "checkpoint.pt"
    _write(checkpoint, "hours of work")
    return checkpoint


def contents(folder, pattern="*"):
    """Content of every file below a folder, by path."""
    files = (path for path in folder.rglob(pattern) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
