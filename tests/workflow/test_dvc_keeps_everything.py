"""What DVC's commands leave in place, whatever scale and data sets params.yaml names: the real DVC.

The runs are made by hand: what is tested is which files DVC deletes, pushes and names.
"""

import shutil
from pathlib import Path

import pytest
import yaml
from handmade import LITE, SMOKE, begin, contents, finish

KD = {"methods_only": ["none", "kd"]}


@pytest.fixture(scope="module")
def lite_once(make_project, tmp_path_factory):
    """A project with scale lite finished and held by DVC, committed; never changed."""
    project = make_project(tmp_path_factory.mktemp("lite") / "project", **LITE)
    finish(project)
    project("dvc", "repro")
    project.commit("Scale lite")
    return project


@pytest.fixture
def lite(lite_once, tmp_path):
    """A copy of it with a remote, and an unfinished run beside the finished ones."""
    project = lite_once.copy(tmp_path / "project")
    project("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    (teacher,) = (project.root / "results/lite/artifacts/teacher/cifar100").iterdir()
    begin(teacher)
    return project


def of_lite(project):
    """Every record and artifact of scale lite, unfinished ones included."""
    root = project.root / "results/lite"
    return {folder: contents(root / folder) for folder in ("records", "artifacts")}


def weights(folder):
    """The content of every weights file below a folder."""
    return sorted(contents(folder, "weights.bin").values())


@pytest.mark.slow
def test_no_dvc_command_at_another_scale_deletes_a_file(lite):
    """checkout, pull, repro and exp run at scale smoke leave all of lite, also a checkpoint."""
    before = of_lite(lite)
    finish(lite, **SMOKE)

    lite("dvc", "exp", "run", "-S", "scale=smoke")
    assert of_lite(lite) == before
    lite.edit(**SMOKE)
    for words in (["repro"], ["push"], ["checkout"], ["pull"], ["gc", "-w", "-f"], ["checkout"]):
        lite("dvc", *words)
        assert of_lite(lite) == before, words


@pytest.mark.slow
def test_no_dvc_command_without_a_data_set_deletes_its_files(lite):
    """With another data set in params.yaml, those of CIFAR-100 stay and are pushed."""
    before = of_lite(lite)
    lite.edit(datasets=["cinic10"])

    for words in (["push"], ["checkout"], ["gc", "-w", "-f"], ["checkout"], ["pull"]):
        lite("dvc", *words)
        assert of_lite(lite) == before, words
    store = lite.root.parent / "store"
    stored = {path.read_bytes() for path in store.rglob("*") if path.is_file()}
    assert set(weights(lite.root / "results/lite/artifacts")) <= stored


@pytest.mark.slow
def test_push_and_gc_see_every_scale(lite, tmp_path):
    """While params.yaml says smoke, lite is pushed and stays in the cache; a clone gets it."""
    made = weights(lite.root / "results/lite/artifacts")
    lite.edit(**SMOKE)
    lite.commit("Another scale, and a remote")

    lite("dvc", "push")
    lite("dvc", "gc", "-w", "-f")
    shutil.rmtree(lite.root / "results/lite/tracked/teacher/cifar100")
    lite("dvc", "checkout")
    assert weights(lite.root / "results/lite/tracked") == made
    lite("git", "clone", "--quiet", str(lite.root), str(tmp_path / "clone"))
    copy = type(lite)(tmp_path / "clone")
    copy("dvc", "pull")

    assert made
    assert weights(copy.root / "results/lite/tracked") == made


@pytest.mark.slow
@pytest.mark.parametrize("where", ["here", "in the cache"])
def test_the_lock_of_two_merged_branches_holds_the_runs_of_both(lite, where):
    """One side's .dvc files are taken in the merge; `dvc repro` adds the other side's runs."""
    for branch, temperature in (("hot", 8.0), ("cold", 2.0)):
        lite("git", "checkout", "--quiet", "-B", branch, "main")
        lite("dvc", "checkout", "--force")
        lite.edit(**KD, methods={"kd": {"temperature": temperature}})
        finish(lite)
        lite("dvc", "repro")
        lite.commit(branch)
    lite("git", "merge", "hot", check=False)
    lite("git", "checkout", "--ours", ".")
    lite.commit("Both")
    lite("dvc", "checkout")
    students = lite.root / "results/lite/artifacts/student/cifar100"
    made = weights(students)
    if where == "in the cache":
        shutil.rmtree(students)
    (lite.root / "dvc.lock").unlink()

    lite("dvc", "repro")

    assert len(made) == 3
    assert weights(lite.root / "results/lite/tracked/student") == made
    listed = lite("dvc", "list", ".", "results/lite/tracked/student/cifar100", "--dvc-only")
    assert len(listed.split()) == 3


@pytest.mark.slow
def test_a_clone_that_pulled_nothing_forgets_nothing(lite, tmp_path):
    """A new run is added to those that DVC holds, though none of them was pulled."""
    lite("dvc", "push")
    lite.commit("A remote")
    lite("git", "clone", "--quiet", str(lite.root), str(tmp_path / "clone"))
    copy = type(lite)(tmp_path / "clone")
    copy.edit(**KD)
    finish(copy)

    copy("dvc", "repro")

    listed = copy("dvc", "list", ".", "results/lite/tracked/student/cifar100", "--dvc-only")
    assert sorted(name.partition("_s0")[0] for name in listed.split()) == [
        "resnet20_none",
        "resnet56_resnet20_kd",
    ]
    assert len(list((copy.root / "results/lite/tracked/student/cifar100").iterdir())) == 1


def test_no_output_of_dvc_is_where_jobs_work():
    """No stage of dvc.yaml holds a folder of artifacts, and DVC is told to pass them over."""
    repository = Path(__file__).parents[2]
    stages = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]
    outputs = [name for stage in stages.values() for out in stage["outs"] for name in out]

    assert len(outputs) == 6
    assert all("/records/" in name or name.startswith("reports/") for name in outputs)
    assert "/results/*/artifacts/" in (repository / ".dvcignore").read_text().splitlines()
