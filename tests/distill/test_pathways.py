"""DistPro's pathways: which there are, what they cost, what is left out."""

import numpy as np
import pytest
import torch
from build_loss import build_loss
from torch import rand, randn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.hcl import hcl
from kdbench.distill.pathways import Pathways, chosen, spell
from kdbench.distill.scheme import Scheme
from kdbench.engine.position import TrainingPosition
from kdbench.errors import BadValue, UnknownName
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.shufflenet_v1 import ShuffleNetV1
from kdbench.models.families.shufflenet_v2 import ShuffleNetV2
from kdbench.models.families.wide_resnet import WideResNet

SMALL = {"classes": 5, "image": (3, 8, 8)}
HALFWAY = TrainingPosition(step=4, steps=9, epoch=1, epochs=3)
SPACE = {
    "connections": "all",
    "maps": [],
    "stem": False,
    "transforms": ["2conv", "3conv", "complex"],
}
DECLARATIONS = {"equal": "equal", "last": "alpha_t", "process": "distpro"}


def build(student, teacher, weights="equal", **changes):
    """The loss as the method with these weights declares it; an unknown word reaches the loss."""
    name = DECLARATIONS.get(weights, "equal")
    return build_loss(Pathways, student, teacher, declaration=name, weights=weights, **changes)


def pair():
    """A teacher and a student that fit on a thumbnail, and what they say about four images."""
    torch.manual_seed(0)
    teacher, student = WideResNet(10, 2, **SMALL), WideResNet(10, 1, **SMALL)
    images = randn(4, 3, 8, 8)
    with torch.no_grad():
        theirs = teacher.read(images)
    return teacher, student, student.read(images), theirs


def scheme_for(names, alphas, rows=5):
    """A scheme with the given alphas in every row, and weights that change."""
    table = torch.tensor(alphas).expand(rows, -1)
    return Scheme(rand(rows, len(names)), table, names)


def test_the_paper_has_27_pathways_and_the_release_10():
    """Three stages to three with three transforms; stem and stages downward with one transform."""
    paper = chosen(4, 4, **SPACE)
    release = chosen(4, 4, connections="downward", maps=[], stem=True, transforms=["complex"])
    imagenet = chosen(5, 5, connections="downward", maps=[], stem=True, transforms=["complex"])
    assert (len(paper), len(release), len(imagenet)) == (27, 10, 15)
    assert paper[0] == (1, 1, "2conv") and paper[-1] == (3, 3, "complex")
    assert release[:2] == [(0, 0, "complex"), (0, 1, "complex")]
    assert all(ours >= theirs for theirs, ours, _ in release)
    assert [spell(pathway) for pathway in paper[3:5]] == ["t1-s2-2conv", "t1-s2-3conv"]


def test_five_stages_of_a_student_and_four_of_a_teacher_have_twenty_pathways():
    """With all connections and one transform."""
    assert len(chosen(5, 6, connections="all", maps=[], stem=False, transforms=["complex"])) == 20


def test_the_teacher_s_last_map_to_the_first_three_can_be_written():
    """Named pairs take the place of the rule, whatever their order; the paper's section 4.4."""
    space = {**SPACE, "transforms": ["2conv", "complex"], "maps": ["t3-s2", "t3-s1", "t3-s3"]}
    names = [spell(pathway) for pathway in chosen(4, 4, **space)]
    assert names == [f"t3-s{ours}-{kind}" for ours in (1, 2, 3) for kind in ("2conv", "complex")]
    stem = chosen(4, 4, **{**space, "maps": ["t3-s0"], "connections": "downward"})
    assert [spell(pathway) for pathway in stem] == ["t3-s0-2conv", "t3-s0-complex"]


