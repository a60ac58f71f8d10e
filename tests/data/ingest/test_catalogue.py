"""`kdbench data list` and `kdbench data verify`, in a project with several data sets."""

import json
import shutil
import sys
from pathlib import Path

import families
import pytest

from kdbench.data.ingest.catalogue import as_markdown
from kdbench.data.ingest.prepare import prepare, prepare_stand_in
from kdbench.data.stored.arrays import write
from kdbench.plan.components import find_components
from kdbench.store.paths import Paths
from kdbench.store.teacher_runs import DataRun

DOCUMENT = Path(__file__).parents[3] / "docs/data.md"
FAMILY = families.FAMILIES["cinic10"]
STATES = {
    "cifar10": "prepared",  # its damage shows when it is hashed
    "cifar100": "stand-in only",
    "cinic10": "prepared",
    "digits": "stand-in only",
    "imagenet": "absent",
    "tinyimagenet": "damaged",
}


@pytest.fixture
def kdbench(tmp_path, monkeypatch, kdbench_here):
    """Runs a command in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    return kdbench_here


@pytest.fixture(scope="module")
def cinic10(tmp_path_factory):
    """A prepared data set of three splits."""
    folder = tmp_path_factory.mktemp("made")
    source = FAMILY.write_folders(folder / "source", FAMILY.content())
    declared = {**FAMILY.declared(), "name": "cinic10", "module": "kdbench.data.sets.cinic10"}
    prepare(declared, source, folder / "cinic10")
    return folder / "cinic10"


@pytest.fixture
def several(tmp_path, cinic10):
    """One data set whole, one damaged, one half absent, one only as a stand-in."""
    shutil.copytree(cinic10, tmp_path / "data/cinic10")
    shutil.copytree(cinic10, tmp_path / "data/cifar10")
    path = tmp_path / "data/cifar10/test_images.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    (tmp_path / "data/tinyimagenet").mkdir()
    (tmp_path / "data/.cifar10.x1").mkdir()  # of a preparation that is at work
    smoke = {"stand_in": "digits", "split_seed": 1, "test_share": 0.5, "relabel": 1}
    spec = DataRun(scale="smoke", dataset="cifar100", cell="cifar100", revisions={})
    stand_in = Paths(tmp_path).artifacts(spec) / "prepared"
    prepare_stand_in("cifar100", smoke, families.declaration("digits"), stand_in)
    return tmp_path


def test_the_list_says_what_is_there(kdbench, several):
    """State, counts and size of what lies there; of the rest what the declaration says."""
    code, out, _ = kdbench("data", "list", "--json")
    entries = {entry["name"]: entry for entry in json.loads(out)}

    assert code == 0
    assert {name: entries[name]["state"] for name in STATES} == STATES
    assert entries["cinic10"]["images"] == {"train": 12, "valid": 8, "test": 8}
    files = (several / "data/cinic10").iterdir()
    assert entries["cinic10"]["size"] == sum(path.stat().st_size for path in files)
    assert entries["cifar100"]["images"] == {"train": 50000, "test": 10000}
    assert entries["cifar100"]["size"] == 0
    assert "no meta.json" in entries["tinyimagenet"]["problem"]
    for entry in entries.values():
        assert entry["licence"]
        assert entry["citation"]
        assert entry["how"]


def test_the_table_is_for_people(kdbench, several):
    """A header, every data set, no line too long for a screen, and the damage below."""
    _, out, _ = kdbench("data", "list")
    lines = out.splitlines()

    assert lines[0].split()[:3] == ["name", "state", "images"]
    assert max(map(len, lines[:-1])) <= 160
    assert "stand-in only  50,000 train" in out
    assert lines[-1].startswith("tinyimagenet: ")


def test_verify_looks_at_all_that_is_prepared(kdbench, several):
    """One line per data set; damage of one is the exit code, and none is passed over."""
    code, out, errors = kdbench("data", "verify")

    assert code == 3 or code == 2
    assert [line.partition(":")[0] for line in out.splitlines()] == ["cinic10"]
    lines = errors.splitlines()
    assert len(lines) == 2
    assert "data/cifar10: found fingerprint" in lines[0]
    assert "data/tinyimagenet: no prepared data set here" in lines[1]


def test_verify_looks_at_the_named_ones_only(kdbench, several):
    """Damage of others is not seen; an unknown name gets the nearest one."""
    assert kdbench("data", "verify", "cinic10")[0] == 0
    assert kdbench("data", "verify", "cinic10", "cifar10")[0] == 3
    assert kdbench("data", "verify", "cifar10", "cinic10")[0] == 3
    code, _, errors = kdbench("data", "verify", "cinic1")
    assert code == 2
    assert "did you mean 'cinic10'?" in errors


def test_verify_of_an_empty_project_succeeds(kdbench):
    """One line says that nothing is prepared."""
    message = "data: no data set is prepared; kdbench data list says how to get them\n"
    assert kdbench("data", "verify") == (0, message, "")


def test_verify_compares_with_the_pinned_fingerprint(kdbench, tmp_path):
    """Other images under a name whose fingerprint is known are damage, however whole."""
    images = FAMILY.content()["train"]
    splits = {"train": ([entry.pixels for entry in images], [0] * len(images))}
    splits = {key: tuple(map(families.np.array, value)) for key, value in splits.items()}
    write(tmp_path / "data/cifar100", "cifar100", splits, ["x"])

    code, _, errors = kdbench("data", "verify")

    assert code == 3
    families.one_line(errors, "data/cifar100", "94b35ade", "as published")


def test_data_of_a_plugin_that_is_gone_is_verified_too(kdbench, tmp_path, cinic10):
    """All that lies in data/ is hashed, also without a declaration."""
    shutil.copytree(cinic10, tmp_path / "data/gone")

    code, out, _ = kdbench("data", "verify")

    assert code == 0
    assert out.startswith("gone: intact")


def test_listing_needs_no_torch(kdbench, several):
    """Its process never imports it, so that it answers at once."""
    import subprocess

    program = (
        "import sys; from kdbench.cli import app; app(['data', 'list'], standalone_mode=False);"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=several, capture_output=True)

    assert done.returncode == 0, done.stderr


def test_the_document_has_the_table_of_the_command(kdbench):
    """docs/data.md is renewed by `kdbench data list --markdown`."""
    _, out, _ = kdbench("data", "list", "--markdown")
    components = find_components()
    declared = [
        components.get("dataset", name, where="").described for name in components.names("dataset")
    ]

    assert out.strip() == as_markdown(declared)
    assert out.strip() in DOCUMENT.read_text(encoding="utf-8")
    assert "`cinic10`" in out
