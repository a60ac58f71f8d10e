"""The claims about what the searches found, judged by made-up records."""

import pytest
from finished import TRANSFORMS, carve, dense, evaluate, plan_of, search
from judged import FAILS, HOLDS, UNTESTED, around, outcome

from kdbench.exhibits.keys import SweepKey

NAMES = [f"t{t}-s{s}-{k}" for t in (1, 2, 3) for s in (1, 2, 3) for k in TRANSFORMS]


def process(*ends):
    """Rows in which the weights of maps 1 and 3 go from 0.1 to each of the ends, ten steps each."""
    rows, begin = [], (0.1, 0.1)
    for end in ends:
        for step in range(1, 11):
            low, high = (a + (b - a) * step / 10 for a, b in zip(begin, end, strict=True))
            rows.append([low] * 9 + [0.1] * 9 + [high] * 9)
        begin = end
    return rows


EARLY, LATE = (0.2, 0.05), (0.05, 0.2)


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ((EARLY, LATE, LATE), HOLDS),
        ((LATE, LATE, LATE), FAILS),  # rises, but low maps never dominate
        ((EARLY, EARLY, (0.2, 0.04)), FAILS),  # low maps dominate to the end
        (((0.11, 0.1), LATE, LATE), UNTESTED),  # they hardly dominate
        ((EARLY, (0.14, 0.1), (0.13, 0.1)), UNTESTED),  # it hardly rises
    ],
)
def test_weight_rises_where_low_maps_dominate_first(project, ends, state):
    """The centre is below that of equal weights early, and higher at the end than it began."""
    plan = plan_of(project, "distpro/figure6")
    search(plan, plan.graph.drawn["distpro/figure6"]["search"], NAMES, process(*ends))

    assert outcome(plan, "distpro/rise").state is state


def test_the_centre_is_that_of_an_early_quarter_and_of_both_ends(project):
    """A tenth of the listed steps at both ends; equal weights have theirs at map 2."""
    plan = plan_of(project, "distpro/figure6")
    spec = plan.graph.drawn["distpro/figure6"]["search"]
    rows = [[0.3] * 9 + [0.1] * 9 + [0.1] * 9] * 5 + [[0.1] * 9 + [0.1] * 9 + [0.2] * 9] * 15
    search(plan, spec, NAMES, rows)

    evidence = outcome(plan, "distpro/rise").evidence
    assert "less that of equal weights: -0.4 (our thresholds" in evidence
    assert "in teacher maps: 0.65 (our thresholds" in evidence  # from 1.6 to 0.9 / 0.4


@pytest.mark.parametrize(("end", "state"), [(0.005, HOLDS), (0.11, FAILS), (0.05, UNTESTED)])
def test_weights_vanish_where_the_largest_does(project, end, state):
    """The largest weight at the end is held against the mean at the beginning."""
    plan = plan_of(project, "distpro/first-order")
    rows = [[0.1] * 3, [0.0, 0.0, end]]
    names = ["t1-s1-a", "t2-s1-a", "t3-s1-a"]
    search(plan, plan.graph.drawn["distpro/first-order"]["search"], names, rows)

    assert outcome(plan, "distpro/first-order").state is state


RISING = (0.1, 0.2, 0.3)
TILTED = (0.15, 0.1, 0.3)  # correlates with RISING by about 0.7


@pytest.mark.parametrize(
    ("last", "seed", "state"),
    [
        (RISING, RISING, HOLDS),
        ((0.3, 0.2, 0.1), RISING, FAILS),
        (TILTED, RISING, UNTESTED),
        (TILTED, TILTED, HOLDS),  # no less alike than two seeds of one pair
        (RISING, (0.3, 0.2, 0.1), UNTESTED),  # two seeds of one pair are not alike
    ],
)
def test_processes_are_alike_where_they_are_as_alike_as_seeds(project, last, seed, state):
    """One of six searches decides; with five, or without another seed, likeness is not shown."""
    plan = plan_of(project, "distpro/similarity")
    names, flat = ["t1-s1-a", "t2-s1-a", "t3-s1-a"], [0.2, 0.2, 0.2]
    *others, one = (run for run in plan.graph.drawn["distpro/similarity"].values() if not run.seed)
    for spec in others:
        search(plan, spec, names, [flat, [*RISING]])
    alone = outcome(plan, "distpro/alike")
    for spec in plan.graph.drawn["distpro/similarity"].values():
        if spec.seed:
            search(plan, spec, names, [flat, [*seed]])
    five = outcome(plan, "distpro/alike")
    search(plan, one, names, [flat, [*last]])

    judgement = outcome(plan, "distpro/alike")

    assert alone.state is UNTESTED and alone.evidence.endswith("no second seed to hold it against")
    assert five.state is UNTESTED
    assert judgement.state is state and "15 pairs" in judgement.evidence


