"""Whole steps of searches: what waits for a GPU, and a replayed one with an eager one's bits."""

from collections import Counter
from contextlib import nullcontext
from importlib import import_module

import dfa_runs
import pytest
import sbs_runs
import torch
from build_search import build
from tape import TapeRecorder, Waits
from torch import randn

from kdbench.data.loaders.batch import Batch
from kdbench.engine.cuda_graphs import CudaRecorder
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.engine.replay import TRIALS, WARM_UPS, Replay
from kdbench.exhibits.protocols import CRD
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.runs.assemble import Teacher
from kdbench.runs.search import SearchStep

SMALL = {"classes": 5, "image": (3, 8, 8)}
TURN = WARM_UPS + TRIALS + 2  # steps of a group of DFA's
DISTPRO = [{"gradient": "exact"}, {"gradient": "finite-difference"}, {"gradient": "first-order"}]
DFA = [{"losses": "bridge"}, {"order": "second"}, {"order": "second", "gradient": "exact"}]
SEARCHES = {
    "-".join([name, *map(str, options.values())]): (name, options)
    for name, several in (("distpro", DISTPRO), ("dfa", DFA))
    for options in several
}
# `make test-all` tries all others too.
QUICK = ("dfa-bridge",)
ALL = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SEARCHES]


def batch(number, device="cpu"):
    """Six images."""
    rng = torch.Generator().manual_seed(number)
    images, labels = randn(6, *SMALL["image"], generator=rng), torch.arange(6) % 5
    return Batch(*(x.to(device) for x in (images, labels, torch.arange(6))))


class HeldOut:
    """A loader of four validation batches per epoch."""

    steps = 4

    def __init__(self, device="cpu"):
        self.device = device

    def batch(self, epoch, step):
        """The batch of a place."""
        return batch(1000 + 10 * epoch + step, self.device)


def distpro(**options):
    """A teacher and a search with twelve pathways."""
    torch.manual_seed(0)
    teacher, student = WideResNet(10, 2, **SMALL), WideResNet(10, 1, **SMALL)
    space = {"transforms": ["complex", "2conv"], "connections": "downward"}
    return teacher, build("distpro", student, teacher, **space, **options)


STARTS = {"distpro": distpro, "dfa": dfa_runs.start, "sbs": sbs_runs.start}


def started(name, **options):
    """A whole step of a search, whose Adam counts on the device as on CUDA."""
    teacher, search = STARTS[name](**options)
    for optimiser in (value for value in vars(search).values() if hasattr(value, "param_groups")):
        for group in optimiser.param_groups:
            if "capturable" in group:
                group["capturable"] = True
    precision = Precision("float32", False, torch.device("cpu"))
    return SearchStep(search, Teacher(teacher, "eval"), HeldOut(), CRD, 10, precision)


@pytest.fixture(autouse=True)
def adam_counts_on_the_device(monkeypatch):
    """As on CUDA: PyTorch knows no CPU whose Adam could be captured."""
    monkeypatch.setattr(
        import_module("torch.optim.adam"),
        "_get_capturable_supported_devices",
        lambda **_: ["cpu", "cuda", "meta"],
    )


def position(step):
    """Of a search of three turns."""
    return TrainingPosition(step, 3 * TURN, 0, 1)


def saved(search):
    """Every tensor of a checkpoint, in order."""
    tensors = []

    def collect(tree):
        for value in tree.values() if isinstance(tree, dict) else tree:
            if isinstance(value, torch.Tensor):
                tensors.append(value.clone())
            elif isinstance(value, dict | list | tuple):
                collect(value)

    collect(search.state_dict())
    return tensors


@pytest.mark.parametrize("name", SEARCHES)
def test_no_step_makes_a_gpu_wait(name):
    """Neither for a value nor for a shape."""
    kind, options = SEARCHES[name]
    step = started(kind, **options)
    step(batch(0), position(0))
    with Waits() as seen:
        step(batch(1), position(1))

    assert seen.names == []


def test_sbs_waits_once_a_step():
    """It must know whether a gate closed before the next step begins."""
    step = started("sbs")
    step(batch(0), position(0))
    with Waits() as seen:
        step(batch(1), position(1))

    assert seen.names == ["aten::_local_scalar_dense"]


def assert_replayed_as_eager(name, device, recorder):
    """Terms, state and process, across the turns of DFA's groups, each a kind of its own."""
    kind, options = SEARCHES[name]
    with torch.device(device):
        eager, step, lines = started(kind, **options), started(kind, **options), []
    eager.validation = step.validation = HeldOut(device)
    step.replayed = Replay(step.compute, {"search": step.searcher}, recorder, lines.append)
    for number in range(3 * TURN):
        one, other = (each(batch(number, device), position(number)) for each in (eager, step))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[term], other[term]) for term in one)

    assert lines == [] and not step.searcher.uncaptured
    kinds = Counter(step.searcher.work(position(number)) for number in range(3 * TURN))
    assert len(kinds) == (1 if kind == "distpro" else 6)
    assert step.replayed.replayed == sum(max(0, steps - WARM_UPS) for steps in kinds.values())
    pairs = zip(saved(eager.searcher), saved(step.searcher), strict=True)
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)


@pytest.mark.parametrize("name", ALL)
def test_a_replayed_step_has_the_bits_of_an_eager_one(name):
    """On a stand-in for CUDA graphs."""
    assert_replayed_as_eager(name, "cpu", TapeRecorder())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.filterwarnings("ignore:.*deterministic.*:UserWarning")
@pytest.mark.parametrize("name", SEARCHES)
def test_a_cuda_graph_has_the_bits_of_an_eager_step(name, monkeypatch):
    """On a GPU, as `prepare_process` sets it up."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert_replayed_as_eager(name, "cuda:0", CudaRecorder(torch.device("cuda", 0)))
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_whole_step_is_of_one_device(name, monkeypatch):
    """On a device without values: backward passes and the process included, looks at none."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: nullcontext())
    kind, options = SEARCHES[name]
    with torch.device("meta"):
        step = started(kind, **options)
    step.validation = HeldOut("meta")
    for number in range(2):
        terms = step(batch(number, "meta"), position(number))

    assert {value.device.type for value in terms.values()} == {"meta"}
    pending = [tensor for row in step.searcher._process._pending for tensor in row]
    assert {tensor.device.type for tensor in pending} == {"meta"}
