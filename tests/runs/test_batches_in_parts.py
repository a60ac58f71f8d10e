"""What a GPU of little memory needs: batches in parts, scaled float16, blocks computed again."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from on_ranks import on_ranks
from torch import nn
from typed_runs import RUNTIME, method_part, network_part

from kdbench.data.loaders.batch import Batch
from kdbench.data.loaders.order import Part
from kdbench.engine import ranks
from kdbench.engine.optimisers import make_optimiser
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.engine.synchronised_norms import SynchronisedNorms
from kdbench.errors import BadValue
from kdbench.exhibits.protocols import CRD
from kdbench.models.recompute import RECOMPUTE, recompute_blocks, wanted
from kdbench.plan.components import find_components
from kdbench.plan.params import Params
from kdbench.plan.resolve import Resolver
from kdbench.runs.assemble import Teacher, make_loss, make_network
from kdbench.runs.steps import TrainStep, parts_of

CPU = Precision("float32", False, torch.device("cpu"))
FIRST = TrainingPosition(0, 10, 0, 10)


def network(name, side=16, seed=0):
    """A network for small images."""
    data = SimpleNamespace(image=(3, side, side), classes=range(10))
    return make_network(network_part(name), data, seed, CPU)


def batch(count=10, side=8):
    """Noise with labels."""
    torch.manual_seed(1)
    labels = torch.arange(count) % 10
    return Batch(torch.randn(count, 3, side, side), labels, torch.arange(count))


def step(method="kd", precision=CPU, recipe=CRD, **changes):
    """A student's training step whose batch norms do not depend on the batch."""
    student, teacher = network("resnet8", side=8), network("resnet14", side=8, seed=1)
    loss, weight = make_loss(method_part(method), student, teacher, 0, CPU)
    for module in (*student.modules(), *loss.modules()):
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    optimiser = make_optimiser(recipe, student, loss)
    return TrainStep(
        student, Teacher(teacher, "eval"), loss, weight, optimiser, recipe, 5, precision, **changes
    )


@pytest.mark.parametrize(("count", "largest"), [(10, 4), (10, 3), (512, 100), (9, 8), (4, 4)])
def test_parts_are_the_batch_in_order_and_nearly_equal(count, largest):
    """None is larger than allowed, and none is left with a single image of many."""
    whole = batch(count, side=1)
    parts = list(parts_of(whole, largest))

    sizes = [len(part.images) for part in parts]
    assert max(sizes) <= largest and max(sizes) - min(sizes) <= 1
    for field in Batch._fields:
        assert torch.equal(torch.cat([getattr(p, field) for p in parts]), getattr(whole, field))


