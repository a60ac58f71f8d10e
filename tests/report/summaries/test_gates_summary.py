"""Searches that close gates, side by side."""

import pytest
from finished import body_of, carve, lines_of, plan_of

from kdbench.errors import DamagedData

SEARCHES = "sbs/searches"
WIDTHS = {"a": {"before": 4, "after": 2}, "b": {"before": 6, "after": 3}}
AFTER = {"flops_with_elements": 89_500_000, "parameters": 250_000}


def finished(project, kept):
    """The first searches on the first data set, which keep these channels."""
    plan = plan_of(project, SEARCHES)
    for spec, channels in zip(plan.graph.drawn[SEARCHES].values(), kept, strict=False):
        carve(plan, spec, epochs=80, readers=WIDTHS, kept=channels, after=AFTER)
    return plan


def test_agreement_counts_the_channels_that_both_treat_alike(project):
    """Of ten four differ: six agree, and 0.5 is by chance, as both keep five."""
    one = {"a": "3", "b": "7"}
    other = {"a": "5", "b": "b"}  # 0011 against 0101; 000111 against 001011

    first, second = lines_of(finished(project, [one, other]), SEARCHES)

    assert (first["search"], first["agreement"]) == ("KL, weighted", "")
    assert (second["group"], second["search"]) == ("CIFAR-10", "KL")
    assert float(second["agreement"]) == pytest.approx(0.6)
    assert float(second["agreement_by_chance"]) == pytest.approx(0.5)


def test_a_line_says_when_the_budget_was_met_and_who_decided(project):
    """800 of 1,000 steps; the loss pulled half as hard as the penalty."""
    plan = finished(project, [{"a": "3", "b": "7"}])
    body, (line,) = body_of(plan, SEARCHES), lines_of(plan, SEARCHES)

    assert "80 % of the steps" in body
    assert float(line["share_of_steps"]) == 0.8 and float(line["loss_to_penalty"]) == 0.5
    assert float(line["gate_lr"]) == 0.3 and float(line["lambda_2"]) == 0.02
    assert float(line["parameters_left_millions"]) == 0.25


def test_a_budget_that_was_not_met_is_said(project):
    """It has no share of the steps."""
    plan = plan_of(project, SEARCHES)
    spec = next(iter(plan.graph.drawn[SEARCHES].values()))
    carve(plan, spec, met=False, readers=WIDTHS, kept={"a": "3", "b": "7"}, after=AFTER)

    assert "not met" in body_of(plan, SEARCHES)
    assert lines_of(plan, SEARCHES)[0]["share_of_steps"] == ""


def test_damaged_channels_are_one_line(project):
    """The reader is named."""
    plan = finished(project, [{"a": "3", "b": "x"}])

    with pytest.raises(DamagedData, match=r"structure\.kept\.b"):
        body_of(plan, SEARCHES)
