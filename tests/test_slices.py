"""What a machine that is lent for minutes sends back."""

import sys
import tarfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import slices

RUNS = {
    "teacher/cifar100/wrn-40-2.0123456789ab": {"checkpoint.pt": 27_000_000},
    "search/cifar100/a_distpro.123456789abc": {"artifacts.json": 900, "scheme.safetensors": 90_000},
    "student/cifar100/a_kd_s0.23456789abcd": {"artifacts.json": 900, "last.safetensors": 5_600_000},
    "student/cifar100/a_kd_s1.3456789abcde": {"checkpoint.pt": 8_400_000},
}


def fill(project, runs, salt=0):
    """Write files of these sizes, each run's of its own bytes, and a record of each."""
    for number, (name, files) in enumerate(runs.items()):
        folder = project / "results/paper/artifacts" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, size in files.items():
            (folder / file).write_bytes(bytes([65 + number + salt]) * size)
        record = project / "results/paper/records" / f"{name}.json"
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(name)


def contents(project):
    """All files of a project's results, by name."""
    files = (path for path in (project / "results").rglob("*") if path.is_file())
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def project(tmp_path):
    """A project with a large run under way, a small one, and two finished ones."""
    fill(tmp_path / "project", RUNS)
    return tmp_path / "project"


def packed(project, out):
    """Sizes of what is packed, by name; and what is left out."""
    left_out = slices.pack(project, "paper", out)
    return {file.name: file.stat().st_size for file in sorted(out.iterdir())}, left_out


def test_what_is_packed_comes_back_the_same(project, tmp_path):
    """A teacher under way in two files, all others in one, all records in another."""
    sizes, left_out = packed(project, tmp_path / "out")
    slices.unpack(tmp_path / "out", tmp_path / "home")

    assert list(sizes) == [
        "records.tar",
        "runs-0.tar",
        "teacher-0123456789ab.tar.00",
        "teacher-0123456789ab.tar.01",
    ]
    assert max(sizes.values()) <= 15 * 2**20
    assert left_out == []
    assert contents(tmp_path / "home") == contents(project)


def test_each_file_of_runs_is_of_use_without_the_others(project, tmp_path):
    """Every run is whole in one of them; runs under way come first."""
    fill(project, {f"student/cifar100/b.{k:012}": {"last": 5_600_000} for k in range(4)})
    sizes, left_out = packed(project, tmp_path / "out")
    names = []
    for file in sorted((tmp_path / "out").glob("runs-*.tar")):
        with tarfile.open(file) as archive:
            names.append({Path(name).parent.name for name in archive.getnames()})

    assert left_out == []
    assert len(names) == 3
    assert "a_kd_s1.3456789abcde" in names[0]
    assert sum(map(len, names)) == len(set().union(*names)) == 7
    assert max(sizes.values()) <= 15 * 2**20


def test_what_does_not_fit_is_named(project, tmp_path):
    """At most 64 MiB and eight files with the log; finished students are left out first."""
    fill(project, {f"student/cifar100/b.{k:012}": {"last": 5_600_000} for k in range(9)})
    sizes, left_out = packed(project, tmp_path / "out")

    assert sum(sizes.values()) <= 63 * 2**20
    assert len(sizes) <= 7
    assert left_out
    assert all(name.startswith("paper/artifacts/student/cifar100/b.") for name in left_out)
    slices.unpack(tmp_path / "out", tmp_path / "home")
    missing = contents(project).keys() - contents(tmp_path / "home").keys()
    assert missing == {f"results/{name}/last" for name in left_out}


def test_only_what_is_new_is_packed_again(project, tmp_path):
    """Artifacts that were there before the work stay at home; records are small and all go."""
    slices.note(project, "paper")
    fill(project, {"student/cifar100/a_kd_s1.3456789abcde": {"checkpoint.pt": 100}}, salt=9)
    packed(project, tmp_path / "out")
    slices.unpack(tmp_path / "out", tmp_path / "home")

    files = [name for name in contents(tmp_path / "home") if "/artifacts/" in name]
    assert files == ["results/paper/artifacts/student/cifar100/a_kd_s1.3456789abcde/checkpoint.pt"]
    assert len(contents(tmp_path / "home")) == 1 + len(RUNS)


def test_files_of_an_earlier_minute_go(project, tmp_path):
    """A finished teacher is smaller: no older piece is left to be joined with its own."""
    packed(project, tmp_path / "out")
    folder = project / "results/paper/artifacts/teacher/cifar100/wrn-40-2.0123456789ab"
    (folder / "checkpoint.pt").unlink()
    (folder / "best.safetensors").write_bytes(b"B" * 9_000_000)
    sizes, _ = packed(project, tmp_path / "out")
    slices.unpack(tmp_path / "out", tmp_path / "home")

    assert list(sizes) == ["records.tar", "runs-0.tar", "runs-1.tar"]
    assert contents(tmp_path / "home") == contents(project)


def test_half_written_files_locks_and_prepared_data_stay(project, tmp_path):
    """Their names begin with a dot, or they are made again where they are needed."""
    results = project / "results/paper"
    folder = results / "artifacts/student/cifar100/a_kd_s1.3456789abcde"
    for file in (folder / ".checkpoint.pt.77", folder / ".lock", results / "records/.x.json.7"):
        file.write_bytes(b"half")
    expected = {name for name in contents(project) if "/." not in name}
    fill(project, {"data/cifar100/cifar100.99": {"train_images.npy": 9}})
    packed(project, tmp_path / "out")
    slices.unpack(tmp_path / "out", tmp_path / "home")

    record = "results/paper/records/data/cifar100/cifar100.99.json"
    assert set(contents(tmp_path / "home")) == expected | {record}


def test_a_run_at_work_is_read_in_one_moment(project, tmp_path, monkeypatch):
    """A checkpoint that goes away while it is packed: the finished run is packed instead."""
    folder = project / "results/paper/artifacts/student/cifar100/a_kd_s1.3456789abcde"
    read = Path.read_bytes

    def finish(path):
        if path.name == "checkpoint.pt" and path.parent == folder and path.exists():
            content = read(path)
            (folder / "artifacts.json").write_text("{}")
            path.unlink()
            return content
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", finish)
    packed(project, tmp_path / "out")
    slices.unpack(tmp_path / "out", tmp_path / "home")

    assert contents(tmp_path / "home") == contents(project)


@pytest.mark.parametrize("last", [True, False])
def test_of_two_checkpoints_the_last_is_packed_and_an_only_one_in_any_case(project, tmp_path, last):
    """Where files cannot be linked, one is there alone for a moment, under the older name."""
    name = "student/cifar100/a_kd_s1.3456789abcde"
    both = {"checkpoint.pt": 100, "checkpoint.previous.pt": 100}
    fill(project, {name: both})
    folder = project / "results/paper/artifacts" / name
    if not last:
        (folder / "checkpoint.pt").unlink()

    slices.pack(project, "paper", tmp_path / "out")
    slices.unpack(tmp_path / "out", tmp_path / "home")

    back = {file.name for file in (tmp_path / "home/results/paper/artifacts" / name).iterdir()}
    assert back == {"checkpoint.pt" if last else "checkpoint.previous.pt"}
