"""ReviewKD against a slow reading of its recursion."""

import pytest
import torch
import torch.nn.functional as F
from build_loss import build_loss
from torch import randn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.hcl import hcl
from kdbench.distill.reviewkd import ABF, ReviewKD
from kdbench.distill.schedules import warmup
from kdbench.engine.position import TrainingPosition
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.shufflenet_v1 import ShuffleNetV1
from kdbench.models.families.shufflenet_v2 import ShuffleNetV2
from kdbench.models.families.wide_resnet import WideResNet

SMALL = {"classes": 5, "image": (3, 8, 8)}
LATE = TrainingPosition(step=5, steps=10, epoch=120, epochs=240)


def nearest(maps, size):
    """Nearest-neighbour resizing, a cell at a time: cell i shows the source's cell i h // H."""
    height, width = maps.shape[-2:]
    rows = [i * height // size[0] for i in range(size[0])]
    columns = [j * width // size[1] for j in range(size[1])]
    return torch.stack(
        [torch.stack([maps[:, :, r, c] for c in columns], dim=-1) for r in rows], dim=-2
    )


def slow_fusion(block, maps, deeper, size):
    """One fusion, with the attention applied an image and a cell at a time."""
    fused = F.conv2d(maps, block.enter[0].weight)
    fused = F.batch_norm(fused, None, None, block.enter[1].weight, block.enter[1].bias, True)
    if deeper is not None:
        deeper = nearest(deeper, fused.shape[-2:])
        weight, bias = block.attention.weight[:, :, 0, 0], block.attention.bias
        result = torch.empty_like(fused)
        for b in range(len(fused)):
            for i in range(fused.shape[2]):
                for j in range(fused.shape[3]):
                    ours, theirs = fused[b, :, i, j], deeper[b, :, i, j]
                    z = (weight @ torch.cat([ours, theirs]) + bias).sigmoid()
                    result[b, :, i, j] = ours * z[0] + theirs * z[1]
        fused = result
    fused = nearest(fused, size)
    seen = F.conv2d(fused, block.leave[0].weight, padding=1)
    return F.batch_norm(seen, None, None, block.leave[1].weight, block.leave[1].bias, True), fused


@pytest.mark.parametrize("size", [(4, 4), (8, 8), (2, 2)], ids=str)
def test_a_fusion_is_its_slow_form(float64, size):
    """It narrows, merges with the deeper stage by attention, resizes and widens."""
    block = ABF(6, 5, 7, fuse=True)
    maps, deeper = randn(3, 6, 4, 4), randn(3, 5, 2, 2)
    seen, handed = block(maps, deeper, size)
    expected_seen, expected_handed = slow_fusion(block, maps, deeper, size)
    assert seen.shape == (3, 7, *size) and handed.shape == (3, 5, *size)
    torch.testing.assert_close(seen, expected_seen)
    torch.testing.assert_close(handed, expected_handed)


def test_a_fusion_has_the_published_layers():
    """Attention has a bias; other convolutions have none and start within kaiming_uniform(a=1)."""
    block = ABF(6, 5, 7, fuse=True)
    assert block.attention.bias is not None and block.attention.weight.shape == (2, 10, 1, 1)
    for layer, fan_in in ((block.enter[0], 6), (block.leave[0], 45)):
        assert layer.bias is None
        bound = (3 / fan_in) ** 0.5  # gain 1: sqrt(2 / (1 + a²)) with a = 1
        assert 0.7 * bound < layer.weight.abs().max() <= bound
    assert ABF(6, 5, 7, fuse=False).attention is None


def test_the_warm_up_is_a_staircase_in_epochs():
    """It is min(1, epoch / 20), with the epoch counted from 0, whatever the step."""
    for epoch in range(240):
        for step in (100 * epoch, 100 * epoch + 99):
            position = TrainingPosition(step=step, steps=24000, epoch=epoch, epochs=240)
            assert warmup(position, 20, 240, first=0) == min(1, epoch / 20)


def test_a_shorter_training_warms_up_in_proportion():
    """The first two of 24 epochs climb; without warm-up the first has the full weight."""
    positions = [TrainingPosition(step=e, steps=24, epoch=e, epochs=24) for e in range(24)]
    assert [warmup(m, 20, 240, first=0) for m in positions[:4]] == [0, 0.5, 1, 1]
    assert warmup(positions[0], 0, 240, first=0) == 1


PAIRS = {
    "wrn to wrn": (WideResNet(10, 2, **SMALL), WideResNet(10, 1, **SMALL), 64),
    "wrn to shufflenet": (WideResNet(10, 2, **SMALL), ShuffleNetV1(**SMALL), 512),
    "resnet to resnet": (ResNet(14, **SMALL), ResNet(8, **SMALL), 64),
    "shufflenet to resnet": (ShuffleNetV2(**SMALL), ResNet(8, **SMALL), 64),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_any_pair_of_networks_fits_and_every_fusion_learns(pair):
    """The loss is finite, and the width follows the student's pooled vector."""
    teacher, student, middle = PAIRS[pair]
    loss = build_loss(ReviewKD, student, teacher)
    batch = Batch(randn(4, 3, 8, 8), torch.zeros(4, dtype=torch.long), torch.arange(4))
    with torch.no_grad():
        theirs = teacher.read(batch.images)
    terms = loss(student.read(batch.images), theirs, batch, LATE)
    terms["reviewkd"].backward()
    assert terms["reviewkd"].isfinite()
    assert loss.fusions[0].enter[0].out_channels == middle
    assert all(parameter.grad is not None for parameter in loss.parameters())
    student.zero_grad()


def test_the_losses_are_those_of_the_slow_form_on_the_published_features(float64):
    """Student `out`, teacher `pre`, the pooled vectors as the deepest 1 x 1 maps."""
    torch.manual_seed(0)
    teacher, student = WideResNet(10, 2, **SMALL), WideResNet(10, 1, **SMALL)
    loss = build_loss(ReviewKD, student, teacher, weight=3.0)
    images = randn(4, 3, 8, 8)
    with torch.no_grad():
        ours, theirs = student.read(images), teacher.read(images)
        losses = loss.losses(ours, theirs)
        deepest, handed = slow_fusion(loss.fusions[3], ours.pooled[..., None, None], None, (1, 1))
        expected = [hcl(deepest, theirs.pooled[..., None, None])]
        for stage in (3, 2, 1):
            size = theirs.pre[stage].shape[-2:]
            seen, handed = slow_fusion(loss.fusions[stage - 1], ours.out[stage], handed, size)
            expected.insert(0, hcl(seen, theirs.pre[stage]))
        term = loss(ours, theirs, None, TrainingPosition(step=1, steps=9, epoch=10, epochs=240))[
            "reviewkd"
        ]
    torch.testing.assert_close(losses, torch.stack(expected))
    torch.testing.assert_close(term, 3.0 * 0.5 * sum(expected))


def test_the_first_epoch_has_weight_0():
    """The term has a graph all the same."""
    teacher, student, _ = PAIRS["resnet to resnet"]
    loss = build_loss(ReviewKD, student, teacher, weight=5.0)
    images = randn(4, 3, 8, 8)
    with torch.no_grad():
        theirs = teacher.read(images)
    start = TrainingPosition(step=0, steps=10, epoch=0, epochs=240)
    term = loss(student.read(images), theirs, None, start)["reviewkd"]
    assert term.item() == 0 and term.requires_grad


def test_the_state_of_reviewkd_holds_its_fusions_alone():
    """So do its parameters."""
    teacher, student, _ = PAIRS["resnet to resnet"]
    loss = build_loss(ReviewKD, student, teacher)
    names = [*loss.state_dict(), *(name for name, _ in loss.named_parameters())]
    assert len(loss.fusions) == 4
    assert names and all(name.startswith("fusions.") for name in names)
