"""DistPro's search on real, small networks: exact where it must be, traceless where it should."""

import copy
import io
import tomllib
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import randn

import kdbench.search
from kdbench.data.loaders.batch import Batch
from kdbench.distill.pathways import Pathways
from kdbench.errors import UnknownName
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.shufflenet_v1 import ShuffleNetV1
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.search.bilevel import buffers_of, exact_or_difference, rates_of
from kdbench.search.distpro import DistProSearch
from kdbench.search.hypergradient import central_difference, directional, unrolled
from kdbench.search.normalise import biased_softmax
from kdbench.search.pathway_weights import Seen

SMALL = {"classes": 5, "image": (3, 8, 8)}
FEW = {"transforms": ["complex", "2conv"], "connections": "downward"}
PAIRS = {
    "wrn to wrn": (partial(WideResNet, 10, 2), partial(WideResNet, 10, 1)),
    "resnet to resnet": (partial(ResNet, 14), partial(ResNet, 8)),
    "wrn to shufflenet": (partial(WideResNet, 10, 2), ShuffleNetV1),
}


def batches(teacher, steps, size=6):
    """Training batches, the teacher's features of them, and held-out batches."""
    for k in range(steps):
        torch.manual_seed(100 + k)
        train, held = (
            Batch(randn(size, 3, 8, 8), torch.randint(5, (size,)), torch.arange(size))
            for _ in range(2)
        )
        with torch.no_grad():
            yield train, teacher.read(train.images), held


def start(pair="wrn to wrn", seed=0, **options):
    """A teacher and a search that has not begun."""
    torch.manual_seed(seed)
    teacher, student = (make(**SMALL) for make in PAIRS[pair])
    return teacher.eval(), DistProSearch(student, teacher, **{**FEW, **options})


def run(search, teacher, steps, first=0):
    """Take the steps from `first` on, and return the last losses."""
    losses = {}
    for data in list(batches(teacher, steps))[first:]:
        losses = search.step(*data)
    return losses


def everything(search):
    """Every tensor that training could change, by name, the gradients included."""
    found = {"alphas": search.alphas, "alphas.grad": search.alphas.grad}
    for name in ("student", "pathways"):
        module = getattr(search, name)
        found |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        found |= {f"{name}.{key}.grad": p.grad for key, p in module.named_parameters()}
    for name in ("optimiser", "alpha_optimiser"):
        for key, slots in getattr(search, name).state_dict()["state"].items():
            found |= {f"{name}.{key}.{slot}": value for slot, value in slots.items()}
    return {k: v.detach().clone() if isinstance(v, torch.Tensor) else v for k, v in found.items()}


def assert_same(before, after):
    """Bit for bit, name by name."""
    assert before.keys() == after.keys()
    for name, value in before.items():
        same = torch.equal(value, after[name]) if value is not None else after[name] is None
        assert same, name


def meta_gradient(search, data, probe):
    """The gradient alone, after the real forward pass."""
    train, seen, held = data
    parts = (Seen(train, seen), Seen(held))
    terms = search.searched.terms(parts[0])
    found, _ = exact_or_difference(search.searched, terms, search.optimiser, *parts, probe)
    return found


def oracle(search, data):
    """The gradient through the real step, student and transforms, differentiated twice."""
    train, seen, held = data
    searched, parts = search.searched, (Seen(train, seen), Seen(held))
    return unrolled(
        lambda weights, alphas: searched.inner(weights, alphas, parts[0]),
        lambda weights: searched.outer(weights, parts[1]),
        searched.weights,
        searched.alphas,
        buffers_of(search.optimiser, searched.weights),
        rates_of(search.optimiser),
    )


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("steps", [0, 2])
def test_the_exact_gradient_is_that_of_the_unrolled_step(float64, pair, nesterov, steps):
    """To 1e-6 relative, on networks with batch norm, with and without a momentum buffer."""
    options = {"gradient": "exact", "nesterov": nesterov, "transforms": ["complex"]}
    teacher, search = start(pair, **options)
    run(search, teacher, steps)
    *_, data = batches(teacher, steps + 1, size=4)
    found, expected = meta_gradient(search, data, directional), oracle(search, data)
    assert expected.abs().max() > 1e-8
    assert (found - expected).norm() / expected.norm() < 1e-6


def plain_inner(search, data, alphas):
    """Training loss of a search's networks, written out: cross-entropy and weighted pathways."""
    ours = search.student.read(data[0].images)
    losses = search.pathways.losses(ours, data[1])
    return F.cross_entropy(ours.logits, data[0].labels) + biased_softmax(alphas) @ losses


