"""Latency: a clock that the network itself moves shows what is timed, and for how long."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from kdbench.engine.precision import Precision
from kdbench.evaluate import latency as module
from kdbench.evaluate.latency import latency
from kdbench.models.families.resnet import ResNet
from kdbench.runs import evaluation

FLOAT32 = Precision("float32", False, torch.device("cpu"))


class Clocked(nn.Module):
    """Moves a clock by what a pass takes, and keeps what it was given.

    Args:
        takes: seconds of a pass by the batch and by how many passes of that batch came before.
    """

    def __init__(self, takes):
        super().__init__()
        self.takes, self.now, self.passes, self.given = takes, 100.0, [], []
        self.norm, self.frozen = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, images):
        """Logits of no use."""
        state = self.training, self.norm.training, torch.is_inference_mode_enabled()
        self.given.append((images, *state, (images.flatten(1) @ images.flatten(1).T).dtype))
        self.now += self.takes(len(images), self.passes.count(len(images)))
        self.passes.append(len(images))
        return self.norm(images)


@pytest.fixture
def clocked(monkeypatch):
    """Builds networks whose passes are the only thing that takes time."""

    def build(takes):
        network = Clocked(takes)
        clock = SimpleNamespace(perf_counter=lambda: network.now)
        monkeypatch.setattr(module, "time", clock)
        return network

    return build


def test_an_accelerator_takes_as_long_for_many_as_for_one(clocked):
    """Both batches are timed a hundred times; throughput follows from the median."""
    timing = latency(clocked(lambda batch, _: 0.001), (3, 4, 4), FLOAT32, budget=2.0)

    expected = {"median_ms": pytest.approx(1), "spread_ms": pytest.approx(0, abs=1e-6)}
    many = {"images_per_second": pytest.approx(128_000), "repeats": 100}
    one = {"images_per_second": pytest.approx(1000), "repeats": 100}
    assert timing["batch1"] == {"batch": 1, **expected, **one}
    assert timing["batch128"] == {"batch": 128, **expected, **many}
    assert timing["threads"] == torch.get_num_threads()
    assert timing["device"].startswith("cpu")


@pytest.mark.parametrize(
    ("each", "batch"), [(0.0004, 128), (0.002, 128), (0.004, 32), (0.03, 8), (0.09, 2), (0.2, 1)]
)
def test_what_128_images_take_is_foreseen(clocked, each, batch):
    """A slow network is timed on a smaller batch, which the result names; the budget is kept."""
    network = clocked(lambda batch, _: each * batch)
    timing = latency(network, (3, 4, 4), FLOAT32, budget=2.0)

    assert timing["batch128"]["batch"] == batch
    assert timing["batch128"]["median_ms"] == pytest.approx(1000 * each * batch)
    assert min(timing[key]["repeats"] for key in ("batch1", "batch128")) >= 3
    assert network.now - 100 <= 2.0 + 1e-9


def test_at_least_three_passes_are_timed(clocked):
    """Whatever the budget: then the one image stands for the batch as well."""
    timing = latency(clocked(lambda batch, _: 1.0 * batch), (3, 4, 4), FLOAT32, budget=0.2)

    assert timing["batch1"] == timing["batch128"]
    assert (timing["batch1"]["batch"], timing["batch1"]["repeats"]) == (1, 3)


def test_warming_up_does_not_count(clocked):
    """The first passes of a shape are slow, and neither timed nor taken for what is to come."""
    network = clocked(lambda batch, before: 0.0001 * batch + (0.1 if before == 0 else 0.0))
    timing = latency(network, (3, 4, 4), FLOAT32, budget=2.0)

    assert timing["batch128"]["batch"] == 128
    assert timing["batch1"]["median_ms"] == pytest.approx(0.1)
    assert timing["batch1"]["spread_ms"] == pytest.approx(0, abs=1e-6)
    assert timing["batch128"]["spread_ms"] == pytest.approx(0, abs=1e-6)
    timed = sum(timing[key]["repeats"] for key in ("batch1", "batch128"))
    assert network.passes.count(1) > timing["batch1"]["repeats"]
    assert timed < len(network.passes)


def test_median_and_spread_are_as_computed_by_hand(clocked):
    """Of three passes of 1, 2 and 9 seconds: 2, and the quartiles 1.5 and 5.5."""
    takes = [3.0, 1.0, 9.0, 2.0]  # the first warms up
    timing = latency(clocked(lambda _, before: takes[before]), (3, 4, 4), FLOAT32, budget=0.1)

    assert timing["batch1"]["median_ms"] == pytest.approx(2000)
    assert timing["batch1"]["spread_ms"] == pytest.approx(4000)
    assert timing["batch1"]["images_per_second"] == pytest.approx(0.5)


@pytest.mark.parametrize("last", [True, False])
def test_passes_are_those_of_the_evaluation(clocked, last):
    """Eval mode, no gradients, the run's precision and memory format, the data set's shape."""
    network = clocked(lambda *_: 0.01).train()
    network.frozen.eval()
    precision = Precision("bf16" if last else "float32", last, torch.device("cpu"))
    latency(network, (3, 4, 5), precision, budget=0.5)

    order = torch.channels_last if last else torch.contiguous_format
    for images, *state, dtype in network.given:
        assert state == [False, False, True]
        assert images.shape[1:] == (3, 4, 5)
        assert len(images) == 1 or images.is_contiguous(memory_format=order)
        assert dtype is (torch.bfloat16 if last else torch.float32)
        assert images.std() > 0.5
    assert [m.training for m in (network, network.norm, network.frozen)] == [True, True, False]


def test_modes_are_restored_after_an_exception():
    """The exception passes through."""

    class Broken(nn.Module):
        """Cannot run."""

        def forward(self, images):
            """Fails."""
            raise RuntimeError("boom")

    network = Broken().train()
    with pytest.raises(RuntimeError, match="boom"):
        latency(network, (3, 4, 4), FLOAT32)

    assert network.training


def test_measuring_leaves_no_trace():
    """No statistic, no parameter and no random number changes; real passes take real time."""
    network, random = ResNet(8).train(), torch.get_rng_state()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    timing = latency(network, (3, 8, 8), FLOAT32, budget=0.1)

    assert all(torch.equal(v, before[key]) for key, v in network.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert all(p.grad is None for p in network.parameters())
    for key in ("batch1", "batch128"):
        assert 0 < timing[key]["median_ms"] < 1000
        assert timing[key]["images_per_second"] == pytest.approx(
            1000 * timing[key]["batch"] / timing[key]["median_ms"]
        )


@pytest.mark.cuda
def test_on_a_gpu_the_device_s_clock_is_read():
    """A pass is not over when it was merely launched: more images take longer."""
    precision = Precision("float32", True, torch.device("cuda"))
    network = precision.place(ResNet(56, (64, 64, 128, 256)))
    timing = latency(network, (3, 64, 64), precision, budget=2.0)

    assert timing["batch128"]["batch"] == 128
    assert timing["batch128"]["median_ms"] > timing["batch1"]["median_ms"]
    assert timing["device"] == torch.cuda.get_device_name()


@pytest.mark.parametrize(("scale", "budget"), [("smoke", 0.2), ("lite", 2.0), ("paper", 2.0)])
def test_evaluations_tell_both_counts_and_the_latency(monkeypatch, scale, budget):
    """In the record's metrics, beside what was there before; smoke takes little time for it."""
    network, asked = ResNet(8, classes=10, image=(3, 8, 8)), []

    def timed(*given, **options):
        asked.append((given, options))
        return {"threads": 1}

    monkeypatch.setattr(evaluation, "latency", timed)
    monkeypatch.setattr(evaluation.assemble, "trained_network", lambda *_: network)
    monkeypatch.setattr(evaluation, "_row", lambda _job, _data, run: run.cell)
    run = SimpleNamespace(recipe=SimpleNamespace(reported="best"), cell="run0")
    data = SimpleNamespace(image=(3, 8, 8), fingerprint="f", classes=("cat", "dog"))
    job = SimpleNamespace(
        spec=SimpleNamespace(data=None, runs=[run], first=run, scale=scale, tuning_holdout=0.0),
        inputs=SimpleNamespace(data=lambda run: data),
        precision=FLOAT32,
    )

    # A 16th of the pixels of 32×32, where convolutions take 12,500,992; and 10 classes.
    macs, elements = 12_500_992 // 16 + 640, 159_744 // 16
    assert evaluation.run_evaluation(job).metrics == {
        "reported": "best",
        "runs": ["run0"],
        "classes": ["cat", "dog"],
        "parameters": 83_892 - 90 * 65,
        "macs": macs,
        "flops_with_elements": macs + elements,
        "latency": {"threads": 1},
    }
    assert asked == [((network, (3, 8, 8), FLOAT32), {"budget": budget})]
