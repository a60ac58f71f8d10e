"""A record's own content gives its digest, whatever wrote it."""

import json
from pathlib import Path

import pytest

from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.store.identity import digest_of_record
from kdbench.store.record_sets import record_files

REPOSITORY = Path(__file__).parents[2]
ALL = {"datasets": ["cifar10", "cifar100", "cinic10"]}


@pytest.mark.parametrize("scale", ["smoke", "lite", "paper"])
def test_the_record_of_every_planned_run_gives_its_digest(scale):
    """What the record says besides the digest's content is left out, and nothing else."""
    runs = make_graph(Params(scale=scale, **ALL)).runs

    assert len(runs) > 100
    assert [r.title for d, r in runs.items() if digest_of_record(r.as_dict()) != d] == []


def test_the_committed_records_give_their_digests():
    """Those of older schemas too."""
    specs = [json.loads(file.read_text())["spec"] for file in record_files(REPOSITORY)]

    assert specs
    assert [s["cell"] for s in specs if digest_of_record(s) != s["digest"]] == []


def test_every_parameter_changes_the_digest():
    """A temperature, a share, a step: the digest of the changed content is another."""
    (run,) = [
        run
        for run in make_graph(
            Params(pairs=["resnet56:resnet20"], methods_only=["kd"])
        ).runs.values()
        if run.cell == "resnet56_resnet20_kd_s0"
    ]
    spec = run.as_dict()
    spec["params"]["method"]["parameters"]["temperature"] = 9.0

    assert digest_of_record(spec) != run.digest
