"""The simulation follows the report's rules, and docs/statistics.md says what it gives."""

import numpy as np
import pytest
from simulation import (
    BEGIN,
    DRAWS,
    END,
    PRINTED,
    TOLERANCE,
    Draws,
    interval,
    markdown,
    mean_lead,
    parts_of_document,
    strict,
    tables,
    verdicts,
)

from kdbench.exhibits.published import Published
from kdbench.report.judgement.comparisons import ClaimState, Comparison
from kdbench.report.judgement.outcomes import every_better
from kdbench.report.readings.statistics import estimate
from kdbench.report.readings.verdict import Verdict, compare

FEW = 40  # draws that the report's own, slower rules are held to
POINTS = 3.0  # four times what a share of so many draws may err by, in percent


@pytest.fixture(scope="module")
def simulated():
    """The tables, simulated once."""
    return tables(Draws())


@pytest.mark.parametrize("n", [1, 3, 5])
@pytest.mark.parametrize("known", [True, False], ids=["printed spread", "printed as exact"])
def test_simulated_verdicts_are_the_report_s(n, known):
    """Draw by draw, at a gap that gives every verdict."""
    draws = Draws(seed=1, draws=FEW)
    ours, theirs = draws.runs(0.4, 0.3, n), draws.runs(0.0, 0.3, PRINTED)
    cells = [(1.0, ours), *([(-1.0, theirs)] if known else [])]
    gap, half = interval(cells)
    same, another = verdicts(gap if known else gap - theirs.mean(1), half)

    for draw in range(FEW):
        of_paper = estimate(theirs[draw].tolist())
        spread = of_paper.std if known else None
        printed = Published(of_paper.mean, spread, "paper", runs=PRINTED)
        verdict = compare(printed, ours[draw].tolist(), TOLERANCE).verdict

        assert (verdict is Verdict.REPRODUCED) == same[draw]
        assert (verdict in (Verdict.HIGHER, Verdict.LOWER)) == another[draw]


@pytest.mark.parametrize("lead", [0.5, 0.0, -0.3])
def test_simulated_claims_are_the_report_s(lead):
    """Strictly and in the mean, draw by draw."""
    draws = Draws(seed=2, draws=FEW)
    firsts = [draws.runs(lead, 0.3, 5) for _ in range(3)]
    seconds = [draws.runs(0.0, 0.3, 5) for _ in range(3)]
    holds, fails = strict(firsts, seconds)
    mean, half = mean_lead(firsts, seconds)

    for draw in range(FEW):
        pairs = [(a[draw].tolist(), b[draw].tolist()) for a, b in zip(firsts, seconds, strict=True)]
        judged = every_better([Comparison(f"{i}", a, b) for i, (a, b) in enumerate(pairs)])

        assert judged.mean is not None
        assert (judged.state is ClaimState.HOLDS) == holds[draw]
        assert (judged.state is ClaimState.FAILS) == fails[draw]
        assert (judged.mean.state is ClaimState.HOLDS) == (mean > half)[draw]
        assert (judged.mean.state is ClaimState.FAILS) == (mean < -half)[draw]


def test_the_intervals_hold_the_truth(simulated):
    """In 93 % or more of the draws, whatever the spreads, and seldom in more than 97.5 %."""
    _, *lines = simulated["Coverage of the 95 % intervals, %"]

    reported = [float(line[2]) for line in lines]
    pooled = [float(line[3]) for line in lines]

    assert min(reported) > 93 and max(reported) < 97.5
    assert min(pooled) < 91.5  # why the degrees of freedom are not pooled


def test_an_error_is_rarer_than_one_in_twenty(simulated):
    """A right paper is not called another; one that is off by the tolerance is seldom called so."""
    _, *lines = simulated["Verdicts, %"]
    rates = np.array([[float(x) for x in line[2:]] for line in lines])
    exact, with_spread = rates[:, 1], rates[:, 3]
    at_border, beyond = rates[:, 6:8], rates[:, 8]

    assert max(exact.max(), with_spread.max(), beyond.max()) <= 1
    assert at_border.max() <= 2.5 + 1


def test_a_claim_without_any_lead_seldom_holds(simulated):
    """Strictly hardly ever, in the mean in 2.5 %; and it fails as seldom."""
    _, *lines = simulated["Claims, %"]
    nothing = [[float(x) for x in line[4:8]] for line in lines if line[0].startswith("no lead")]
    real = [[float(x) for x in line[4:8]] for line in lines if not line[0].startswith("no lead")]

    assert nothing and max(rate for line in nothing for rate in line) <= 2.5 + 1
    assert max(rate for line in real for rate in (line[1], line[3])) <= 2.5


def test_the_document_has_these_tables(simulated):
    """Word by word, and every number within the simulation's own error."""
    _, written, after = parts_of_document()
    expected = markdown(simulated)

    assert after.strip() == "" or END not in after
    for ours, theirs in zip(expected.splitlines(), written.splitlines(), strict=True):
        for made, shown in zip(ours.split(" | "), theirs.split(" | "), strict=True):
            assert made == shown or abs(number(made) - number(shown)) <= POINTS


def number(text):
    """A cell's number; words have none."""
    return float(text.strip("| "))


def test_the_document_is_whole():
    """With one beginning and one end of the tables."""
    before, written, after = parts_of_document()

    assert written and before.count(BEGIN) == after.count(END) == 0
    assert f"{DRAWS:,}" in before
