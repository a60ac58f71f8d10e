"""Every formula against its slow form: values, gradients, and what bfloat16 may cost."""

import pytest
import slow
import torch
from torch import rand, randn

from kdbench.distill import at, cc, dist, dkd, kd_standardised, mlld, nst, pkt, rkd, sp, vid

MASK = torch.tensor([True, False, True, True, False, True])
LABELS = torch.tensor([0, 3, 4, 1, 0, 2])


def maps(channels=5, size=8):
    """Rectified maps of six images, none empty."""
    return randn(6, channels, size, size).relu() + 0.01 * rand(6, channels, size, size)


def vectors(width=7):
    """Pooled vectors of six images."""
    return randn(6, width)


def logits(scale=3.0):
    """Logits of six images and five classes."""
    return scale * randn(6, 5)


def shares():
    """Probabilities."""
    return logits().softmax(1)


CASES = {  # formula, its slow form, (student, teacher), what else both take
    "at": (at.at, slow.at, lambda: (maps(5, 8), maps(7, 8)), ()),
    "at, larger teacher": (at.at, slow.at, lambda: (maps(5, 4), maps(7, 8)), ()),
    "at, larger student": (at.at, slow.at, lambda: (maps(5, 8), maps(7, 2)), ()),
    "sp": (sp.sp, slow.sp, lambda: (maps(5, 4), maps(7, 8)), ()),
    "nst": (nst.nst, slow.nst, lambda: (maps(3, 4), maps(4, 8)), ()),
    "rkd distance": (rkd.rkd_distance, slow.rkd_distance, lambda: (vectors(), vectors(9)), ()),
    "rkd angle": (rkd.rkd_angle, slow.rkd_angle, lambda: (vectors(), vectors(9)), ()),
    "pkt": (pkt.pkt, slow.pkt, lambda: (vectors(), vectors(9)), ()),
    "cc": (cc.cc, slow.cc, lambda: (vectors(), vectors()), ()),
    "vid": (vid.vid, slow.vid, lambda: (maps(3, 4), maps(3, 4)), (torch.tensor([0.5, 2.0, 5.0]),)),
    "tckd": (dkd.tckd, slow.tckd, lambda: (logits(), logits()), (LABELS, 4.0)),
    "nckd": (dkd.nckd, slow.nckd, lambda: (logits(), logits()), (LABELS, 4.0)),
    "dist, inter": (dist.inter_class, slow.inter_class, lambda: (shares(), shares()), ()),
    "dist, intra": (dist.intra_class, slow.intra_class, lambda: (shares(), shares()), ()),
    "mlld, instance": (
        mlld.instance_level, slow.instance_level, lambda: (logits(), logits()), (MASK, 3.0)
    ),
    "mlld, batch": (mlld.batch_level, slow.batch_level, lambda: (logits(), logits()), (MASK, 3.0)),
    "mlld, class": (
        mlld.class_level, slow.class_level, lambda: (logits(), logits()), (MASK[:5], 3.0)
    ),
}  # fmt: skip
# Relative errors that rounding the *inputs* to bfloat16 (2^-9) may cause; the formulas themselves
# run in float32. The angle and the correlation divide by small differences.
BF16 = {"rkd angle": 0.1, "dist, inter": 0.05, "dist, intra": 0.05}
# Guards against division by 0 (1e-7 of a probability, 1e-8 of a product of norms) that the slow
# forms leave out.
GUARDED = {"pkt": 1e-5, "dist, inter": 1e-6, "dist, intra": 1e-5}


@pytest.fixture(params=CASES)
def case(request):
    """Name, formula, slow form, inputs in float64, and what else the formula takes."""
    torch.manual_seed(1)
    formula, reference, draw, others = CASES[request.param]
    student, teacher = (x.double() for x in draw())
    return request.param, formula, reference, (student, teacher), others


