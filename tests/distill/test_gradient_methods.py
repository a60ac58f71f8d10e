"""Methods about gradients: Jacobian matching, Lipschitz gains, dropped teaching, meta-learning."""

import copy

import pytest
import torch
import torch.nn.functional as F
from build_loss import build_loss
from torch import nn, randn
from torch.func import functional_call

from kdbench.data.loaders.batch import Batch
from kdbench.distill.jacobian import Jacobian, jacobian, slopes
from kdbench.distill.kd import kd
from kdbench.distill.l2t_ww import L2T, matching
from kdbench.distill.london import LONDON, gain, spectral
from kdbench.distill.sckd import SCKD, agrees
from kdbench.engine.position import TrainingPosition
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.models.statistics import frozen_statistics
from kdbench.runs.assemble import Teacher

SMALL = {"classes": 5, "image": (3, 8, 8)}
START = TrainingPosition(step=0, steps=10, epoch=0, epochs=2)


def drawn(count=4):
    """A batch of noise."""
    return Batch(randn(count, 3, 8, 8), torch.arange(count) % 5, torch.arange(count))


@pytest.fixture
def nets(float64):
    """A student in train mode and a frozen teacher."""
    teacher = WideResNet(10, 1, **SMALL)
    return ResNet(8, **SMALL).train(), Teacher(teacher, "eval")


def test_slopes_are_the_gradients_of_each_image_s_label_logit(nets):
    """Those of one image at a time."""
    student, batch = nets[0].eval(), drawn()
    images = batch.images.requires_grad_()
    actual = slopes(student(images), images, batch.labels, keep=False)
    for place, label in enumerate(batch.labels):
        one = batch.images[place : place + 1].detach().requires_grad_()
        (expected,) = torch.autograd.grad(student(one)[0, label], one)
        torch.testing.assert_close(actual[place], expected[0])


def test_jacobian_is_its_slow_form(float64):
    """Computed for one image at a time."""
    ours, theirs = randn(3, 2, 4, 4), randn(3, 2, 4, 4)
    total = 0
    for a, b in zip(ours, theirs, strict=True):
        total = total + ((a / (a**2).sum().sqrt() - b / (b**2).sum().sqrt()) ** 2).sum()

    torch.testing.assert_close(jacobian(ours, theirs), total / ours.numel())


def test_the_gradient_of_jacobian_matching_is_that_of_finite_differences(nets):
    """In a weight of the student, along a random direction; the teacher gets none."""
    student, teacher = nets[0].eval(), nets[1]
    loss, batch = build_loss(Jacobian, student, teacher.network, weight=3.0, kd_weight=0.5), drawn()
    weight = student.trunk["stage1"].blocks[0].first.conv.weight

    def value():
        looked = batch._replace(images=batch.images.clone().requires_grad_())
        theirs = teacher.read(looked.images, graph=True)
        return sum(loss(student.read(looked.images), theirs, looked, START).values())

    (gradient,) = torch.autograd.grad(value(), weight)
    direction, step = randn(weight.shape), 1e-5
    with torch.no_grad():
        weight += step * direction
    ahead = value()
    with torch.no_grad():
        weight -= 2 * step * direction
    behind = value()

    expected = (ahead - behind) / (2 * step)
    torch.testing.assert_close(
        (gradient * direction).sum(), expected.detach(), rtol=1e-4, atol=1e-9
    )
    assert all(p.grad is None for p in teacher.network.parameters())


def test_the_spectral_value_is_the_largest_eigenvalue(float64):
    """So is its gradient that of torch's own eigenvalues."""
    first, second = (randn(6, 9).relu() + 0.1 for _ in range(2))
    first.requires_grad_()
    value = spectral((first @ first.T) @ (second @ second.T))
    expected = torch.linalg.eigvals((first @ first.T) @ (second @ second.T)).abs().max()
    slope = [torch.autograd.grad(x, first, retain_graph=True)[0] for x in (value, expected)]

    torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(*slope, rtol=1e-4, atol=1e-6)