def test_named_pairs_reach_the_loss(float64):
    """A loss of three pairs compares them and no other map."""
    teacher, student, ours, theirs = pair()
    loss = build(student, teacher, maps=["t3-s1", "t3-s2", "t3-s3"], transforms=["2conv"])
    assert loss.names == ("t3-s1-2conv", "t3-s2-2conv", "t3-s3-2conv")
    expected = [hcl(t(ours.pre[k]), theirs.pre[3]) for k, t in enumerate(loss.transforms, 1)]
    torch.testing.assert_close(loss.losses(ours, theirs), torch.stack(expected))


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (["t4-s1"], "maps: found 't4-s1', expected a pair from t0-s0 to t3-s3"),
        (["t1-s4"], "maps: found 't1-s4', expected a pair from t0-s0 to t3-s3"),
        (["3-1"], "maps: found '3-1', expected a pair"),
        (["t3-s1", "t3-s1"], "maps: found .*, expected no pair twice"),
    ],
)
def test_pairs_that_are_none_are_refused_in_one_line(maps, message):
    """Stages beyond the networks', other spellings, repetitions."""
    with pytest.raises(BadValue, match=message):
        chosen(4, 4, **{**SPACE, "maps": maps})


def test_every_loss_is_hcl_of_the_transformed_map(float64):
    """In the order of the names; a choice of pathways gives their losses alone."""
    teacher, student, ours, theirs = pair()
    loss = build(student, teacher)
    losses = loss.losses(ours, theirs)
    assert losses.shape == (27,) and len(loss.names) == 27
    for value, name, block in zip(losses, loss.names, loss.transforms, strict=True):
        i, j = int(name[1]), int(name[4])
        torch.testing.assert_close(value, hcl(block(ours.pre[j]), theirs.pre[i]))
    picked = loss.losses(ours, theirs, [3, 20])
    torch.testing.assert_close(picked, losses[[3, 20]])


def test_equal_weights_average_the_losses(float64):
    """Nothing is dropped; the release's factor multiplies by n and kd_weight."""
    teacher, student, ours, theirs = pair()
    loss = build(student, teacher, drop=True, tau=2.0)
    released = build(student, teacher, factor="release", kd_weight=3.0)
    released.load_state_dict(loss.state_dict())
    expected = loss.losses(ours, theirs).mean()
    torch.testing.assert_close(loss(ours, theirs, None, HALFWAY)["pathways"], expected)
    term = released(ours, theirs, None, HALFWAY)["pathways"]
    torch.testing.assert_close(term, 3 * 27 * expected)


