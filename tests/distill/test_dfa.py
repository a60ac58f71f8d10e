"""DFA's groups, its aggregation, and what the student learns from it in the second stage."""

from functools import partial

import pytest
import torch
from build_loss import build_loss
from torch import randn, tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.aggregation import aggregate, block_shapes, groups_of, matched
from kdbench.distill.dfa import DFA
from kdbench.distill.scheme import Scheme
from kdbench.engine.position import TrainingPosition
from kdbench.errors import BadValue, UnknownName
from kdbench.models.families.densenet import DenseNet
from kdbench.models.families.googlenet import GoogLeNet
from kdbench.models.families.mobilenet_v2 import MobileNetV2
from kdbench.models.families.pyramidnet import PyramidNet
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.shufflenet_v2 import ShuffleNetV2
from kdbench.models.families.vgg import VGG
from kdbench.models.families.wide_resnet import WideResNet

SMALL = {"classes": 5, "image": (3, 8, 8)}
BATCH = Batch(randn(3, 3, 8, 8), tensor([0, 1, 2]), torch.arange(3))
START = TrainingPosition(step=0, steps=10, epoch=0, epochs=2)
NAMES = ("g1-b1", "g1-b2", "g2-b1", "g2-b2", "g3-b1", "g3-b2")
SCHEME = Scheme(
    tensor([[0.5, 0.5, 0.5, 0.5, 0.5, 0.5], [0.25, 0.75, 0.5, 0.5, 1.0, 0.0]]),
    torch.zeros(2, 6),
    NAMES,
)


def pair(image=(3, 8, 8)):
    """A teacher with two blocks a stage and a student of another width, with their features."""
    teacher = WideResNet(16, 2, classes=5, image=image).eval()
    student = WideResNet(10, 1, classes=5, image=image)
    images = randn(3, *image)
    with torch.no_grad():
        theirs = teacher.read(images)
    return student, teacher, student.read(images), theirs


def slow_aggregate(maps, shares):
    """One number at a time."""
    flat = [m.flatten().tolist() for m in maps]
    values = [
        sum(share * one[k] for share, one in zip(shares, flat, strict=True))
        for k in range(len(flat[0]))
    ]
    return tensor(values).reshape(maps[0].shape)


def slow_dfa(loss, ours, theirs, shares):
    """The loss of a student one block deep, written out: groups 1 to 3, numbers one at a time."""
    total = 0.0
    for group in (1, 2, 3):
        target = slow_aggregate(theirs.blocks[group], shares[group - 1])
        conv = loss.ours[group - 1]
        seen = torch.einsum("oc,bchw->bohw", conv.weight[:, :, 0, 0], ours.blocks[group][0])
        gap = seen + conv.bias[None, :, None, None] - target
        total += sum(g**2 for g in gap.flatten().tolist()) / gap.numel()
    return total


def test_an_aggregate_is_its_slow_form(float64):
    """So is its gradient in the shares: each map times what comes from above, summed."""
    maps, shares, above = randn(3, 2, 4, 2, 2), randn(3, requires_grad=True), randn(2, 4, 2, 2)
    aggregated = aggregate(maps, shares)
    (slope,) = torch.autograd.grad(aggregated, shares, above)

    torch.testing.assert_close(aggregated, slow_aggregate(maps, shares.tolist()))
    torch.testing.assert_close(slope, torch.stack([(one * above).sum() for one in maps]))


def test_the_loss_is_its_slow_form_with_the_last_row_of_the_scheme(float64):
    """The student's last maps go through 1×1 convolutions, and γ multiplies the sum over groups."""
    student, teacher, ours, theirs = pair()
    loss = build_loss(DFA, student, teacher, scheme=SCHEME, gamma_fd=3.0)
    terms = loss(ours, theirs, BATCH, START)
    expected = slow_dfa(loss, ours, theirs, [(0.25, 0.75), (0.5, 0.5), (1.0, 0.0)])

    assert terms.keys() == {"dfa"}
    assert terms["dfa"].item() == pytest.approx(3 * expected, rel=1e-6)
    assert all(conv.kernel_size == (1, 1) for conv in loss.ours)


def test_matched_strength_divides_every_aggregated_map_by_its_root_mean_square(float64):
    """Written out; how strong the teacher's maps are plays no part then, and raw it does."""
    student, teacher, ours, theirs = pair()
    stronger = pair()[3]
    stronger.blocks = [[7 * m for m in stage] for stage in theirs.blocks]
    losses = {}
    for strength in ("raw", "matched"):
        loss = build_loss(DFA, student, teacher, scheme=SCHEME, strength=strength)
        losses[strength] = [loss(ours, seen, BATCH, START)["dfa"] for seen in (theirs, stronger)]
    raw = build_loss(DFA, student, teacher, scheme=SCHEME).aggregated(theirs)
    expected = [
        maps / (sum(v**2 for v in maps.flatten().tolist()) / maps.numel()) ** 0.5 for maps in raw
    ]

    for maps, slow in zip(loss.aggregated(theirs), expected, strict=True):
        torch.testing.assert_close(maps, slow)
    torch.testing.assert_close(*losses["matched"])
    assert losses["raw"][1] > 2 * losses["raw"][0]
    assert torch.equal(matched(torch.zeros(2, 3, 1, 1)), torch.zeros(2, 3, 1, 1))


