"""A small study whose runs are finished with made-up records and artifacts, for tests of tools."""

import json

from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.store.artifacts import seal
from kdbench.store.canonical import digest_of
from kdbench.store.paths import Paths
from kdbench.store.record import write_record

PARAMS = {"exhibits": ["distpro/table1"], "pairs": ["resnet56:resnet20"], "seeds": 2}
ORIGIN = {
    "commit": "0123456789abcdef",
    "dirty": False,
    "versions": {"python": "3.11.7", "torch": "2.9.0"},
    "device": "test device",
    "code": "fedcba987654",
    "precision": "float32",
    "started": "2026-11-27T09:00:00Z",
    "finished": "2026-11-27T10:00:00Z",
}


class Study:
    """A project folder with the plan of one column of DistPro's Table 1."""

    def __init__(self, root, **changes):
        self.root, self.paths = root, Paths(root)
        self.graph = make_graph(Params(**{**PARAMS, **changes}))

    def run(self, name):
        """A run by `phase/cell`."""
        return self.graph.run(name)

    def finish(self, runs=None, weights="weights"):
        """Finish runs, what they need first; returns this study."""
        for run in runs or self.graph.runs.values():
            self._finish(run, weights)
        return self

    def _finish(self, run, weights):
        folder, manifest = self.paths.artifacts(run), {}
        if run.phase != "evaluation":
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "last.safetensors").write_text(f"{weights} of {run.digest}")
            manifest = seal(folder)
        record = {
            "spec": run.as_dict(),
            "metrics": metrics_of(run),
            "curves": {"epoch": [1, 2], "test_top1": [None, 69.0]},
            "cost": {"seconds": 60.0, "steps": 16},
            "provenance": {**ORIGIN, "seed": getattr(run, "seed", None), "inputs": self._read(run)},
            "artifacts": manifest,
            "notes": [],
            **({"process": process()} if run.phase == "search" else {}),
        }
        write_record(self.paths.record(run), record)

    def _read(self, run):
        """Digests of the inputs' artifacts, by role."""
        contents = {
            role: json.loads(self.paths.record(upstream).read_text())["artifacts"]
            for role, upstream in run.upstream.items()
        }
        return {role: digest_of(artifacts) for role, artifacts in contents.items()}

    def files(self):
        """Content of every file of the results, by path."""
        files = (path for path in self.paths.results.rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}

    def tamper(self, run, old, new):
        """Change the text of a record, as an editor would."""
        file = self.paths.record(run)
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))


def metrics_of(run):
    """What a made-up run measured."""
    if run.phase == "evaluation":
        epoch = {"top1": 70.0, "top5": 90.0, "ece": 0.1}
        rows = [{"seed": seed, "last": epoch, "best": {**epoch, "epoch": 4}} for seed in (0, 1)]
        return {"reported": "best", "runs": rows, "parameters": 270_000, "macs": 41_000_000}
    return {"last": {"top1": 69.0}, "best": {"top1": 70.0, "epoch": 4}}


def process():
    """A search's process of one pathway."""
    rows = [[0.5], [0.6]]
    return {
        "pathways": ["t1-s1-2conv"],
        "steps": [0, 1],
        "weights": rows,
        "alphas": rows,
        "total_steps": 2,
    }
