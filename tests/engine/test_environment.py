"""What records say about the code that made them."""

import pytest
import torch

from kdbench.engine import environment
from kdbench.errors import BadValue

CPU = torch.device("cpu")
COMMIT = "5015005f00d5015005f00d5015005f00d5015005"


def described(monkeypatch, given, git=lambda *words: ""):
    """Commit and dirtiness, where git says so much and KDBENCH_COMMIT is as given."""
    monkeypatch.setattr(environment, "_git", git)
    monkeypatch.setenv("KDBENCH_COMMIT", given)
    content = environment.describe_environment(CPU)
    return content["commit"], content["dirty"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [(COMMIT, (COMMIT, False)), ("5015005+", ("5015005", True)), ("", (None, False))],
)
def test_code_without_git_takes_its_commit_from_the_environment(monkeypatch, given, expected):
    """A plus says that the copy has changes; where nobody says anything the commit is unknown."""
    assert described(monkeypatch, given) == expected


def test_git_stands_over_the_environment(monkeypatch):
    """A checkout knows best."""
    answers = {"rev-parse": "feed5ee", "status": " M kdbench/errors.py"}
    git = lambda word, *more: answers[word]  # noqa: E731

    assert described(monkeypatch, COMMIT, git) == ("feed5ee", True)


@pytest.mark.parametrize("given", ["main", "5015005++", "50150", "5015005 "])
def test_what_is_no_commit_is_refused(monkeypatch, given):
    """In one line that names the variable."""
    with pytest.raises(BadValue, match="KDBENCH_COMMIT: found"):
        described(monkeypatch, given)