def held_out_after_a_real_step(search, data, alphas):
    """A copy of everything takes one step of PyTorch's SGD; cross-entropy on held-out images."""
    twin = copy.deepcopy(search)
    twin.optimiser.zero_grad()
    plain_inner(twin, data, alphas).backward()
    twin.optimiser.step()
    return F.cross_entropy(twin.student(data[2].images), data[2].labels).item()


def test_the_exact_gradient_is_the_slope_of_what_training_really_does(float64):
    """Alphas up and down a little, a real optimiser's step each, the real held-out loss."""
    teacher, search = start(gradient="exact", transforms=["complex"])
    run(search, teacher, 2)
    *_, data = batches(teacher, 3)
    found, alphas = meta_gradient(search, data, directional), search.alphas.detach().clone()
    for k in (0, 3):
        shift = torch.zeros_like(alphas)
        shift[k] = 1e-4
        up, down = (held_out_after_a_real_step(search, data, alphas + s * shift) for s in (1, -1))
        assert found[k].item() == pytest.approx((up - down) / 2e-4, rel=1e-3)


def test_the_finite_difference_closes_in_on_the_exact_gradient(float64):
    """On a network too, once the two points are near enough for its ReLUs."""
    teacher, search = start()
    run(search, teacher, 2)
    *_, data = batches(teacher, 3)
    exact = meta_gradient(search, data, directional)
    near = meta_gradient(search, data, partial(central_difference, scale=1e-6))
    published = meta_gradient(search, data, central_difference)
    assert (near - exact).norm() / exact.norm() < 1e-3
    assert (published - exact).norm() / exact.norm() < 0.5


@pytest.mark.parametrize("probe", [directional, central_difference])
def test_virtual_passes_leave_no_trace(probe):
    """Weights, running statistics, gradients, momentum and alphas: the same bits as before."""
    teacher, search = start()
    run(search, teacher, 2)
    *_, (train, seen, held) = batches(teacher, 3)
    for parameter in search.searched.weights:
        parameter.grad = torch.ones_like(parameter)  # whatever somebody else left there
    parts = (Seen(train, seen), Seen(held))
    terms = search.searched.terms(parts[0])
    before = everything(search)
    exact_or_difference(search.searched, terms, search.optimiser, *parts, probe)
    assert_same(before, everything(search))


@pytest.mark.parametrize("gradient", ["finite-difference", "exact", "first-order"])
def test_the_real_step_is_plain_training_with_the_new_weights(float64, gradient):
    """Cross-entropy plus weighted pathways, backward, SGD: the same weights and statistics."""
    teacher, search = start(gradient=gradient)
    run(search, teacher, 2)
    *_, data = batches(teacher, 3)
    twin = copy.deepcopy(search)
    for leftover in (*search.searched.weights, search.alphas):
        leftover.grad = torch.ones_like(leftover)  # must not be added to
    search.step(*data)

    twin.optimiser.zero_grad()
    plain_inner(twin, data, search.alphas.detach()).backward()
    twin.optimiser.step()

    for name in ("student", "pathways"):
        plain = getattr(twin, name).state_dict()
        for key, value in getattr(search, name).state_dict().items():
            torch.testing.assert_close(value, plain[key], rtol=1e-12, atol=1e-12, msg=key)
    for a, b in zip(search.searched.weights, twin.searched.weights, strict=True):
        ours = search.optimiser.state[a]["momentum_buffer"]
        theirs = twin.optimiser.state[b]["momentum_buffer"]
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_every_batch_norm_counts_one_batch_a_step():
    """Four forward passes a step, one of which is real."""
    teacher, search = start(gradient="exact")
    run(search, teacher, 3)
    for module in (search.student, search.pathways):
        counts = [int(b) for n, b in module.named_buffers() if n.endswith("num_batches_tracked")]
        assert counts and set(counts) == {3}


@pytest.mark.parametrize("gradient", ["finite-difference", "exact"])
def test_only_the_difference_passes_ignore_autocast(gradient):
    """Real and held-out passes run in bfloat16, the derivative of the losses in float32."""
    kinds = []

    def note(module, inputs, output):
        kinds.append(str(output.dtype))

    mixed = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
    teacher, search = start(gradient=gradient, autocast=mixed)
    search.student.trunk["stem"].register_forward_hook(
        lambda module, inputs, output: note(module, inputs, output.out)
    )
    losses = run(search, teacher, 1)
    low, full = "torch.bfloat16", "torch.float32"
    assert kinds == [low, low, *([full] * (2 if gradient == "finite-difference" else 1))]
    assert all(loss.dtype == torch.float32 for loss in losses.values())


