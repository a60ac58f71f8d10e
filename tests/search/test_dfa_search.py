"""DFA's search on real, small networks: what moves when, and what is found."""

import copy
import io
import tomllib
from functools import partial
from pathlib import Path

import pytest
import torch
from dfa_runs import (
    IDS,
    METHODS,
    PAIRS,
    assert_same,
    data,
    everything,
    look,
    run,
    start,
    take,
    written_out,
)
from torch import randn

import kdbench.search
from kdbench.data.loaders.batch import Batch
from kdbench.distill.dfa import DFA
from kdbench.engine.position import TrainingPosition
from kdbench.errors import BadValue, UnknownName, UserError
from kdbench.models.families.densenet import DenseNet
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.models.stages import StagedNetwork
from kdbench.search.dfa import DFASearch
from kdbench.search.dfa_losses import unit_distance

DECLARED = sorted(Path(kdbench.search.__file__).parent.glob("dfa*.toml"))


def test_a_unit_distance_is_its_slow_form(float64):
    """Each image's map a vector of length 1; the scale of either side plays no part."""
    student, teacher = randn(3, 4, 2, 2), randn(3, 4, 2, 2)
    total = 0.0
    for s, t in zip(student.flatten(1).tolist(), teacher.flatten(1).tolist(), strict=True):
        lengths = [sum(v**2 for v in one) ** 0.5 for one in (s, t)]
        total += sum((a / lengths[0] - b / lengths[1]) ** 2 for a, b in zip(s, t, strict=True))
    found = unit_distance(student, teacher)

    assert found.item() == pytest.approx(total / 3)
    torch.testing.assert_close(unit_distance(5 * student, teacher / 7), found)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("options", METHODS, ids=IDS)
def test_the_real_step_is_plain_training_with_the_new_beta(float64, pair, options):
    """Terms written out, backward, SGD: the same weights, statistics, momentum and losses."""
    teacher, search = start(pair, **options)
    run(search, teacher, 2)
    twin = copy.deepcopy(search)
    for leftover in (*search.weights, *search.betas):
        leftover.grad = torch.ones_like(leftover)  # must not be added to
    losses = take(search, teacher, 2)

    train, _ = data(2)
    twin.optimiser.zero_grad()
    terms = written_out(twin, train, look(teacher, train), 1, search.betas[1].detach())
    sum(terms.values()).backward()
    twin.optimiser.step()

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
def test_every_batch_norm_counts_one_batch_a_step(options):
    """However often the student, or its rest, looks."""
    teacher, search = start(**options)
    run(search, teacher, 3)
    counts = [int(b) for n, b in search.student.named_buffers() if n.endswith("batches_tracked")]
    assert counts and set(counts) == {3}


@pytest.mark.parametrize("options", METHODS, ids=IDS)
def test_each_beta_moves_in_its_own_share_of_the_steps(options):
    """Two steps a group; the other β and their connectors keep their bits, weight decay or not."""
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
        for way, old in joins.items():
            weights = zip(old, search.connectors[way], strict=True)
            changed = [not torch.equal(a.weight, b.weight) for a, b in weights]
            assert changed == [k == turn for k in range(3)], way


@pytest.mark.parametrize(
    ("steps", "turns"), [(7, [0, 0, 0, 1, 1, 2, 2]), (3, [0, 1, 2]), (2, [0, 1]), (1, [0])]
)
def test_groups_share_the_steps(steps, turns):
    """Shallow to deep, as equal as can be; nothing but the position decides."""
    _, search = start()
    assert [search.group_at(TrainingPosition(step, steps, 0, 1)) for step in range(steps)] == turns


