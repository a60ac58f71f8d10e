"""The two tools over one graph, both real: what reruns, and what must not."""

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from handmade import contents

REPOSITORY = Path(__file__).parents[2]


def nothing_runs(project):
    """Whether both tools, asked for everything, leave every record as it is."""
    before = project.records()
    output = project.snakemake() + project("dvc", "repro", "--allow-missing")
    assert project.records() == before, output
    return True


def changed(before, after):
    """Cells of the records that are new, without their digests."""
    return sorted(name.split(".")[0] for name in after if name not in before)


def tables_of(project, scale):
    """The tables of a report in Markdown, one after the other."""
    pages = sorted((project.root / "reports" / scale / "tables").glob("*.md"))
    return "".join(page.read_text() for page in pages)


def test_a_second_call_of_snakemake_runs_nothing(built):
    """The first call writes the report with its banner and tables; the second has nothing to do."""
    page = (built.root / "reports/lite/README.md").read_text()

    assert "Scale lite" in page
    assert "ResNet56" in tables_of(built, "lite")
    assert "Nothing to be done" in built.snakemake()


def test_dvc_after_snakemake_runs_no_job(built):
    """Where Snakemake made all records, `dvc repro` only writes its lock."""
    assert nothing_runs(built)
    assert "Data and pipelines are up to date" in built("dvc", "status")


def test_touching_every_file_runs_nothing(built):
    """Neither newer code nor newer upstream records count: time stamps decide nothing."""
    later = time.time() + 100
    for path in built.root.rglob("*"):
        if path.is_file() and ".git" not in path.parts and ".dvc" not in path.parts:
            os.utime(path, (later, later))

    assert nothing_runs(built)


def test_records_of_the_future_stop_no_job(built):
    """A clock that was a year ahead when they were written; then it was put right."""
    gone = list(built.root.glob("results/lite/records/*/cifar100/resnet56_resnet20_kd*.json"))
    assert len(gone) == 2
    for path in gone:
        path.unlink()
    later = time.time() + 365 * 86400
    for path in built.root.glob("results/lite/records/*/cifar100/*.json"):
        os.utime(path, (later, later))

    built.snakemake()
    assert all(path.exists() for path in gone)


KD_MADE_ANEW = ["resnet56_resnet20_kd", "resnet56_resnet20_kd_s0"]


@pytest.mark.slow
def test_an_edit_of_one_method_reruns_what_it_affects(built_once, edited):
    """KD's temperature makes KD's student and its evaluation anew, and nothing else."""
    before, after = built_once.records(), edited.records()

    assert changed(before, after) == KD_MADE_ANEW
    assert {name: after[name] for name in before} == before
    assert nothing_runs(edited)


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["snakemake", "dvc"])
def test_an_edit_reruns_the_same_where_no_artifact_is_gone(built, tool):
    """Under either tool."""
    before = built.records()
    built.edit(methods={"kd": {"temperature": 8.0}})

    built.snakemake() if tool == "snakemake" else built("dvc", "repro")

    after = built.records()
    assert changed(before, after) == KD_MADE_ANEW
    assert {name: after[name] for name in before} == before
    assert nothing_runs(built)


@pytest.mark.slow
def test_an_edit_of_the_search_reruns_it_and_its_students(built):
    """The search's learning rate makes search, DistPro's student and its evaluation anew."""
    before = built.records()
    built.edit(searches={"distpro": {"alpha_lr": 0.1}})

    built("dvc", "repro")

    cells = ["resnet56_resnet20_distpro", "resnet56_resnet20_distpro"]
    assert changed(before, built.records()) == [*cells, "resnet56_resnet20_distpro_s0"]


@pytest.mark.slow
def test_an_older_commit_runs_nothing(edited):
    """After `git checkout` and `dvc checkout` both tools find the older results."""
    edited.commit("Another temperature")

    edited("git", "checkout", "--quiet", "HEAD~1")
    edited("dvc", "checkout")
    assert nothing_runs(edited)

    edited("git", "checkout", "--quiet", "main")
    edited("dvc", "checkout")
    assert nothing_runs(edited)


@pytest.mark.slow
def test_an_edit_taken_back_gives_the_old_report(built_once, edited):
    """No run is made, and the report is that of today's params.yaml again, under DVC as well."""
    page, records = edited.root / "reports/lite/README.md", edited.records()
    before = (built_once.root / "reports/lite/README.md").read_bytes()
    assert page.read_bytes() != before

    edited.edit(methods={})
    edited("dvc", "repro")

    assert page.read_bytes() == before
    assert edited.records() == records


