"""Methods of the same arithmetic are equal to the bit: names draw nothing."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from contract import COMPONENTS, CPU, EVERY, PAIR, build, finding, network
from typed_runs import method_part, search_part

from kdbench.data.loaders.batch import Batch
from kdbench.distill.scheme import Scheme
from kdbench.engine.optimisers import make_optimiser
from kdbench.engine.position import TrainingPosition
from kdbench.exhibits.protocols import CRD
from kdbench.runs.assemble import Teacher, drawn_by, make_loss, make_searcher
from kdbench.runs.steps import TrainStep

STEPS = 3


def trained(method, scheme=None, **parameters):
    """Student and connectors after some steps, and the terms of each step under no name."""
    teacher, student = (network(name) for name in PAIR)
    given = {} if scheme is None else {"scheme": scheme}
    loss, weight = make_loss(method_part(method, **parameters), student, teacher, 0, CPU, **given)
    optimiser = make_optimiser(CRD, student, loss)
    step = TrainStep(
        student.train(), Teacher(teacher, "eval"), loss.train(), weight, optimiser, CRD, STEPS, CPU
    )
    torch.manual_seed(0)
    curves = []
    for number in range(STEPS):
        batch = Batch(torch.randn(8, 3, 16, 16), torch.arange(8) % 10, torch.arange(8))
        terms = step(batch, TrainingPosition(number, STEPS, 0, 1))
        curves.append([value.detach().clone() for value in terms.values()])
    return student.state_dict(), dict(loss.named_parameters()), curves


def assert_equal_to_the_bit(results):
    """Every result is the first one."""
    for one, other in pairwise(results):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_equal_last_and_process_weights_are_one_method_where_the_process_stands_still():
    """A process of 1 / n at every step, of which nothing is dropped."""
    names = finding("distpro", *(network(name) for name in reversed(PAIR))).names
    n = len(names)
    frozen = Scheme(torch.full((5, n), 1 / n), torch.ones(5, n), names)

    processes = [trained(method, frozen) for method in ("alpha_t", "distpro")]
    assert_equal_to_the_bit([trained("equal"), *processes])


def test_dfa_s_four_rules_are_one_method_where_a_stage_has_one_block():
    """A group of one map has one weight, which is 1 whatever the rule."""
    names = finding("dfa", *(network(name) for name in reversed(PAIR))).names
    assert len(names) == 3, "one block a stage"
    searched = Scheme(torch.ones(2, 3), torch.zeros(2, 3), names)
    rules = [trained(f"dfa_{rule}") for rule in ("average", "last", "random")]

    assert_equal_to_the_bit([trained("dfa", searched), *rules])


@pytest.mark.parametrize("method", EVERY)
def test_connectors_follow_the_seed(method):
    """The same seed gives the same bits, another one others, wherever something is drawn."""
    teacher, student = (network(name) for name in PAIR)
    one, same, other = (build(method, student, teacher, seed).state_dict() for seed in (0, 0, 1))

    torch.testing.assert_close(one, same, rtol=0, atol=0)
    drawn = [key for key in one if not torch.equal(one[key], other[key])]
    weights = [key for key in one if key.endswith("weight") and one[key].ndim == 4]
    assert set(weights) <= set(drawn)


@pytest.mark.parametrize("name", ["dfa", "distpro"])
def test_a_search_s_name_draws_nothing(name):
    """Under another one it begins with the same connectors; with another seed it does not."""
    search = search_part(name)
    states = []
    for part, seed in ((search, 0), (replace(search, name="other"), 0), (search, 1)):
        teacher, student = (network(net) for net in PAIR)
        searcher = make_searcher(part, student, teacher, CRD, seed, CPU)
        states.append(searcher.connectors.state_dict())

    assert_equal_to_the_bit(states[:2])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_a_name_draws_nothing_and_a_class_does():
    """Nor does the folder of a plug-in, which differs between machines."""
    equal, distpro, dfa = (method_part(name) for name in ("equal", "distpro", "dfa"))
    assert drawn_by(equal) == drawn_by(distpro) == ("pathways", "Pathways") != drawn_by(dfa)
    here, away = (
        COMPONENTS.get("method", "kd", where="test").__class__(
            "method", "mine", f"{folder}/mine.py", "Mine", {}, None, True
        )
        for folder in ("/here", "/away")
    )
    assert drawn_by(here) == drawn_by(away) == ("mine", "Mine")
