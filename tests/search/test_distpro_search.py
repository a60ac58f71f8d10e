"""DistPro's search on real, small networks: exact where it must be, traceless where it should."""

import copy
import io
from functools import partial

import build_search
import pytest
import torch
import torch.nn.functional as F
from build_search import assert_same, build
from sampling import sampled
from torch import randn
from typed_runs import method_part

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.errors import BadValue, UnknownName
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.shufflenet_v1 import ShuffleNetV1
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.runs.assemble import make_loss
from kdbench.search.bilevel import buffers_of, rates_of, second_order
from kdbench.search.hypergradient import central_difference, exact_jvp, unrolled
from kdbench.search.normalise import biased_softmax
from kdbench.search.searcher import SearchBatch

SMALL = {"classes": 5, "image": (3, 8, 8)}
FLOAT32 = Precision("float32", False, torch.device("cpu"))
FEW = {"transforms": ["complex", "2conv"], "connections": "downward"}
DIFFERENCE = partial(central_difference, scale=0.01)
ANYWHERE = TrainingPosition(0, 9, 0, 1)  # every step of this search is alike
PAIRS = {
    "wrn to wrn": (partial(WideResNet, 10, 2), partial(WideResNet, 10, 1)),
    "resnet to resnet": (partial(ResNet, 14), partial(ResNet, 8)),
    "wrn to shufflenet": (partial(WideResNet, 10, 2), ShuffleNetV1),
}


def batches(teacher, steps, size=6):
    """Training batches with the teacher's features, and validation batches."""
    for k in range(steps):
        torch.manual_seed(100 + k)
        train, validation = (
            Batch(randn(size, 3, 8, 8), torch.randint(5, (size,)), torch.arange(size))
            for _ in range(2)
        )
        with torch.no_grad():
            yield SearchBatch(train, teacher.read(train.images)), SearchBatch(validation)


def start(pair="wrn to wrn", seed=0, **options):
    """A teacher and a search that has not begun."""
    torch.manual_seed(seed)
    teacher, student = (make(**SMALL) for make in PAIRS[pair])
    return teacher.eval(), build("distpro", student, teacher, **{**FEW, **options})


def run(search, teacher, steps, first=0):
    """Take the steps from `first` on, and return the last losses."""
    losses = {}
    for data in list(batches(teacher, steps))[first:]:
        losses = search.step(*data, ANYWHERE)
    return losses


def everything(search):
    """Every tensor of a search that training could change, by name."""
    return build_search.everything(
        {"student": search.student, "pathways": search.pathways},
        {"alphas": search.alphas},
        {"optimiser": search.optimiser, "alpha_optimiser": search.alpha_optimiser},
    )


def meta_gradient(search, data, jvp):
    """The gradient alone, after the real forward pass."""
    terms = search.searched.terms(data[0])
    return second_order(search.searched, terms, search.optimiser, *data, jvp)[0]


def oracle(search, data):
    """The gradient through the real step, student and transforms, differentiated twice."""
    searched, (train, validation) = search.searched, data
    return unrolled(
        lambda weights, alphas: searched.inner(weights, alphas, train),
        lambda weights: searched.outer(weights, validation),
        searched.weights,
        searched.alphas,
        buffers_of(search.optimiser, searched.weights),
        rates_of(search.optimiser),
    )


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("steps", [0, 2])
def test_the_exact_gradient_is_that_of_the_unrolled_step(float64, pair, nesterov, steps):
    """It is to 1e-6, on networks with batch norm, with and without a momentum buffer."""
    options = {"gradient": "exact", "nesterov": nesterov, "transforms": ["complex"]}
    teacher, search = start(pair, **options)
    run(search, teacher, steps)
    *_, data = batches(teacher, steps + 1, size=4)
    gradient, expected = meta_gradient(search, data, exact_jvp), oracle(search, data)
    assert expected.abs().max() > 1e-8
    assert (gradient - expected).norm() / expected.norm() < 1e-6


def plain_inner(search, data, alphas):
    """Training loss of a search's networks, written out: cross-entropy and weighted pathways."""
    batch, teacher = data[0]
    student = search.student.read(batch.images)
    losses = search.pathways.losses(student, teacher)
    return F.cross_entropy(student.logits, batch.labels) + biased_softmax(alphas) @ losses


def validation_loss_after_a_real_step(search, data, alphas):
    """A copy of everything takes one step of PyTorch's SGD; cross-entropy on validation images."""
    twin = copy.deepcopy(search)
    twin.optimiser.zero_grad()
    plain_inner(twin, data, alphas).backward()
    twin.optimiser.step()
    batch = data[1].batch
    return F.cross_entropy(twin.student(batch.images), batch.labels).item()


def test_the_exact_gradient_is_the_numerical_one_through_a_real_optimiser_step(float64):
    """Alphas go up and down a little, a real step is taken with each, then the validation loss."""
    teacher, search = start(gradient="exact", transforms=["complex"])
    run(search, teacher, 2)
    *_, data = batches(teacher, 3)
    gradient, alphas = meta_gradient(search, data, exact_jvp), search.alphas.detach().clone()
    for k in (0, 3):
        shift = torch.zeros_like(alphas)
        shift[k] = 1e-4
        up, down = (
            validation_loss_after_a_real_step(search, data, alphas + s * shift) for s in (1, -1)
        )
        assert gradient[k].item() == pytest.approx((up - down) / 2e-4, rel=1e-3)


def test_the_finite_difference_approaches_the_exact_gradient(float64):
    """It does on a network too, once the two points are near enough for its ReLUs."""
    teacher, search = start()
    run(search, teacher, 2)
    *_, data = batches(teacher, 3)
    exact = meta_gradient(search, data, exact_jvp)
    near = meta_gradient(search, data, partial(central_difference, scale=1e-6))
    published = meta_gradient(search, data, DIFFERENCE)
    assert (near - exact).norm() / exact.norm() < 1e-3
    assert (published - exact).norm() / exact.norm() < 0.5


