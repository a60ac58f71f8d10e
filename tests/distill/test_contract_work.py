"""Steps that a loss calls alike do the same operations: those of one step count for all."""

import pytest
import torch
from contract import EVERY, PAIR, build, network, scene
from torch import rand

from kdbench.distill.joined import JoinedLosses, Part
from kdbench.distill.scheme import Scheme
from kdbench.engine.multiply_adds import MultiplyAdds
from kdbench.engine.position import TrainingPosition

POSITIONS = [TrainingPosition(step, 40, step // 4, 10) for step in (0, 1, 17, 30, 39)]


def counts(loss, pair):
    """The multiply-adds of a forward and a backward pass at every position, by kind of work."""
    seen, by_kind = scene(*reversed(pair)), {}
    for position in POSITIONS:
        with MultiplyAdds() as counted:
            seen.slopes(loss, loss(seen.student, seen.teacher, seen.batch, position))
        by_kind.setdefault(loss.work(position), set()).add(counted.macs)
    return by_kind


@pytest.fixture(scope="module")
def pair():
    """Teacher and student; no test changes them."""
    return network(PAIR[0]), network(PAIR[1])


@pytest.mark.parametrize("method", EVERY)
def test_steps_that_are_called_alike_do_the_same_operations(method, pair):
    """At five positions, from the first step to the last."""
    by_kind = counts(build(method, pair[1], pair[0]), pair)

    assert all(len(macs) == 1 for macs in by_kind.values())


def fading(pair):
    """DistPro's loss with one pathway that is dropped from the middle of the training on."""
    loss = build("distpro", pair[1], pair[0])
    alphas = torch.ones(2, len(loss.names))
    alphas[1, 4] = 0
    loss.scheme = Scheme(rand(2, len(loss.names)), alphas, loss.names)
    return loss


@pytest.mark.parametrize("joined", [False, True])
def test_a_dropped_pathway_is_another_kind_of_work(joined, pair):
    """With fewer operations, alone and beside another loss."""
    loss = fading(pair)
    if joined:
        other = build("fitnet", pair[1], pair[0])
        loss = JoinedLosses([Part("distpro", loss, "eval"), Part("fitnet", other, "eval")])
    early, late = counts(loss, pair).values()

    assert len(early) == len(late) == 1 and max(early) > max(late)
