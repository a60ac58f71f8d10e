"""The modules around the formulas: which maps they take, their factors, their connectors."""

from types import SimpleNamespace

import pytest
import torch
from build_loss import build_loss
from torch import nn, randn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.at import AT, at
from kdbench.distill.cc import CC, cc
from kdbench.distill.dist import DIST, inter_class, intra_class
from kdbench.distill.dkd import DKD, nckd, tckd
from kdbench.distill.fitnet import FitNet
from kdbench.distill.kd import kd
from kdbench.distill.kd_standardised import StandardisedKD, standardised
from kdbench.distill.mlld import MLLD, TEMPERATURES, instance_level
from kdbench.distill.nst import NST, nst
from kdbench.distill.pkt import PKT, pkt
from kdbench.distill.regressors import Regressor, resizing
from kdbench.distill.rkd import RKD, rkd_angle, rkd_distance
from kdbench.distill.sp import SP, sp
from kdbench.distill.vid import VID
from kdbench.engine.position import TrainingPosition
from kdbench.errors import BadValue
from kdbench.models.stages import Features, Stage

BATCH = Batch(randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 2]), torch.arange(4))
LATE = TrainingPosition(step=90, steps=100, epoch=9, epochs=10)


def network(*stages):
    """Shapes of a network: (channels, size) of stem and stages."""
    shapes = tuple(Stage(f"s{i}", c, (s, s)) for i, (c, s) in enumerate(stages))
    return SimpleNamespace(stages=shapes, pooled_width=stages[-1][0])


def seen(net, graph=False):
    """Features of such a network; `out` differs from `pre` and `post`."""

    def draw(*shape):
        return randn(4, *shape).requires_grad_(graph)

    kinds = [[draw(s.channels, *s.size) for s in net.stages] for _ in range(3)]
    blocks = [[m] for m in kinds[2]]
    return Features(draw(5), *kinds, blocks, draw(net.pooled_width))


SMALL = network((4, 16), (6, 16), (8, 8), (10, 4))
LARGE = network((4, 16), (8, 16), (12, 8), (16, 4))
DEEP = network((4, 32), (8, 32), (12, 16), (16, 8), (20, 4))


@pytest.fixture
def ours():
    """What a student shows."""
    return seen(SMALL, graph=True)


@pytest.fixture
def theirs():
    """What its teacher shows."""
    return seen(LARGE)


def terms(loss, ours, theirs, position=LATE):
    """A loss's terms."""
    return loss(ours, theirs, BATCH, position)


@pytest.mark.parametrize(("cls", "formula", "name"), [(AT, at, "at"), (NST, nst, "nst")])
def test_at_and_nst_sum_over_every_stage_but_the_stem(ours, theirs, cls, formula, name):
    """Over the stages' `out`, times the weight."""
    actual = terms(cls(SMALL, LARGE, weight=3.0), ours, theirs)
    expected = 3 * sum(formula(ours.out[i], theirs.out[i]) for i in (1, 2, 3))

    assert actual.keys() == {name}
    torch.testing.assert_close(actual[name], expected)


def test_networks_of_unequal_depth_are_matched_from_the_deep_end(ours):
    """The deeper teacher's shallowest stage is left out."""
    theirs = seen(DEEP)
    term = terms(AT(SMALL, DEEP, weight=1.0), ours, theirs)["at"]

    torch.testing.assert_close(term, sum(at(ours.out[i], theirs.out[i + 1]) for i in (1, 2, 3)))


def test_sp_compares_the_last_maps_pkt_and_rkd_the_pooled_vectors(ours, theirs):
    """Each times its weight, and RKD's two terms times their own factors too."""
    actual = {
        **terms(SP(SMALL, LARGE, weight=2.0), ours, theirs),
        **terms(PKT(SMALL, LARGE, weight=5.0), ours, theirs),
        **terms(RKD(SMALL, LARGE, weight=2.0, distance=3.0, angle=7.0), ours, theirs),
    }
    pooled = ours.pooled, theirs.pooled

    torch.testing.assert_close(actual["sp"], 2 * sp(ours.out[-1], theirs.out[-1]))
    torch.testing.assert_close(actual["pkt"], 5 * pkt(*pooled))
    torch.testing.assert_close(actual["rkd_distance"], 6 * rkd_distance(*pooled))
    torch.testing.assert_close(actual["rkd_angle"], 14 * rkd_angle(*pooled))