@pytest.mark.parametrize("jvp", [exact_jvp, DIFFERENCE], ids=["exact", "difference"])
def test_virtual_passes_leave_no_trace(jvp):
    """Weights, running statistics, gradients, momentum and alphas have the same bits as before."""
    teacher, search = start()
    run(search, teacher, 2)
    *_, data = batches(teacher, 3)
    for parameter in search.searched.weights:
        parameter.grad = torch.ones_like(parameter)  # whatever somebody else left there
    terms = search.searched.terms(data[0])
    before = everything(search)
    second_order(search.searched, terms, search.optimiser, *data, jvp)
    assert_same(before, everything(search))


@pytest.mark.parametrize("gradient", ["finite-difference", "exact", "first-order"])
def test_the_real_step_is_plain_training_with_the_new_weights(float64, gradient):
    """Cross-entropy plus weighted pathways, backward, SGD give the same weights and statistics."""
    teacher, search = start(gradient=gradient)
    run(search, teacher, 2)
    *_, data = batches(teacher, 3)
    twin = copy.deepcopy(search)
    for leftover in (*search.searched.weights, search.alphas):
        leftover.grad = torch.ones_like(leftover)  # must not be added to
    search.step(*data, ANYWHERE)

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


def test_every_batch_norm_counts_one_batch_per_step():
    """Of the forward passes of a step one is real."""
    teacher, search = start(gradient="exact")
    run(search, teacher, 3)
    for module in (search.student, search.pathways):
        counts = [int(b) for n, b in module.named_buffers() if n.endswith("num_batches_tracked")]
        assert counts and set(counts) == {3}


@pytest.mark.parametrize("gradient", ["finite-difference", "exact"])
def test_only_the_difference_passes_ignore_autocast(gradient):
    """Real and validation passes run in bfloat16, the derivative of the losses in float32."""
    kinds = []

    def note(module, inputs, output):
        kinds.append(str(output.dtype))

    autocast = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
    teacher, search = start(gradient=gradient, autocast=autocast)
    search.student.trunk["stem"].register_forward_hook(
        lambda module, inputs, output: note(module, inputs, output.out)
    )
    losses = run(search, teacher, 1)
    low, full = "torch.bfloat16", "torch.float32"
    assert kinds == [low, low, *([full] * (2 if gradient == "finite-difference" else 1))]
    assert all(loss.dtype == torch.float32 for loss in losses.values())


@pytest.mark.parametrize("gradient", ["finite-difference", "exact", "first-order"])
@pytest.mark.parametrize("stopped", sampled([0, 1, 3], [1]))
def test_a_resumed_search_ends_in_the_same_bits(gradient, stopped):
    """It is saved after any step, loaded into a search of another seed, and carried on."""
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
    weights = []
    for seed in (0, 0, 1):
        teacher, search = start(seed=seed)
        run(search, teacher, 3)
        weights.append(search.finding().weights)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_the_finding_grows_by_one_row_per_step_and_serves_the_methods(tmp_path):
    """Rows are the normalised alphas with which each step was taken."""
    teacher, search = start()
    run(search, teacher, 3)
    scheme = search.finding()
    assert scheme.weights.shape == (3, 12) and scheme.metadata["steps"] == 3
    for weights, alphas in zip(scheme.weights, scheme.alphas, strict=True):
        torch.testing.assert_close(weights, biased_softmax(alphas))
    assert torch.equal(scheme.alphas[-1], search.alphas.detach())
    assert not torch.equal(scheme.alphas[0], scheme.alphas[1])
    scheme.save(tmp_path)
    assert scheme.load(tmp_path).metadata == scheme.metadata
    method = method_part("distpro", **FEW)
    loss, _ = make_loss(method, search.student, teacher, 0, FLOAT32, scheme=scheme)
    assert loss.names == scheme.names


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("gradient", sampled(["finite-difference", "exact"], ["exact"]))
def test_pairs_of_the_paper_can_be_searched(pair, gradient):
    """All 27 pathways have finite losses and alphas that move; the student learns its batch."""
    torch.manual_seed(0)
    teacher, student = (make(**SMALL) for make in PAIRS[pair])
    search = build("distpro", student, teacher.eval(), gradient=gradient, lr=0.002)
    (data,) = batches(teacher, 1)
    losses = [search.step(*data, ANYWHERE) for _ in range(8)]
    assert all(value.isfinite() for row in losses for value in row.values())
    assert losses[-1]["task"] < losses[0]["task"]
    assert search.finding().weights.shape == (8, 27)
    assert (search.alphas != 1).all()


def test_real_and_virtual_steps_take_the_learning_rate_that_was_set():
    """With 0 neither weights nor alphas move."""
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


def test_an_unknown_option_is_refused_in_one_line():
    """It names the nearest that exists."""
    with pytest.raises(UnknownName, match="did you mean 'exact'"):
        start(gradient="exakt")
    with pytest.raises(UnknownName, match="did you mean 'softmax'"):
        start(normalise="softmx")


def test_a_search_without_validation_images_is_refused():
    """Pathway weights are learned on them, so the message asks for a share above 0."""
    teacher, search = start()
    ((train, _),) = batches(teacher, 1)
    with pytest.raises(BadValue, match=r"held_out: found 0\.0, expected a share above 0"):
        search.step(train, None, ANYWHERE)


def test_the_declared_search_has_the_pathways_of_the_paper():
    """They are 27 between two networks of three stages."""
    teacher, _ = start()
    assert len(build("distpro", WideResNet(10, 1, **SMALL), teacher).alphas) == 27