@pytest.mark.parametrize(
    ("weights", "shares"), [("average", (0.5, 0.5)), ("last", (0.0, 1.0)), ("random", None)]
)
def test_the_ablations_differ_in_their_shares_alone(float64, weights, shares):
    """Equal shares, the last map alone, or a draw; none of them has a scheme."""
    student, teacher, ours, theirs = pair()
    loss = build_loss(DFA, student, teacher, weights=weights, gamma_fd=1.0)
    used = [tuple(two) for two in loss.shares.reshape(3, 2).tolist()]

    assert shares is None or used == [shares] * 3
    expected = slow_dfa(loss, ours, theirs, used)
    assert loss(ours, theirs, BATCH, START)["dfa"].item() == pytest.approx(expected)


def test_random_shares_are_drawn_once_by_the_seed():
    """They are positive, sum to 1 per group, and stay through a step and in the state."""
    student, teacher, ours, theirs = pair()
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        loss = build_loss(DFA, student, teacher, weights="random")
        drawn.append(loss.shares.clone())
        loss(ours, theirs, BATCH, START)
        assert torch.equal(loss.shares, drawn[-1])
        assert torch.equal(loss.state_dict()["shares"], drawn[-1])
    groups = drawn[0].reshape(3, 2)

    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    torch.testing.assert_close(groups.sum(1), torch.ones(3))
    assert (drawn[0] > 0).all() and len({round(v, 5) for v in drawn[0].tolist()}) == 6


def test_the_student_s_last_blocks_learn_and_the_shares_do_not():
    """Gradients reach the last map of every group and all connectors, and nothing else."""
    teacher, student = WideResNet(16, 2, **SMALL), ResNet(14, **SMALL)
    loss = build_loss(DFA, student, teacher, weights="average")
    ours, theirs = (network.read(randn(3, 3, 8, 8)) for network in (student, teacher))
    ours.blocks = [[m.detach().requires_grad_() for m in stage] for stage in ours.blocks]
    theirs.blocks = [[m.detach() for m in stage] for stage in theirs.blocks]
    loss(ours, theirs, BATCH, START)["dfa"].backward()
    reached = [[m.grad is not None for m in stage] for stage in ours.blocks]

    assert reached == [[False], [False, True], [False, True], [False, True]]
    assert not loss.shares.requires_grad
    assert all(parameter.grad.abs().sum() > 0 for parameter in loss.parameters())
    assert all(parameter.grad is None for parameter in student.parameters())


def test_connectors_on_both_sides_can_shrink_together_and_one_cannot(float64):
    """With connectors of 0 the loss is 0 only where the teacher has some too."""
    student, teacher, ours, theirs = pair()
    lost = {}
    for connected in ("student", "both"):
        loss = build_loss(DFA, student, teacher, weights="average", connected=connected)
        with torch.no_grad():
            for parameter in loss.parameters():
                parameter.zero_()
        lost[connected] = loss(ours, theirs, BATCH, START)["dfa"].item()
        assert len(loss.theirs) == (3 if connected == "both" else 0)

    assert lost["both"] == 0 and lost["student"] > 0.1


def test_connectors_on_both_sides_compare_the_two_outputs(float64):
    """The teacher's keeps the width: (C_t, C_t, 1, 1)."""
    student, teacher, ours, theirs = pair()
    loss = build_loss(DFA, student, teacher, weights="last", connected="both", gamma_fd=1.0)
    gaps = [
        loss.ours[g - 1](ours.blocks[g][-1]) - loss.theirs[g - 1](theirs.blocks[g][-1])
        for g in (1, 2, 3)
    ]

    torch.testing.assert_close(
        loss(ours, theirs, BATCH, START)["dfa"], sum(gap.square().mean() for gap in gaps)
    )
    assert [tuple(c.weight.shape) for c in loss.theirs] == [(n, n, 1, 1) for n in (32, 64, 128)]


@pytest.mark.parametrize(
    "student", [partial(ShuffleNetV2, 0.5, channels=(16, 32, 64)), partial(ResNet, 8)]
)
def test_the_student_s_map_gets_the_shape_of_the_teacher_s(student):
    """Also where a ShuffleNet's stages are half as large as those of the WRN."""
    small, teacher = student(classes=5, image=(3, 16, 16)), pair((3, 16, 16))[1]
    images = randn(3, 3, 16, 16)
    with torch.no_grad():
        theirs = teacher.read(images)
    loss = build_loss(DFA, small, teacher, weights="average")
    seen = small.read(images)

    assert loss(seen, theirs, BATCH, START)["dfa"].isfinite()
    for group, join in zip(loss.groups, loss.ours, strict=True):
        assert join(seen.blocks[group.index][-1]).shape == theirs.blocks[group.index][0].shape


