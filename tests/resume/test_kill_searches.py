"""The searches other than DistPro's, killed twice, end in the same bits (DistPro's: test_kill)."""

import json
import re
import shutil
import signal
import time

import pytest
from sampling import sampled
from tiny_project import TEACHER, TinyProject, without_times

OWN = {"pairs": ["resnet56:resnet20"], "protocol": "review", "dataset": "cifar100", "seeds": 1}
TABLES = [
    {**OWN, "id": "aggregated", "methods": ["dfa"]},
    {**OWN, "id": "found", "methods": ["none"], "found_by": "sbs_kl", "found_in": "resnet56"},
]
DFA, SBS = "search/resnet56_resnet20_dfa", "search/resnet56_resnet56_sbs_kl"
CASES = {
    "dfa": (DFA, {}),
    "dfa, second order": (DFA, {"dfa": {"order": "second"}}),
    "sbs": (SBS, {"sbs_kl": {"budget": 0.01}}),  # out of reach: no step is left out
}


def project_at(root, searches):
    """A project with both searches in tables of its own."""
    return TinyProject(root, exhibits=["own"], pairs=[], tables=TABLES, searches=searches)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A project whose data and teacher are made."""
    project = project_at(tmp_path_factory.mktemp("taught"), {})
    project.run(TEACHER)
    return project


def continued(taught, root, searches):
    """A project with the same data and teacher."""
    project = project_at(root, searches)
    shutil.copytree(taught.root / "results", project.root / "results")
    return project


def killed_after(project, name, saves):
    """Start the search, kill it once its checkpoint was written `saves` times; what it said."""
    process = project.start(name)
    file, seen = project.folder(name) / "checkpoint.pt", set()
    began = time.monotonic()
    while len(seen) < saves and process.poll() is None and time.monotonic() - began < 200:
        try:
            seen.add(file.stat().st_mtime_ns)
        except FileNotFoundError:
            time.sleep(0.001)
    process.kill()
    output, errors = process.communicate(timeout=200)
    assert process.returncode == -signal.SIGKILL, output + errors
    return output + errors


@pytest.mark.parametrize("case", sampled(CASES, []))
def test_a_run_killed_twice_ends_in_the_same_bits(taught, tmp_path, case):
    """Artifacts are equal byte for byte, records but for clocks; both kills left work to do."""
    name, searches = CASES[case]
    whole = continued(taught, tmp_path / "whole", searches)
    survivor = continued(taught, tmp_path / "survivor", searches)
    code, output = whole.command(name, seconds="1000")
    assert code == 0, output

    killed_after(survivor, name, saves=2)
    output = killed_after(survivor, name, saves=2)
    assert re.search(r"search cifar100 .*: continues at step [1-5] of 6", output), output
    code, output = survivor.command(name)

    assert code == 0, output
    assert re.search(r"search cifar100 .*: continues at step [1-5] of 6", output), output
    expected, resumed = whole.files(), survivor.files()
    assert sorted(resumed) == sorted(expected)
    assert [path for path in expected if resumed[path] != expected[path]] == []
    records = [json.loads(p.record_file(name).read_text()) for p in (whole, survivor)]
    assert without_times(records[0]) == without_times(records[1])
    assert records[0]["cost"]["steps"] == 6
