"""Accuracy and calibration, against loops that an eye can check."""

import math

import pytest
import torch
from torch import nn

from kdbench.data.loaders.batch import Batch
from kdbench.engine.precision import Precision
from kdbench.evaluate.classification import accuracy, calibration_error, classify, predict


def slow_accuracy(logits, labels, k):
    """Rank by rank, image by image."""
    hits = 0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        ranked = sorted(range(len(row)), key=lambda c: -row[c])
        hits += label in ranked[:k]
    return 100 * hits / len(labels)


def slow_calibration(logits, labels, bins):
    """Guo et al., Eq. 3: bins (0, 1/M], (1/M, 2/M], ... of the confidence."""
    members = [[] for _ in range(bins)]
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        top = max(row)
        confidence = 1 / sum(math.exp(value - top) for value in row)
        for m in range(bins):
            if m / bins < confidence <= (m + 1) / bins:
                members[m].append((confidence, row.index(top) == label))
    error = 0.0
    for rows in members:
        if rows:
            mean = sum(confidence for confidence, _ in rows) / len(rows)
            right = sum(hit for _, hit in rows) / len(rows)
            error += len(rows) / len(labels) * abs(right - mean)
    return 100 * error


def drawn(n=200, classes=10, spread=3.0):
    """Logits and labels of a network that is right more often than not."""
    torch.manual_seed(0)
    logits, labels = spread * torch.randn(n, classes), torch.randint(classes, (n,))
    logits[torch.arange(n), labels] += 2.0
    return logits, labels


@pytest.mark.parametrize("k", [1, 2, 5, 10])
def test_accuracy_is_that_of_the_loop(k):
    """Top-k in percent."""
    logits, labels = drawn()

    assert accuracy(logits, labels, k) == pytest.approx(slow_accuracy(logits, labels, k))


def test_accuracy_is_as_counted_by_hand():
    """Three of four right; with more places than classes, all."""
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0], [1.0, 0.0]])
    labels = torch.tensor([0, 1, 0, 1])

    assert accuracy(logits, labels) == 75.0
    assert accuracy(logits, labels, 5) == 100.0


@pytest.mark.parametrize("bins", [1, 5, 15])
@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_calibration_error_is_that_of_the_loop(bins, spread):
    """Also for hesitant networks, whose confidences fill other bins."""
    logits, labels = drawn(spread=spread)
    expected = slow_calibration(logits.double(), labels, bins)

    assert calibration_error(logits, labels, bins) == pytest.approx(expected, rel=1e-9)
    assert expected > 1


def test_calibration_error_is_as_computed_by_hand():
    """Sure and always right: 0. Sure and never right: 100. Half sure and half right: 0."""
    sure = torch.tensor([[50.0, 0.0], [50.0, 0.0]])
    torn = torch.zeros(2, 2)

    assert calibration_error(sure, torch.tensor([0, 0])) == pytest.approx(0, abs=1e-9)
    assert calibration_error(sure, torch.tensor([1, 1])) == pytest.approx(100)
    assert calibration_error(torn, torch.tensor([0, 1])) == pytest.approx(0, abs=1e-9)


def test_a_confidence_on_the_edge_belongs_to_the_bin_below():
    """0.5 is in (0, 0.5] of two bins: with a confidence above it, the two do not cancel."""
    logits = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    labels = torch.tensor([1, 0])
    above = 1 / (1 + math.exp(-2))

    assert calibration_error(logits, labels, 2) == pytest.approx(100 * (0.5 + 1 - above) / 2)


class Net(nn.Module):
    """A norm and a linear layer."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(6)
        self.out = nn.Linear(6, 4)

    def forward(self, x):
        """Logits."""
        return self.out(self.norm(x))


@pytest.mark.parametrize("training", [True, False])
def test_measuring_changes_nothing_and_keeps_the_mode(training):
    """Running statistics are used, not moved; the batches' borders do not matter."""
    torch.manual_seed(0)
    network, x, labels = Net().train(training), torch.randn(10, 6), torch.arange(10) % 4
    before = {k: v.clone() for k, v in network.state_dict().items()}
    precision = Precision("float32", False, torch.device("cpu"))

    def batches(*sizes):
        places = torch.arange(10).split(sizes)
        return [Batch(x[i], labels[i], i) for i in places]

    logits, seen = predict(network, batches(4, 4, 2), precision)
    measured = classify(network, batches(5, 5), precision)

    assert network.training is training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    torch.testing.assert_close(logits, network.eval()(x))
    assert torch.equal(seen, labels)
    assert measured == {
        "top1": accuracy(logits, labels),
        "top5": 100.0,
        "ece": pytest.approx(calibration_error(logits, labels), rel=1e-4),
    }


def test_reduced_precision_gives_float32_logits():
    """Averages and bins are never computed in bf16."""
    torch.manual_seed(0)
    batch = Batch(torch.randn(8, 6), torch.arange(8) % 4, torch.arange(8))
    logits, _ = predict(Net(), [batch], Precision("bf16", False, torch.device("cpu")))

    assert logits.dtype == torch.float32
