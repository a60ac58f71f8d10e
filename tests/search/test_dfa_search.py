"""DFA's search on real, small networks: what moves when, and what is found."""

import copy
import io
from functools import partial

import pytest
import torch
from build_search import assert_same
from dfa_runs import (
    IDS,
    METHODS,
    PAIRS,
    batches,
    data,
    everything,
    fitted_betas,
    read,
    run,
    start,
    take,
    written_out,
)
from sampling import sampled
from torch import randn
from typed_runs import method_part

from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.runs.assemble import make_loss
from kdbench.search.darts import MetaGradient
from kdbench.search.dfa_losses import unit_distance
from kdbench.search.dfa_turns import turn_at
from kdbench.search.searcher import SearchBatch

FLOAT32 = Precision("float32", False, torch.device("cpu"))


def test_a_unit_distance_is_its_slow_form(float64):
    """Each image's map becomes a vector of length 1; the scale of either side plays no part."""
    student, teacher = randn(3, 4, 2, 2), randn(3, 4, 2, 2)
    total = 0.0
    for s, t in zip(student.flatten(1).tolist(), teacher.flatten(1).tolist(), strict=True):
        lengths = [sum(v**2 for v in one) ** 0.5 for one in (s, t)]
        total += sum((a / lengths[0] - b / lengths[1]) ** 2 for a, b in zip(s, t, strict=True))
    distance = unit_distance(student, teacher)

    assert distance.item() == pytest.approx(total / 3)
    torch.testing.assert_close(unit_distance(5 * student, teacher / 7), distance)