def test_the_losses_of_logits_are_their_formulas_times_their_weights(ours, theirs):
    """Those of DKD, DIST, MLLD and KD of standardised logits."""
    pair = ours.logits, theirs.logits
    dkd = terms(build_loss(DKD, None, None, alpha=2.0, beta=3.0, temperature=4.0), ours, theirs)
    dist = terms(DIST(None, None, inter=2.0, intra=3.0, temperature=4.0), ours, theirs)
    mlld = terms(MLLD(None, None, weight=2.0), ours, theirs)
    own = terms(StandardisedKD(None, None, temperature=2.0, weight=9.0), ours, theirs)
    soft = [(x / 4).softmax(1) for x in pair]
    mask = MLLD.masks(theirs.logits)[0]

    torch.testing.assert_close(dkd["tckd"], 2 * tckd(*pair, BATCH.labels, 4.0))
    torch.testing.assert_close(dkd["nckd"], 3 * nckd(*pair, BATCH.labels, 4.0))
    torch.testing.assert_close(dist["inter"], 16 * 2 * inter_class(*soft))
    torch.testing.assert_close(dist["intra"], 16 * 3 * intra_class(*soft))
    expected = 2 * sum(instance_level(*pair, mask, t) for t in TEMPERATURES)
    torch.testing.assert_close(mlld["instance"], expected)
    torch.testing.assert_close(own["kd"], 9 * kd(*map(standardised, pair), 2.0))


@pytest.mark.parametrize(
    ("epoch", "share"), [(0, 1 / 20), (4, 5 / 20), (18, 19 / 20), (19, 1.0), (200, 1.0)]
)
def test_dkd_climbs_to_its_full_weight_over_twenty_epochs_of_240(ours, theirs, epoch, share):
    """It starts with a twentieth; a training of 24 epochs climbs over two."""
    loss = build_loss(DKD, None, None)
    full = terms(loss, ours, theirs, TrainingPosition(0, 1, 239, 240))["tckd"]
    term = terms(loss, ours, theirs, TrainingPosition(0, 1, epoch, 240))["tckd"]
    short = [terms(loss, ours, theirs, TrainingPosition(0, 1, e, 24))["tckd"] for e in (0, 1)]

    torch.testing.assert_close(term, share * full)
    torch.testing.assert_close(short, [full / 2, full])


def test_cc_trains_both_embeddings(ours, theirs):
    """All parameters get a gradient, and the term is the formula of the embedded vectors."""
    loss = CC(SMALL, LARGE, weight=2.0, dimension=6)
    term = terms(loss, ours, theirs)["cc"]
    term.backward()

    expected = 2 * cc(loss.embed_student(ours.pooled), loss.embed_teacher(theirs.pooled))
    torch.testing.assert_close(term, expected)
    assert all(p.grad.any() for p in loss.parameters())


def test_vid_starts_at_a_variance_of_5_and_trains_it(ours, theirs):
    """The scales of every stage get a gradient."""
    loss = build_loss(VID, SMALL, LARGE)
    terms(loss, ours, theirs)["vid"].backward()

    assert len(loss.predictions) == 3
    for predict in loss.predictions:
        variance = nn.functional.softplus(predict.scale) + 1e-5
        torch.testing.assert_close(variance, torch.full_like(variance, 5.0))
        assert predict.scale.grad.any()


@pytest.mark.parametrize(
    ("size", "target", "kind", "kernel"),
    [
        (16, 8, nn.Conv2d, 3),
        (8, 16, nn.ConvTranspose2d, 4),
        (8, 8, nn.Conv2d, 1),
        (8, 7, nn.Conv2d, 2),
        (8, 2, nn.Conv2d, 7),
        (32, 8, nn.Sequential, None),
        (4, 16, nn.Sequential, None),
    ],
)
def test_a_regressor_gives_maps_of_the_target_s_size(size, target, kind, kernel):
    """Its layer is that of the public code where that has one, else it interpolates."""
    student, teacher = Stage("s", 3, (size, size)), Stage("t", 5, (target, target))
    layer = resizing(student, teacher)

    assert isinstance(layer, kind)
    assert kernel is None or layer.kernel_size == (kernel, kernel)
    assert Regressor(student, teacher)(randn(2, 3, size, size)).shape == (2, 5, target, target)


def test_a_regressor_rectifies_unless_told_otherwise():
    """No output is negative by default, and some are without the ReLU."""
    student, teacher = Stage("s", 3, (8, 8)), Stage("t", 5, (4, 4))
    maps = randn(2, 3, 8, 8)

    assert (Regressor(student, teacher)(maps) >= 0).all()
    assert (Regressor(student, teacher, rectify=False)(maps) < 0).any()


def test_fitnet_regresses_one_stage_the_second_by_default(ours, theirs):
    """A stage that a network lacks becomes its last one; a negative one is refused."""
    loss = build_loss(FitNet, SMALL, LARGE, weight=4.0)
    term = terms(loss, ours, theirs)["hint"]
    last = build_loss(FitNet, SMALL, DEEP, stage=4)

    expected = 4 * (loss.regressor(ours.out[2]) - theirs.out[2]).square().mean()
    torch.testing.assert_close(term, expected)
    assert (last.ours, last.theirs) == (3, 4)
    with pytest.raises(BadValue, match=r"fitnet\.stage: found -1"):
        build_loss(FitNet, SMALL, LARGE, stage=-1)
