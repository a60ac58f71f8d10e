"""CRD: the contrastive loss, the memories, and which negatives are drawn."""

from itertools import accumulate
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from build_loss import build_loss
from torch import randn
from torch.profiler import ProfilerActivity, profile

from kdbench.data.loaders.batch import Batch
from kdbench.distill.crd import CRD, contrast
from kdbench.engine.position import TrainingPosition
from kdbench.errors import BadValue

LABELS = torch.arange(40) % 4
INDEX = torch.tensor([3, 8, 21, 30, 17])
BATCH = Batch(torch.zeros(5, 3, 8, 8), LABELS[INDEX], INDEX)
START = TrainingPosition(step=0, steps=10, epoch=0, epochs=2)


def few_negatives(**more):
    """A loss with twelve negatives."""
    nets = SimpleNamespace(pooled_width=6), SimpleNamespace(pooled_width=9)
    return build_loss(CRD, *nets, **{"labels": LABELS, "negatives": 12, "dimension": 8, **more})


def vectors():
    """Pooled vectors of both networks."""
    return randn(5, 6, requires_grad=True), randn(5, 9)


def slow_direction(memory, partition, unit, chosen, temperature):
    """One image and one sample at a time; sets the partition from the first batch."""
    scores = [
        [((row @ memory[p]) / temperature).exp() for p in ps]
        for row, ps in zip(unit, chosen, strict=True)
    ]
    if partition is None:
        partition = torch.stack([s for row in scores for s in row]).mean().detach() * len(memory)
    noise, total = (chosen.shape[1] - 1) / len(memory), 0
    for row in scores:
        for place, score in enumerate(row):
            p = score / partition
            share = p / (p + noise + 1e-7) if place == 0 else noise / (p + noise + 1e-7)
            total = total - share.log()
    return total / len(unit), partition


def test_three_steps_are_those_of_the_slow_form(float64):
    """Losses, gradients, and memories, with the partition that the first batch fixes."""
    loss = few_negatives()
    rows = [loss.of_student.rows.clone(), loss.of_teacher.rows.clone()]
    partitions = [None, None]
    for step in range(3):
        ours, theirs = vectors()
        units = [F.normalize(loss.embed_student(ours)), F.normalize(loss.embed_teacher(theirs))]
        position = TrainingPosition(step, 10, 0, 2)
        chosen = torch.cat([INDEX[:, None], loss.draw(BATCH, position)], 1)
        by_student, partitions[1] = slow_direction(rows[1], partitions[1], units[0], chosen, 0.07)
        by_teacher, partitions[0] = slow_direction(rows[0], partitions[0], units[1], chosen, 0.07)
        expected = 0.8 * (by_student + by_teacher)
        seen = [SimpleNamespace(pooled=x) for x in (ours, theirs)]
        term = loss(*seen, BATCH, position)["crd"]
        torch.testing.assert_close(term, expected)
        slopes = [torch.autograd.grad(x, ours, retain_graph=True)[0] for x in (term, expected)]
        torch.testing.assert_close(*slopes)
        for memory, unit in zip(rows, units, strict=True):
            for place, row in zip(INDEX, unit.detach(), strict=True):
                moved = (memory[place] + row) / 2
                memory[place] = moved / moved.norm()

    torch.testing.assert_close(loss.of_student.rows, rows[0])
    torch.testing.assert_close(loss.of_teacher.rows, rows[1])


def test_negatives_are_of_other_classes_without_repetition():
    """Where there are fewer such images than negatives, each is drawn before any is drawn twice."""
    rows = few_negatives().draw(BATCH, START)
    many = few_negatives(negatives=45).draw(BATCH, START)

    assert (LABELS[rows] != BATCH.labels[:, None]).all()
    assert all(len(set(row.tolist())) == 12 for row in rows)
    assert all(len(set(row[:30].tolist())) == 30 for row in many)
    assert (LABELS[many] != BATCH.labels[:, None]).all()


def test_negatives_depend_on_the_step_alone():
    """Two draws for one step agree, those for two steps and for two images differ."""
    torch.manual_seed(3)
    loss = few_negatives()
    draws = [loss.draw(BATCH, TrainingPosition(step, 10, 0, 2)) for step in (0, 1, 0)]

    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])
    assert len({tuple(row.tolist()) for row in draws[0]}) == 5