def test_held_out_images_move_beta_and_nothing_else():
    """Other held-out images, other β; with the same β the same student."""
    found = []
    for shift, rate in ((0, 0.05), (1, 0.05), (0, 0.0), (1, 0.0)):
        teacher, search = start(beta_lr=rate)
        for step in range(3):  # the first one of Adam only sees the sign of a gradient
            train, held = data(step)
            held = held._replace(images=held.images + shift, labels=held.labels.flip(0))
            theirs = look(teacher, train), look(teacher, held)
            position = TrainingPosition(step, 9, 0, 1)
            search.step(train, theirs[0], held, position, held_teacher=theirs[1])
        found.append((search.betas[0].detach(), search.student.classifier.weight.detach()))

    assert not torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[2][0], found[3][0]) and torch.equal(found[2][1], found[3][1])


def planted(teacher, batch, first, second):
    """Features of a teacher whose stages are two given maps each, as wide as its own."""
    seen = look(teacher, batch)
    for stage in seen.blocks[1:]:
        stage[:] = [first(stage[0]), second(stage[0])]
    return seen


def telling(batch):
    """Maps that show the labels, each in a channel of its own."""

    def draw(like):
        maps = torch.zeros_like(like)
        maps[torch.arange(len(batch.labels)), batch.labels] = 3.0
        return maps

    return draw


@pytest.mark.parametrize("losses", ["plain", "ts", "bridge"])
def test_what_each_loss_looks_for(losses):
    """Beside a map that tells the classes, an empty one or noise: easy to match, or no use.

    This is the collapse of the plain loss, which knows nothing of the classes, and its cure.
    """
    teacher, search = start(losses=losses, spread=0.0, beta_lr=0.1)
    other = torch.zeros_like if losses == "plain" else torch.randn_like
    for step in range(24):
        batches = data(step, size=16)
        train, held = (planted(teacher, batch, other, telling(batch)) for batch in batches)
        position = TrainingPosition(step, 72, 0, 1)
        search.step(batches[0], train, batches[1], position, held_teacher=held)
    easy, good = search.finding().weights[-1, :2].tolist()

    assert (easy if losses == "plain" else good) > 0.75


@pytest.mark.parametrize("options", METHODS, ids=IDS)
@pytest.mark.parametrize("stopped", [0, 1, 4])
def test_a_resumed_search_ends_in_the_same_bits(options, stopped):
    """Saved after any step, loaded into a search of another seed, and carried on."""
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
    found = []
    for seed in (0, 0, 1):
        teacher, search = start(seed=seed, spread=1e-3)
        assert all(0 < v < 5e-3 for beta in search.betas for v in beta.detach().abs().tolist())
        run(search, teacher, 3)
        found.append(search.finding().weights)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_the_finding_grows_by_a_row_a_step_and_serves_the_second_stage(tmp_path):
    """Rows are the softmax of each group's β after the step; the last one is what counts."""
    teacher, search = start()
    run(search, teacher, 6)
    found = search.finding()
    expected = found.alphas.reshape(6, 3, 2).softmax(2).reshape(6, 6)

    assert found.names == ("g1-b1", "g1-b2", "g2-b1", "g2-b2", "g3-b1", "g3-b2")
    assert found.weights.shape == (6, 6) and found.metadata["steps"] == 6
    torch.testing.assert_close(found.weights, expected)
    assert torch.equal(found.alphas[-1], torch.cat([b.detach() for b in search.betas]))
    assert (found.alphas[:-1, :2] != found.alphas[1:, :2]).any(1).tolist() == [
        True,
        *[False] * 4,
    ]
    found.save(tmp_path)
    assert found.load(tmp_path).metadata == found.metadata
    loss = DFA(WideResNet(10, 1, classes=5, image=(3, 8, 8)), teacher, scheme=found)
    assert torch.equal(loss.shares, found.weights[-1])


def test_a_blank_finding_has_equal_weights_within_a_group():
    """What methods are built on before any search."""
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
def test_which_passes_run_in_low_precision(options, expected):
    """The held-out one and the real one; never those of the second order's training loss."""
    kinds = []
    mixed = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
    teacher, search = start(autocast=mixed, **options)
    search.student.trunk["stem"].register_forward_hook(
        lambda module, inputs, output: kinds.append(str(output.out.dtype))
    )
    losses = run(search, teacher, 1)

    assert kinds == expected
    assert all(loss.dtype == torch.float32 for loss in losses.values())