@pytest.mark.parametrize("method", ["none", "kd", "reviewkd_imagenet"])
def test_the_gradients_of_parts_add_up_to_those_of_the_batch(method):
    """The step that follows is the whole batch's, but for rounding; terms are the batch's means."""
    whole, parts = step(method), step(method, images_at_once=4)
    terms, sums = whole(batch(), FIRST), parts(batch(), FIRST)

    assert terms.keys() == sums.keys()
    for name in terms:
        torch.testing.assert_close(sums[name], terms[name].detach())
    for ours, theirs in zip(parts.student.parameters(), whole.student.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_loss_that_treats_gradients_apart_adds_up_too():
    """SCKD writes into `.grad` itself: no part takes the place of the others."""
    one, three = step("sckd", images_at_once=4), step("sckd")
    one(batch(), FIRST)
    total = {}
    for part in parts_of(batch(), 4):
        task, terms, *_ = three._forward(part, FIRST)
        share = len(part.images) / 10
        three._backward(share * task, {name: share * term for name, term in terms.items()})
        for name, parameter in three.student.named_parameters():
            total[name] = total.get(name, 0.0) + parameter.grad
    for name, parameter in one.student.named_parameters():
        torch.testing.assert_close(parameter.grad, total[name])


def test_the_batch_is_recorded_whole_and_the_parts_beside_it():
    """In the digest where it is set alone; a search takes whole batches."""
    assert "images_at_once" not in RUNTIME.as_dict()
    assert replace(RUNTIME, images_at_once=64).as_dict()["images_at_once"] == 64
    scales = {"paper": {"images_at_once": 64, "precision": "fp16"}}
    resolver = Resolver(Params(scale="paper", scales=scales), find_components())
    runtime = resolver.runtime("cifar100", 1)
    assert (runtime.images_at_once, runtime.precision) == (64, "fp16")
    search = resolver.search_runtime("cifar100", "wrn-40-2:wrn-16-2")
    assert (search.images_at_once, search.precision) == (None, "float32")
    with pytest.raises(BadValue, match="images_at_once"):
        Params(scale="paper", scales={"paper": {"images_at_once": 1}}).settings()


def test_scaled_float16_trains_as_float32_does():
    """The loss is scaled before the way back, gradients are scaled back before the step."""
    half = Precision("fp16", False, torch.device("cpu"))
    exact, scaled = step(), step(precision=half, scaler=half.scaler())
    for _ in range(3):
        exact(batch(), FIRST)
        assert scaled(batch(), FIRST)["kd"].isfinite()
    for ours, theirs in zip(scaled.student.parameters(), exact.student.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=5e-3)
    assert CPU.scaler() is None


def test_a_step_whose_gradients_overflow_is_passed_over():
    """The scale is halved, and it is a part of what a checkpoint holds."""
    half = Precision("fp16", False, torch.device("cpu"))
    scaled = step(precision=half, scaler=half.scaler())
    before = [parameter.clone() for parameter in scaled.student.parameters()]
    broken = batch()
    broken.images[0] = torch.inf
    scaled(broken, FIRST)

    assert all(map(torch.equal, before, scaled.student.parameters()))
    state = scaled.scaler.state_dict()
    assert state["scale"] == 2.0**15
    again = half.scaler()
    again.load_state_dict(state)
    assert again.state_dict() == state


def on_own_part(order, *, norms=False, broken=None, **how):
    """Parameters and scale after two steps on this rank's part of a batch in some order."""
    one = step(scaler=how["precision"].scaler(), **how) if "precision" in how else step(**how)
    one.student.train(norms)
    whole, own = batch(8), Part(ranks.at_work().rank, ranks.size()).of(8)
    part = Batch(*(tensor[list(order)][own] for tensor in whole))
    if ranks.at_work().rank == broken:
        part.images[0] = torch.inf
    with SynchronisedNorms():
        for _ in range(2):
            one(part, FIRST)
    scale = one.scaler.state_dict()["scale"] if one.scaler else 1.0
    return [p.detach().clone() for p in one.student.parameters()], scale


def test_parts_of_ranks_are_parts_of_the_batch():
    """Synchronised norms see a part of every rank at once, as one process would."""
    mixed = [0, 1, 4, 5, 2, 3, 6, 7]  # so that its parts are those of the ranks
    expected, _ = on_own_part(mixed, norms=True, images_at_once=4)
    for given, _ in on_ranks(2, lambda: on_own_part(range(8), norms=True, images_at_once=2)):
        torch.testing.assert_close(given, expected)


HALF = Precision("fp16", False, torch.device("cpu"))


@pytest.mark.parametrize("broken", [None, 1])
def test_scaled_float16_on_ranks_trains_as_one_process(broken):
    """Within its rounding; gradients that overflow on one rank are passed over by all."""
    expected, scale = on_own_part(range(8), broken=broken and 0, precision=HALF)
    for given, own in on_ranks(2, lambda: on_own_part(range(8), broken=broken, precision=HALF)):
        torch.testing.assert_close(given, expected, rtol=0.01, atol=1e-3)
        assert own == scale == (2.0**14 if broken else 2.0**16)


@pytest.mark.parametrize("name", ["resnet8", "wrn-10-2", "vit-mini-16"])
def test_blocks_that_compute_again_give_the_same_bits(name):
    """Outputs, gradients and running statistics; keys of the state stay."""
    plain, again = network(name, side=8), network(name, side=8)
    recompute_blocks(again)
    images = batch().images
    kept = {}
    for one in (plain, again):
        sizes = kept.setdefault(id(one), [])
        pack = lambda tensor, sizes=sizes: (sizes.append(tensor.nbytes), tensor)[1]  # noqa: E731
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            logits = one.train().read(images).logits
        sizes.append(None)
        logits.square().sum().backward()

    assert plain.state_dict().keys() == again.state_dict().keys()
    for ours, theirs in zip(again.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(again.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
    first, second = (sum(sizes[: sizes.index(None)]) for sizes in kept.values())
    assert second < first


def test_blocks_keep_nothing_where_no_gradient_is_asked_for():
    """An evaluation is as it was."""
    plain, again = network("resnet8", side=8), network("resnet8", side=8)
    recompute_blocks(again)
    with torch.no_grad():
        assert torch.equal(plain.eval()(batch().images), again.eval()(batch().images))


@pytest.mark.parametrize(("setting", "answer"), [("", False), ("0", False), ("1", True)])
def test_the_environment_asks_for_it(monkeypatch, setting, answer):
    """Nothing else does, and another value is one line."""
    monkeypatch.setenv(RECOMPUTE, setting)
    assert wanted() is answer
    monkeypatch.setenv(RECOMPUTE, "yes")
    with pytest.raises(BadValue, match=r"KDBENCH_RECOMPUTE.*expected 0 or 1"):
        wanted()


def test_adamw_is_torchs_with_the_recipes_rate_and_decay():
    """Decoupled; SGD stays what it was."""
    recipe = replace(CRD, optimiser="adamw", lr=5e-4, weight_decay=0.05)
    optimiser = make_optimiser(recipe, network("resnet8", side=8))

    assert type(optimiser) is torch.optim.AdamW
    assert (optimiser.defaults["lr"], optimiser.defaults["weight_decay"]) == (5e-4, 0.05)
    assert type(make_optimiser(CRD, network("resnet8", side=8))) is torch.optim.SGD
