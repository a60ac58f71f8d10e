"""What every staged network promises, whatever its family."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, relu

from kdbench.models.resnet import ResNet
from kdbench.models.shufflenet_v1 import ShuffleNetV1
from kdbench.models.shufflenet_v2 import ShuffleNetV2
from kdbench.models.stages import StagedNetwork
from kdbench.models.statistics import frozen_statistics
from kdbench.models.wide_resnet import WideResNet

BUILDERS = {
    "resnet14": lambda **more: ResNet(14, **more),
    "resnet8x4": lambda **more: ResNet(8, (32, 64, 128, 256), **more),
    "wrn-16-1": lambda **more: WideResNet(16, 1, **more),
    "wrn-16-2": lambda **more: WideResNet(16, 2, **more),
    "shufflenet-v1": ShuffleNetV1,
    "shufflenet-v2": ShuffleNetV2,
}
BLOCKS = {
    "resnet14": [1, 2, 2, 2],
    "resnet8x4": [1, 1, 1, 1],
    "wrn-16-1": [1, 2, 2, 2],
    "wrn-16-2": [1, 2, 2, 2],
    "shufflenet-v1": [1, 4, 8, 4],
    "shufflenet-v2": [1, 4, 8, 4],
}
STAGES = range(4)


def lively(network: StagedNetwork) -> StagedNetwork:
    """Give norms statistics and scales of their own: fresh ones would hide a swapped norm."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.3)
            nn.init.normal_(norm.running_mean, std=0.3)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return network


@pytest.fixture(params=BUILDERS)
def family(request):
    """Name of a small member of every family."""
    return request.param


@pytest.fixture
def network(family):
    """That member, with 10 classes, in eval mode."""
    torch.manual_seed(0)
    return lively(BUILDERS[family](classes=10)).eval()


@pytest.fixture
def images():
    """Four images of 16×16 pixels: shapes do not depend on 32."""
    return torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_a_read_has_the_logits_of_a_plain_pass(network, images):
    """Reading changes nothing: the same bits come out."""
    assert torch.equal(network.read(images).logits, network(images))


@torch.no_grad()
def test_post_is_the_rectified_pre(network, images):
    """A ReLU, and nothing else, lies between; at the stem of a wide ResNet not even that."""
    features = network.read(images)

    bare = isinstance(network, WideResNet)
    for i, (pre, post) in enumerate(zip(features.pre, features.post, strict=True)):
        assert (pre < 0).any()
        assert torch.equal(post, pre if bare and i == 0 else relu(pre))


@torch.no_grad()
def test_out_is_what_the_field_calls_the_feature(network, images):
    """ResNets and ShuffleNets show rectified maps, wide ResNets raw sums."""
    features = network.read(images)

    wide = isinstance(network, WideResNet)
    expected = [blocks[-1] for blocks in features.blocks] if wide else features.post
    assert all(out is shown for out, shown in zip(features.out, expected, strict=True))


@torch.no_grad()
def test_a_stage_ends_where_its_last_block_ends(network, images):
    """The last block's output is `pre`, with the norm of the stage between in wide ResNets."""
    network.train()
    features = network.read(images)

    for i in STAGES:
        last, norm = features.blocks[i][-1], network.last_norm(i)
        seen = norm(last) if isinstance(network, WideResNet) and norm else last
        assert torch.equal(seen, features.pre[i])


@torch.no_grad()
@pytest.mark.parametrize("i", STAGES)
def test_the_rest_of_the_network_gives_the_same_logits(network, images, i):
    """Going on from any stage's pre-activation repeats the pass to the last bit."""
    features = network.read(images)

    assert torch.equal(network.from_stage(i, features.pre[i]), features.logits)
    assert torch.equal(network.from_stage(i - 4, features.pre[i]), features.logits)


@torch.no_grad()
def test_the_rest_of_the_network_depends_on_the_map(network, images):
    """Another map gives other logits at every stage: the map is not ignored."""
    features = network.read(images)

    for i in STAGES:
        assert not torch.equal(network.from_stage(i, features.pre[i].flip(0)), features.logits)


@pytest.mark.parametrize("i", STAGES)
def test_the_rest_of_the_network_has_the_same_slope(network, images, i):
    """The gradient of the logits in a pre-activation is that of the whole pass."""
    features = network.read(images)
    given = features.pre[i].detach().requires_grad_()

    (whole,) = torch.autograd.grad(features.logits.square().sum(), features.pre[i])
    (rest,) = torch.autograd.grad(network.from_stage(i, given).square().sum(), given)

    assert rest.any()
    torch.testing.assert_close(rest, whole)


@torch.no_grad()
def test_the_last_norm_puts_out_the_pre_activation(network, images):
    """In train mode its one output is `pre`; in ResNets the last block's branch, before the sum."""
    seen = {}
    for i in STAGES:
        norm = network.last_norm(i)
        if norm is not None:
            norm.register_forward_hook(lambda _m, _x, y, i=i: seen.setdefault(i, []).append(y))

    features = network.train().read(images)

    known = {WideResNet: [1, 2, 3], ResNet: [0, 1, 2, 3]}
    assert list(seen) == known.get(type(network), [0])
    assert all(len(maps) == 1 for maps in seen.values())
    for i, (branch,) in seen.items():
        if isinstance(network, ResNet) and i > 0:
            before = features.post[i - 1] if len(features.blocks[i]) == 1 else None
            blocks = features.blocks[i]
            before = relu(blocks[-2]) if before is None else before
            shortcut = network.trunk[f"stage{i}"].blocks[-1].shortcut
            with frozen_statistics(network):
                torch.testing.assert_close(branch + shortcut(before), features.pre[i])
        else:
            assert branch is features.pre[i]


