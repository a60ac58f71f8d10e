"""SBS on small networks: what it descends, how gates close, and that it goes on as it was."""

import copy
import io
from functools import partial
from math import exp, log

import pytest
import torch
from build_search import FOLDER, build, declaration, declared
from sbs_runs import FAMILIES, FAST, IMAGE, KL, STEPS, batches, run, start
from torch import randn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.kd import kd
from kdbench.engine.position import TrainingPosition
from kdbench.errors import UnknownName, UserError
from kdbench.evaluate.cost import operations, parameters
from kdbench.models.families.densenet import DenseNet
from kdbench.models.families.shufflenet_v1 import ShuffleNetV1
from kdbench.models.pruning.build import build_pruned
from kdbench.models.pruning.structure import Structure
from kdbench.search.divergence import plain_cross_entropy, softened_kl
from kdbench.search.proximal import momenta
from kdbench.search.searcher import SearchBatch

DECLARATIONS = sorted(path.stem for path in FOLDER.glob("sbs_*.toml"))


def softmax(row, temperature=1.0):
    """Probabilities of one image as plain numbers."""
    powers = [exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("order", ["teacher-first", "student-first"])
@pytest.mark.parametrize("times_square", [True, False])
def test_the_divergence_is_the_formula(float64, order, times_square):
    """It is number by number, either way round; with the teacher first and τ² it is `kd`."""
    ours, theirs, tau = randn(4, 5), randn(4, 5), 3.0
    options = {"temperature": tau, "order": order, "times_square": times_square}
    each = softened_kl(ours, theirs, **options)
    for mine, his, divergence in zip(ours, theirs, each, strict=True):
        p, q = softmax(his.tolist(), tau), softmax(mine.tolist(), tau)
        p, q = (p, q) if order == "teacher-first" else (q, p)
        expected = sum(a * log(a / b) for a, b in zip(p, q, strict=True))
        expected *= tau**2 if times_square else 1
        assert divergence.item() == pytest.approx(expected, rel=1e-10)
    if order == "teacher-first" and times_square:
        torch.testing.assert_close(each.mean(), kd(ours, theirs, tau))


def test_the_plain_cross_entropy_is_the_formula(float64):
    """It is number by number, unsoftened, under the teacher's probabilities."""
    ours, theirs = randn(4, 5), randn(4, 5)
    each = plain_cross_entropy(ours, theirs)
    for mine, his, loss in zip(ours, theirs, each, strict=True):
        p, q = softmax(his.tolist()), softmax(mine.tolist())
        expected = -sum(a * log(b) for a, b in zip(p, q, strict=True))
        assert loss.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("loss", ["kl", "np", "kl0"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_is_sgd_of_the_weights_and_a_proximal_step_of_the_gates(float64, family, loss):
    """A second step agrees with loss.backward(), PyTorch's SGD with weight decay, the formulas."""
    kl0 = {"densenet": 0.009, "resnet": 0.18}[family]
    base = Structure("", {}, {}, {"largest_kl": 4 * kl0})
    options = {"loss": loss, "kl0_share": 0.25, "base": base}
    teacher, search = start(family, momentum=0.8, weight_decay=0.1, **options)
    run(search, teacher, 1)
    *_, (data, _, position) = batches(teacher, 2)
    batch, theirs = data
    twin = copy.deepcopy(search.student)
    optimiser = torch.optim.SGD(
        [p for n, p in twin.named_parameters() if not n.endswith("gate")],
        lr=0.01, momentum=0.8, nesterov=True, weight_decay=0.1,
    )  # fmt: skip
    optimiser.load_state_dict(copy.deepcopy(search.optimiser.state_dict()))
    logits = twin(batch.images)
    each = softened_kl(logits, theirs.logits, **KL)
    loss = {
        "kl": lambda: each.mean(),
        "np": lambda: plain_cross_entropy(logits, theirs.logits).mean(),
        "kl0": lambda: sum((e - kl0).abs() for e in each) / len(each),
    }[options["loss"]]()
    if options["loss"] == "kl0":  # images lie on both sides of it
        assert each.min() < kl0 < each.max()
    loss.backward()
    gates, velocity = search.gates.values.clone(), search.gates.velocity.clone()
    gradients = torch.cat(
        [twin.get_parameter(f"{n}.gate").grad for n in search.gates.layout.widths]
    )
    optimiser.step()

    terms = search.step(data, None, position)

    for key, parameter in twin.named_parameters():
        if not key.endswith("gate"):
            ours = search.student.get_parameter(key)
            torch.testing.assert_close(ours, parameter, rtol=1e-10, atol=1e-12, msg=key)
    paid = 0.01 * FAST["lambda_2"] * search.gates.alphas
    z = gates - 0.01 * gradients
    reached = torch.where(z.abs() > paid, z - paid * z.sign(), torch.zeros(()))
    velocity = reached - gates + 0.9 * velocity
    expected = (reached + 0.9 * velocity).clamp_min(0)
    torch.testing.assert_close(search.gates.values, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(terms["loss"], loss)
    torch.testing.assert_close(terms["kl"], each.mean())
    torch.testing.assert_close(terms["price"], (paid / 0.01) @ expected)
    assert terms["open_share"].item() == pytest.approx((expected != 0).double().mean().item())


@pytest.mark.parametrize("saving", ["with-maker", "reader"])
def test_gates_are_charged_their_savings_or_all_alike(saving):
    """The gate that saves most is charged 1; unweighted ones all are."""
    _, search = start(saving=saving)
    savings = search.gates.layout.savings(with_maker=saving == "with-maker")
    flat = [float(v) for name in search.gates.layout.widths for v in savings[name]]
    expected = torch.tensor([value / max(flat) for value in flat])
    torch.testing.assert_close(search.gates.alphas, expected)
    _, search = start(weighted=False, saving=saving)
    assert bool((search.gates.alphas == 1).all())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stopped", [0, 3, 9])
def test_a_resumed_search_ends_in_the_same_bits(family, stopped):
    """It is saved after any step, loaded into a search of another seed, and carried on."""
    options = {"gate_momentum": "growing", "budget": 0.5}
    teacher, whole = start(family, **options)
    expected = run(whole, teacher, 10)
    _, first = start(family, **options)
    run(first, teacher, stopped)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    _, second = start(family, seed=7, **options)
    second.load_state_dict(torch.load(file, weights_only=True))
    terms = run(second, teacher, 10, first=stopped)
    assert terms == expected[stopped:]
    one, two = whole.student.state_dict(), second.student.state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert torch.equal(whole.gates.velocity, second.gates.velocity)
    assert whole.finding() == second.finding() and whole.finished == second.finished


def digits(count=64):
    """Handwritten digits as colour images of 8×8 pixels."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    pixels = torch.tensor(loaded.images[:count], dtype=torch.float32).unsqueeze(1) / 8 - 1
    return Batch(
        pixels.expand(-1, 3, -1, -1).contiguous(),
        torch.tensor(loaded.target[:count]),
        torch.arange(count),
    )


def test_a_tiny_densenet_on_digits_loses_channels_until_the_budget_is_met(tmp_path):
    """The search ends within it, its gates stay from then on, and the student can be built."""
    torch.manual_seed(0)
    teacher, batch = DenseNet(16, 6, classes=10, image=IMAGE), digits()
    optimiser = torch.optim.SGD(teacher.parameters(), lr=0.1, momentum=0.9)
    for _ in range(30):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(teacher(batch.images), batch.labels).backward()
        optimiser.step()
    teacher.eval()
    before = copy.deepcopy(teacher.state_dict())
    search = build("sbs_kl", teacher, teacher, **{**FAST, "lambda_2": 3.0, "of_steps": 60})
    with torch.no_grad():
        data = SearchBatch(batch, teacher.read(batch.images))
    shares = []
    for k in range(60):
        closed = search.gates.values.clone() if search.finished else None
        terms = search.step(data, None, TrainingPosition(k, 60, k // 6, 10))
        shares.append(terms["flops_share"])
        assert closed is None or torch.equal(closed, search.gates.values)
    assert search.finished and shares[-1] <= 0.3035 < shares[0]
    assert 0 < search.gates.open_share() < 0.9
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())

    structure = search.finding()
    about = structure.summary()["structure"]
    pruned = build_pruned(structure, 10, IMAGE)
    assert about["met"] and about["met_at"] < about["steps"] == 60 and about["epoch"] == 10
    assert about["planned_steps"] == 60 and about["loss_to_penalty"] > 0
    assert about["after"]["flops_with_elements"] == sum(operations(pruned, IMAGE))
    assert about["after"]["multiply_adds"] == operations(pruned, IMAGE).multiply_adds
    assert about["after"]["parameters"] == parameters(pruned)
    assert about["before"]["parameters"] == parameters(teacher)
    assert about["share"] == pytest.approx(shares[-1].item(), rel=1e-6)
    assert about["largest_kl"] >= about["largest_mean_kl"] > 0
    assert structure.kept.keys() == about["readers"].keys()
    for name, channels in structure.kept.items():
        reader = about["readers"][name]
        assert reader["after"] == len(channels)
        assert reader["dropped"] == pytest.approx(1 - len(channels) / reader["before"])
        pairs = about["connections"][name].values()
        totals = [sum(pair[i] for pair in pairs) for i in (0, 1)]
        assert totals == [reader["before"], reader["after"]]
    structure.save(tmp_path)
    assert Structure.load(tmp_path) == structure


def test_a_budget_out_of_reach_is_recorded():
    """The search runs on to its end; its finding says that it was not met."""
    teacher, search = start(lambda_2=0.0)
    terms = run(search, teacher, STEPS)
    about = search.finding().metadata
    assert not search.finished and not about["met"] and about["met_at"] is None
    assert terms[-1]["flops_share"] == about["share"] == 1.0


@pytest.mark.parametrize("options", [{}, {"weighted": False}, {"nonnegative": False}])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("budget", [0.3, 0.7])
def test_a_step_past_the_budget_is_taken_in_part(family, options, budget):
    """It ends at the first point of a straight line that fits: every point is tried, one by one."""
    teacher, search = start(family, budget=budget, lambda_2=50.0, **options)
    twin = start(family, budget=0.0, lambda_2=50.0, **options)[1]
    for data in batches(teacher, STEPS):
        before = twin.gates.values.clone()
        terms = search.step(*data)
        twin.step(*data)
        if search.finished:
            break
    ahead, gates = twin.gates._ahead, search.gates
    whole = twin.gates.values
    closing = ((before != 0) & (whole == 0)).nonzero().flatten().tolist()
    times = {j: (before[j] / (before[j] - ahead[j])).item() for j in closing}
    order = sorted(closing, key=lambda j: (times[j], abs(before[j].item())))
    left, closed = before.clone(), 0
    while gates.share(gates._plan(left)) > budget:
        left[order[closed]] = 0
        closed += 1
    opened = (gates.values != 0)[order]
    assert closed > 0 and not opened[:closed].any() and opened[closed:].all()
    end = times[order[closed - 1]]
    on_line = before + end * (ahead - before)
    still_open = torch.tensor(
        [g != 0 and times.get(j, 2) > end for j, g in enumerate(gates.values)]
    )
    torch.testing.assert_close(gates.values[still_open], on_line[still_open], rtol=1e-4, atol=1e-5)
    about = search.finding().metadata
    assert about["met"] and about["share"] <= budget
    assert about["share"] == pytest.approx(terms["flops_share"].item())
    if not options.get("weighted", True):  # all alike: the whole step closes nearly all
        assert about["share"] > 0.5 * budget and gates.share(twin.gates.plan()) < 0.1


def test_the_networks_that_were_given_are_never_changed():
    """They get no gates either; the blank finding keeps every channel."""
    teacher, search = start("resnet")
    before = copy.deepcopy(teacher.state_dict())
    run(search, teacher, 3)
    after = teacher.state_dict()
    assert before.keys() == after.keys() and not teacher.training
    assert all(torch.equal(before[key], after[key]) for key in before)
    blank = search.blank()
    assert all(len(blank.kept[n]) == w for n, w in search.gates.layout.widths.items())
    assert blank.metadata["share"] == 1.0


def test_only_the_forward_pass_runs_in_low_precision():
    """The losses and the gates stay in float32."""
    autocast = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
    teacher, search = start(autocast=autocast)
    _, plain = start()
    (low,), (full,) = run(search, teacher, 1), run(plain, teacher, 1)
    assert low["loss"] != full["loss"]
    assert low["loss"].item() == pytest.approx(full["loss"].item(), rel=0.3)
    assert all(value.dtype == torch.float32 for value in low.values())


def test_errors_are_one_line():
    """Those of unknown options name the nearest that exists, that of a family its class."""
    wrong = {"loss": "kll", "order": "teacher-frst", "gate_momentum": "fixd", "saving": "readr"}
    for options in ({key: value} for key, value in wrong.items()):
        with pytest.raises(UnknownName, match="did you mean"):
            teacher, search = start(**options)
            run(search, teacher, 1)
    with pytest.raises(UserError, match="found a ShuffleNetV1, expected one of DenseNet") as caught:
        network = ShuffleNetV1(classes=5, image=IMAGE)
        build("sbs_kl", network, network)
    assert "\n" not in str(caught.value)


def test_there_is_a_declaration_for_every_loss():
    """Two of them also without weights; the tests below run on them."""
    assert DECLARATIONS == ["sbs_kl", "sbs_kl0", "sbs_kl_unweighted", "sbs_np", "sbs_np_unweighted"]


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_declaration_is_what_its_name_says(name):
    """Built from its defaults, it has that loss and is weighted or not; momenta are published."""
    teacher = FAMILIES["densenet"](classes=5, image=IMAGE)
    search, defaults = build(name, teacher, teacher), declared(name)
    assert declaration(name)["start"] == "teacher"
    assert declaration(name)["defaults"]["held_out"] == 0  # no validation images
    assert f"sbs_{defaults['loss']}" == name.removesuffix("_unweighted")
    assert bool((search.gates.alphas == 1).all()) == name.endswith("unweighted")
    assert momenta(defaults["gate_momentum"], 1, defaults["mu"]) == (0.9, 0.9)
