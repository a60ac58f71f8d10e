"""Several teachers for one student: the mean of probabilities, and one loss per teacher."""

from math import exp, log

import pytest
import torch
from build_loss import build_loss
from contract import CPU, LATE, PAIR, network, scene
from test_kd import features
from torch import randn
from typed_runs import method_part, student_run

from kdbench.distill.jacobian import Jacobian
from kdbench.distill.joined import FeaturesByMode
from kdbench.distill.kd import kd
from kdbench.distill.kd_mean import MeanKD, kd_mean
from kdbench.distill.several_teachers import FeaturesOfTeachers, PerTeacher, each_teacher
from kdbench.errors import UserError
from kdbench.runs.assemble import Teacher, Teachers, make_student_loss, make_teacher


def slow_kd_mean(student, teachers, temperature):
    """The formula, one image and one class at a time."""
    total = 0.0
    for image, row in enumerate(student.tolist()):
        q = [exp(value / temperature) for value in row]
        q = [v / sum(q) for v in q]
        each = [[exp(v / temperature) for v in teacher[image].tolist()] for teacher in teachers]
        each = [[v / sum(p) for v in p] for p in each]
        mean = [sum(p) / len(each) for p in zip(*each, strict=True)]
        total += sum(a * (log(a) - log(b)) for a, b in zip(mean, q, strict=True))
    return total / len(student) * temperature**2


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("count", [1, 3])
def test_kd_mean_is_its_slow_form(float64, temperature, count):
    """Of one teacher and of three."""
    student, teachers = 3 * randn(5, 7), [3 * randn(5, 7) for _ in range(count)]
    expected = slow_kd_mean(student, teachers, temperature)
    assert kd_mean(student, teachers, temperature).item() == pytest.approx(expected, rel=1e-10)


def test_kd_mean_of_one_teacher_is_kd(float64):
    """Value and gradient."""
    student, teacher = (3 * randn(5, 7)).requires_grad_(), 3 * randn(5, 7)
    ours, theirs = kd_mean(student, [teacher], 4.0), kd(student, teacher, 4.0)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(x, student)[0] for x in (ours, theirs)))


def test_kd_mean_has_the_gradient_of_the_mean_of_the_kd_terms_and_a_smaller_value(float64):
    """The values differ by the teachers' disagreement, which no student changes."""
    student, teachers = (3 * randn(5, 7)).requires_grad_(), [3 * randn(5, 7) for _ in range(3)]
    together = kd_mean(student, teachers, 4.0)
    apart = torch.stack([kd(student, teacher, 4.0) for teacher in teachers]).mean()

    assert together < apart
    torch.testing.assert_close(*(torch.autograd.grad(x, student)[0] for x in (together, apart)))


def test_mean_kd_takes_every_teacher_or_the_only_one():
    """Its term is the weighted `kd_mean`."""
    student, teachers = randn(5, 7), [randn(5, 7) for _ in range(2)]
    loss = build_loss(MeanKD, None, None)
    several = FeaturesOfTeachers.of([features(t) for t in teachers])
    for theirs, logits in ((several, teachers), (features(teachers[0]), teachers[:1])):
        (term,) = loss(features(student), theirs, None, LATE).values()
        torch.testing.assert_close(term, loss.weight * kd_mean(student, logits, loss.temperature))


def loss_of(methods, teachers, student):
    """The loss of a student's run with these teachers, of one method or of joined ones."""
    run = student_run(methods[0], *PAIR)
    if len(methods) > 1:
        joined = method_part(methods[0])
        object.__setattr__(joined, "parts", tuple(map(method_part, methods)))
        object.__setattr__(run, "method", joined)
        object.__setattr__(run, "schemes", ())
    first, *further = teachers
    given = run, student, first, 0, CPU
    return make_student_loss(*given, scheme=None, labels=None, further=further)[0]


def test_a_method_of_one_teacher_is_the_mean_of_its_terms_over_several():
    """Each with connectors of its own; the first teacher's are those of a single teacher."""
    teacher, student = (network(name) for name in PAIR)
    scenes = [scene(student, teacher, seed=seed) for seed in (0, 1)]
    ours, batch = scenes[0].student, scenes[0].batch
    several = FeaturesOfTeachers.of([one.teacher for one in scenes])

    both = loss_of(["fitnet"], [teacher, teacher], student)
    alone = loss_of(["fitnet"], [teacher], student)
    terms = both(ours, several, batch, LATE)

    (single,) = alone(ours, scenes[0].teacher, batch, LATE).items()
    assert list(terms) == [f"{single[0]}.teacher1", f"{single[0]}.teacher2"]
    torch.testing.assert_close(2 * terms[f"{single[0]}.teacher1"], single[1])
    first, second = (list(loss.parameters()) for loss in both.losses)
    assert not torch.equal(first[0], second[0])
    assert len(list(both.parameters())) == 2 * len(list(alone.parameters()))


def test_a_loss_that_needs_the_step_for_itself_takes_one_teacher():
    """The line names the method and says why."""
    with pytest.raises(UserError, match="method jacobian: it looks at input gradients"):
        PerTeacher([build_loss(Jacobian, None, None)] * 2, "jacobian")


def test_joined_methods_take_several_teachers_each_in_its_own_mode():
    """KD's mean and FitNets' per-teacher terms; OFD sees every teacher by its batch statistics."""
    teacher, student = (network(name) for name in PAIR)
    scenes = [scene(student, teacher, seed=seed) for seed in range(4)]
    by_mode = [
        FeaturesByMode.of({"eval": scenes[i].teacher, "batch": scenes[i + 2].teacher})
        for i in range(2)
    ]
    loss = loss_of(["kd_mean", "ofd"], [teacher, teacher], student)
    given = scenes[0].batch, LATE
    terms = loss(scenes[0].student, FeaturesOfTeachers.of(by_mode), *given)

    ofd = loss_of(["ofd"], [teacher, teacher], student)
    expected = ofd(
        scenes[0].student, FeaturesOfTeachers.of([s.teacher for s in scenes[2:]]), *given
    )
    assert {"kd_mean.kd", *(f"ofd.{name}" for name in expected)} == set(terms)
    for name, value in expected.items():
        torch.testing.assert_close(terms[f"ofd.{name}"], value)


def test_teachers_read_the_same_images_each_by_itself():
    """One teacher stays a `Teacher`; of two, the features are those of each alone."""
    one, two = (network(PAIR[0], seed=seed) for seed in (1, 2))
    images = randn(2, 3, 32, 32)
    read = make_teacher([one, two], "eval").read(images)

    assert type(make_teacher([one], "eval")) is Teacher and make_teacher([], "eval") is None
    assert isinstance(make_teacher([one, two], "eval"), Teachers)
    for features_of, alone in zip(each_teacher(read), (one, two), strict=True):
        assert torch.equal(features_of.logits, Teacher(alone, "eval").read(images).logits)
    assert not torch.equal(read.each[0].logits, read.each[1].logits)
