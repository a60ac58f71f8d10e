"""Claims about what searches removed, and about the students that they left."""

import pytest
from finished import carve, dense, evaluate, plan_of
from judged import FAILS, HOLDS, UNTESTED, outcome

from kdbench.exhibits.claims import NoneBestEverywhere
from kdbench.exhibits.keys import SizeKey
from kdbench.report.judgement.evidence import Evidence
from kdbench.report.judgement.pruned import none_best_everywhere
from kdbench.report.readings.records import Records

BLOCK_1 = [(1, layer, "in") for layer in range(3)]
BLOCK_3 = [(3, layer, "in") for layer in range(3)]


def carved(project, gone, alone):
    """All searches of Figure 5, that removed these and whose penalty alone would remove those."""
    plan = plan_of(project, "sbs/figure5")
    penalty = {"share": 0.3, "connections": dense(gone=alone)}
    for spec in plan.graph.drawn["sbs/figure5"].values():
        carve(plan, spec, connections=dense(gone=gone), penalty_alone=penalty)
    return plan


@pytest.mark.parametrize(
    ("alone", "words"),
    [(BLOCK_1, "alpha alone forces this"), (BLOCK_3, "alpha alone would not do this")],
)
def test_the_third_block_is_held_against_what_the_penalty_alone_would_do(project, alone, words):
    """A block that the penalty spares anyway proves nothing about the network."""
    judgement = outcome(carved(project, BLOCK_1, alone), "sbs/third-block")

    assert judgement.state is HOLDS and words in judgement.evidence


@pytest.mark.parametrize(("gone", "state"), [(BLOCK_1, HOLDS), ([(3, 2, 1)], FAILS)])
def test_one_vanished_connection_into_the_last_layer_refutes_the_claim(project, gone, state):
    """Other layers of the block, and other blocks, do not count."""
    assert outcome(carved(project, [*gone, (3, 1, 0)], []), "sbs/last-layer").state is state


@pytest.mark.parametrize(("alone", "state"), [(BLOCK_1, HOLDS), (BLOCK_3, FAILS)])
def test_what_is_removed_is_held_against_what_costs_most(project, alone, state):
    """That is what the penalty alone would remove."""
    assert outcome(carved(project, BLOCK_1, alone), "sbs/dearest").state is state


def three_students(project, errors):
    """A judgement on three students by hand on two data sets, with these mean errors."""
    plan = plan_of(project, "sbs/figure3", seeds=3)
    names = ("vgg-sbs", "resnet-sbs", "googlenet-sbs")
    groups = tuple(
        tuple(SizeKey(dataset, name, distilled=True) for dataset in ("CIFAR-10", "CIFAR-100"))
        for name in names
    )
    for student, means in zip(groups, errors, strict=True):
        for key, mean in zip(student, means, strict=True):
            top1 = [100 - mean + shift for shift in (-0.05, 0.0, 0.05)]
            evaluate(plan, plan.graph.drawn["sbs/figure3"][key], top1)
    (figure,) = plan.graph.exhibits
    evidence = Evidence(plan.graph, figure, Records(plan.paths))
    return none_best_everywhere(NoneBestEverywhere(groups), evidence)


@pytest.mark.parametrize(
    ("errors", "state"),
    [
        ([(5, 30), (7, 25), (6, 28)], HOLDS),
        ([(5, 25), (7, 27), (6, 28)], FAILS),
        ([(5, 25.0), (7, 25.02), (6, 28)], UNTESTED),
    ],
)
def test_no_student_is_best_everywhere_if_each_is_beaten_somewhere(project, errors, state):
    """One that clearly wins on both data sets refutes it; a tie on one decides nothing."""
    assert three_students(project, errors).state is state