@pytest.mark.parametrize("negatives", [1, 7, 12, 29, 45])
def test_the_draw_is_that_of_a_look_at_the_whole_training_set(negatives):
    """Though it follows the order only as far as it must; with unequal classes as well."""
    for labels in (LABELS, torch.cat([LABELS[:20], torch.full((20,), 3)])):
        loss = few_negatives(negatives=negatives, labels=labels)
        batch = BATCH._replace(labels=labels[BATCH.index])
        rows = loss.draw(batch, START)
        drawn = loss._order_and_begin(START, len(INDEX))
        order, begins = drawn[: len(labels)].tolist(), drawn[len(labels) :].tolist()
        for row, begin, label in zip(rows.tolist(), begins, batch.labels, strict=True):
            whole = [n for n in [*order[begin:], *order[:begin]] if labels[n] != label]
            assert row == [whole[place % len(whole)] for place in range(negatives)]


def test_all_images_are_drawn_equally_often():
    """Over 400 steps no share is further than 15 % from the mean."""
    loss = few_negatives()
    counts = torch.zeros(40)
    for step in range(400):
        drawn = loss.draw(BATCH, TrainingPosition(step, 400, 0, 1))
        counts.index_add_(0, drawn.flatten(), torch.ones(drawn.numel()))
    shares = counts / torch.tensor([(BATCH.labels != c).sum() for c in LABELS])

    assert (shares / shares.mean() - 1).abs().max() < 0.15


def test_training_moves_the_memories_of_the_batch_and_evaluation_none():
    """Those of the other images stay in training too."""
    loss = few_negatives()
    before = loss.of_teacher.rows.clone()
    seen = [SimpleNamespace(pooled=x) for x in vectors()]
    loss.eval()(*seen, BATCH, START)
    assert torch.equal(loss.of_teacher.rows, before)
    loss.train()(*seen, BATCH, START)
    changed = (loss.of_teacher.rows != before).any(1).nonzero().flatten()

    assert sorted(changed.tolist()) == sorted(INDEX.tolist())


def test_contrast_is_lower_for_high_scores_of_positives_and_low_ones_of_negatives():
    """It is never below 0."""
    sure = torch.tensor([[50.0, 1e-6, 1e-6]])

    assert contrast(sure, 100) < contrast(sure.flip(1), 100)
    assert contrast(sure, 100) >= 0


def test_labels_of_a_single_class_are_refused():
    """There would be no negatives."""
    with pytest.raises(BadValue, match="two classes or more"):
        few_negatives(labels=torch.zeros(9, dtype=torch.long))


@pytest.mark.parametrize(
    ("images", "batch", "dimension", "classes"),
    [(20_000, 32, 16, "equal"), (30_000, 4, 128, "equal"), (20_000, 64, 1, "one is large")],
)
def test_the_bytes_that_grow_with_the_training_set_are_foretold(images, batch, dimension, classes):
    """Within a tenth of what two steps allocate at once, whichever part is the largest."""
    labels = torch.arange(images) % 10 if classes == "equal" else torch.arange(images) % 10 // 9
    nets = SimpleNamespace(pooled_width=6), SimpleNamespace(pooled_width=9)
    loss = None

    def two_steps():
        nonlocal loss
        sizes = {"labels": labels, "negatives": 12, "dimension": dimension}
        loss = build_loss(CRD, *nets, **sizes)
        for step in range(2):
            index = torch.arange(batch)
            served = Batch(torch.zeros(batch, 3, 2, 2), labels[index], index)
            ours = SimpleNamespace(pooled=randn(batch, 6, requires_grad=True))
            theirs = SimpleNamespace(pooled=randn(batch, 9))
            loss(ours, theirs, served, TrainingPosition(step, 2, 0, 1))["crd"].backward()

    measured = most_bytes(two_steps)

    assert measured == pytest.approx(loss.bytes_held(images, batch), rel=0.1)


def most_bytes(work):
    """The most bytes that PyTorch holds at once while it works."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = accumulate(e.nbytes() for e in sorted(events, key=lambda event: event.start_ns()))
    return max(held)
