"""Digests are the names of records: a change of the code must not change one by accident.

`tests/golden/digests.json` holds a digest of the digests of all runs of the full plans, by phase
and data set, those on request included. It changes only together with a revision, a parameter or
an exhibit: `make golden` writes it anew.
"""

import json

import pytest
from golden.committed import committed_records
from golden.digests import FILE, full_plan, planned_digests

from kdbench.plan.components import find_components
from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.store.spec import ENGINE_REVISION, PRUNING_REVISION


@pytest.mark.parametrize("scale", ["smoke", "lite", "paper"])
def test_every_digest_of_the_full_plan_is_the_golden_one(scale):
    """No run of any exhibit has another digest than before, none is new and none is gone."""
    golden = json.loads(FILE.read_text())[scale]
    planned = planned_digests(scale)

    assert planned.keys() == golden.keys()
    for place, digests in golden.items():
        assert planned[place] == digests, place


KIND = {"data": "dataset", "teacher": "network", "search": "search", "student": "method"}
OWN = {"engine": ENGINE_REVISION, "carving": PRUNING_REVISION}


def outdated(spec):
    """Whether a record's own revisions, or names of parameters, are not today's."""
    components, kind = find_components(), KIND.get(spec["phase"])

    def revision(name):
        known = {kind: components.names(kind)} if kind else {}
        asked = kind if name in known.get(kind, ()) else "network"
        return OWN[name] if name in OWN else components.get(asked, name, where="test").revision

    part = spec["params"].get(kind, {})
    methods = part.get("parts", [part]) if kind in ("search", "method") and part else []
    declared = (components.get(kind, m["name"], where="test").declaration for m in methods)
    keys = [set(d.defaults) - set(m["parameters"]) for d, m in zip(declared, methods, strict=True)]
    return any(keys) or any(revision(name) != own for name, own in spec["revisions"].items())


# The options of the calls in docs/results.md that made records with other settings.
TUNING = {"train_share": 0.1, "precision": "float32", "teacher_epochs": 8, "teacher_threads": 1}
OTHER_CALLS = [
    {"exhibits": ["dfa/tuning"], "scales": {"lite": {**TUNING, "student_epochs": 4}}},
    {"scale": "paper", "exhibits": ["distpro/table1"], "scales": {"paper": {"precision": "bf16"}}},
]


def digests_of_other_calls():
    """Digests of every run that a page's call with other settings plans, by default at lite."""
    graphs = [make_graph(Params(**{"scale": "lite", **options})) for options in OTHER_CALLS]
    return {run.digest for graph in graphs for run in graph.runs.values()}


def test_every_committed_record_belongs_to_a_planned_run():
    """Its name ends in a digest of its scale's plan, or of a call that a page names.

    Unless it, or what it read, is outdated.
    """
    specs = {spec["digest"]: spec for spec in (one["spec"] for one in committed_records())}

    def superseded(spec):
        read = (specs.get(digest) for digest in spec["upstream"].values())
        return outdated(spec) or any(other and superseded(other) for other in read)

    planned = digests_of_other_calls()
    for scale in {spec["scale"] for spec in specs.values()}:
        planned |= {*full_plan(scale).runs}

    assert len(specs) > 20
    for spec in specs.values():
        assert spec["digest"] in planned or superseded(spec), spec["cell"]
