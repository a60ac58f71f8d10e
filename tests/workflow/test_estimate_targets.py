"""`kdbench estimate`: targets, sums, words, and errors of one line."""

import json

import pytest
from tiny_project import STUDENT, TEACHER, TinyProject
from typer.testing import CliRunner

from kdbench.cli import app
from kdbench.errors import BadValue, UnknownName
from kdbench.workflow.estimate import find_target


@pytest.fixture(name="project")
def fresh_project(tmp_path, monkeypatch, process_as_before):
    """A small project where nothing ran, as the current folder; of three kinds of students."""
    methods = ["none", "kd", "distpro"]
    project = TinyProject(tmp_path, exhibits=["distpro/table1"], methods_only=methods)
    monkeypatch.chdir(tmp_path)
    return project


def called(*words):
    """What the command prints, and the error that it ends with."""
    result = CliRunner().invoke(app, ["estimate", *words])
    if result.exception and not isinstance(result.exception, SystemExit):
        return result.output, result.exception
    return result.output, None


def test_targets_are_exhibits_papers_and_runs(project):
    """A paper has a row for each of its exhibits, a run one for all that it needs."""
    _, table = find_target(project.root, {}, "distpro/table1")
    _, paper = find_target(project.root, {}, "distpro")
    _, one = find_target(project.root, {}, STUDENT)

    assert [*table] == ["distpro/table1"]
    assert {"distpro/table1", "distpro/figure6"} <= {*paper}
    assert [run.phase for run in one[STUDENT]] == ["data", "teacher", "search", "student"]


def test_a_claim_and_a_cell_are_targets_too(project):
    """A claim is the runs of its rows; a cell's name its evaluation, with the search."""
    _, claim = find_target(project.root, {}, "distpro/alpha-t")
    _, cell = find_target(project.root, {}, STUDENT.partition("/")[2].removesuffix("_s0"))

    assert [*claim] == ["distpro/alpha-t"] and claim["distpro/alpha-t"]
    ((name, runs),) = cell.items()
    assert name.startswith("evaluation/") and "search" in {run.phase for run in runs}


def test_an_unknown_target_is_one_line_with_the_nearest_name(project):
    """Of exhibits, papers and runs alike."""
    with pytest.raises(UnknownName, match="did you mean 'distpro/table1'"):
        find_target(project.root, {}, "distpro/tabel1")


def test_a_gpu_that_is_not_here_needs_a_declared_throughput(project, monkeypatch):
    """Without one the command refuses; with one it says that nothing was timed."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    _, error = called(TEACHER, "--device", "cuda")
    output, none = called(TEACHER, "--device", "cuda", "--tflops", "20")

    assert isinstance(error, BadValue) and "\n" not in str(error) and "--tflops" in str(error)
    assert none is None
    assert "NOTHING WAS TIMED" in output and "20 TFLOP/s" in output
    assert "no power is known; give it with --watts" in output


def test_a_gpu_by_name_is_forecast_from_its_printed_peak(project, monkeypatch):
    """Marked as a lower bound; its power is the maker's, and --tflops stands over the peak."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    named, none = called(TEACHER, "--device", "H100")
    measured, _ = called(TEACHER, "--device", "h100", "--tflops", "66.9")

    assert none is None
    assert "NOTHING WAS TIMED" in named and "LOWER BOUND" in named
    assert "66.9 TFLOP/s" in named and "H100 SXM's peak in float32" in named
    assert "700 W per GPU, the limit that NVIDIA prints" in named
    assert (
        "that --tflops declares for steps in float32" in measured and "LOWER BOUND" not in measured
    )
    assert named.partition("\n- ")[0] == measured.partition("\n- ")[0]
    _, error = called(TEACHER, "--device", "h100", "--save")
    assert "--save" in str(error) and "\n" not in str(error)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "tpu"], "--device: found 'tpu', expected cpu, cuda, t4"),
        (
            ["--device", "t4", "--scale", "lite"],
            "precision: found 'bf16', expected float32 or fp16",
        ),
        (["--device", "cpu", "--gpus", "2"], "no GPUs with --device cpu"),
        (["--override", "{"], "a JSON object"),
        (["--scale", "huge"], "huge"),
        (["distpro/tabel1"], "did you mean"),
    ],
)
def test_bad_input_is_one_line(project, words, message):
    """Nothing is counted before."""
    _, error = called(*words)

    assert message in str(error) and "\n" not in str(error)


@pytest.mark.slow
def test_sums_follow_from_the_declared_throughput_and_power(project):
    """Hours are multiply-adds by rate, watts times hours energy; a shared run counts once."""
    before = sorted(project.root.rglob("*"))
    output, _ = called(
        "--device", "cpu", "--cores", "1", "--tflops", "0.5", "--watts", "20", "--json"
    )
    result = json.loads(output[output.index("{") :])
    (row,), total = result["exhibits"], result["total"]
    operations = sum(2 * kind["macs"] * kind["count"] for kind in result["kinds"])
    latency = 0.2 * sum(
        run.phase == "evaluation"
        for run in find_target(project.root, {}, None)[1]["distpro/table1"]
    )

    assert row == {**total, "name": "distpro/table1"}
    assert total["device_seconds"] == pytest.approx(operations / 0.5e12 + latency, rel=1e-6)
    assert total["wall_seconds"] == pytest.approx(total["device_seconds"])
    assert total["joules"] == pytest.approx(20 * total["device_seconds"])
    assert sorted(project.root.rglob("*")) == before


def test_what_is_finished_costs_nothing(finished, monkeypatch):
    """A run with a record is not among those to do."""
    monkeypatch.chdir(finished.root)
    output, error = called(STUDENT, "--device", "cpu", "--tflops", "1", "--json")

    assert error is None
    total = json.loads(output[output.index("{") :])["total"]
    assert (total["left"], total["steps"], total["disk"]) == (0, 0, 0)
