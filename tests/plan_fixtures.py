"""Plans that many tests here look at."""

import shutil
from pathlib import Path

import pytest

import kdbench
from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params

METHOD = '''
"""A loss of one's own."""

from torch import nn


class Halves(nn.Module):
    """Half of the squared distance of the logits."""

    def __init__(self, student, teacher, *, weight=0.5):
        super().__init__()
        self.weight = weight  # of the term

    def forward(self, student, teacher, batch, position):
        """One term."""
        gap = student.logits - teacher.logits
        return {"halves": self.weight * gap.square().mean()}
'''
DECLARATION = """
kind = "method"
class = "Halves"
label = "Halves"
citation = "ours"
revision = 1

[defaults]
weight = 0.5
task_weight = 1.0
"""


FIRST = {"exhibits": ["distpro/table1", "distpro/figure6"], "datasets": ["cifar100"]}


def planned(**changes):
    """The graph of a params.yaml with these keys; DistPro's Table 1 and Figure 6 by default."""
    return make_graph(Params.model_validate({**FIRST, **changes}))


@pytest.fixture(name="planned")
def planned_fixture():
    """Makes the graph of a params.yaml with the given keys."""
    return planned


@pytest.fixture(scope="session")
def paper():
    """DistPro's Table 1 and Figure 6, at the paper scale."""
    return planned(scale="paper")


@pytest.fixture
def plugin(tmp_path):
    """Makes a folder with a method of one's own; every call another folder."""

    def make(name, code=METHOD, declaration=DECLARATION):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "halves.py").write_text(code)
        (folder / "halves.toml").write_text(declaration)
        return folder

    make.code = METHOD
    make.declaration = DECLARATION
    return make


@pytest.fixture
def package_copy(tmp_path):
    """Copies kdbench's code below the given name, to be edited."""

    def make(name):
        ignore = shutil.ignore_patterns("__pycache__")
        source = Path(kdbench.__file__).parent
        return Path(shutil.copytree(source, tmp_path / name / "kdbench", ignore=ignore))

    return make
