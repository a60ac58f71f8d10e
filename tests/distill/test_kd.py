"""KD against its formula, written out."""

from math import exp, log

import pytest
import torch
from torch import randn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.kd import KD, kd
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features

START = TrainingPosition(step=0, steps=10, epoch=0, epochs=2)


def slow_kd(student, teacher, temperature):
    """The formula, one image and one class at a time."""
    total = 0.0
    for ours, theirs in zip(student.tolist(), teacher.tolist(), strict=True):
        p = [exp(value / temperature) for value in theirs]
        q = [exp(value / temperature) for value in ours]
        p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
        total += sum(a * (log(a) - log(b)) for a, b in zip(p, q, strict=True))
    return total / len(student) * temperature**2


def features(logits):
    """Features of which only the logits matter."""
    return Features(logits, [], [], [], [], logits)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_is_its_slow_form(float64, temperature):
    """At a temperature of 1 and of 4."""
    student, teacher = 3 * randn(5, 7), 3 * randn(5, 7)
    expected = slow_kd(student, teacher, temperature)
    assert kd(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-10)


def test_the_gradient_of_kd_is_the_difference_of_the_soft_probabilities(float64):
    """Times T / B, as derived by hand."""
    student, teacher = randn(5, 7, requires_grad=True), randn(5, 7)
    (slope,) = torch.autograd.grad(kd(student, teacher, 4.0), student)
    gap = (student / 4).softmax(1) - (teacher / 4).softmax(1)
    torch.testing.assert_close(slope, 4 * gap.detach() / 5, rtol=1e-10, atol=1e-14)


def test_kd_gives_the_teacher_no_gradient():
    """Though its logits carry a graph."""
    teacher = randn(5, 7, requires_grad=True)
    kd(randn(5, 7, requires_grad=True), teacher, 4.0).backward()
    assert teacher.grad is None


def test_kd_of_logits_that_overflow_an_exponential_is_finite():
    """So is its gradient, for logits in float32 and in bfloat16."""
    for dtype in (torch.float32, torch.bfloat16):
        student = (1e4 * randn(5, 7)).to(dtype).requires_grad_()
        loss = kd(student, (1e4 * randn(5, 7)).to(dtype), 1.0)
        loss.backward()
        assert loss.dtype == torch.float32
        assert loss.isfinite() and student.grad.isfinite().all()


def test_kd_of_equal_logits_is_0(float64):
    """To rounding."""
    logits = randn(4, 6)
    assert kd(logits, logits.clone(), 4.0).item() == pytest.approx(0, abs=1e-15)


def test_the_module_gives_the_formula_times_its_weight(float64):
    """As its only term; it has no parameters."""
    student, teacher = randn(5, 7), randn(5, 7)
    loss = KD(None, None, temperature=2.0, weight=0.3)
    batch = Batch(randn(5, 3, 8, 8), torch.zeros(5, dtype=torch.long), torch.arange(5))
    terms = loss(features(student), features(teacher), batch, START)
    assert terms.keys() == {"kd"}
    assert terms["kd"].item() == pytest.approx(0.3 * slow_kd(student, teacher, 2.0), rel=1e-10)
    assert not list(loss.parameters())