@torch.no_grad()
def test_every_stage_has_its_blocks(family, network, images):
    """One map a block, all different, in each stage's shape."""
    features = network.read(images)

    assert [len(blocks) for blocks in features.blocks] == BLOCKS[family]
    for blocks, pre in zip(features.blocks, features.pre, strict=True):
        assert len({id(block) for block in blocks}) == len(blocks)
        assert all(block.shape == pre.shape for block in blocks)


@torch.no_grad()
def test_every_norm_counts_a_pass_once(family, images):
    """Neither a read nor a plain pass runs any batch norm twice."""
    network = BUILDERS[family](classes=10).train()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]

    network.read(images)
    assert {norm.num_batches_tracked.item() for norm in norms} == {1}
    network(images)
    assert {norm.num_batches_tracked.item() for norm in norms} == {2}


def test_read_and_from_stage_update_the_statistics_of_what_runs(family, images):
    """Going on after stage 2 runs the norms behind it and no norm before it."""
    network = BUILDERS[family](classes=10).train()
    pre = network.read(images).pre[2].detach()

    network.from_stage(2, pre)

    counts = {
        n: m.num_batches_tracked.item()
        for n, m in network.named_modules()
        if isinstance(m, nn.BatchNorm2d)
    }
    behind = {n for n in counts if n.startswith(("trunk.stage3", "neck"))}
    assert behind == {n for n, count in counts.items() if count == 2}


@torch.no_grad()
@pytest.mark.parametrize("size", [8, 32, 64])
def test_images_of_many_sizes_pass(family, size):
    """From 8 to 64 pixels, in train mode, and the stages say what shapes come out."""
    network = BUILDERS[family](classes=7, image=(1, size, size)).train()

    features = network.read(torch.randn(2, 1, size, size))

    assert features.logits.shape == (2, 7)
    assert features.pooled.shape == (2, network.pooled_width)
    assert [s.name for s in network.stages] == ["stem", "stage1", "stage2", "stage3"]
    for maps in (features.pre, features.post, features.out):
        assert [tuple(m.shape[1:]) for m in maps] == [(s.channels, *s.size) for s in network.stages]


@torch.no_grad()
def test_a_photograph_passes():
    """A network built for 32×32 takes 224×224 too."""
    assert ResNet(8, classes=5).eval()(torch.randn(1, 3, 224, 224)).shape == (1, 5)


def test_measuring_leaves_no_trace(family):
    """Shapes cost no random number, no gradient and no statistics, and are measured once."""
    network = BUILDERS[family]()
    before, random = copy.deepcopy(network.state_dict()), torch.get_rng_state()

    assert network.stages is network.stages

    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    assert all(p.device.type == "cpu" and p.grad is None for p in network.parameters())


def test_every_parameter_learns(family, images):
    """The gradient of the cross-entropy reaches every parameter."""
    network = lively(BUILDERS[family](classes=10)).train()

    cross_entropy(network(images), torch.arange(4)).backward()

    stuck = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert stuck == []


def test_gradients_do_not_depend_on_reading(network, images):
    """A read's logits have the same gradients as a plain pass's."""
    plain = torch.autograd.grad(network(images).square().sum(), [*network.parameters()])
    read = torch.autograd.grad(network.read(images).logits.square().sum(), [*network.parameters()])

    assert all(torch.equal(a, b) for a, b in zip(plain, read, strict=True))


@torch.no_grad()
def test_double_precision_passes(network, images):
    """In float64 everything is float64, and near what float32 gives."""
    single = network.read(images)
    double = network.double().read(images.double())

    assert {m.dtype for m in [double.logits, double.pooled, *double.pre]} == {torch.float64}
    torch.testing.assert_close(single.logits.double(), double.logits, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_channels_last_gives_the_same(network, images):
    """The order of the bytes in memory changes nothing but rounding."""
    expected = network.read(images)
    last = torch.channels_last
    features = network.to(memory_format=last).read(images.to(memory_format=last))

    torch.testing.assert_close(features.logits, expected.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features.pre, expected.pre, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_mixed_precision_passes(network, images):
    """Under autocast to bfloat16 the logits are near those of float32."""
    expected = network(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(images)

    assert (logits.float() - expected).norm() < 0.05 * expected.norm()


@torch.no_grad()
def test_given_weights_are_the_ones_that_count(family, network, images):
    """Reading and going on by functional_call use the weights handed in, everywhere."""
    other = lively(BUILDERS[family](classes=10)).eval()
    tensors = other.state_dict()

    features = functional_call(network, tensors, (images,), {"read": True})
    rest = functional_call(network, tensors, (features.pre[1],), {"after": 1})

    assert torch.equal(features.logits, other(images))
    assert torch.equal(rest, features.logits)


def test_a_part_cannot_be_read(network, images):
    """Asking for features of a pass that starts in the middle is refused."""
    with pytest.raises(ValueError, match="either read or after"):
        network(images, read=True, after=1)


def test_a_stage_that_is_not_there_is_refused(network, images):
    """There is no stage 4."""
    with pytest.raises(IndexError):
        network.from_stage(4, images)
    with pytest.raises(IndexError):
        network.last_norm(4)