def test_the_learning_rate_can_be_set_between_steps():
    """A schedule's value reaches the real step; β has a rate of its own."""
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


def test_connectors_are_those_that_the_losses_need():
    """The student is not among what is trained beside it."""
    needed = {"bridge": {"to_teacher", "to_student"}, "st": {"to_teacher"}, "ts": {"to_student"}}
    for losses, ways in needed.items():
        _, search = start(losses=losses)
        assert set(search.connectors) == ways
        assert not {*search.connectors.parameters()} & {*search.student.parameters()}
        assert len(search.weights) == len([*search.student.parameters()]) + 6 * len(ways)


def test_factors_multiply_their_terms():
    """Each γ its own."""
    factors = {"gamma_ce": 2.0, "gamma_st": 3.0, "gamma_ts": 5.0}
    one, many = (run(s, t, 1) for t, s in (start(), start(**factors)))
    for name, factor in (("task", 2), ("st", 3), ("ts", 5)):
        assert many[name].item() == pytest.approx(factor * one[name].item(), rel=1e-3)


def test_options_that_do_not_exist_are_named():
    """With the nearest that exists, or what was expected."""
    for options, said in (
        ({"losses": "bridges"}, "did you mean 'bridge'"),
        ({"order": "secnd"}, "did you mean 'second'"),
        ({"gradient": "exakt"}, "did you mean 'exact'"),
    ):
        with pytest.raises(UnknownName, match=said):
            start(**options)
    for wrong in ([0.5], [0.5, 1.0]):
        with pytest.raises(BadValue, match="two numbers from 0 to below 1"):
            start(adam_betas=wrong)


def test_pairs_that_cannot_be_grouped_are_refused_before_any_step():
    """A teacher whose blocks differ; a student that cannot go on from a map."""

    class Whole(WideResNet):
        """Cannot be run in parts."""

        def forward(self, x, *, read=False, after=None):
            if after is not None:
                raise UserError("no parts")
            return StagedNetwork.forward(self, x, read=read)

    settings = {"classes": 5, "image": (3, 8, 8)}
    student, whole = WideResNet(10, 1, **settings), Whole(10, 1, **settings)
    with pytest.raises(BadValue, match="teacher's stage1: found 'blocks of"):
        DFASearch(student, DenseNet(40, 4, **settings))
    with pytest.raises(UserError, match="no parts"):
        DFASearch(whole, student)
    assert DFASearch(whole, student, losses="st").betas


@pytest.mark.parametrize("path", DECLARED, ids=[path.stem for path in DECLARED])
def test_a_declaration_fits_the_class(path):
    """Built from its own defaults; the declarations differ in their losses and their weight."""
    declared = tomllib.loads(path.read_text(encoding="utf-8"))
    defaults = {k: v for k, v in declared["defaults"].items() if k != "held_out"}
    teacher, _ = start()
    search = DFASearch(WideResNet(10, 1, classes=5, image=(3, 8, 8)), teacher, **defaults)
    batch = Batch(randn(4, 3, 8, 8), torch.arange(4), torch.arange(4))
    theirs = look(teacher, batch)
    losses = search.step(batch, theirs, batch, TrainingPosition(0, 3, 0, 1), held_teacher=theirs)
    names = {"dfa": "bridge", "dfa_st_only": "st", "dfa_ts_only": "ts", "dfa_plain": "plain"}

    assert all(value.isfinite() for value in losses.values())
    assert defaults.pop("losses") == names[path.stem]
    first = tomllib.loads(DECLARED[0].read_text(encoding="utf-8"))["defaults"]
    rest = {"losses": "", "gamma_fd": 0.0}
    assert {**first, **rest} == {**declared["defaults"], **rest}
