"""Damaged artifacts of finished runs are named, and pulled or made again, to the bit."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from sampling import sampled
from tiny_project import EVALUATION, SEARCH, STUDENT, TEACHER, without_times

from kdbench.plan.graph import load_graph
from kdbench.runs import execute as module
from kdbench.runs.job import DamagedInput
from kdbench.store.artifacts import checked
from kdbench.workflow.verify import verify

DATA = "data/cifar100"


def flip(file):
    """Change one bit of the first letter after the middle: a number's last digit says nothing."""
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[next(i for i in range(middle, len(content)) if chr(content[i]).isalpha())] ^= 1
    file.write_bytes(content)


def cut(file):
    """Take away the last third of a file."""
    file.write_bytes(file.read_bytes()[: 2 * file.stat().st_size // 3])


def records(project):
    """Every record but for its times."""
    files = sorted((project.root / "results").glob("*/records/*/*/*.json"))
    return {file.name: without_times(json.loads(file.read_text())) for file in files}


def check(project, repair=False):
    """Verify the project; how many are damaged, and the lines."""
    lines = []
    count = verify(load_graph(project.root), project.paths, lines.append, repair=repair)
    return count, lines


DAMAGES = {
    "weights": (TEACHER, "best.safetensors", flip),
    "scheme": (SEARCH, "scheme.safetensors", flip),
    "text of the scheme": (SEARCH, "scheme.json", cut),
    "prepared data": (DATA, "prepared/train_images.npy", flip),
    "manifest": (TEACHER, "artifacts.json", cut),
    "a file that is missing": (TEACHER, "best.safetensors", Path.unlink),
}


@pytest.mark.parametrize("damage", sampled(DAMAGES, ("scheme", "prepared data")))
def test_a_damaged_input_is_mended_and_the_run_ends_in_the_same_bits(finished, damage):
    """The run that reads it names it in one line; no other record is written again."""
    owner, name, spoil = DAMAGES[damage]
    files, before = finished.files(), records(finished)
    times = {path: path.stat().st_mtime_ns for path in finished.root.rglob("records/*/*/*.json")}
    finished.undo(STUDENT)
    file = finished.folder(owner) / name
    spoil(file)

    output = finished.run(STUDENT)

    (line,) = [line for line in output.splitlines() if str(file) in line]
    assert line.endswith("mending it")
    assert f"{finished.spec(owner).title}: rebuilt, the same bytes as recorded" in output
    assert finished.files() == files
    assert records(finished) == before
    del times[finished.record_file(STUDENT)]
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


@pytest.mark.slow
def test_an_input_that_is_damaged_again_ends_the_run_in_one_line(finished, monkeypatch):
    """A disk that damages whatever is written must not keep a job busy for ever."""
    finished.undo(STUDENT)
    flip(finished.folder(TEACHER) / "best.safetensors")
    mend = module.mend

    def mend_in_vain(spec, *rest):
        mend(spec, *rest)
        flip(finished.folder(TEACHER) / "best.safetensors")

    monkeypatch.setattr(module, "mend", mend_in_vain)
    with pytest.raises(DamagedInput, match=r"best\.safetensors: found sha256 \w+, expected"):
        finished.run(STUDENT)

    assert not finished.record_file(STUDENT).exists()


@pytest.mark.slow
def test_a_damaged_copy_in_the_cache_of_dvc_is_made_again(finished, monkeypatch):
    """What was pulled is checked like everything else."""
    files = finished.files()
    finished.undo(STUDENT)
    folder = finished.folder(TEACHER)
    flip(folder / "best.safetensors")
    shutil.copytree(folder, finished.root / "cache")

    def pull(spec, paths, options):
        shutil.copytree(finished.root / "cache", paths.artifacts(spec), dirs_exist_ok=True)
        return True

    monkeypatch.setattr(module, "pull", pull)

    output = finished.run(STUDENT)

    assert "teacher cifar100 resnet56: rebuilt, the same bytes as recorded" in output
    assert finished.files() == files


def test_verify_names_what_is_damaged_and_changes_nothing(finished):
    """Records and artifacts, a line each; of an intact project one line in all."""
    assert check(finished) == (0, ["scale smoke, 6 finished runs: 0 damaged"])
    spoiled = [
        finished.folder(DATA) / "prepared/train_labels.npy",
        finished.folder(TEACHER) / "last.safetensors",
        finished.record_file(STUDENT),
        finished.record_file(EVALUATION),
    ]
    for spoil, file in zip((cut, flip, cut, flip), spoiled, strict=True):
        spoil(file)
    contents = [file.read_bytes() for file in spoiled]

    count, lines = check(finished)

    assert count == 4
    assert [line.partition(": found")[0] for line in lines[:-1]] == [str(file) for file in spoiled]
    assert [file.read_bytes() for file in spoiled] == contents


def test_verify_mends_artifacts_and_sets_records_aside(finished):
    """Afterwards every run that has a record is intact, and the others are made again."""
    files, before = finished.files(), records(finished)
    cut(finished.folder(DATA) / "prepared/train_labels.npy")
    flip(finished.folder(TEACHER) / "last.safetensors")
    cut(finished.record_file(STUDENT))

    count, lines = check(finished, repair=True)

    aside = finished.record_file(STUDENT).name + ".damaged"
    assert count == 0
    said = "scale smoke, 6 finished runs: 3 damaged, 2 repaired, 1 set aside, to be made again"
    assert lines[-1] == said
    assert f"set aside as {aside}; its run must be made again" in "\n".join(lines)
    assert not finished.record_file(STUDENT).exists()
    assert finished.record_file(STUDENT).with_name(aside).exists()
    finished.run(STUDENT)
    assert finished.files() == files
    assert records(finished) == before
    assert check(finished) == (0, ["scale smoke, 6 finished runs: 0 damaged"])


def test_a_damaged_record_comes_back_from_git(finished):
    """To the byte, with the times of its run; what is not committed intact is made again."""

    def git(*words):
        names = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *names, *words], cwd=finished.root, check=True, capture_output=True)

    student, search = finished.record_file(STUDENT), finished.record_file(SEARCH)
    content = student.read_bytes()
    cut(search)
    git("init", "--quiet")
    git("add", "results")
    git("commit", "--quiet", "--message", "records")
    flip(student)

    count, lines = check(finished, repair=True)

    assert count == 0
    assert student.read_bytes() == content
    assert f"{student}: restored from git" in lines
    assert not search.exists()


def test_artifacts_that_are_absent_are_not_damaged(finished):
    """A clone has none, and its records stand."""
    shutil.rmtree(finished.folder(TEACHER))

    assert check(finished) == (0, ["scale smoke, 6 finished runs: 0 damaged"])
    with pytest.raises(FileNotFoundError):
        checked(finished.folder(TEACHER))