@pytest.mark.parametrize("pair", sampled([*PAIRS], ["wrn to wrn", "resnet to resnet"]))
@pytest.mark.parametrize("options", METHODS, ids=IDS)
def test_the_real_step_is_plain_training_with_the_new_beta(float64, pair, options):
    """Terms written out, backward and SGD give the same weights, statistics, momentum, losses."""
    teacher, search = start(pair, **options)
    run(search, teacher, 2)
    twin = copy.deepcopy(search)
    for leftover in (*search.weights, *search.betas):
        leftover.grad = torch.ones_like(leftover)  # must not be added to
    losses = take(search, teacher, 2)

    train, _ = data(teacher, 2)
    twin.optimiser.zero_grad()
    task, groups = written_out(twin, train, fitted_betas(twin, 1, search.betas[1].detach()))
    whole = task + sum(sum(terms.values()) for terms in groups.values())
    whole.backward()
    twin.optimiser.step()

    terms = {"task": task, **groups[1]}
    if twin.fitted == "all":
        terms["others"] = whole - sum(terms.values())
    assert losses.keys() == {*terms, "held_out"}
    for name, term in terms.items():
        assert losses[name].item() == pytest.approx(term.item(), rel=1e-10)
    plain = twin.losses.state_dict()
    for key, value in search.losses.state_dict().items():
        torch.testing.assert_close(value, plain[key], rtol=1e-9, atol=1e-12, msg=key)
    for a, b in zip(search.weights, twin.weights, strict=True):
        ours, theirs = (s.optimiser.state.get(w, {}) for s, w in ((search, a), (twin, b)))
        assert ours.keys() == theirs.keys()
        if ours:
            buffers = (ours["momentum_buffer"], theirs["momentum_buffer"])
            torch.testing.assert_close(*buffers, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("options", METHODS, ids=IDS)
def test_every_batch_norm_counts_one_batch_per_step(options):
    """It does however often the student, or its later stages, run."""
    teacher, search = start(**options)
    run(search, teacher, 3)
    counts = [int(b) for n, b in search.student.named_buffers() if n.endswith("batches_tracked")]
    assert counts and set(counts) == {3}


@pytest.mark.parametrize("options", METHODS, ids=IDS)
def test_each_beta_moves_in_its_own_share_and_connectors_all_the_time(options):
    """In two steps per group the other β keep their bits, weight decay or not.

    Connectors learn in every step, or, where only the terms of the turn are fitted, in theirs.
    """
    teacher, search = start(**options, beta_weight_decay=0.1)
    for step in range(6):
        before = [beta.detach().clone() for beta in search.betas]
        joins = copy.deepcopy(search.connectors)
        trunk = search.student.classifier.weight.detach().clone()
        take(search, teacher, step)

        turn = step // 2
        moved = [not torch.equal(a, b) for a, b in zip(before, search.betas, strict=True)]
        assert moved == [k == turn for k in range(3)]
        assert not torch.equal(trunk, search.student.classifier.weight)
        assert len(joins) > 0
        for way, old in joins.items():
            weights = zip(old, search.connectors[way], strict=True)
            changed = [not torch.equal(a.weight, b.weight) for a, b in weights]
            apart = search.fitted == "turn"
            assert changed == [k == turn or not apart for k in range(3)], way


@pytest.mark.parametrize(
    ("steps", "turns"), [(7, [0, 0, 0, 1, 1, 2, 2]), (3, [0, 1, 2]), (2, [0, 1]), (1, [0])]
)
def test_groups_share_the_steps_equally(steps, turns):
    """They go shallow to deep, as equal as can be; nothing but the position decides."""
    positions = [TrainingPosition(step, steps, 0, 1) for step in range(steps)]
    assert [turn_at(position, 3, 0.0).group for position in positions] == turns


@pytest.mark.parametrize(("steps", "groups"), [(60, 3), (61, 3), (16, 3), (7, 4), (3, 3)])
@pytest.mark.parametrize("head_start", [0.0, 0.1, 0.25, 0.9])
def test_beta_rests_in_the_first_part_of_a_share_and_then_moves_as_often_as_announced(
    steps, groups, head_start
):
    """The head start is the declared part of each share, rounded down, and never all of it."""
    positions = [TrainingPosition(step, steps, 0, 1) for step in range(steps)]
    turns = [turn_at(position, groups, head_start) for position in positions]
    for group in range(groups):
        share = [turn for turn in turns if turn.group == group]
        moves = [turn.moves for turn in share]
        resting = int(head_start * len(share))

        assert moves == [False] * resting + [True] * (len(share) - resting)
        assert {turn.rounds for turn in share} == {sum(moves)} and sum(moves) >= 1


def test_beta_rests_in_its_head_start_while_all_weights_learn():
    """With half of a share of four steps: two steps without β, two with."""
    teacher, search = start(head_start=0.5, beta_weight_decay=0.1)
    moved = []
    for step in range(4):
        beta, old = search.betas[0].detach().clone(), search.weights[0].detach().clone()
        losses = take(search, teacher, step, steps=12)
        moved.append(not torch.equal(beta, search.betas[0]))
        assert losses["held_out"] > 0 and not torch.equal(old, search.weights[0])

    assert moved == [False, False, True, True]


@pytest.mark.parametrize("options", METHODS, ids=IDS)
def test_without_held_out_images_at_rest_a_search_has_the_same_bits(options):
    """It does not ask for them there, and shows no curve of them; all else is as it was."""
    (teacher, whole), (_, short) = (
        start(head_start=0.5, **options, **more) for more in ({}, {"held_out_at_rest": False})
    )
    for step in range(4):
        position = TrainingPosition(step, 12, 0, 1)
        train, held = data(teacher, step)
        losses = short.step(train, held if short.reads_held_out(position) else None, position)
        expected = take(whole, teacher, step, steps=12)

        assert short.reads_held_out(position) is (step >= 2) and whole.reads_held_out(position)
        assert expected.pop("held_out") > 0 and losses.keys() == expected.keys()
        assert all(torch.equal(losses[name], value) for name, value in expected.items())
    assert_same(everything(whole), everything(short))
    assert short.finding().metadata["held_out_at_rest"] is False
    assert "held_out_at_rest" not in whole.finding().metadata


@pytest.mark.parametrize("steps", [6, 30, 33])
def test_a_beta_goes_no_further_than_its_budget_at_any_length_of_search(steps):
    """A constant push takes it there, whatever the number of its steps."""
    teacher, search = start(beta_budget=0.8, spread=0.0)
    push = torch.tensor([1.0, -1.0])
    search._meta_gradient = lambda inner, outer, beta: MetaGradient(
        push, torch.tensor(0.0), {"st": push, "ts": push}
    )
    run(search, teacher, steps, steps=steps)

    for beta in search.betas:
        torch.testing.assert_close(beta.detach(), -0.8 * push, rtol=1e-3, atol=0)


def test_validation_images_move_beta_and_nothing_else():
    """Other validation images give other β, and with the same β the same student."""
    ends = []
    for shift, budget in ((0, 0.15), (1, 0.15), (0, 0.0), (1, 0.0)):
        teacher, search = start(beta_budget=budget)
        for step in range(3):  # the first one of Adam only sees the sign of a gradient
            train, other = batches(step)
            other = other._replace(images=other.images + shift, labels=other.labels.flip(0))
            position = TrainingPosition(step, 9, 0, 1)
            search.step(read(teacher, train), read(teacher, other), position)
        ends.append((search.betas[0].detach(), search.student.classifier.weight.detach()))

    assert not torch.equal(ends[0][0], ends[1][0])
    assert torch.equal(ends[2][0], ends[3][0]) and torch.equal(ends[2][1], ends[3][1])


def planted(teacher, batch, first, second):
    """A batch, of which each stage of the teacher shows two given maps, as wide as its own."""
    data = read(teacher, batch)
    for stage in data.teacher.blocks[1:]:
        stage[:] = [first(stage[0]), second(stage[0])]
    return data


def telling(batch):
    """Maps that show the labels, each in a channel of its own."""

    def draw(like):
        maps = torch.zeros_like(like)
        maps[torch.arange(len(batch.labels)), batch.labels] = 3.0
        return maps

    return draw


@pytest.mark.parametrize("losses", ["plain", "ts", "bridge"])
def test_the_bridge_finds_the_map_that_tells_classes_and_the_plain_loss_the_easy_one(losses):
    """Beside a map that tells the classes lies an empty one, easy to match, or noise, of no use.

    This is the collapse of the plain loss, which knows nothing of the classes, and its cure.
    """
    teacher, search = start(losses=losses, spread=0.0, beta_budget=2.0)
    other = torch.zeros_like if losses == "plain" else torch.randn_like
    for step in range(24):
        both = batches(step, size=16)
        train, validation = (planted(teacher, batch, other, telling(batch)) for batch in both)
        search.step(train, validation, TrainingPosition(step, 72, 0, 1))
    easy, good = search.finding().weights[-1, :2].tolist()

    assert (easy if losses == "plain" else good) > 0.75


@pytest.mark.parametrize("options", METHODS, ids=IDS)
@pytest.mark.parametrize("stopped", sampled([0, 1, 4], [1]))
def test_a_resumed_search_ends_in_the_same_bits(options, stopped):
    """It is saved after any step, loaded into a search of another seed, and carried on."""
    teacher, whole = start(**options)
    run(whole, teacher, 6)

    _, first = start(**options)
    run(first, teacher, stopped)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    _, second = start(seed=7, **options)
    second.load_state_dict(torch.load(file, weights_only=True))
    run(second, teacher, 6, first=stopped)

    assert_same(everything(whole), everything(second))
    one, two = whole.finding(), second.finding()
    assert torch.equal(one.weights, two.weights) and torch.equal(one.alphas, two.alphas)
    assert one.names == two.names and one.metadata == two.metadata


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    """The start of β is random and small; nothing random happens afterwards."""
    weights = []
    for seed in (0, 0, 1):
        teacher, search = start(seed=seed, spread=1e-3)
        assert all(0 < v < 5e-3 for beta in search.betas for v in beta.detach().abs().tolist())
        run(search, teacher, 3)
        weights.append(search.finding().weights)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_the_finding_grows_by_one_row_per_step_and_serves_the_method(tmp_path):
    """Rows are the softmax of each group's β after the step; the last one is what counts."""
    teacher, search = start()
    run(search, teacher, 6)
    scheme = search.finding()
    expected = scheme.alphas.reshape(6, 3, 2).softmax(2).reshape(6, 6)

    assert scheme.names == ("g1-b1", "g1-b2", "g2-b1", "g2-b2", "g3-b1", "g3-b2")
    assert scheme.weights.shape == (6, 6) and scheme.metadata["steps"] == 6
    torch.testing.assert_close(scheme.weights, expected)
    assert torch.equal(scheme.alphas[-1], torch.cat([b.detach() for b in search.betas]))
    assert (scheme.alphas[:-1, :2] != scheme.alphas[1:, :2]).any(1).tolist() == [
        True,
        *[False] * 4,
    ]
    scheme.save(tmp_path)
    assert scheme.load(tmp_path).metadata == scheme.metadata
    student = WideResNet(10, 1, classes=5, image=(3, 8, 8))
    loss, _ = make_loss(method_part("dfa"), student, teacher, 0, FLOAT32, scheme=scheme)
    assert torch.equal(loss.shares, scheme.weights[-1])


@pytest.mark.parametrize("pair", sampled([*PAIRS], ["resnet to resnet"]))
@pytest.mark.parametrize("options", METHODS, ids=IDS)
def test_a_search_needs_no_teacher_beyond_the_depth_it_names(pair, options):
    """With features that end there, every tensor and loss has the bits that whole features give."""
    (teacher, whole), (_, short) = start(pair, **options), start(pair, **options)
    for step in range(6):
        position = TrainingPosition(step, 6, 0, 1)
        depth = short.teacher_depth(position)
        with torch.no_grad():
            cut = (
                SearchBatch(batch, teacher.read(batch.images, until))
                for batch, until in zip(batches(step), depth, strict=True)
            )
            cut = tuple(cut)
        losses = short.step(*cut, position)
        expected = take(whole, teacher, step)

        assert losses.keys() == expected.keys()
        assert all(torch.equal(losses[name], value) for name, value in expected.items())
    assert_same(everything(whole), everything(short))


@pytest.mark.parametrize(("fitted", "train"), [("all", [3, 3, 3]), ("turn", [1, 2, 3])])
def test_the_teacher_is_looked_at_as_deep_as_the_groups_in_the_losses_lie(fitted, train):
    """Validation ends at the stage whose turn it is, training at the deepest that is fitted."""
    _, search = start(fitted=fitted)
    depths = [search.teacher_depth(TrainingPosition(step, 6, 0, 1)) for step in (0, 2, 4)]

    assert [depth.validation for depth in depths] == [1, 2, 3]
    assert [depth.train for depth in depths] == train


def test_a_blank_finding_has_equal_weights_within_a_group():
    """Methods are built on it before any search."""
    _, search = start("shufflenet to shufflenet")
    blank = search.blank()
    assert blank.names == search.names
    torch.testing.assert_close(
        blank.weights, torch.tensor([[1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2, 1 / 2, 1 / 2]])
    )


LOW, FULL = "torch.bfloat16", "torch.float32"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [LOW, LOW]),
        ({"order": "second"}, [FULL, LOW, FULL, FULL, LOW]),
        ({"order": "second", "gradient": "exact"}, [FULL, LOW, LOW]),
    ],
    ids=["first", "finite-difference", "exact"],
)
def test_only_the_validation_and_the_real_pass_run_in_low_precision(options, expected):
    """Those of the second order's training loss never do."""
    kinds = []
    low = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
    teacher, search = start(autocast=low, **options)
    search.student.trunk["stem"].register_forward_hook(
        lambda module, inputs, output: kinds.append(str(output.out.dtype))
    )
    losses = run(search, teacher, 1)

    assert kinds == expected
    assert all(loss.dtype == torch.float32 for loss in losses.values())


def test_the_real_step_takes_the_learning_rate_that_was_set():
    """With 0 no weight moves; β has a rate of its own."""
    teacher, search = start()
    search.lr = 0.0
    before = [w.detach().clone() for w in search.weights]
    beta = search.betas[0].detach().clone()
    run(search, teacher, 1)
    assert search.lr == 0.0
    assert all(torch.equal(a, b) for a, b in zip(before, search.weights, strict=True))
    assert not torch.equal(beta, search.betas[0])


def test_a_student_left_in_eval_mode_is_put_back_to_training():
    """Whoever evaluates between two steps cannot spoil the next."""
    teacher, search = start()
    search.student.eval()
    run(search, teacher, 1)
    assert all(module.training for module in search.losses.modules())
