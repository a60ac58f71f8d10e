"""Claims about what a step costs, judged by made-up records."""

import pytest
from finished import evaluate, plan_of
from judged import FAILS, HOLDS, UNTESTED, outcome


@pytest.mark.parametrize(("seconds", "state"), [(105, HOLDS), (130, FAILS), (115, UNTESTED)])
def test_costs_are_those_of_a_training_step(project, seconds, state):
    """The time of DistPro's step over ReviewKD's decides the claim and is its evidence."""
    plan = plan_of(project, "distpro/cost", seeds=1)
    for name, work in (("DistPro", seconds), ("ReviewKD+", 100)):
        spec = plan.graph.drawn["distpro/cost"][name]
        evaluate(plan, spec, [75.0])
        plan.write(spec.runs[0], cost={"seconds": float(work), "steps": 100})

    judgement = outcome(plan, "distpro/cost")

    assert judgement.state is state and f"{seconds / 100:.3g} (our thresholds" in judgement.evidence


@pytest.mark.parametrize(
    ("dropped", "whole", "state", "evidence"),
    [
        (140, 200, HOLDS, "saved: 0.6 "),
        (180, 200, FAILS, "saved: 0.2 "),
        (160, 200, UNTESTED, "saved: 0.4 "),
        (90, 90, UNTESTED, "takes no longer"),
    ],
)
def test_what_dropping_saves_is_of_the_losses_alone(project, dropped, whole, state, evidence):
    """A step of KD, 100 here, is taken from both; where nothing is left, nothing is decided."""
    plan = plan_of(project, "distpro/cost", seeds=1)
    times = {"DistPro": dropped, "no pathway dropped": whole, "KD (added by us)": 100}
    for name, work in times.items():
        spec = plan.graph.drawn["distpro/cost"][name]
        evaluate(plan, spec, [75.0])
        plan.write(spec.runs[0], cost={"seconds": float(work), "steps": 100})

    judgement = outcome(plan, "distpro/dropping")

    assert judgement.state is state and evidence in judgement.evidence
