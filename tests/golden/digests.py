"""The digests of the full plans, as `digests.json` holds them; a script that writes it anew."""

import hashlib
import json
from pathlib import Path

from kdbench.papers import catalogue
from kdbench.plan.graph import make_graph
from kdbench.plan.params import DATASETS, Params

FILE = Path(__file__).with_name("digests.json")
ON_REQUEST = ("tinyimagenet_fifth", "cifar100-64")  # data sets of exhibits on request
SCALES = ("smoke", "lite", "paper")
SHORT = 16  # digits of the digests' own digest


def full_plan(scale):
    """The runs of every exhibit at a scale, those on request included."""
    ids = [exhibit.id for exhibit in catalogue()]
    return make_graph(Params(scale=scale, exhibits=ids, datasets=[*DATASETS, *ON_REQUEST]))


def planned_digests(scale):
    """How many runs every exhibit has at a scale, and the digest of theirs, by `phase/data set`."""
    digests = {}
    for run in full_plan(scale).runs.values():
        digests.setdefault(f"{run.phase}/{run.dataset}", []).append(run.digest)
    return {place: _together(digests[place]) for place in sorted(digests)}


def _together(digests):
    """One digest of many, whatever their order, and their number."""
    content = " ".join(sorted(digests)).encode()
    return f"{len(digests)}: {hashlib.sha256(content).hexdigest()[:SHORT]}"


def write():
    """Write the file anew."""
    plans = {scale: planned_digests(scale) for scale in SCALES}
    FILE.write_text(json.dumps(plans, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