@pytest.mark.slow
def test_a_report_of_other_parameters_is_replaced(built):
    """What `kdbench report` wrote for other parameters does not pass for the report asked for."""
    page = built.root / "reports/lite/README.md"
    before = page.read_bytes()
    built("kdbench", "report", "--override", '{"methods": {"kd": {"temperature": 3.0}}}')
    assert "not run yet" in tables_of(built, "lite")

    built.snakemake()

    assert page.read_bytes() == before


def test_a_deleted_artifact_comes_back_from_the_copy_that_dvc_holds(built_once, edited_once):
    """A new KD student wants the teacher, whose folder is linked back, not trained again."""
    name = "results/lite/artifacts/teacher/cifar100"
    assert contents(edited_once.root / name) == contents(built_once.root / name) != {}
    (log,) = edited_once.root.glob("results/lite/logs/restore/teacher/**/*.log")
    assert "brought back by DVC" in log.read_text()


def clone(project, to, *, pull):
    """A fresh clone, with or without its artifacts."""
    project("git", "clone", "--quiet", str(project.root), str(to))
    copy = replace(project, root=to)
    if pull:
        copy("dvc", "pull")
    return copy


@pytest.fixture
def pushed(built, tmp_path):
    """The built project, its artifacts pushed to a remote in a local folder."""
    built("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    built.commit("A remote")
    built("dvc", "push")
    return built


@pytest.mark.slow
def test_a_clone_that_pulled_runs_nothing(pushed, tmp_path):
    """Records come from git, artifacts from the remote."""
    copy = clone(pushed, tmp_path / "clone", pull=True)

    assert nothing_runs(copy)
    assert "up to date" in copy("dvc", "status")
    assert list((copy.root / "results/lite/tracked/teacher/cifar100").glob("*/*.safetensors"))


@pytest.mark.slow
def test_a_clone_without_artifacts_makes_its_tables(built, tmp_path):
    """The report is made from the committed records, without a run."""
    copy = clone(built, tmp_path / "clone", pull=False)
    page = (copy.root / "reports/lite/README.md").read_bytes()
    (copy.root / "reports/lite/README.md").unlink()

    assert nothing_runs(copy)
    assert (copy.root / "reports/lite/README.md").read_bytes() == page
    assert not (copy.root / "results/lite/artifacts/teacher").exists()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["pulled", "rebuilt"])
def test_an_artifact_comes_back_only_when_a_needed_run_wants_it(request, tmp_path, source):
    """A new KD student wants data and teacher: pulled from the remote, or made again to the bit."""
    project = request.getfixturevalue("pushed" if source == "pulled" else "built")
    copy = clone(project, tmp_path / "clone", pull=False)
    before = copy.records()
    copy.edit(methods={"kd": {"temperature": 8.0}})

    copy.snakemake()

    assert changed(before, copy.records()) == KD_MADE_ANEW
    artifacts = copy.root / "results/lite/artifacts"
    back = sorted(p.name.split(".")[0] for p in artifacts.glob("*/cifar100/*"))
    assert back == ["cifar100", "resnet56", "resnet56_resnet20_kd", "resnet56_resnet20_kd_s0"]
    log = "".join(p.read_text() for p in copy.root.glob("results/lite/logs/restore/**/*.log"))
    assert ("brought back by DVC" if source == "pulled" else "the same bytes") in log


@pytest.mark.slow
def test_switching_the_scale_and_back_loses_nothing(built):
    """dvc.lock keeps both scales, and no artifact is touched."""
    artifacts = built.root / "results/lite/artifacts"
    before = {p: p.read_bytes() for p in artifacts.rglob("*.safetensors")}
    lock = yaml.safe_load((built.root / "dvc.lock").read_text())["stages"]

    built.edit(scale="smoke", methods_only=["none"])
    built("dvc", "repro")
    built("dvc", "checkout")
    built.edit(scale="lite", methods_only=["none", "kd", "distpro"])
    built("dvc", "checkout")

    both = yaml.safe_load((built.root / "dvc.lock").read_text())["stages"]
    assert before
    assert {p: p.read_bytes() for p in artifacts.rglob("*.safetensors")} == before
    assert {key: both[key] for key in lock} == lock
    assert any(key.startswith("student@smoke") for key in both)
    assert nothing_runs(built)


