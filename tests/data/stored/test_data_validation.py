"""The numbers of a declaration against what was prepared."""

import pytest
from families import declaration

from kdbench.data.stored.validation import check_result
from kdbench.errors import DamagedData

# Of the official archive, as measured by many; in units of 1/255 for CIFAR-100.
CIFAR10 = ([0.49139968, 0.48215841, 0.44653091], [0.24703223, 0.24348513, 0.26158784])
CIFAR100 = (
    [v / 255 for v in (129.30416561, 124.06996270, 112.43405006)],
    [v / 255 for v in (68.17024290, 65.39180804, 70.41837019)],
)
OTHERS = {  # what other code has, which must pass as well
    "tinyimagenet": ([0.4802, 0.4480, 0.3975], [0.2764, 0.2689, 0.2816]),
    "cinic10": ([0.4789, 0.4723, 0.4305], [0.2421, 0.2383, 0.2587]),
}
MEASURED = {"cifar10": CIFAR10, "cifar100": CIFAR100, **OTHERS}


def result(name, mean, std):
    """What a preparation of the right images would give."""
    fingerprint = declaration(name).get("fingerprint", "0" * 64)
    return {"name": name, "fingerprint": fingerprint, "mean": mean, "std": std}


@pytest.mark.parametrize("name", MEASURED)
def test_published_statistics_pass(name):
    """The declared digits are those of the measured numbers."""
    check_result(result(name, *MEASURED[name]), declaration(name))


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("spoilt", ["swapped colours", "of each image", "one channel"])
def test_statistics_of_other_images_do_not_pass(name, spoilt, layouts):
    """Swapped colours, means of every image's own deviation, or one channel that is off."""
    mean, std = MEASURED[name]
    wrong = {
        "swapped colours": (mean[::-1], std[::-1]),
        "of each image": (mean, [value - 0.045 for value in std]),
        "one channel": (mean, [*std[:2], std[2] + 0.025]),
    }[spoilt]
    with pytest.raises(DamagedData) as caught:
        check_result(result(name, *wrong), declaration(name))
    called = "means" if spoilt == "swapped colours" else "standard deviations"
    layouts.one_line(caught, name, called, "another source")


@pytest.mark.parametrize(
    ("gap", "tolerance", "passes"),
    [(4.9e-4, None, True), (5.1e-4, None, False), (0.02, 0.02, True), (0.021, 0.02, False)],
)
@pytest.mark.parametrize("key", ["mean", "std"])
def test_the_declared_digits_decide(key, gap, tolerance, passes):
    """Half a unit of the last digit of any of the values, or what the declaration says."""
    right = [0.5, 0.25, 0.125]
    declared = {key: right, **({"tolerance": tolerance} if tolerance else {})}
    actual = {"name": "x", "fingerprint": "f", "mean": right, "std": right}
    actual[key] = [0.5, 0.25 - gap, 0.125]
    if passes:
        check_result(actual, declared)
    else:
        with pytest.raises(DamagedData):
            check_result(actual, declared)


def test_another_fingerprint_does_not_pass(layouts):
    """Where it is pinned; where it is not, any will do."""
    mean, std = CIFAR100
    actual = {"name": "cifar100", "fingerprint": "0" * 64, "mean": mean, "std": std}
    with pytest.raises(DamagedData) as caught:
        check_result(actual, declaration("cifar100"))
    layouts.one_line(caught, "cifar100", "0" * 64, "94b35ade")
    check_result(actual, {})
