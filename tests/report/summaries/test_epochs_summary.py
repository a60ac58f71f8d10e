"""DistPro's Table 2: the fewest epochs to the same accuracy, from frozen records."""

import pytest
from finished import body_of, evaluate, lines_of, plan_of

from kdbench.exhibits.keys import BudgetKey
from kdbench.papers.distpro_imagenet import CLAIMS, COSINE, STEP
from kdbench.report.judgement.comparisons import ClaimState
from kdbench.report.judgement.judge import judge_claim
from kdbench.report.readings.records import Records

TABLE2 = "distpro/table2"
CURVE = {10: 65.25, 20: 69.4, 30: 70.7, 50: 72.54, 100: 73.26}  # DistPro, MobileNet, as printed


def finished(project, reference=72.56, cosine=73.12, curve=CURVE):
    """MobileNet's runs: ReviewKD with either schedule, DistPro at every budget."""
    plan = plan_of(project, TABLE2)
    runs = plan.graph.drawn[TABLE2]
    for method, top1 in ((STEP, reference), (COSINE, cosine)):
        evaluate(plan, runs[BudgetKey(f"{method}, MobileNet", 100)], [top1 - 0.01, top1 + 0.01])
    for epochs, top1 in curve.items():
        key = BudgetKey("DistPro, MobileNet", epochs)
        evaluate(plan, runs[key], [top1 - 0.01, top1 + 0.01])
    return plan


def test_the_fewest_epochs_are_those_of_the_first_run_that_reaches_the_reference(project):
    """50 of 100 against the step schedule, as printed; against the cosine it takes all 100."""
    step, cosine = [
        line for line in lines_of(finished(project), TABLE2) if "MobileNet" in line["network"]
    ]

    assert (step["reference"], float(step["reference_epochs"])) == (f"{STEP}, MobileNet", 100)
    assert float(step["epochs"]) == 50 and float(step["share"]) == 0.5
    assert float(step["top1"]) == pytest.approx(72.54)
    assert (cosine["reference"], float(cosine["epochs"])) == (f"{COSINE}, MobileNet", 100)


def test_a_reference_that_no_run_reaches_is_named(project):
    """And what is not finished stays open."""
    body = body_of(finished(project, reference=74.0), TABLE2)
    mobile, *_ = [line for line in body.splitlines() if line.startswith("| MobileNet")]

    assert "not reached" in mobile
    assert "100 epochs: 72.56; 50 epochs: 72.54" in mobile
    deit = next(line for line in body.splitlines() if line.startswith("| DeiT"))
    assert "not run yet" in deit and "150 epochs: 73.44; 100 epochs: 73.41" in deit


def test_the_tolerance_is_said_and_counts(project):
    """0.05 points below the reference still reach it, 0.06 do not."""
    for below, epochs in ((0.04, 50), (0.06, 100)):
        curve = {**CURVE, 50: 72.56 - below}
        line = lines_of(finished(project, curve=curve), TABLE2)[0]
        assert float(line["epochs"]) == epochs
    assert "at most 0.05 points below" in body_of(finished(project), TABLE2)


def test_the_claim_of_half_the_epochs_stays_open_until_all_networks_have_run(project):
    """One network that clearly falls short refutes it."""
    (claim,) = (one for one in CLAIMS if one.id == "distpro/faster")
    for accuracy, state in ((72.54, ClaimState.UNTESTED), (70.0, ClaimState.FAILS)):
        plan = finished(project, curve={**CURVE, 50: accuracy})
        assert judge_claim(claim, plan.graph, Records(plan.paths)).state is state
