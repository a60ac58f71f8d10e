"""The hierarchical context loss against loops."""

from statistics import fmean

import pytest
import torch
import torch.nn.functional as F
from torch import randn

from kdbench.distill.hcl import hcl


def cells(length, level):
    """Bounds of each of `level` cells of a row, as adaptive pooling cuts it."""
    return [(i * length // level, -(-(i + 1) * length // level)) for i in range(level)]


def pooled(image, level):
    """One (H, W) list of lists, averaged over cells."""
    rows, columns = cells(len(image), level), cells(len(image[0]), level)
    return [
        [fmean(image[i][j] for i in range(*r) for j in range(*c)) for c in columns] for r in rows
    ]


def slow_hcl(student, teacher):
    """The formula, one image, channel, level and cell at a time."""
    height, width = student.shape[-2:]
    levels = [(None, 1.0)]
    for level in (4, 2, 1):
        if level < min(height, width):
            levels.append((level, levels[-1][1] / 2))
    total = 0.0
    for level, weight in levels:
        gaps = []
        for ours, theirs in zip(student.flatten(0, 1), teacher.flatten(0, 1), strict=True):
            a, b = ours.tolist(), theirs.tolist()
            if level is not None:
                a, b = pooled(a, level), pooled(b, level)
            gaps += [
                (x - y) ** 2 for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True)
            ]
        total += weight * fmean(gaps)
    return total / sum(weight for _, weight in levels)


SIZES = [(1, 1), (2, 2), (3, 3), (4, 4), (6, 6), (7, 5), (8, 8), (12, 8), (16, 16)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_hcl_is_its_slow_form(float64, size):
    """At sizes that the levels divide and at sizes that they do not."""
    student, teacher = randn(2, 3, *size), randn(2, 3, *size)
    expected = slow_hcl(student, teacher)
    assert hcl(student, teacher).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (6, 6), (8, 8)], ids=str)
def test_the_gradient_of_hcl_is_that_of_plain_pooling(float64, size):
    """Of adaptive pooling of both maps at every level."""
    student, teacher = randn(2, 3, *size, requires_grad=True), randn(2, 3, *size)
    plain, weight, weights = F.mse_loss(student, teacher), 1.0, 1.0
    for level in (4, 2, 1):
        if level < size[0]:
            weight /= 2
            weights += weight
            maps = (F.adaptive_avg_pool2d(m, level) for m in (student, teacher))
            plain = plain + weight * F.mse_loss(*maps)
    (expected,) = torch.autograd.grad(plain / weights, student)
    (gradient,) = torch.autograd.grad(hcl(student, teacher), student)
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-14)


def test_hcl_of_single_cells_is_the_mean_squared_difference():
    """At 1 x 1 there is no level to pool to."""
    student, teacher = randn(4, 8, 1, 1), randn(4, 8, 1, 1)
    torch.testing.assert_close(hcl(student, teacher), F.mse_loss(student, teacher))


def test_half_precision_maps_are_compared_in_float32():
    """Maps of bfloat16 give the bits that the same maps in float32 give."""
    student, teacher = (randn(2, 3, 8, 8).bfloat16() for _ in range(2))
    value = hcl(student, teacher)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, hcl(student.float(), teacher.float()), rtol=0, atol=0)


def test_maps_of_two_shapes_are_refused():
    """Also where they could be broadcast; the error names both."""
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 4\) and \(2, 1, 4, 4\)"):
        hcl(randn(2, 3, 4, 4), randn(2, 1, 4, 4))
