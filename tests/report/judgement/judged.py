"""How a claim stands with the made-up records of a test."""

from kdbench.exhibits.keys import NetworkRole
from kdbench.papers import all_claims
from kdbench.report.judgement.comparisons import ClaimState
from kdbench.report.judgement.judge import judge_claim
from kdbench.report.readings.records import Records

CLAIMS = {claim.id: claim for claim in all_claims()}
HOLDS, FAILS, UNTESTED = ClaimState
SEARCHED = NetworkRole.SEARCHED


def outcome(plan, name):
    """How a claim stands."""
    return judge_claim(CLAIMS[name], plan.graph, Records(plan.paths))


def around(mean):
    """Three seeds that spread little."""
    return [mean - 0.1, mean, mean + 0.1]
