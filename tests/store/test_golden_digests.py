"""Digests are the names of records: a change of the code must not change one by accident.

`tests/golden/digests.json` holds the digest of every run of the full plans, those on request
included. It changes only together with a revision, a parameter or an exhibit: `make golden` writes
it anew.
"""

import json
from pathlib import Path

import pytest
from golden.digests import FILE, planned_digests

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("scale", ["smoke", "lite", "paper"])
def test_every_digest_of_the_full_plan_is_the_golden_one(scale):
    """No run of any exhibit has another digest than before, none is new and none is gone."""
    golden = json.loads(FILE.read_text())[scale]
    planned = planned_digests(scale)

    assert planned.keys() == golden.keys()
    for place, digests in golden.items():
        assert sorted(planned[place]) == sorted(digests.split()), place


def test_every_committed_record_belongs_to_a_planned_run():
    """The file name of each committed record ends in a digest of its scale's plan."""
    records = sorted((REPOSITORY / "results").glob("*/records/*/*/*.json"))
    golden = json.loads(FILE.read_text())

    assert len(records) > 80
    for record in records:
        scale, _, phase, dataset = record.relative_to(REPOSITORY / "results").parts[:4]
        assert record.stem.rpartition(".")[2] in golden[scale][f"{phase}/{dataset}"].split(), record