@pytest.mark.parametrize(
    ("first", "state"), [((0.8, 0.7), HOLDS), ((0.8, 0.5), FAILS), ((0.8, 0.6), UNTESTED)]
)
def test_the_shallowest_block_takes_all_in_every_group(project, first, state):
    """The smallest of two groups decides; 0.75 of two blocks is half of what one can gain."""
    plan = plan_of(project, "dfa/weights")
    a, b = first[0], first[1] if state is not HOLDS else 0.75
    names = ["g1-b1", "g1-b2", "g2-b1", "g2-b2", "g3-b1"]
    row = [a, 1 - a, b, 1 - b, 1.0]
    search(plan, plan.graph.drawn["dfa/weights"]["plain loss"], names, [row])

    judgement = outcome(plan, "dfa/collapse")

    assert judgement.state is state and "smallest of 2 groups" in judgement.evidence


@pytest.mark.parametrize(
    ("gone", "met", "state"),
    [
        ([], True, HOLDS),
        ([(3, i, "in") for i in range(3)], True, FAILS),
        ([(3, 0, "in")], True, UNTESTED),
        ([], False, UNTESTED),
    ],
)
def test_the_third_block_is_whole_in_every_search(project, gone, met, state):
    """12, 4 or 0 of 18 channels removed; a search short of its budget shows nothing."""
    plan = plan_of(project, "sbs/figure5")
    *others, other = plan.graph.drawn["sbs/figure5"].values()
    for one in others:
        carve(plan, one)
    alone = outcome(plan, "sbs/third-block")
    carve(plan, other, met=met, connections=dense(gone=gone))

    assert alone.state is UNTESTED
    assert outcome(plan, "sbs/third-block").state is state


@pytest.mark.parametrize(
    ("epochs", "top1", "met", "state"),
    [
        (80, 95.0, True, HOLDS),
        (80, 93.0, True, FAILS),
        (20, 95.0, True, FAILS),
        (80, 94.0, True, UNTESTED),
        (80, 95.0, False, UNTESTED),
    ],
)
def test_the_smallest_penalty_takes_longer_and_finds_better(project, epochs, top1, met, state):
    """Against the largest: 40 epochs, accuracy 94."""
    plan = plan_of(project, "sbs/figure6", seeds=3)
    specs = plan.graph.drawn["sbs/figure6"]
    carve(plan, specs[SweepKey(0.001)], epochs=epochs, met=met)
    carve(plan, specs[SweepKey(0.008)], epochs=40)
    assert outcome(plan, "sbs/penalty").state is UNTESTED
    evaluate(plan, specs[SweepKey(0.001, students=True)], around(top1))
    evaluate(plan, specs[SweepKey(0.008, students=True)], around(94.0))
    partial = outcome(plan, "sbs/penalty")
    assert partial.state is UNTESTED and "4 runs of the figure are missing" in partial.evidence
    for value in (0.002, 0.004):
        carve(plan, specs[SweepKey(value)], epochs=45)
        evaluate(plan, specs[SweepKey(value, students=True)], around(94.5))

    assert outcome(plan, "sbs/penalty").state is state


@pytest.mark.parametrize(
    ("errors", "met", "state"),
    [
        ([5.0, 5.3, 5.5, 6.0, 7.0], True, HOLDS),
        ([7.0, 6.6, 6.3, 5.8, 5.0], True, FAILS),
        ([5.0, 6.0, 5.0, 6.0, 5.0], True, UNTESTED),
        ([5.0, 5.3, 5.5, 6.0, 7.0], False, UNTESTED),
        ([5.0, 5.3], True, UNTESTED),
        ([5.0, 5.3, 6.0], True, UNTESTED),
    ],
)
def test_the_error_rises_with_the_divergence(project, errors, met, state):
    """Five points whose correlation is beyond chance decide, unless a budget was missed."""
    plan = plan_of(project, "sbs/figure4", seeds=1)
    specs = plan.graph.drawn["sbs/figure4"]
    for value, error in zip((0.0, 0.25, 0.5, 0.75, 1.0), errors, strict=False):
        evaluate(plan, specs[SweepKey(value, students=True)], [100 - error])
        carve(plan, specs[SweepKey(value)], met=met)

    assert outcome(plan, "sbs/kl0").state is state
