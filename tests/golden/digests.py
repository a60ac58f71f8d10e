"""The digests of the full plans, as `digests.json` holds them; a script that writes it anew."""

import json
from pathlib import Path

from kdbench.papers import catalogue
from kdbench.plan.graph import make_graph
from kdbench.plan.params import DATASETS, Params

FILE = Path(__file__).with_name("digests.json")
ON_REQUEST = ("tinyimagenet_fifth", "cifar100-64")  # data sets of exhibits on request
SCALES = ("smoke", "lite", "paper")


def planned_digests(scale):
    """Digests of every run of every exhibit at a scale, by `phase/data set`, in plan order."""
    digests = {}
    ids = [exhibit.id for exhibit in catalogue()]
    graph = make_graph(Params(scale=scale, exhibits=ids, datasets=[*DATASETS, *ON_REQUEST]))
    for run in graph.runs.values():
        digests.setdefault(f"{run.phase}/{run.dataset}", []).append(run.digest)
    return digests


def write():
    """Write the file anew."""
    plans = {scale: planned_digests(scale) for scale in SCALES}
    text = {s: {k: " ".join(sorted(v)) for k, v in sorted(p.items())} for s, p in plans.items()}
    FILE.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
