"""Networks that train with finite losses and are not finite in evaluation mode: diverged."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_project import EVALUATION, STUDENT, TEACHER

from kdbench.distill.scheme import Scheme
from kdbench.errors import Diverged
from kdbench.exhibits.tables import Column, Row
from kdbench.plan.graph import Cell
from kdbench.report.readings.records import CellState, Records
from kdbench.runs import evaluation, search
from kdbench.runs.export import export_run
from kdbench.runs.steps import TrainStep
from kdbench.store.artifacts import seal
from kdbench.workflow.status import state


def overflow(network):
    """An infinite variance behind the last norm: every image gets the same finite logits."""
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    norms[-1].running_var.fill_(float("inf"))


def times_zero(network):
    """A product of infinity and 0 in evaluation mode alone: no tensor of the network shows it."""

    def product(module, inputs, output):
        return output if module.training else output * float("inf") * 0.0

    network.classifier.register_forward_hook(product)


@pytest.fixture(params=[overflow, times_zero])
def poisoned(request, monkeypatch):
    """Every network that is trained is spoilt so after each step; losses stay finite."""
    step, spoilt = TrainStep.__call__, set()

    def spoil(self, *given):
        terms = step(self, *given)
        if request.param is overflow or id(self.student) not in spoilt:
            request.param(self.student)
            spoilt.add(id(self.student))
        assert all(value.isfinite() for value in terms.values())
        return terms

    monkeypatch.setattr(TrainStep, "__call__", spoil)


@pytest.mark.parametrize("name", [TEACHER, STUDENT])
def test_a_training_whose_evaluation_is_not_finite_diverges(finished, poisoned, name):
    """It leaves no record with an accuracy near chance; status and report say so."""
    finished.undo(name)
    spec = finished.spec(name)
    with pytest.raises(Diverged, match=r"epoch 1: .* not finite, though the losses") as caught:
        finished.run(name)

    assert "\n" not in str(caught.value)
    assert not finished.record_file(name).exists()
    assert state(spec, finished.paths) == "diverged"
    (line,) = Records(finished.paths).diverged([spec])
    assert line.startswith(f"{spec.title}: epoch 1: ")


def test_an_evaluation_that_is_not_finite_diverges(finished, monkeypatch):
    """As of weights that an older version left; its table's cell says so, and no number."""
    finished.record_file(EVALUATION).unlink()
    load = evaluation.assemble.load_weights

    def spoil(network, file):
        load(network, file)
        times_zero(network)

    monkeypatch.setattr(evaluation.assemble, "load_weights", spoil)
    spec = finished.spec(EVALUATION)
    with pytest.raises(Diverged, match=r"_s0, last: in evaluation mode the logits of \d+ of \d+"):
        finished.run(EVALUATION)

    assert state(spec, finished.paths) == "diverged"
    records = Records(finished.paths)
    cell = Cell(Row("DistPro", "distpro"), Column(None), spec)
    assert records.state(cell) is CellState.DIVERGED
    assert records.get(spec) is None


def test_weights_that_are_not_finite_are_not_exported(finished, tmp_path):
    """A finished run of an older version may have left such."""
    folder, spec = finished.folder(STUDENT), finished.spec(STUDENT)
    file = folder / "best.safetensors"
    weights = load_file(file)
    name = next(key for key in weights if key.endswith("running_var"))
    weights[name].fill_(float("inf"))
    save_file(weights, file)
    seal(folder)

    with pytest.raises(Diverged, match="running_var holds numbers that are not finite"):
        export_run(spec, finished.paths, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_finding_that_is_not_finite_diverges():
    """The phase calls it so, and does not blame an argument."""

    class Searcher:
        def finding(self):
            return Scheme(torch.tensor([[float("nan")]]), torch.zeros(1, 1), ("a",))

    with pytest.raises(Diverged, match="what was found is unusable: scheme, weights"):
        search._finding(Searcher())
