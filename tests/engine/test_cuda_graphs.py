"""Where steps are recorded, and whose Adam counts where."""

import pytest
import torch

from kdbench.engine import cuda_graphs, environment
from kdbench.engine.cuda_graphs import count_on_device, replayed, uses_graphs
from kdbench.engine.replay import NOT_REPLAYED, Replay
from kdbench.errors import BadValue

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
NVIDIA = "13.0"


@pytest.fixture(autouse=True)
def no_recorder(monkeypatch):
    """None can be made here."""
    monkeypatch.delenv("KDBENCH_GRAPHS", raising=False)
    monkeypatch.setattr(torch.version, "cuda", NVIDIA)
    monkeypatch.setattr(cuda_graphs, "CudaRecorder", lambda device: None)


def step(given, position):
    """A step that is never taken."""
    raise AssertionError


@pytest.mark.parametrize(
    ("device", "setting", "version", "expected"),
    [
        (CUDA, "", NVIDIA, True),
        (CUDA, "on", NVIDIA, True),
        (CUDA, "off", NVIDIA, False),
        (CUDA, "on", None, False),  # ROCm
        (CPU, "on", NVIDIA, False),
    ],
)
def test_steps_are_recorded_on_nvidia_s_gpus_unless_switched_off(
    monkeypatch, device, setting, version, expected
):
    """AMD's GPUs are called "cuda" too; a CPU takes the very step that it is given."""
    monkeypatch.setenv("KDBENCH_GRAPHS", setting)
    monkeypatch.setattr(torch.version, "cuda", version)

    assert uses_graphs(device) == expected
    assert isinstance(replayed(step, {}, device, "", pytest.fail), Replay) == expected
    assert expected or replayed(step, {}, device, "", pytest.fail) is step


def test_a_method_that_says_why_not_is_taken_at_its_word():
    """In one line."""
    lines = []

    assert replayed(step, {}, CUDA, "it looks at values", lines.append) is step
    assert lines == [f"{NOT_REPLAYED}: it looks at values"]


def test_another_setting_is_refused(monkeypatch):
    """In one line that names the variable."""
    monkeypatch.setenv("KDBENCH_GRAPHS", "1")
    with pytest.raises(BadValue, match="KDBENCH_GRAPHS: found '1', expected 'on' or 'off'"):
        uses_graphs(CPU)


def test_records_of_gpus_say_whether_steps_were_recorded(monkeypatch):
    """Those of CPUs are as before."""
    monkeypatch.setattr(environment, "device_name", lambda device: "a GPU")

    assert environment.describe_environment(CUDA)["graphs"] is True
    assert "graphs" not in environment.describe_environment(CPU)


class Search:
    """Has an Adam among its attributes, as searches have."""

    def __init__(self):
        self.weight = torch.ones(3, requires_grad=True)
        self.alpha_optimiser = torch.optim.Adam([self.weight])
        self.weight.sum().backward()
        self.alpha_optimiser.step()


def test_adam_counts_on_the_cpu_where_it_computes_there():
    """Whatever a checkpoint of a GPU says; the count and SGD are left alone."""
    search = Search()
    sgd = torch.optim.SGD([search.weight], lr=0.1)
    (group,) = search.alpha_optimiser.param_groups
    group["capturable"] = True
    before = sgd.state_dict()
    count_on_device([search, sgd], CPU)

    assert group["capturable"] is False
    assert search.alpha_optimiser.state[search.weight]["step"] == 1
    assert sgd.state_dict() == before
    search.alpha_optimiser.step()


def test_adam_counts_on_the_gpu_where_it_computes_there():
    """A graph then holds its step, and no step waits for the count."""
    search = Search()
    count_on_device([search], CUDA)

    assert search.alpha_optimiser.param_groups[0]["capturable"] is True