def test_the_stem_is_a_group_only_where_it_is_asked_for():
    """It is g0, the first; by default the groups start with the first stage."""
    student, teacher, ours, theirs = pair()
    plain, whole = (
        build_loss(DFA, student, teacher, weights="last", stem=stem) for stem in (False, True)
    )

    assert plain.names == NAMES
    assert whole.names == ("g0-b1", *NAMES)
    assert whole(ours, theirs, BATCH, START)["dfa"].isfinite()


PAPER = {
    "wrn": (partial(WideResNet, 28, 4), partial(WideResNet, 16, 2), [4, 4, 4]),
    "shufflenet": (partial(ShuffleNetV2, 2.0), partial(ShuffleNetV2, 0.5), [4, 8, 4]),
    "resnet": (partial(ResNet, 56), partial(ResNet, 20), [9, 9, 9]),
    "vgg": (partial(VGG, 13), partial(VGG, 8), [2, 2, 2, 2]),
}


@pytest.mark.parametrize("family", PAPER)
def test_a_group_has_as_many_maps_as_its_stage_has_blocks(family):
    """In the networks of the paper; shapes of both sides are those of the stage."""
    make_teacher, make_student, blocks = PAPER[family]
    with torch.device("meta"):
        teacher, student = make_teacher(), make_student()
    groups = groups_of(student, teacher, stem=False)

    assert [group.blocks for group in groups] == blocks
    assert [group.index for group in groups] == list(range(1, len(blocks) + 1))
    for group in groups:
        assert group.teacher == teacher.stages[group.index]
        assert group.student == student.stages[group.index]


def test_each_group_takes_its_own_shares():
    """With the shares of `last` it aggregates to its stage's last map, whatever its length."""
    teacher = ShuffleNetV2(0.5, channels=(4, 8, 16), units=(2, 1, 3), **SMALL)
    loss = build_loss(DFA, ResNet(8, **SMALL), teacher.eval(), weights="last")
    with torch.no_grad():
        theirs = teacher.read(BATCH.images)

    assert [group.blocks for group in loss.groups] == [3, 2, 4]
    for aggregated, maps in zip(loss.aggregated(theirs), theirs.blocks[1:], strict=True):
        assert torch.equal(aggregated, maps[-1])


def test_measuring_shapes_changes_neither_network_nor_generator():
    """The measured shapes are those of the maps."""
    network = WideResNet(16, 1, **SMALL)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    state = torch.get_rng_state()
    shapes = block_shapes(network)

    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    maps = network.read(randn(2, 3, 8, 8)).blocks
    measured = [[(s.channels, *s.size) for s in stage] for stage in shapes]
    assert measured == [[tuple(m.shape[1:]) for m in stage] for stage in maps]


@pytest.mark.parametrize(
    "teacher",
    [
        partial(DenseNet, 40, 12),
        partial(GoogLeNet, 0.1),
        partial(PyramidNet, 20, 12),
        partial(MobileNetV2, 0.5),
    ],
    ids=["densenet", "googlenet", "pyramidnet", "mobilenet"],
)
def test_a_teacher_whose_blocks_differ_is_refused_in_one_line(teacher):
    """The line names the stage; the same network is accepted as a student."""
    with torch.device("meta"):
        uneven = teacher()
        even = WideResNet(16, 2) if len(uneven.stages) == 4 else VGG(8)
    with pytest.raises(BadValue, match=r"teacher's stage1: found 'blocks of \(\d+, ") as caught:
        build_loss(DFA, even, uneven, weights="average")

    assert "\n" not in str(caught.value)
    with torch.device("meta"):
        groups = build_loss(DFA, uneven, even, weights="average").groups
    assert [group.student for group in groups] == [s[-1] for s in block_shapes(uneven)[1:]]


def test_unequal_numbers_of_stages_are_refused():
    """The error says how many each side has."""
    with pytest.raises(BadValue, match="4 stages of the teacher and 5 of the student"):
        build_loss(DFA, VGG(8, **SMALL), ResNet(8, **SMALL), weights="average")


def test_an_absent_scheme_or_one_for_other_pathways_is_refused():
    """The error says what to run, or how many pathways were found."""
    student, teacher, *_ = pair()
    with pytest.raises(BadValue, match="run the search"):
        build_loss(DFA, student, teacher)
    other = Scheme(torch.ones(1, 3), torch.ones(1, 3), ("g1-b1", "g2-b1", "g3-b1"))
    with pytest.raises(BadValue, match="3 pathways"):
        build_loss(DFA, student, teacher, scheme=other)


def test_an_error_about_an_unknown_option_names_the_nearest():
    """For the weights and for the connected sides."""
    student, teacher, *_ = pair()
    with pytest.raises(UnknownName, match="did you mean 'average'"):
        build_loss(DFA, student, teacher, weights="avrage")
    with pytest.raises(UnknownName, match="did you mean 'both'"):
        build_loss(DFA, student, teacher, weights="last", connected="boths")
    with pytest.raises(UnknownName, match="did you mean 'matched'"):
        build_loss(DFA, student, teacher, weights="last", strength="mached")
