"""What a loss gets from its base class, and what a plain module gets without one."""

import pytest
import torch
from contract import COMPONENTS, METHODS, method_part
from torch import nn

from kdbench.distill.loss import DistillationLoss, loss_class
from kdbench.errors import BadValue
from kdbench.runs.assemble import find_class

WHERE = "methods/own.py"


class Plain(nn.Module):
    """A loss as plug-ins wrote them before there was a base class, with some of its hooks."""

    images_need_grad = True

    def __init__(self, student, teacher, *, labels, width=2):
        super().__init__()
        self.trained = nn.Linear(width, width)
        self.beside = nn.Linear(width, width)
        self.meta = torch.optim.SGD(self.beside.parameters(), lr=1.0)
        self.optimisers = {"meta": self.meta}
        self.seen = []

    def forward(self, student, teacher, batch, position):
        """One term."""
        return {"gap": (self.trained(student) - teacher).square().mean()}

    def after_step(self, student, teacher, batch, optimiser):
        """Remember that it was called."""
        self.seen.append(batch)


class PlainWithProperty(nn.Module):
    """A loss of that style which computes what the student's optimiser trains."""

    def __init__(self, student, teacher):
        super().__init__()
        self.connector = nn.Linear(2, 2)
        self.beside = nn.Linear(2, 2)

    @property
    def trained(self):
        """Without what the loss steps itself."""
        return self.connector

    def forward(self, student, teacher, batch, position):
        """No term."""
        return {}


class Silent(nn.Module):
    """A loss with `forward` alone."""

    def __init__(self, student, teacher):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, student, teacher, batch, position):
        """No term."""
        return {}


@pytest.mark.parametrize("method", METHODS)
def test_every_declared_loss_derives_from_the_base_class(method):
    """It is used as it is, without a class made for it."""
    cls = find_class(method_part(method))

    assert issubclass(cls, DistillationLoss)
    assert loss_class(cls, method) is cls


def test_only_crd_takes_the_labels_of_the_training_set():
    """Of all declared methods, and CRD needs a teacher."""
    classes = {name: find_class(method_part(name)) for name in METHODS}

    assert [name for name, cls in classes.items() if cls.takes_labels()] == ["crd"]
    assert COMPONENTS.get("method", "crd", where="test").needs_teacher


def test_a_plain_module_keeps_its_hooks_its_state_and_its_name():
    """Those of its class and those that only the instance has."""
    cls = loss_class(Plain, WHERE)
    loss = cls(None, None, labels=torch.arange(3))
    loss.after_step(None, None, "batch", None)

    assert cls.__name__ == "Plain" and cls.__module__ == Plain.__module__
    assert cls.takes_labels()
    assert isinstance(loss, Plain) and isinstance(loss, DistillationLoss)
    assert loss.images_need_grad
    assert loss.trained_with_student() is loss.trained
    assert loss.optimisers == {"meta": loss.meta}
    assert loss.seen == ["batch"]
    assert loss.state_dict().keys() == Plain(None, None, labels=None).state_dict().keys()


def test_what_a_plain_module_has_trained_may_be_a_property():
    """As any attribute of that name could."""
    loss = loss_class(PlainWithProperty, WHERE)(None, None)

    assert loss.trained_with_student() is loss.connector


def test_a_plain_module_has_the_defaults_of_all_other_hooks():
    """One part, no optimisers, no gradients of images, all of it trained, no labels."""
    loss = loss_class(Silent, WHERE)(None, None)

    assert loss.first is None and not loss.images_need_grad and not loss.optimisers
    assert loss.trained_with_student() is loss
    assert loss.after_step(None, None, None, None) is None
    assert not loss.takes_labels()


@pytest.mark.parametrize("named", [lambda student, teacher: None, dict, "Plain"])
def test_what_is_no_class_of_modules_is_refused(named):
    """The line says where it was found and what to derive from."""
    with pytest.raises(BadValue) as caught:
        loss_class(named, WHERE)

    line = str(caught.value)
    assert line.startswith(f"{WHERE}: found ") and "\n" not in line
    assert "kdbench.distill.loss.DistillationLoss" in line


def test_combine_gives_the_gradients_of_the_sum_by_default():
    """In the student's parameters and in the loss's own."""
    loss = loss_class(Silent, WHERE)(None, None)
    weight = nn.Parameter(torch.tensor(3.0))
    terms = {"near": weight * loss.layer.weight.sum(), "far": weight.square()}
    loss.combine(2 * weight, terms, [weight])

    torch.testing.assert_close(weight.grad, 2 + loss.layer.weight.sum().detach() + 6)
    torch.testing.assert_close(loss.layer.weight.grad, torch.full((2, 2), 3.0))


@pytest.mark.parametrize("hook", ["forward", "first_terms"])
def test_a_hook_without_a_default_raises_an_error_that_names_it(hook):
    """The message names the class too."""

    class Unfinished(DistillationLoss):
        """Nothing yet."""

    with pytest.raises(NotImplementedError, match=f"Unfinished .*{hook}"):
        getattr(Unfinished(), hook)(None, None, None, None)