def test_a_part_that_triples_its_input_has_a_gain_of_3(float64):
    """With a rotation too, and whatever the scale of its input."""
    maps = randn(6, 4, 3, 3).relu() + 0.1
    rotation, _ = torch.linalg.qr(randn(36, 36))
    turned = (3 * maps.flatten(1) @ rotation).view_as(maps)

    torch.testing.assert_close(gain(maps, 3 * maps), torch.tensor(3.0), rtol=1e-6, atol=0)
    torch.testing.assert_close(gain(maps, turned), torch.tensor(3.0), rtol=1e-6, atol=0)
    torch.testing.assert_close(gain(5 * maps, 15 * maps), gain(maps, 3 * maps))


def test_london_compares_gains_by_their_ratio(nets):
    """Networks whose features are equal pay nothing."""
    student, batch = nets[0], drawn()
    loss = build_loss(LONDON, student, nets[1].network, weight=2.0, kd_weight=0.5)
    ours, theirs = student.read(batch.images), nets[1].read(batch.images)
    ratios = [
        gain(ours.out[i - 1], ours.out[i]) / gain(theirs.out[i - 1], theirs.out[i])
        for i in (1, 2, 3)
    ]
    terms = loss(ours, theirs, batch, START)

    torch.testing.assert_close(terms["lipschitz"], 2 * sum((r - 1) ** 2 for r in ratios))
    torch.testing.assert_close(terms["kd"], 0.5 * kd(ours.logits, theirs.logits, 4.0))
    assert sum(loss(ours, ours, batch, START).values()).abs() < 1e-12


def test_the_gradient_of_a_term_that_opposes_the_task_reaches_connectors_only(float64):
    """That of an agreeing one is added to the task's; orthogonal gradients agree."""
    loss = build_loss(SCKD, ResNet(8, **SMALL), WideResNet(10, 1, **SMALL))
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    connector = next(loss.parameters())
    task = weight @ torch.tensor([1.0, 0.0])
    helps = weight @ torch.tensor([0.5, 3.0])
    opposes = weight @ torch.tensor([-0.1, 9.0]) + connector.sum()
    loss.combine(task, {"a": helps, "b": opposes}, [weight])

    torch.testing.assert_close(weight.grad, torch.tensor([1.5, 3.0]))
    torch.testing.assert_close(connector.grad, torch.ones_like(connector))
    assert agrees([torch.ones(2)], [torch.tensor([1.0, -1.0])])
    assert not agrees([torch.ones(2)], [torch.tensor([1.0, -1.1])])


def test_sckd_adds_the_gradients_of_the_terms_that_agree_with_the_task(nets):
    """In every parameter of a whole network, with four terms."""
    student, teacher = nets
    loss, batch = build_loss(SCKD, student, teacher.network), drawn()
    theirs = teacher.read(batch.images)
    terms = loss(student.read(batch.images), theirs, batch, START)
    task = F.cross_entropy(student.read(batch.images).logits, batch.labels)
    parameters = list(student.parameters())
    separate = [
        torch.autograd.grad(x, parameters, retain_graph=True, allow_unused=True)
        for x in (task, *terms.values())
    ]
    separate = [
        [torch.zeros_like(p) if g is None else g for g, p in zip(gs, parameters, strict=True)]
        for gs in separate
    ]
    added = [separate[0], *(gs for gs in separate[1:] if agrees(separate[0], gs))]
    loss.combine(task, terms, parameters)

    for place, parameter in enumerate(parameters):
        torch.testing.assert_close(parameter.grad, sum(gs[place] for gs in added))
    assert len(terms) == 4


def test_matching_is_its_slow_form(float64):
    """Computed for one image and one channel at a time."""
    student, teacher = randn(3, 4, 5, 5), randn(3, 4, 5, 5)
    channels, pair = torch.rand(3, 4), torch.rand(3)
    total = 0
    for b in range(3):
        for c in range(4):
            gap = ((student[b, c] - teacher[b, c]) ** 2).mean()
            total = total + pair[b] * channels[b, c] * gap

    torch.testing.assert_close(matching(student, teacher, channels, pair), total / 3)


