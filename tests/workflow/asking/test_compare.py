"""What `kdbench compare` says of two sets of records."""

import json
import shutil
import subprocess

import pytest

from kdbench.errors import BadValue
from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.store.identity import digest_of_record
from kdbench.store.paths import Paths
from kdbench.store.record import write_record
from kdbench.store.record_sets import read_record_set
from kdbench.workflow.asking.compare import compare

PARAMS = {"exhibits": ["distpro/table1"], "pairs": ["resnet56:resnet20"], "seeds": 3}
ORIGIN = {
    "versions": {"python": "3.11.7", "torch": "2.9.0"},
    "device": "cpu (x86_64)",
    "commit": "0123456789",
    "code": "fedcba987654",
}


def accuracies(run):
    """Metrics of a made-up run."""
    if run.phase == "evaluation":
        rows = [{"seed": s, "best": {"top1": 70.0 + s}, "last": {"top1": 69.0}} for s in range(3)]
        return {"reported": "best", "runs": rows}
    return {"best": {"top1": 70.0, "epoch": 4}} if run.phase in ("teacher", "student") else {}


@pytest.fixture(name="folder")
def finished_folder(tmp_path):
    """A project folder whose runs all have made-up records, and those records by digest."""
    for run in make_graph(Params(**PARAMS)).runs.values():
        content = {"spec": run.as_dict(), "metrics": accuracies(run), "artifacts": {}}
        write_record(Paths(tmp_path / "a").record(run), {**content, "provenance": ORIGIN})
    return tmp_path / "a"


def rewritten(folder, file, change):
    """Edit a record as another run would have written it; returns its new path."""
    record = json.loads(file.read_text())
    del record["seal"]
    change(record)
    record["spec"]["digest"] = digest_of_record(record["spec"])
    file.unlink()
    digest, cell = record["spec"]["digest"], record["spec"]["cell"]
    write_record(file.with_name(f"{cell}.{digest}.json"), record)


def lines_of(*folders, root=None):
    """The answer, one text."""
    sets = [read_record_set(str(folder), root or folders[0]) for folder in folders]
    return "\n".join(compare(*sets))


def record(folder, pattern):
    """The one record of that name."""
    (file,) = folder.glob(f"results/smoke/records/{pattern}.*.json")
    return file


def test_a_changed_seed_and_a_changed_version_are_named_and_the_rest_is_same(folder, tmp_path):
    """One student has another seed, and one evaluation another torch; nothing else is named."""
    other = shutil.copytree(folder, tmp_path / "b")

    def another_seed(content):
        content["spec"]["params"]["seed"] = 7
        content["spec"]["cell"] = content["spec"]["cell"].replace("_s1", "_s7")

    rewritten(other, record(other, "student/cifar100/resnet56_resnet20_kd_s1"), another_seed)

    def another_torch(content):
        content["provenance"]["versions"]["torch"] = "2.10.0"

    rewritten(other, record(other, "evaluation/cifar100/resnet20_none"), another_torch)
    answer = lines_of(folder, other)

    total = len(list(folder.rglob("*.json")))
    assert f"same: {total - 2} runs" in answer
    assert "seed: 1 -> 7  [1 run: student cifar100 resnet56_resnet20_kd_s7]" in answer
    assert "versions.torch: 2.9.0 -> 2.10.0  [1 run: evaluation cifar100 resnet20_none]" in answer
    assert len(answer.splitlines()) == 6  # both sets, same, and the two under their heading


@pytest.mark.parametrize(("shift", "verdict"), [(0.5, "noise would do"), (9.0, "more than noise")])
def test_a_gap_is_noise_where_its_interval_holds_zero(folder, tmp_path, shift, verdict):
    """Three seeds that spread over two points hide half a point, and not nine."""
    other = shutil.copytree(folder, tmp_path / "b")

    def better(content):
        for run in content["metrics"]["runs"]:
            run["best"]["top1"] += shift

    rewritten(other, record(other, "evaluation/cifar100/resnet56_resnet20_kd"), better)
    answer = lines_of(folder, other)

    assert f"71.00 (n 3) -> {71 + shift:.2f} (n 3), +{shift:.2f} ± 2.27 (95 %): {verdict}" in answer
    assert f"{int(shift > 1)} of 1 beyond their interval" in answer


def test_moved_code_is_no_difference(folder, tmp_path):
    """Neither a module's name, nor a class's, nor a printed label counts."""
    other = shutil.copytree(folder, tmp_path / "b")

    def moved(content):
        content["spec"]["params"]["student"] |= {"module": "elsewhere", "label": "A network"}

    file = record(other, "student/cifar100/resnet56_resnet20_kd_s1")
    rewritten(other, file, moved)

    assert file.is_file()  # the digest is as it was
    assert len(lines_of(folder, other).splitlines()) == 3


def test_another_parameter_is_one_run_changed_not_two(folder, tmp_path):
    """Records of one name are a pair, whatever their parameters are."""
    other = shutil.copytree(folder, tmp_path / "b")

    def hotter(content):
        content["spec"]["params"]["method"]["parameters"]["temperature"] = 8.0

    rewritten(other, record(other, "student/cifar100/resnet56_resnet20_kd_s1"), hotter)
    answer = lines_of(folder, other)

    assert "method.parameters.temperature: 4.0 -> 8.0  [1 run" in answer
    assert "only in" not in answer


def test_a_changed_record_is_not_used_and_said(folder, tmp_path):
    """Its number is not compared; it counts as absent on that side."""
    other = shutil.copytree(folder, tmp_path / "b")
    file = record(other, "evaluation/cifar100/resnet20_none")
    file.write_text(file.read_text().replace("70.0", "90.0"))
    answer = lines_of(folder, other)

    assert "not used: " in answer and "does not match its seal" in answer
    assert "only in A: [1 run: evaluation cifar100 resnet20_none]" in answer
    assert "90.00" not in answer


def test_a_commit_is_a_set_of_records(folder):
    """Its records are those of the folder when it was committed."""

    def git(*words):
        names = ("-c", "user.name=T", "-c", "user.email=t@example.org")
        subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Records")
    gone = record(folder, "evaluation/cifar100/resnet20_none")
    gone.unlink()
    sets = [read_record_set(name, folder) for name in ("HEAD", ".")]

    assert len(sets[0].records) == len(sets[1].records) + 1
    assert list(compare(*sets))[-1] == "only in A: [1 run: evaluation cifar100 resnet20_none]"


def test_only_the_records_of_a_scale_are_compared(folder):
    """A record says its scale itself; its folder does not count."""
    count = len(read_record_set(".", folder).records)

    assert len(read_record_set(".", folder, "smoke").records) == count > 0
    assert not read_record_set(".", folder, "lite").records


@pytest.mark.parametrize("name", ["nowhere", "--help"])
def test_what_is_neither_folder_nor_commit_is_refused(tmp_path, name):
    """The line says what was expected."""
    with pytest.raises(BadValue, match="a folder with records, or a commit of git"):
        read_record_set(name, tmp_path)
