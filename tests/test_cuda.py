"""The essentials once more where there is a CUDA device: it agrees with the CPU and with itself."""

import json
import shutil
import signal

import pytest
import torch
from rank_processes import ended, start_ranks
from safetensors.torch import load_file
from tiny_project import (
    EVALUATION,
    OTHER_STUDENT,
    SCALE,
    SEARCH,
    STUDENT,
    TEACHER,
    TinyProject,
    without_times,
)

from kdbench.distill.scheme import Scheme
from kdbench.errors import TryAgain
from kdbench.runs.execute import Options, run_all
from kdbench.runs.together import run_together

DEVICE = "cuda"
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
    # PyTorch warns about every operation that has no deterministic implementation there.
    pytest.mark.filterwarnings("ignore:.*deterministic.*:UserWarning"),
]
# One epoch of a student or a search: rounding has no time to grow.
SHORT = {**SCALE, "student_epochs": 1, "search_epochs": 1}
# Four: enough steps of one kind to record them and to replay them.
LONG = {**SCALE, "student_epochs": 4, "search_epochs": 4}


@pytest.fixture(scope="module", autouse=True)
def process_as_before():
    """Put back signal handlers and what a run sets for the whole process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    torch.use_deterministic_algorithms(False)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def finish(root, name, device, scale=SHORT, **options):
    """A tiny project in which a run was done on a device, however often it had to be called."""
    project = TinyProject(root, scales={"smoke": scale})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDBENCH_DEVICE", device)
        while not project.record_file(name).exists():
            try:
                project.run(name, **options)
            except TryAgain:
                assert options
    return project


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory):
    """All runs on the CPU."""
    return finish(tmp_path_factory.mktemp("cpu"), EVALUATION, "cpu")


def taught(on_cpu, root):
    """A folder with the CPU's data and teacher."""
    for name in ("data/cifar100", TEACHER):
        for path in (on_cpu.record_file(name), on_cpu.folder(name)):
            copy = root / path.relative_to(on_cpu.root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
    return root


@pytest.fixture(scope="module")
def on_device(on_cpu, tmp_path_factory):
    """All runs but the teacher, which is the CPU's, on the device."""
    return finish(taught(on_cpu, tmp_path_factory.mktemp("device")), EVALUATION, DEVICE)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A teacher of the device."""
    return finish(tmp_path_factory.mktemp("teacher"), TEACHER, DEVICE)


def record(project, name):
    """The record of a run."""
    return json.loads(project.record_file(name).read_text())


def test_a_teacher_s_first_steps_agree_with_the_cpu(on_cpu, teacher):
    """The mean loss of the first three differs by at most a thousandth."""
    curves = [record(project, TEACHER)["curves"] for project in (on_cpu, teacher)]

    assert curves[1]["task"][0] == pytest.approx(curves[0]["task"][0], rel=1e-3)


def test_a_student_s_first_steps_agree_with_the_cpu(on_cpu, on_device):
    """Every loss term, and the weights after them, to a hundredth."""
    curves = [record(project, STUDENT)["curves"] for project in (on_cpu, on_device)]
    weights = [
        load_file(project.folder(STUDENT) / "last.safetensors") for project in (on_cpu, on_device)
    ]

    assert curves[0].keys() == curves[1].keys()
    for term in curves[0].keys() - {"test_top1"}:
        assert curves[1][term] == pytest.approx(curves[0][term], rel=1e-2), term
    for key, value in weights[0].items():
        torch.testing.assert_close(
            weights[1][key], value, rtol=1e-2, atol=1e-2, msg=lambda m, key=key: f"{key}: {m}"
        )


def test_a_search_s_first_steps_agree_with_the_cpu(on_cpu, on_device):
    """They are taken with the same pathway weights, to a hundredth of their norm.

    Not each of them: Adam's first steps follow the signs of gradients, and the difference of two
    nearly equal losses may change one.
    """
    one, other = (Scheme.load(project.folder(SEARCH)) for project in (on_cpu, on_device))

    assert one.names == other.names
    assert (other.weights - one.weights).norm() <= 1e-2 * one.weights.norm()


def test_an_evaluation_of_the_cpu_s_weights_agrees_with_the_cpu(on_cpu, on_device, tmp_path):
    """Accuracies and calibration errors differ by at most half a point."""
    mixed = TinyProject(tmp_path, scales={"smoke": SHORT})
    (tmp_path / "results").symlink_to(on_cpu.root / "results")
    expected = record(on_cpu, EVALUATION)["metrics"]["runs"]
    file = on_cpu.record_file(EVALUATION)
    set_aside = file.rename(file.with_suffix(".aside"))
    try:
        finish(mixed.root, EVALUATION, DEVICE)
        measured = record(mixed, EVALUATION)["metrics"]["runs"]
    finally:
        set_aside.rename(file)

    assert expected
    for one, other in zip(expected, measured, strict=True):
        for which in ("last", "best"):
            for metric in ("top1", "top5", "ece"):
                assert other[which][metric] == pytest.approx(one[which][metric], abs=0.5)


@pytest.mark.parametrize("name", [TEACHER, SEARCH, STUDENT])
def test_a_run_stopped_after_every_step_ends_with_the_same_bits(on_device, teacher, tmp_path, name):
    """On the same device; its record is the same but for times and memory."""
    whole = teacher if name == TEACHER else on_device
    shutil.copytree(whole.root, tmp_path, dirs_exist_ok=True)
    stopped = TinyProject(tmp_path)
    stopped.undo(name)
    finish(tmp_path, name, DEVICE, max_minutes=0)

    files = list(whole.folder(name).glob("*.safetensors"))
    assert files
    for file in files:
        expected, resumed = load_file(file), load_file(stopped.folder(name) / file.name)
        for key, value in expected.items():
            torch.testing.assert_close(resumed[key], value, rtol=0, atol=0)
    records = [without_times(record(project, name)) for project in (whole, stopped)]
    assert records[0] == records[1]


def weights(project, name):
    """All tensors of a run's artifacts, by file and name."""
    files = sorted(project.folder(name).glob("*.safetensors"))
    return {(file.name, key): v for file in files for key, v in load_file(file).items()}


def test_runs_without_graphs_end_with_the_same_bits(on_cpu, tmp_path, monkeypatch):
    """A search and a student of some twelve steps, of which most are replayed where graphs are."""
    projects = []
    for setting in ("on", "off"):
        monkeypatch.setenv("KDBENCH_GRAPHS", setting)
        root = taught(on_cpu, tmp_path / setting)
        projects.append(finish(root, STUDENT, DEVICE, scale=LONG))

    for name in (SEARCH, STUDENT):
        one, other = (weights(project, name) for project in projects)
        assert one.keys() == other.keys() != set()
        assert [key for key in one if not torch.equal(one[key], other[key])] == []
        graphs = [record(project, name)["provenance"]["graphs"] for project in projects]
        assert graphs == [True, False]


def test_a_record_names_the_device_and_counts_its_memory(on_device):
    """The memory is the peak of the run, in bytes."""
    student = record(on_device, STUDENT)

    assert student["provenance"]["device"] == torch.cuda.get_device_name()
    assert student["cost"]["peak_memory_bytes"] > 0


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="NCCL gives every rank a GPU of its own")
def test_two_ranks_on_two_gpus_agree_with_one_process_and_with_themselves(teacher, tmp_path):
    """By NCCL: a teacher's first losses to a hundredth; all up to a student twice, bit for bit."""
    scale, made = {**SHORT, "ranks": 2, "synchronise_norms": True}, []
    shared = {"scales": {"smoke": scale}, "methods_only": ["none", "distpro"]}
    for name in ("once", "again"):
        project = TinyProject(tmp_path / name, **shared)
        codes, printed = ended(start_ranks(project, 2, STUDENT, KDBENCH_DEVICE=""), 500)
        assert codes == [0, 0], printed
        made.append(project)
    once, again = made
    curves = [record(project, TEACHER)["curves"]["task"] for project in (once, teacher)]

    assert record(once, STUDENT)["provenance"]["ranks"] == 2
    assert curves[0][0] == pytest.approx(curves[1][0], rel=1e-2)
    assert once.files() == again.files()


def test_lanes_are_to_the_bit_what_runs_alone_are(tmp_path, monkeypatch):
    """A student alone, two under DistPro: on streams of their own, with recorded steps."""
    monkeypatch.setenv("KDBENCH_DEVICE", DEVICE)
    names = ["student/resnet20_none_s0", STUDENT, OTHER_STUDENT]
    plans = [TinyProject(tmp_path / name, scales={"smoke": LONG}) for name in ("alone", "lanes")]
    for plan in plans:
        plan.run(SEARCH)
    specs = [[plan.spec(name) for name in names] for plan in plans]
    assert not run_all(specs[0], plans[0].paths, Options())
    assert not run_together(specs[1], plans[1].paths, Options(), 3)

    assert plans[0].files() == plans[1].files()
    assert record(plans[1], STUDENT)["cost"]["together"] == 3