def slope(loss, at_point, *others):
    """Value and gradient in the student."""
    point = at_point.clone().requires_grad_()
    value = loss(point, *others)
    return value.detach(), torch.autograd.grad(value, point)[0]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-4)])
def test_value_and_gradient_of_a_formula_are_those_of_its_slow_form(case, dtype, tolerance):
    """To rounding, in float64 and float32, or to the size of a guard."""
    name, formula, reference, (student, teacher), others = case
    wide = [x.double() if torch.is_tensor(x) and x.is_floating_point() else x for x in others]
    expected, expected_slope = slope(reference, student, teacher, *wide)
    narrow = [x.to(dtype) if torch.is_tensor(x) and x.is_floating_point() else x for x in others]
    tolerance = max(tolerance, GUARDED.get(name, 0))
    value, value_slope = slope(formula, student.to(dtype), teacher.to(dtype), *narrow)

    assert value.dtype == value_slope.dtype == dtype
    torch.testing.assert_close(value.double(), expected, rtol=tolerance, atol=1e-10)
    gap = (value_slope.double() - expected_slope).norm() / expected_slope.norm()
    assert gap < tolerance


def test_a_formula_of_bfloat16_maps_under_autocast_is_float32(case):
    """It is as near to the exact value as the rounded maps allow."""
    name, formula, reference, (student, teacher), others = case
    wide = [x.double() if torch.is_tensor(x) and x.is_floating_point() else x for x in others]
    expected = reference(student, teacher, *wide)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = formula(student.bfloat16(), teacher.bfloat16(), *others)

    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), expected, rtol=BF16.get(name, 0.02), atol=1e-6)


@pytest.mark.parametrize("case", [name for name in CASES if name != "vid"], indirect=True)
def test_a_formula_of_equal_student_and_teacher_is_0(case):
    """Every one but VID's likelihood."""
    _, formula, _, (student, _), others = case

    assert formula(student, student.clone(), *others).abs() < 1e-5


def test_vid_of_a_perfect_prediction_is_half_the_mean_log_variance():
    """What remains of the likelihood without its squared error."""
    teacher, variance = maps(3, 4), torch.tensor([0.5, 2.0, 5.0])

    torch.testing.assert_close(
        vid.vid(teacher, teacher.clone(), variance), variance.log().mean() / 2
    )


def test_dead_maps_equal_images_and_huge_logits_give_finite_losses():
    """Their gradients are finite too."""
    dead, lively = torch.zeros(4, 3, 4, 4), randn(4, 3, 4, 4)
    same = torch.ones(4, 7)
    huge, labels = 1e4 * randn(4, 5), torch.tensor([0, 1, 2, 3])
    results = [
        *(slope(f, dead, lively) for f in (at.at, sp.sp, nst.nst)),
        *(slope(f, same, randn(4, 7)) for f in (rkd.rkd_angle, pkt.pkt, cc.cc)),
        *(slope(f, huge, 1e4 * randn(4, 5), labels, 4.0) for f in (dkd.tckd, dkd.nckd)),
        slope(pkt.pkt, torch.zeros(4, 7), randn(4, 7)),
    ]

    assert all(value.isfinite() and gradient.isfinite().all() for value, gradient in results)


def test_logits_are_standardised_row_by_row(float64):
    """Logits of another scale and shift give the same."""
    given = logits()
    rows = kd_standardised.standardised(given)

    torch.testing.assert_close(rows, slow.standardised(given))
    torch.testing.assert_close(
        rows, kd_standardised.standardised(7 * given + 3), rtol=1e-6, atol=1e-6
    )


def test_mlld_leaves_out_images_and_classes_above_the_median_confidence():
    """The most confident image and class of three are masked."""
    sure = torch.tensor([[9.0, 0, 0], [0, 2, 0], [0, 0.5, 0]])
    images, classes = mlld.MLLD.masks(sure)

    assert images.tolist() == [False, True, True]
    assert classes.tolist() == [True, False, True] or classes.tolist() == [False, True, True]