def test_the_process_is_interpolated_over_the_training(float64):
    """As numpy.interp does; with `last` every step has the last row."""
    teacher, student, ours, theirs = pair()
    names = build(student, teacher).names
    scheme = scheme_for(names, [1.0] * 27, rows=4)
    moving = build(student, teacher, scheme=scheme, weights="process")
    still = build(student, teacher, scheme=scheme, weights="last")
    still.load_state_dict(moving.state_dict())
    losses = moving.losses(ours, theirs).detach().numpy()
    table = scheme.weights.double().numpy()
    for step in range(9):
        position = TrainingPosition(step=step, steps=9, epoch=step // 3, epochs=3)
        rows = [np.interp(step / 8 * 3, np.arange(4), table[:, k]) for k in range(27)]
        for loss, expected in ((moving, rows @ losses), (still, table[-1] @ losses)):
            term = loss(ours, theirs, None, position)["pathways"]
            assert term.item() == pytest.approx(expected, rel=1e-12)


def test_a_training_of_one_step_takes_the_first_row(float64):
    """So nothing is divided by 0."""
    teacher, student, _, _ = pair()
    scheme = scheme_for(build(student, teacher).names, [1.0] * 27)
    loss = build(student, teacher, scheme=scheme, weights="process")
    _, weights = loss.at(TrainingPosition(step=0, steps=1, epoch=0, epochs=1))
    assert torch.equal(weights, scheme.weights[0].double())


@pytest.mark.parametrize("weights", ["process", "last"])
def test_a_dropped_pathway_has_weight_0_and_is_not_run(float64, weights):
    """Its parameters get no gradient, its statistics stay; all others keep their weights."""
    teacher, student, ours, theirs = pair()
    names = build(student, teacher).names
    alphas = [[0.2, 0.5, 0.5001][k % 3] for k in range(27)]
    scheme = scheme_for(names, alphas)
    loss = build(student, teacher, scheme=scheme, weights=weights, tau=0.5)
    full = build(student, teacher, scheme=scheme, weights=weights, drop=False)
    full.load_state_dict(loss.state_dict())
    called = []
    for k, block in enumerate(loss.transforms):
        block.register_forward_hook(lambda *_, k=k: called.append(k))

    term = loss(ours, theirs, None, HALFWAY)["pathways"]
    term.backward(retain_graph=True)

    active = [2 + 3 * k for k in range(9)]
    assert called == active
    everything, row = full.at(HALFWAY)
    assert everything == list(range(27))
    zeroed = torch.stack([w if k in active else w * 0 for k, w in enumerate(row)])
    torch.testing.assert_close(term, zeroed @ full.losses(ours, theirs))
    for k, block in enumerate(loss.transforms):
        assert all((p.grad is not None) == (k in active) for p in block.parameters())
        assert all(
            (int(b) == 1) == (k in active) for n, b in block.named_buffers() if "batches" in n
        )


def test_dropping_follows_the_interpolated_alpha():
    """A pathway that fades from 1 to 0 is dropped from the middle on."""
    teacher, student, _, _ = pair()
    names = build(student, teacher, transforms=["complex"]).names
    alphas = torch.ones(2, 9)
    alphas[1, 4] = 0
    scheme = Scheme(rand(2, 9), alphas, names)
    options = {"weights": "process", "transforms": ["complex"]}
    loss = build(student, teacher, scheme=scheme, **options)
    active = [loss.at(TrainingPosition(step=s, steps=11, epoch=0, epochs=1))[0] for s in range(11)]
    assert [4 in row for row in active] == [True] * 5 + [False] * 6
    assert all(len(row) == 8 + (4 in row) for row in active)


def test_when_everything_is_dropped_the_task_still_trains():
    """The term is 0, and added to the task's loss leaves every weight of the student a gradient."""
    teacher, student, ours, theirs = pair()
    names = build(student, teacher).names
    loss = build(student, teacher, scheme=scheme_for(names, [0.0] * 27), weights="process")
    term = loss(ours, theirs, None, HALFWAY)["pathways"]
    assert term.item() == 0 and term.shape == ()
    (ours.logits.square().mean() + term).backward()
    assert all(parameter.grad is not None for parameter in student.parameters())
    assert all(parameter.grad is None for parameter in loss.parameters())


PAIRS = {
    "wrn to shufflenet-v1": (WideResNet(10, 2, **SMALL), ShuffleNetV1(**SMALL)),
    "resnet to shufflenet-v2": (ResNet(8, **SMALL), ShuffleNetV2(**SMALL)),
    "resnet to resnet": (ResNet(14, **SMALL), ResNet(8, **SMALL)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_pathways_fit_the_pairs_of_the_paper(name):
    """Every parameter of every transform gets a gradient; no network is in the state."""
    teacher, student = PAIRS[name]
    loss = build(student, teacher)
    batch = Batch(randn(4, 3, 8, 8), torch.zeros(4, dtype=torch.long), torch.arange(4))
    with torch.no_grad():
        theirs = teacher.read(batch.images)
    loss(student.read(batch.images), theirs, batch, HALFWAY)["pathways"].backward()
    assert all(parameter.grad is not None for parameter in loss.parameters())
    assert not any("trunk" in key for key in loss.state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "proces"}, "weights: no choice is called 'proces'; did you mean 'process'"),
        ({"factor": "paper"}, "factor: no choice is called 'paper'; known: none, release"),
        ({"connections": "al"}, "connections: no choice is called 'al'; did you mean 'all'"),
        ({"transforms": ["comple"]}, "did you mean 'complex'"),
    ],
)
def test_an_error_about_an_unknown_option_names_those_there_are(options, message):
    """Or the nearest of them."""
    teacher, student, _, _ = pair()
    with pytest.raises(UnknownName, match=message):
        build(student, teacher, **options)


def test_missing_or_repeated_transforms_and_unfit_schemes_are_refused():
    """A scheme is unfit if it is absent or of other pathways."""
    teacher, student, _, _ = pair()
    for transforms in ([], ["complex", "complex"]):
        with pytest.raises(BadValue, match="at least one, none twice"):
            build(student, teacher, transforms=transforms)
    with pytest.raises(BadValue, match="run the search"):
        build(student, teacher, weights="process")
    other = scheme_for(build(student, teacher, connections="downward").names, [1.0] * 18)
    with pytest.raises(BadValue, match="found '18 pathways', expected the 27 pathways"):
        build(student, teacher, scheme=other, weights="last")
