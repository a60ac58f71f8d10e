"""The list of planted bugs fits today's code, and the tests catch a part of it."""

import subprocess
import sys

import pytest
from plant_bugs import ROOT, caught, does_not_apply
from planted_bugs import BUGS
from planting import DoesNotApply, planted

MODULE = '''"""A module."""

LIMITS = ("low", "high")


class Mean:
    """One of two places that return the same."""

    def of(self, values):
        """The mean."""
        total = sum(
            values,  # all of them
        )
        return total / len(values)


def mean(values):
    """The mean again."""
    total = sum(values)
    return total / len(values)
'''


@pytest.fixture
def package(tmp_path):
    """A package with one module, three folders down."""
    folder = tmp_path / "stats" / "plain"
    folder.mkdir(parents=True)
    (folder / "mean.py").write_text(MODULE)
    return tmp_path


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what)
def test_every_listed_bug_applies_to_todays_code(bug):
    """Its module and function exist, and what it replaces stands there exactly once."""
    assert does_not_apply(bug) == ""


def test_no_planted_bug_uses_a_name_that_is_not_defined(tmp_path):
    """Ruff finds no undefined name, by which any test would fail whatever it tests."""
    for number, bug in enumerate(BUGS):
        _, text = planted(ROOT / "kdbench", bug.place, bug.right, bug.wrong)
        (tmp_path / f"bug{number}.py").write_text(text)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert len(list(tmp_path.glob("*.py"))) == len(BUGS) > 0
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.quick], ids=lambda bug: bug.what)
def test_a_planted_bug_makes_a_test_fail(bug, tmp_path):
    """A copy of the package with the bug does not pass the tests that are named beside it."""
    assert caught(bug, tmp_path)


def test_planting_changes_the_named_place_alone(package):
    """The same text elsewhere in the module stays, and so does the file."""
    file, text = planted(package, "mean:Mean.of", "total / len(values)", "total")

    assert file == package / "stats/plain/mean.py"
    assert text == MODULE.replace("total / len(values)", "total", 1)
    assert file.read_text() == MODULE


def test_planting_finds_a_module_wherever_its_folder_lies(package):
    """After a move to another folder of the package it is the same place."""
    (package / "elsewhere").mkdir()
    (package / "stats/plain/mean.py").rename(package / "elsewhere/mean.py")

    assert planted(package, "mean:mean", "sum(values)", "0")[0].parent.name == "elsewhere"


def test_planting_ignores_layout_comments_and_trailing_commas(package):
    """A call on one line matches the same call that a formatter has spread over three."""
    _, text = planted(package, "mean:Mean.of", "sum( values )", "0")

    assert "        total = 0\n" in text


def test_a_hole_takes_any_name_and_gives_it_to_the_replacement(package):
    """The replacement holds the name that the hole matched."""
    _, text = planted(package, "mean:mean", "$x = sum(values)", "$x = max(values)")

    assert "    total = max(values)\n" in text


def test_a_hole_that_stands_twice_is_one_name(package):
    """Different names in its two places are no match."""
    with pytest.raises(DoesNotApply, match="stands there 0 times"):
        planted(package, "mean:mean", "$x = sum($x)", "pass")


def test_a_constant_of_a_module_is_a_place(package):
    """The text of its assignment can be replaced."""
    _, text = planted(package, "plain.mean:LIMITS", '"high"', '"higher"')

    assert 'LIMITS = ("low", "higher")\n' in text


@pytest.mark.parametrize(
    ("place", "right", "wrong", "why"),
    [
        ("median:mean", "total", "0", "expected one module of this name, found none"),
        ("mean:median", "total", "0", "the module defines this 0 times"),
        ("mean:Mean.mean", "total", "0", "the module defines this 0 times"),
        ("mean:mean", "median(values)", "0", "stands there 0 times"),
        ("mean:mean", "total", "0", "stands there 2 times"),
        ("mean:mean", "sum(values)", "(", "it is no Python"),
    ],
)
def test_what_does_not_apply_is_reported_with_its_reason(package, place, right, wrong, why):
    """Of an absent module, function or text, of a text that is not unique, and of no Python."""
    with pytest.raises(DoesNotApply, match=why):
        planted(package, place, right, wrong)


def test_a_module_name_that_means_two_files_is_refused(package):
    """The message lists both."""
    (package / "mean.py").write_text(MODULE)

    with pytest.raises(DoesNotApply, match=r"found mean\.py, stats/plain/mean\.py"):
        planted(package, "mean:mean", "sum(values)", "0")


def test_tests_that_do_not_exist_are_reported():
    """A bug whose tests were renamed does not apply."""
    bug = BUGS[0]._replace(tests="test_of_nothing.py")

    assert does_not_apply(bug) == "test_of_nothing.py: no such tests"


def test_a_module_alone_is_a_place(package):
    """The text may then stand in a function of any name."""
    (package / "sums.py").write_text("def _sum(values):\n    return sum(values)\n")

    assert planted(package, "sums", "sum(values)", "0")[1] == "def _sum(values):\n    return 0\n"