@pytest.mark.slow
def test_a_config_override_reaches_the_jobs(built):
    """Snakemake's --config changes the plan of the jobs as well, and leaves params.yaml alone."""
    before, params = built.records(), (built.root / "params.yaml").read_text()
    alone = replace(built, server="")  # each job in a Python of its own

    alone.snakemake("--config", 'methods={"kd": {"temperature": 8.0}}')

    after = built.records()
    assert changed(before, after) == KD_MADE_ANEW
    assert {name: after[name] for name in before} == before
    assert (built.root / "params.yaml").read_text() == params


@pytest.mark.slow
def test_a_run_that_diverges_costs_the_others_nothing(built):
    """The call fails; the report is written all the same and names the run."""
    scales = yaml.safe_load((built.root / "params.yaml").read_text())["scales"]
    scales["lite"]["student_epochs"] = 3
    built.edit(methods={"kd": {"weight": 1e9, "task_weight": 1e9}}, scales=scales)

    output = built("snakemake", "--cores", "2", "reproduce_all", check=False)

    assert "Exiting because a job execution failed" in output
    assert "The report of the finished runs: reports/lite/README.md" in output
    page = (built.root / "reports/lite/README.md").read_text()
    assert "Diverged: student cifar100 resnet56_resnet20_kd_s0: epoch " in page
    assert tables_of(built, "lite").count("| diverged") == 1


@pytest.mark.slow
def test_one_job_makes_several_cells_and_a_failure_costs_the_others_nothing(built):
    """At scale smoke, cells that were finished before the failure stay, and are in the report."""
    scales = yaml.safe_load((built.root / "params.yaml").read_text())["scales"]
    scales["smoke"]["student_epochs"] = 3
    methods = {"kd": {"weight": 1e9, "task_weight": 1e9}}
    few = ["none", "kd", "reviewkd", "equal"]
    built.edit(scale="smoke", methods=methods, scales=scales, methods_only=few)

    def finished():
        files = (built.root / "results/smoke/records/evaluation/cifar100").glob("*.json")
        return {path.name.partition(".")[0] for path in files}

    for jobs in (2, None):  # the student's, and those of the teacher; then what is left
        output = built("snakemake", "--cores", "2", "reproduce_all", check=False)

        assert "Exiting because a job execution failed" in output
        assert "The report of the finished runs: reports/smoke/README.md" in output
        assert jobs is None or output.count("localrule evaluation:") == jobs
        pair = "resnet56_resnet20_"
        assert finished() == {"resnet56", "resnet20_none", f"{pair}reviewkd", f"{pair}equal"}
        page = (built.root / "reports/smoke/README.md").read_text()
        assert "Diverged: student cifar100 resnet56_resnet20_kd_s0: epoch " in page
        assert tables_of(built, "smoke").count("| diverged") == 1
        assert "| not run yet" not in tables_of(built, "smoke")


@pytest.mark.slow
def test_the_report_of_an_own_table_leaves_the_study_s_report_as_it_was(built):
    """Under --config alone, and beside the study's exhibits; both calls end with nothing to do."""
    folder = built.root / "reports/lite"
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    table = '[{"id": "t", "pairs": ["resnet56:resnet20"], "methods": ["teacher", "kd"]}]'

    for exhibits in ('["own"]', '["distpro/table1", "own"]'):
        words = ["--config", f"tables={table}", f"exhibits={exhibits}"]
        built.snakemake(*words)
        assert "Nothing to be done" in built.snakemake(*words)
        same = {path for path in before if path.read_bytes() == before[path]}
        # A page for a browser names the command that makes a cell, with the options of this call.
        assert all(path.suffix == ".html" for path in before.keys() - same)
        assert exhibits != '["own"]' or same == before.keys()
        assert "| **Teacher**" in (folder / "own/tables/own-t.md").read_text()


def test_a_wrong_parameter_is_one_line_and_nothing_runs(built):
    """Either tool says where, what was found and what to try."""
    before = built.records()
    built.edit(methods={"kd": {"temprature": 8.0}})

    for words in (["snakemake", "-n", "reproduce_all"], ["dvc", "repro"]):
        output = built(*words, check=False)
        assert "no parameter is called 'temprature'; did you mean 'temperature'?" in output
    assert built.records() == before


def test_a_clean_clone_has_no_results_of_smoke():
    """Records and reports of scale smoke are git-ignored; those of lite are not."""
    names = ("results/{}/records/data/x.json", "results/{}/diverged/x.json", "reports/{}/README.md")

    def ignored(scale):
        asked = [name.format(scale) for name in names]
        call = subprocess.run(
            ["git", "check-ignore", *asked], cwd=REPOSITORY, capture_output=True, text=True
        )
        return call.stdout.split()

    assert len(ignored("smoke")) == 3
    assert ignored("lite") == []
