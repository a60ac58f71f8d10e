"""Several losses in one training."""

import pytest
import torch
from build_loss import build_loss
from torch import nn

from kdbench.distill.jacobian import Jacobian
from kdbench.distill.joined import JoinedLosses
from kdbench.distill.kd import KD
from kdbench.distill.loss import DistillationLoss
from kdbench.errors import UserError


class Distance(DistillationLoss):
    """A connector and two terms."""

    def __init__(self):
        super().__init__()
        self.connector = nn.Linear(4, 4)

    def forward(self, student, teacher, batch, position):
        """Two scalars."""
        gap = self.connector(student) - teacher
        return {"near": gap.square().mean(), "far": gap.abs().mean()}


def test_joined_terms_are_those_of_the_parts_under_their_methods_names():
    """With the values that each part gives alone."""
    one, two = Distance(), Distance()
    both = JoinedLosses([("a", one), ("b", two)])
    maps = torch.randn(3, 4), torch.randn(3, 4)
    terms = both(*maps, None, None)

    assert list(terms) == ["a.near", "a.far", "b.near", "b.far"]
    for name, part in (("a", one), ("b", two)):
        for term, value in part(*maps, None, None).items():
            assert torch.equal(terms[f"{name}.{term}"], value)


def test_connectors_of_all_parts_are_parameters_and_in_the_state():
    """Also those of two parts of one method."""
    both = JoinedLosses([("a", Distance()), ("a", Distance())])

    assert len(list(both.parameters())) == 4
    assert set(both.state_dict()) == {
        f"parts.{i}_a.connector.{part}" for i in (0, 1) for part in ("weight", "bias")
    }


def test_a_loss_that_needs_the_step_for_itself_is_refused():
    """The line names it and says why."""
    kd, jacobian = (build_loss(cls, None, None) for cls in (KD, Jacobian))
    with pytest.raises(UserError, match=r"method kd\+jacobian: jacobian looks at input gradients"):
        JoinedLosses([("kd", kd), ("jacobian", jacobian)])