def test_l2t_starts_with_equal_channel_weights(nets):
    """The weights of its nine pairs lie between 0 and 6."""
    student, teacher = nets
    loss = build_loss(L2T, student, teacher.network)
    maps = teacher.read(drawn().images).out[1]
    what, where = loss.weights(0, maps)

    torch.testing.assert_close(what, torch.full_like(what, 1 / 16))
    assert (where >= 0).all() and (where <= 6).all()
    assert len(loss.pairs) == 9 and {i for i, _ in loss.pairs} == {1, 2, 3}


def unrolled(loss, student, teacher, batch, rates):
    """The oracle: torch's own update rule written out on copies, nothing shared with the code."""
    lr, momentum, decay, nesterov = rates
    net = {k: v.clone().requires_grad_() for k, v in student.named_parameters()}
    links = {k: v.clone().requires_grad_() for k, v in loss.trained.named_parameters()}
    speeds = {k: torch.zeros_like(v) for k, v in {**net, **links}.items()}
    theirs = teacher.read(batch.images)

    def values(kind):
        seen = functional_call(student, net, (batch.images,), {"read": True})
        if kind == "task":
            return F.cross_entropy(seen.logits, batch.labels)
        total = 0
        for pair, (i, j) in enumerate(loss.pairs):
            mapped = F.conv2d(seen.out[i], links[f"{pair}.weight"], links[f"{pair}.bias"])
            target = F.interpolate(theirs.out[j], mapped.shape[2:], mode="bilinear")
            what, where = loss.weights(pair, theirs.out[j])
            gaps = (mapped - target).square().mean((2, 3))
            total = total + ((gaps * what).sum(1) * where).mean()
        return 0.5 * total

    for kind in ("match", "match", "task"):
        every = {**net, **links}
        slope = torch.autograd.grad(
            values(kind), every.values(), create_graph=True, allow_unused=True
        )
        for (name, weight), gradient in zip(list(every.items()), slope, strict=True):
            full = (0 if gradient is None else gradient) + decay * weight
            speeds[name] = momentum * speeds[name] + full
            step = full + momentum * speeds[name] if nesterov else speeds[name]
            (net if name in net else links)[name] = weight - lr * step
    return torch.autograd.grad(values("task"), list(loss.weights.parameters()))


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_meta_gradient_is_that_of_the_unrolled_steps(nets, nesterov):
    """With momentum and weight decay; no weight, statistic or momentum moves."""
    student, teacher = nets
    loss, batch = build_loss(L2T, student, teacher.network), drawn()
    for parameter in loss.weights.parameters():
        nn.init.normal_(parameter, std=0.1)
    for layer in loss.weights.where:
        nn.init.ones_(layer.bias)
    parameters = [*student.parameters(), *loss.trained.parameters()]
    options = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-2, "nesterov": nesterov}
    optimiser = torch.optim.SGD(parameters, **options)
    before = copy.deepcopy((student.state_dict(), loss.state_dict()))
    gradients = loss.meta_gradient(student, teacher.read(batch.images), batch, optimiser)
    assert optimiser.state_dict()["state"] == {}
    torch.testing.assert_close((student.state_dict(), loss.state_dict()), before, rtol=0, atol=0)

    with frozen_statistics(student):
        expected = unrolled(loss, student, teacher, batch, (0.05, 0.9, 1e-2, nesterov))
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-14)
    assert all(gradient.any() for gradient in gradients)


def test_a_meta_step_moves_the_meta_weights_alone(nets):
    """The student keeps its bits, and the optimiser of the meta weights has a state."""
    student, teacher = nets
    loss, batch = build_loss(L2T, student, teacher.network), drawn()
    optimiser = torch.optim.SGD([*student.parameters(), *loss.trained.parameters()], lr=0.1)
    before = [p.detach().clone() for p in loss.weights.parameters()]
    state = copy.deepcopy(student.state_dict())
    loss.after_step(student, teacher.read(batch.images), batch, optimiser)

    moved = [not torch.equal(a, b) for a, b in zip(before, loss.weights.parameters(), strict=True)]
    assert all(moved)
    torch.testing.assert_close(student.state_dict(), state, rtol=0, atol=0)
    assert loss.optimisers["meta"].state_dict()["state"]
