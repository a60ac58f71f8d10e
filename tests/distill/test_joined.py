"""Several losses in one training."""

import pytest
import torch
from build_loss import build_loss
from contract import CPU, LATE, PAIR, build, network, scene
from torch import nn
from typed_runs import method_part, student_run

from kdbench.distill.jacobian import Jacobian
from kdbench.distill.joined import FeaturesByMode, JoinedLosses, Part
from kdbench.distill.kd import KD
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.several_teachers import PerTeacher
from kdbench.errors import UserError
from kdbench.runs.assemble import Teacher, make_student_loss


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
    both = JoinedLosses([Part("a", one, "eval"), Part("b", two, "eval")])
    maps = torch.randn(3, 4), torch.randn(3, 4)
    terms = both(*maps, None, None)

    assert list(terms) == ["a.near", "a.far", "b.near", "b.far"]
    for name, part in (("a", one), ("b", two)):
        for term, value in part(*maps, None, None).items():
            assert torch.equal(terms[f"{name}.{term}"], value)


def test_connectors_of_all_parts_are_parameters_and_in_the_state():
    """Also those of two parts of one class."""
    both = JoinedLosses([Part("b", Distance(), "eval"), Part("a", Distance(), "eval")])

    assert len(list(both.parameters())) == len(list(both.trained_with_student().parameters())) == 4
    assert set(both.state_dict()) == {
        f"parts.{part}.connector.{key}" for part in ("0_a", "1_b") for key in ("weight", "bias")
    }


def test_a_loss_that_needs_the_step_for_itself_is_refused():
    """The line names it and says why."""
    kd, jacobian = (build_loss(cls, None, None) for cls in (KD, Jacobian))
    with pytest.raises(UserError, match=r"method jacobian\+kd: jacobian looks at input gradients"):
        JoinedLosses([Part("kd", kd, "eval"), Part("jacobian", jacobian, "eval")])


def test_a_method_twice_is_refused():
    """One term would take the other's name."""
    with pytest.raises(UserError, match=r"method a\+a: found a method twice"):
        JoinedLosses([Part("a", Distance(), "eval"), Part("a", Distance(), "eval")])


def parts(*methods):
    """The losses of some methods, of seed 0, on one pair of networks, in their own modes."""
    teacher, student = (network(name) for name in PAIR)
    return [Part(m, build(m, student, teacher), method_part(m).teacher_mode) for m in methods]


def test_each_part_sees_the_teacher_in_its_own_mode():
    """OFD asks for the batch's statistics, KD for the running ones: terms are as of each alone."""
    features = scene(*(network(name) for name in reversed(PAIR)))
    others = scene(*(network(name) for name in reversed(PAIR)), seed=1)
    teacher = FeaturesByMode.of({"eval": features.teacher, "batch": others.teacher})
    ofd, kd = parts("ofd", "kd")
    given = features.batch, LATE
    terms = JoinedLosses([ofd, kd])(features.student, teacher, *given)

    (running,) = kd.loss(features.student, features.teacher, *given).values()
    (own,) = ofd.loss(features.student, others.teacher, *given).values()
    (wrong,) = ofd.loss(features.student, features.teacher, *given).values()
    assert torch.equal(terms["kd.kd"], running)
    assert torch.equal(terms["ofd.ofd"], own)
    assert not torch.equal(wrong, own)


def test_the_order_of_the_parts_changes_nothing():
    """Names of terms, their order and their bits; where the connectors stand in a checkpoint."""
    features = scene(*(network(name) for name in reversed(PAIR)))
    orders = (("ofd", "kd", "vid"), ("vid", "ofd", "kd"))
    one, other = (JoinedLosses(parts(*order)) for order in orders)
    given = features.student, features.teacher, features.batch, LATE

    assert list(one(*given).items()) == list(other(*given).items())
    assert list(one.state_dict()) == list(other.state_dict())
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


def test_a_teacher_of_two_modes_sees_what_two_teachers_of_one_mode_see():
    """To the bit, batch after batch; its running statistics stay as they are."""
    images = torch.randn(3, 8, 3, 16, 16)
    both = Teacher(network("wrn-10-2"), "batch", "eval", "batch")
    before = {key: value.clone() for key, value in both.network.state_dict().items()}
    alone = {mode: Teacher(network("wrn-10-2"), mode) for mode in ("batch", "eval")}

    for batch in images:
        features = both.read(batch)
        assert list(features.by_mode) == ["batch", "eval"]
        assert torch.equal(features.logits, features.by_mode["batch"].logits)
        for mode, teacher in alone.items():
            expected = teacher.read(batch)
            assert torch.equal(features.by_mode[mode].logits, expected.logits)
            assert torch.equal(features.by_mode[mode].pre[1], expected.pre[1])
    assert not torch.equal(features.by_mode["batch"].logits, features.by_mode["eval"].logits)
    torch.testing.assert_close(both.network.state_dict(), before, rtol=0, atol=0)


def test_the_plan_says_what_the_cross_entropy_of_a_sum_weighs():
    """KD alone weighs it 0.1; beside OFD it has the weight that OFD's term needs."""
    run = student_run("ofd", *PAIR)
    joined = method_part("ofd", task_weight=0.75)
    object.__setattr__(joined, "parts", (method_part("kd"), method_part("ofd")))
    object.__setattr__(run, "method", joined)
    object.__setattr__(run, "schemes", ())
    teacher, student = (network(name) for name in PAIR)
    loss, weight = make_student_loss(run, student, teacher, 0, CPU, scheme=None, labels=None)

    assert isinstance(loss, JoinedLosses)
    assert weight == 0.75


def test_several_losses_hold_the_bytes_of_all_of_them():
    """Joined, and one per teacher; most losses hold nothing that grows with the training set."""

    class Remembering(DistillationLoss):
        """A loss with a memory."""

        def bytes_held(self, images, batch):
            """Eight bytes an image, and one of the batch."""
            return 8 * images + batch

    parts = [Part("b", Remembering(), "eval"), Part("a", DistillationLoss(), "eval")]

    assert JoinedLosses(parts).bytes_held(1000, 64) == 8064
    assert PerTeacher([Remembering(), Remembering()], "b").bytes_held(1000, 64) == 2 * 8064
