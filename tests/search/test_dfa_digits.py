"""DFA's search where the truth can be seen: on digits, with a teacher that knows them."""

import math
from dataclasses import replace

import pytest
import torch
from digits_runs import searched, teacher

from kdbench.exhibits.protocols import DFA_SEARCH, DISTPRO_SEARCH
from kdbench.plan.components import find_components
from kdbench.plan.params import Params
from kdbench.plan.resolve import Resolver

LITE = {"beta_budget": 1.0}
CHANCE = math.log(10)


def shipped(protocol, name="dfa", scale="lite"):
    """The protocol that the plan gives DFA's search."""
    resolver = Resolver(Params(scale=scale), find_components())
    search, student = resolver.get("search", name), resolver.get("network", "wrn-16-2")
    return resolver.search_recipe(search, protocol, "cifar100", student)


def of_the_last_group(losses, name):
    """Mean of a term over the share of the last of three groups."""
    share = losses[name][2 * len(losses[name]) // 3 :]
    return sum(share) / len(share)


@pytest.mark.parametrize("protocol", [DFA_SEARCH, DISTPRO_SEARCH], ids=["dfa", "distpro"])
@pytest.mark.parametrize("name", ["dfa", "dfa_plain", "dfa_st_only", "dfa_ts_only"])
def test_the_rate_of_the_search_never_falls_whatever_the_protocol(protocol, name):
    """At no scale; a protocol of which that changes the course says so in its name."""
    for scale in ("smoke", "lite", "paper"):
        recipe = shipped(protocol, name, scale)
        assert recipe.milestones == ()
        assert recipe.name.endswith("constant rate") == bool(protocol.milestones)


def test_a_search_of_another_kind_keeps_its_milestones():
    """DistPro's rate falls at three epochs."""
    assert len(shipped(DISTPRO_SEARCH, "distpro").milestones) == 3


@pytest.mark.slow
def test_the_last_group_is_searched_through_trained_connectors():
    """ST below 1, where orthogonal maps have 2, and TS below chance, under the shipped protocol."""
    losses, found = searched(shipped(DFA_SEARCH), draw=0, **LITE)

    assert teacher()[1] > 0.9
    assert of_the_last_group(losses, "st") < 1.0
    assert of_the_last_group(losses, "ts") < CHANCE
    assert found.weights.isfinite().all()


@pytest.mark.slow
def test_a_falling_rate_and_terms_of_the_turn_alone_leave_the_last_group_untrained():
    """What the test above would see: ST near that of orthogonal maps."""
    falling = replace(shipped(DISTPRO_SEARCH), milestones=DISTPRO_SEARCH.shortened(3).milestones)
    losses, _ = searched(falling, fitted="turn", **LITE)

    assert of_the_last_group(losses, "st") > 1.2


@pytest.mark.slow
def test_the_draw_of_the_connectors_hardly_decides_what_is_found():
    """With the order of the images held, two draws' weight changes correlate at 0.7 or more."""
    ends = [searched(shipped(DFA_SEARCH), draw=draw, **LITE)[1].weights for draw in (0, 1)]
    changes = [weights[-1] - weights[0] for weights in ends]

    assert torch.corrcoef(torch.stack(changes))[0, 1] >= 0.7
