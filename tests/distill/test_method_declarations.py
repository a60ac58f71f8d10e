"""Every declared method can be built from its own defaults."""

import importlib
import tomllib
from inspect import Parameter, signature
from pathlib import Path

import pytest
import torch
from torch import rand, randn

import kdbench.distill
from kdbench.data.loaders.batch import Batch
from kdbench.distill.aggregation import groups_of
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.pathways import chosen, spell
from kdbench.distill.scheme import Scheme
from kdbench.engine.position import TrainingPosition
from kdbench.models.families.resnet import ResNet
from kdbench.runs.assemble import Teacher

FOLDER = Path(kdbench.distill.__file__).parent
DECLARED = {path.stem: tomllib.loads(path.read_text()) for path in FOLDER.glob("*.toml")}
# Those for classification; tests/distill/test_dense_methods.py trains with the others.
CLASSIFY = [
    name
    for name, declared in DECLARED.items()
    if "classification" in declared.get("tasks", ["classification"])
]
SMALL = {"classes": 5, "image": (3, 8, 8)}


def parts(name):
    """Class and parameters of a method, without what the assembler takes."""
    declared = DECLARED[name]
    module = importlib.import_module(f"kdbench.distill.{declared.get('module', name)}")
    parameters = {k: v for k, v in declared["defaults"].items() if k != "task_weight"}
    return getattr(module, declared["class"]), parameters


def built(name, student, teacher):
    """The method's loss, with a random scheme where it needs one."""
    cls, parameters = parts(name)
    if "search" in DECLARED[name]:
        if name.startswith("dfa"):
            groups = groups_of(student, teacher, stem=parameters["stem"])
            names = [n for group in groups for n in group.names]
        else:
            options = ("connections", "maps", "stem", "transforms")
            names = [spell(p) for p in chosen(4, 4, **{k: parameters[k] for k in options})]
        parameters["scheme"] = Scheme(rand(3, len(names)), rand(3, len(names)) + 1, tuple(names))
    if cls.takes_labels():
        parameters["labels"] = torch.arange(12) % 5
    return cls(student, teacher, **parameters)


def test_the_methods_of_distpro_s_table_are_declared():
    """With a search, a teacher and its batch statistics where they need them."""
    assert {"none", "kd", "reviewkd", "equal", "alpha_t", "distpro"} <= DECLARED.keys()
    assert not DECLARED["none"].get("needs_teacher", True)
    searched = {name for name, declared in DECLARED.items() if "search" in declared}
    assert {"alpha_t", "distpro"} <= searched and "equal" not in searched
    assert DECLARED["reviewkd"]["teacher_bn"] == "batch"


@pytest.mark.parametrize("name", CLASSIFY)
def test_every_method_but_none_gives_terms_that_reach_the_student(name):
    """With the declared defaults; terms are finite scalars, and the teacher gets no gradient."""
    torch.manual_seed(0)
    teacher, student = ResNet(8, **SMALL), ResNet(8, **SMALL)
    loss = built(name, student, teacher)
    batch = Batch(randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3]), torch.arange(4))
    graph = loss.images_need_grad
    batch.images.requires_grad_(graph)
    theirs = Teacher(teacher, "eval").read(batch.images, graph=graph)
    position = TrainingPosition(step=6, steps=10, epoch=3, epochs=5)
    terms = loss(student.read(batch.images), theirs, batch, position)
    if loss.first is not None:
        terms |= loss.first_terms(student.read(batch.images), theirs, batch, position)
    assert bool(terms) == (name != "none")
    assert all(term.shape == () and term.isfinite() for term in terms.values())
    if terms:
        sum(terms.values()).backward()
        gradient = next(student.parameters()).grad
        assert gradient.isfinite().all() and gradient.any()
        assert all(parameter.grad is None for parameter in teacher.parameters())


@pytest.mark.parametrize("name", DECLARED)
def test_a_class_takes_all_declared_parameters_and_has_no_defaults_of_its_own(name):
    """The declaration alone says what a parameter is by default."""
    cls, parameters = parts(name)
    taken = signature(cls).parameters
    assert parameters.keys() <= taken.keys()
    assert [key for key in parameters if taken[key].default is not Parameter.empty] == []


@pytest.mark.parametrize("name", DECLARED)
def test_a_method_declares_whether_it_learns_beside_the_training(name):
    """The plan reads the declaration and cannot see the hook."""
    overrides = parts(name)[0].after_step is not DistillationLoss.after_step
    assert DECLARED[name].get("after_step", False) == overrides


def test_the_three_pathway_methods_declare_one_search_space():
    """They differ in how they take the weights of the pathways."""
    for option in ("connections", "stem", "transforms", "factor", "kd_weight", "tau"):
        assert (
            len({str(DECLARED[n]["defaults"][option]) for n in ("equal", "alpha_t", "distpro")})
            == 1
        )
    assert [DECLARED[n]["defaults"]["weights"] for n in ("equal", "alpha_t", "distpro")] == [
        "equal",
        "last",
        "process",
    ]
