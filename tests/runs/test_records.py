"""What finished runs say."""

import json
from hashlib import sha256

import pytest
from tiny_project import EVALUATION, OTHER_STUDENT, SEARCH, STUDENT, TEACHER, TinyProject

from kdbench.data.stored.arrays import Prepared
from kdbench.distill.scheme import Scheme
from kdbench.store.fingerprint import run_fingerprint

ALL = ["data/cifar100", TEACHER, SEARCH, STUDENT, OTHER_STUDENT, EVALUATION]


@pytest.fixture
def records(finished_once):
    """Every record of the finished project by name."""
    return {name: json.loads(finished_once.record_file(name).read_text()) for name in ALL}


@pytest.mark.parametrize("name", ALL)
def test_a_record_says_where_it_comes_from(finished_once, records, name):
    """It has all documented keys and the data's fingerprint, and neither path nor host."""
    record, spec = records[name], finished_once.spec(name)
    provenance = record["provenance"]
    data = Prepared.open(finished_once.folder("data/cifar100") / "prepared")

    keys = "schema spec metrics curves cost provenance artifacts notes"
    assert set(keys.split()) <= set(record)
    assert record["spec"] == spec.as_dict()
    assert set(provenance) == {
        "commit",
        "dirty",
        "versions",
        "device",
        "threads",
        "precision",
        "seed",
        "data_fingerprint",
        "code",
        "started",
        "finished",
        "inputs",
        "ranks",
    }
    assert provenance["ranks"] == 1
    assert provenance["data_fingerprint"] == data.fingerprint
    assert provenance["code"] == run_fingerprint(spec)
    assert {"python", "torch", "numpy"} <= set(provenance["versions"])
    assert provenance["started"] <= provenance["finished"]
    assert record["cost"]["peak_memory_bytes"] > 10_000_000
    assert record["cost"]["seconds"] > 0
    assert str(finished_once.root) not in json.dumps(record)


@pytest.mark.parametrize("name", ALL)
def test_a_record_lists_the_artifacts_on_disk(finished_once, records, name):
    """Every file but the manifest is listed with its checksum and size."""
    folder = finished_once.folder(name)
    files = {
        str(path.relative_to(folder)): {
            "sha256": sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in folder.rglob("*")
        if path.is_file() and path.name != "artifacts.json"
    }

    assert records[name]["artifacts"] == files
    assert json.loads((folder / "artifacts.json").read_text()) == files


@pytest.mark.parametrize(("name", "epochs"), [(TEACHER, 8), (STUDENT, 2)])
def test_a_training_record_has_one_evaluation_per_epoch(records, name, epochs):
    """`best` is the first of the best epochs, `last` the last."""
    record = records[name]
    looks = record["curves"]["test_top1"]

    assert record["curves"]["epoch"] == [1.0 + i for i in range(epochs)]
    assert record["metrics"] == {
        "last": {"top1": looks[-1], "epoch": epochs},
        "best": {"top1": max(looks), "epoch": looks.index(max(looks)) + 1},
        "selected": None,
    }
    assert record["cost"]["steps"] == 3 * epochs
    assert {len(values) for values in record["curves"].values()} == {epochs}


def test_a_search_record_has_the_process_of_its_scheme(finished_once, records):
    """It has one row per step."""
    process = records[SEARCH]["process"]
    scheme = Scheme.load(finished_once.folder(SEARCH))

    assert process["total_steps"] == len(scheme) == 6
    assert process["steps"] == list(range(6))
    assert tuple(process["pathways"]) == scheme.names
    assert scheme.alphas.std(dim=0).min() > 0, "an alpha that never moved"
    for row, expected in zip(process["weights"], scheme.weights.tolist(), strict=True):
        assert row == pytest.approx(expected, rel=1e-4)


def test_an_evaluation_measures_both_seeds(finished_once, records):
    """Last and best weights of each; its last accuracy is the one that the student measured."""
    metrics = records[EVALUATION]["metrics"]

    assert metrics["reported"] == "best"
    assert [run["seed"] for run in metrics["runs"]] == [0, 1]
    for run, name in zip(metrics["runs"], (STUDENT, OTHER_STUDENT), strict=True):
        student = records[name]["metrics"]
        assert (run["cell"], run["digest"]) == (
            finished_once.spec(name).cell,
            finished_once.spec(name).digest,
        )
        assert run["last"]["top1"] == pytest.approx(student["last"]["top1"])
        assert run["best"]["top1"] == pytest.approx(student["best"]["top1"])
        assert run["best"]["epoch"] == student["best"]["epoch"]
        assert 0 <= run["last"]["top1"] <= run["last"]["top5"] <= 100
        assert 0 <= run["last"]["ece"] <= 100
    seeds = [finished_once.folder(name) / "last.safetensors" for name in (STUDENT, OTHER_STUDENT)]
    assert seeds[0].read_bytes() != seeds[1].read_bytes()
    assert 200_000 < metrics["parameters"] < 400_000


def test_a_finished_run_is_not_repeated(finished):
    """Asked for again it says where the record is, also without artifacts."""
    before = finished.record_file(STUDENT).stat().st_mtime_ns
    (finished.folder(STUDENT) / "last.safetensors").unlink()

    assert "already done" in finished.run(STUDENT)
    assert finished.record_file(STUDENT).stat().st_mtime_ns == before


@pytest.mark.slow
def test_absent_artifacts_are_rebuilt_to_the_bit(finished, finished_once):
    """A run that needs them has them made again; the record stays as it was."""
    before = finished.record_file(TEACHER).read_bytes()
    finished.folder(TEACHER).rename(finished.root / "lost")
    finished.undo(STUDENT)

    output = finished.run(STUDENT)

    assert "rebuilding absent artifacts" in output
    assert "rebuilt, the same bytes as recorded" in output
    assert finished.record_file(TEACHER).read_bytes() == before
    lost = {str(p.relative_to(finished.root)) for p in (finished.root / "lost").iterdir()}
    assert len(lost) == 3
    assert finished.files() == TinyProject(finished_once.root).files()
