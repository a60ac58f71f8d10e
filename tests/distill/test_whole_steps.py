"""Whole steps of every method: none waits for a GPU, and a replayed one has an eager one's bits."""

from importlib import import_module

import pytest
import torch
import whole_steps
from contract import CPU
from tape import TapeRecorder, Waits

from kdbench.engine.cuda_graphs import CudaRecorder, count_on_device
from kdbench.engine.replay import TRIALS, WARM_UPS, Replay

# Each for what it asks of a recording; `make test-all` tries all others too.
QUICK = ("alpha_t", "crd", "kd", "ofd", "reviewkd", "sckd", "ft, first part")
ALL = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name in whole_steps.NAMES
]
EAGER = {"crd"}  # methods that say why their steps cannot be recorded
STEPS = WARM_UPS + TRIALS + 2


@pytest.fixture(autouse=True)
def adam_counts_on_the_device(monkeypatch):
    """As on CUDA: PyTorch knows no CPU whose Adam could be captured."""
    monkeypatch.setattr(
        import_module("torch.optim.adam"),
        "_get_capturable_supported_devices",
        lambda **_: ["cpu", "cuda"],
    )


def started(name, device=CPU.device):
    """A step and its parts, with optimisers that count on the device."""
    step, parts = whole_steps.make(name, device)
    for part in parts.values():
        for group in getattr(part, "param_groups", ()):
            if "capturable" in group:
                group["capturable"] = True
    return step, parts


@pytest.mark.parametrize("name", whole_steps.NAMES)
def test_no_step_makes_a_gpu_wait(name):
    """Neither for a value nor for a shape: forward, backward, optimiser, what comes after."""
    step, _ = started(name)
    step(*whole_steps.given(0))
    with Waits() as seen:
        terms = step(*whole_steps.given(1))

    assert seen.names == []
    assert terms


def assert_replayed_as_eager(name, device, recorder):
    """All terms and all that is changed, in steps whose batches and positions differ."""
    (eager, parts), (step, others), lines = started(name, device), started(name, device), []
    replay = Replay(step, others, recorder, lines.append)
    for number in range(STEPS):
        given = whole_steps.given(number, device)
        one, other = eager(*given), replay(*given)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[term], other[term]) for term in one)
    ours, theirs = whole_steps.state(parts), whole_steps.state(others)

    assert ours.keys() == theirs.keys()
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []
    assert bool(lines) == bool(step.loss.uncaptured) == (name in EAGER)
    assert (replay.replayed == STEPS - WARM_UPS) == (name not in EAGER)


@pytest.mark.parametrize("name", ALL)
def test_a_replayed_step_has_the_bits_of_an_eager_one(name):
    """On a stand-in for CUDA graphs."""
    assert_replayed_as_eager(name, CPU.device, TapeRecorder())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.filterwarnings("ignore:.*deterministic.*:UserWarning")
@pytest.mark.parametrize("name", whole_steps.NAMES)
def test_a_cuda_graph_has_the_bits_of_an_eager_step(name, monkeypatch):
    """On a GPU, as `prepare_process` sets it up."""
    device = torch.device("cuda", 0)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert_replayed_as_eager(name, device, CudaRecorder(device))
    finally:
        torch.use_deterministic_algorithms(False)


def test_adam_counts_where_it_computes():
    """On the CPU the count stays there; a checkpoint of a GPU's is put right."""
    _, parts = started("l2t_ww")
    count_on_device(parts.values(), torch.device("cpu"))

    assert [group["capturable"] for group in parts["meta"].param_groups] == [False]