@pytest.mark.parametrize("gradient", ["finite-difference", "exact", "first-order"])
@pytest.mark.parametrize("stopped", [0, 1, 3])
def test_a_resumed_search_ends_in_the_same_bits(gradient, stopped):
    """Saved after any step, loaded into a search of another seed, and carried on."""
    teacher, whole = start(gradient=gradient)
    run(whole, teacher, 4)

    _, first = start(gradient=gradient)
    run(first, teacher, stopped)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    _, second = start(seed=7, gradient=gradient)
    second.load_state_dict(torch.load(file, weights_only=True))
    run(second, teacher, 4, first=stopped)

    assert_same(everything(whole), everything(second))
    one, two = whole.finding(), second.finding()
    assert torch.equal(one.weights, two.weights) and torch.equal(one.alphas, two.alphas)
    assert one.metadata == two.metadata


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    """Nothing random happens inside a search."""
    found = []
    for seed in (0, 0, 1):
        teacher, search = start(seed=seed)
        run(search, teacher, 3)
        found.append(search.finding().weights)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_the_finding_grows_by_a_row_a_step(tmp_path):
    """Rows are the normalised alphas with which each step was taken; names fit the methods."""
    teacher, search = start()
    run(search, teacher, 3)
    found = search.finding()
    assert found.weights.shape == (3, 12) and found.metadata["steps"] == 3
    for weights, alphas in zip(found.weights, found.alphas, strict=True):
        torch.testing.assert_close(weights, biased_softmax(alphas))
    assert torch.equal(found.alphas[-1], search.alphas.detach())
    assert not torch.equal(found.alphas[0], found.alphas[1])
    found.save(tmp_path)
    assert found.load(tmp_path).metadata == found.metadata
    method = Pathways(search.student, teacher, scheme=found, weights="process", **FEW)
    assert method.names == found.names


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("gradient", ["finite-difference", "exact"])
def test_pairs_of_the_paper_can_be_searched(pair, gradient):
    """All 27 pathways, finite losses, alphas that move and a student that learns its batch."""
    torch.manual_seed(0)
    teacher, student = (make(**SMALL) for make in PAIRS[pair])
    search = DistProSearch(student, teacher.eval(), gradient=gradient, lr=0.002)
    (data,) = batches(teacher, 1)
    losses = [search.step(*data) for _ in range(8)]
    assert all(value.isfinite() for row in losses for value in row.values())
    assert losses[-1]["task"] < losses[0]["task"]
    assert search.finding().weights.shape == (8, 27)
    assert (search.alphas != 1).all()


def test_the_learning_rate_can_be_set_between_steps():
    """A schedule's value reaches the real and the virtual step."""
    teacher, search = start()
    search.lr = 0.0
    before = [w.detach().clone() for w in search.searched.weights]
    run(search, teacher, 1)
    assert search.lr == 0.0
    assert all(torch.equal(a, b) for a, b in zip(before, search.searched.weights, strict=True))
    assert torch.equal(search.alphas.detach(), torch.ones(12))  # nothing moved, nothing learned


def test_a_student_left_in_eval_mode_is_put_back_to_training():
    """Whoever evaluates between two steps cannot spoil the next."""
    teacher, search = start()
    search.student.eval()
    run(search, teacher, 1)
    assert search.student.training and search.pathways.training


def test_unknown_options_are_named():
    """With the nearest that exists."""
    with pytest.raises(UnknownName, match="did you mean 'exact'"):
        start(gradient="exakt")
    with pytest.raises(UnknownName, match="did you mean 'softmax'"):
        start(normalise="softmx")


def test_the_declaration_fits_the_class():
    """Built from its own defaults, without what the assembler takes."""
    path = Path(kdbench.search.__file__).with_name("distpro.toml")
    declared = tomllib.loads(path.read_text(encoding="utf-8"))
    defaults = {k: v for k, v in declared["defaults"].items() if k != "held_out"}
    teacher, _ = start()
    search = getattr(kdbench.search.distpro, declared["class"])(
        WideResNet(10, 1, **SMALL), teacher, **defaults
    )
    assert len(search.alphas) == 27
