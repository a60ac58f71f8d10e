"""The declarations of DFA's search: what their options do, and what is refused."""

import pytest
import torch
from build_search import FOLDER, build, declaration, declared
from dfa_runs import (
    data,
    read,
    run,
    start,
)
from torch import randn

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.errors import BadValue, UnknownName, UserError
from kdbench.models.families.densenet import DenseNet
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.models.stages import StagedNetwork

DECLARATIONS = sorted(path.stem for path in FOLDER.glob("dfa*.toml"))


def test_connectors_are_those_that_the_losses_need():
    """They are without the student, and there are no others."""
    needed = {"bridge": {"to_teacher", "to_student"}, "st": {"to_teacher"}, "ts": {"to_student"}}
    for losses, ways in needed.items():
        _, search = start(losses=losses)
        assert set(search.connectors) == ways
        assert not {*search.connectors.parameters()} & {*search.student.parameters()}
        assert len(search.weights) == len([*search.student.parameters()]) + 6 * len(ways)


def test_each_factor_multiplies_its_term():
    """Twice, three and five times the terms of a search with factors of 1."""
    factors = {"gamma_ce": 2.0, "gamma_st": 3.0, "gamma_ts": 5.0}
    one, many = (run(s, t, 1) for t, s in (start(), start(**factors)))
    for name, factor in (("task", 2), ("st", 3), ("ts", 5)):
        assert many[name].item() == pytest.approx(factor * one[name].item(), rel=1e-3)


def test_a_wrong_option_is_refused_in_one_line():
    """It names the nearest that exists, or what was expected."""
    for options, message in (
        ({"losses": "bridges"}, "did you mean 'bridge'"),
        ({"fitted": "al"}, "did you mean 'all'"),
        ({"strength": "mached"}, "did you mean 'matched'"),
        ({"order": "secnd"}, "did you mean 'second'"),
        ({"gradient": "exakt"}, "did you mean 'exact'"),
    ):
        with pytest.raises(UnknownName, match=message):
            start(**options)
    for wrong in ([0.5], [0.5, 1.0]):
        with pytest.raises(BadValue, match="two numbers from 0 to below 1"):
            start(adam_betas=wrong)


def test_pairs_that_cannot_be_grouped_are_refused_before_any_step():
    """So are a teacher whose blocks differ and a student that cannot go on from a map."""

    class Whole(WideResNet):
        """Cannot be run in parts."""

        def forward(self, x, *, read=False, after=None, raw=False):
            if after is not None:
                raise UserError("no parts")
            return StagedNetwork.forward(self, x, read=read)

    settings = {"classes": 5, "image": (3, 8, 8)}
    student, whole = WideResNet(10, 1, **settings), Whole(10, 1, **settings)
    with pytest.raises(BadValue, match="teacher's stage1: found 'blocks of"):
        build("dfa", student, DenseNet(40, 4, **settings))
    with pytest.raises(UserError, match="no parts"):
        build("dfa", whole, student)
    assert build("dfa", whole, student, losses="st").betas


def test_a_search_without_validation_images_is_refused():
    """β learns on them, so the message asks for a share above 0."""
    teacher, search = start()
    with pytest.raises(BadValue, match=r"held_out: found 0\.0, expected a share above 0"):
        search.step(data(teacher, 0)[0], None, TrainingPosition(0, 6, 0, 1))


@pytest.mark.parametrize("name", DECLARATIONS)
def test_every_declaration_can_take_a_step(name):
    """Built from its own defaults, it has finite losses: those that its name says."""
    teacher, _ = start()
    search = build(name, WideResNet(10, 1, classes=5, image=(3, 8, 8)), teacher)
    batch = read(teacher, Batch(randn(4, 3, 8, 8), torch.arange(4), torch.arange(4)))
    losses = search.step(batch, batch, TrainingPosition(0, 3, 0, 1))
    chosen = {"dfa": "bridge", "dfa_st_only": "st", "dfa_ts_only": "ts", "dfa_plain": "plain"}

    assert declared(name)["losses"] == chosen[name]
    assert losses.keys() == {"task", *search.losses.terms, "others", "held_out"}
    assert all(value.isfinite() for value in losses.values())


def test_the_declarations_differ_in_their_losses_alone():
    """Or in the weight of the plain loss, which the others do not use."""
    open_values = {"losses": "", "gamma_fd": 0.0}
    first, *others = ({**declaration(name)["defaults"], **open_values} for name in DECLARATIONS)

    assert len(others) == 3
    assert all(other == first for other in others)
