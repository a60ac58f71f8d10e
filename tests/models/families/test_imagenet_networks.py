"""ImageNet networks: published sizes, stages, and what is particular to each family."""

import pytest
import torch
from declared import build, component
from torch.nn.functional import relu, relu6

from kdbench.errors import BadValue, UserError
from kdbench.evaluate.cost import multiply_adds, parameters
from kdbench.models.families.torchvision_mobilenet_v2 import TorchvisionMobileNetV2
from kdbench.models.families.torchvision_resnet import TorchvisionResNet
from kdbench.models.families.vit import VisionTransformer, fitting_patch

SIZES = {  # parameters with 1000 classes, millions of multiply-adds for one 224×224 image
    "resnet18": (11_689_512, 1814.07),
    "resnet34": (21_797_672, 3663.76),
    "resnet50": (25_557_032, 4089.18),
    "resnet101": (44_549_160, 7801.41),
    "mobilenet-v1": (4_231_976, 568.74),
    "mobilenet-v2": (3_504_872, 300.77),
    "vit-b-16": (86_567_656, 17563.83),
    "deit-tiny": (5_717_416, 1253.68),
}
SHAPES = {  # channels and side of every stage at 224, pooled width
    "resnet18": ([(64, 112), (64, 56), (128, 28), (256, 14), (512, 7)], 512),
    "resnet50": ([(64, 112), (256, 56), (512, 28), (1024, 14), (2048, 7)], 2048),
    "mobilenet-v1": ([(32, 112), (128, 56), (256, 28), (512, 14), (1024, 7)], 1024),
    "mobilenet-v2": ([(32, 112), (24, 56), (32, 28), (96, 14), (320, 7)], 1280),
    "vit-b-16": ([(768, 14)] * 5, 768),
    "deit-tiny": ([(192, 14)] * 5, 192),
}
BLOCKS = {
    "resnet18": [1, 2, 2, 2, 2],
    "resnet50": [1, 3, 4, 6, 3],
    "mobilenet-v1": [1, 3, 2, 6, 2],
    "mobilenet-v2": [1, 3, 3, 7, 4],
    "vit-b-16": [1, 3, 3, 3, 3],
    "deit-tiny": [1, 3, 3, 3, 3],
}


@pytest.fixture(autouse=True)
def drawn():
    """Every test draws the same numbers, whichever run before it."""
    torch.manual_seed(0)


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_the_published_ones(name):
    """Parameters exactly; multiply-adds as torchvision and timm state them, to all their digits."""
    with torch.device("meta"):
        network = build(name)

    assert parameters(network) == SIZES[name][0]
    assert round(multiply_adds(network, (3, 224, 224)) / 1e6, 2) == SIZES[name][1]


@pytest.mark.parametrize("name", SHAPES)
def test_stages_end_where_the_field_takes_features(name):
    """Channels and size of every stage for a 224×224 image, blocks, and the pooled width."""
    with torch.device("meta"):
        network = build(name)
        features = network.read(torch.empty(2, 3, 224, 224))

    maps, pooled = SHAPES[name]
    assert [(s.channels, *s.size) for s in network.stages] == [(c, s, s) for c, s in maps]
    assert features.pooled.shape == (2, pooled)
    assert network.pooled_width == pooled
    assert [len(blocks) for blocks in features.blocks] == BLOCKS[name]
    for blocks, out in zip(features.blocks, features.out, strict=True):
        assert blocks[-1].shape == out.shape


@torch.no_grad()
def test_bottlenecks_of_mobilenet_v2_end_without_activation():
    """Only the stem has one, a ReLU6; no other stage has a last norm."""
    network = TorchvisionMobileNetV2(classes=5).eval()
    features = network.read(30 * torch.randn(2, 3, 32, 32))

    assert features.pre[0].max() > 6
    assert torch.equal(features.post[0], relu6(features.pre[0]))
    assert network.last_norm(0) is network.trunk["stem"].blocks[0].norm
    for i in range(1, 5):
        assert (features.pre[i] < 0).any()
        assert features.post[i] is features.pre[i] is features.out[i]
        assert network.last_norm(i) is None


def test_mobilenet_v2_drops_out_behind_what_it_shows():
    """In training a fifth of the pooled vector never reaches the classifier; `pooled` is whole."""
    network = TorchvisionMobileNetV2(classes=5, image=(3, 32, 32)).train()
    seen = []
    network.classifier.register_forward_hook(lambda _m, x, _y: seen.append(x[0]))
    images = torch.randn(4, 3, 32, 32)

    features = network.read(images)
    network.eval()(images)

    alive, passed = features.pooled != 0, seen[0] != 0
    dropped = 1 - (passed.sum() / alive.sum()).item()
    assert dropped == pytest.approx(0.2, abs=0.03)
    torch.testing.assert_close(seen[0][passed], features.pooled[passed] / 0.8)
    evaluated = network.read(images)
    assert torch.equal(seen[2], evaluated.pooled)


@torch.no_grad()
def test_the_last_norm_of_a_bottleneck_ends_its_branch():
    """Its output and the shortcut, in the last block the plain one, are `pre`."""
    network, seen = TorchvisionResNet(50, classes=5).eval(), {}
    for i in range(1, 5):
        network.last_norm(i).register_forward_hook(lambda _m, _x, y, i=i: seen.update({i: y}))

    features = network.read(torch.randn(2, 3, 64, 64))

    for i in range(1, 5):
        assert torch.equal(seen[i] + relu(features.blocks[i][-2]), features.pre[i])


def test_the_max_pooling_belongs_to_stage_1():
    """The stem's map is twice the size of the first blocks', as its own convolution gives it."""
    network = TorchvisionResNet(18, classes=5, image=(3, 64, 64))

    assert [s.size[0] for s in network.stages] == [32, 16, 8, 4, 2]


def test_a_transformer_shows_its_tokens_as_maps():
    """All of a stage's maps are one; contiguous, and without the class token."""
    network = VisionTransformer("ti", classes=5, image=(3, 16, 32), patch=4)
    images = torch.randn(2, 3, 16, 32)
    with torch.no_grad():
        features = network.read(images)
        network.trunk["stem"].blocks[0].cls_token.add_(1.0)
        changed = network.read(images)

    assert [s.size for s in network.stages] == [(4, 8)] * 5
    assert all(m.is_contiguous() for m in features.pre)
    kinds = zip(features.pre, features.post, features.out, features.blocks, strict=True)
    assert all(pre is post is out is blocks[-1] for pre, post, out, blocks in kinds)
    assert torch.equal(features.pre[0], changed.pre[0])
    assert not torch.equal(features.pre[1], changed.pre[1])
    assert [network.last_norm(i) for i in range(5)] == [None] * 5


def test_positions_are_those_of_the_grid():
    """A patch's position is added where its map shows it: row by row."""
    network = VisionTransformer("ti", image=(3, 8, 16), patch=4)
    with torch.no_grad():
        embedding = network.trunk["stem"].blocks[0]
        embedding.pos_embed.zero_()[0, 1 + 4 + 2] = 7.0  # behind the class token: row 1, column 2
        shown = (
            network.read(torch.zeros(1, 3, 8, 16)).pre[0][0, 0] - embedding.patch_embed.proj.bias[0]
        )

    assert shown.nonzero().tolist() == [[1, 2]]


def test_a_transformer_cannot_go_on_from_a_map():
    """Refused in one line; a stage that is not there is still another mistake."""
    network = VisionTransformer("ti", image=(3, 8, 8))
    pre = network.read(torch.randn(1, 3, 8, 8)).pre[2]

    with pytest.raises(
        UserError, match=r"^from_stage of a vision transformer: found a map"
    ) as caught:
        network.from_stage(2, pre)
    assert "\n" not in str(caught.value)
    with pytest.raises(IndexError):
        network.from_stage(5, pre)


def test_what_cannot_go_on_is_declared():
    """Declarations with `from_stage = false` are those whose networks refuse, and no others."""
    for name in SHAPES:
        declared = component(name).declaration.from_stage
        assert declared is not name.startswith(("vit", "deit"))


@pytest.mark.parametrize(
    ("image", "patch"),
    [((3, 224, 224), 16), ((3, 32, 32), 2), ((3, 8, 8), 1), ((3, 64, 64), 4), ((3, 96, 64), 4)],
)
def test_patches_make_some_fourteen_on_a_side(image, patch):
    """The divisor of both sides nearest to a 14th of the shorter one."""
    assert fitting_patch(image) == patch
    assert fitting_patch(image, 8) == 8
    assert fitting_patch((3, 42, 64)) == 2  # 3 divides one side only


def test_a_patch_that_does_not_fit_is_refused():
    """The message names the nearest that does."""
    with pytest.raises(BadValue, match=r"on 32x32 images: found 5, .*; the nearest is 4$"):
        VisionTransformer("ti", image=(3, 32, 32), patch=5)


def test_images_of_another_size_are_refused():
    """Positions were made for one size."""
    network = VisionTransformer("ti", image=(3, 8, 8))

    with pytest.raises(BadValue, match=r"found '16x8', expected 8x8 pixels; build the network"):
        network(torch.zeros(1, 3, 16, 8))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: TorchvisionResNet(20), r"found 20, expected one of 10, 18, .*; the nearest is 18"),
        (lambda: VisionTransformer("huge"), r"found 'huge', expected one of ti, s, b"),
    ],
)
def test_networks_that_do_not_exist_are_refused(wrong, message):
    """In one line, with what exists."""
    with pytest.raises(BadValue, match=message):
        wrong()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2", "vit-ti-16"])
def test_passes_compile_whole(name):
    """Without a break of the graph, read or not, with the same numbers."""
    torch.compiler.reset()  # it compiles a piece of code only so often
    network = build(name, classes=5, image=(3, 16, 16)).eval()
    images = torch.randn(2, 3, 16, 16)
    compiled = torch.compile(network, backend="eager", fullgraph=True)

    with torch.no_grad():
        expected = network.read(images)
        assert torch.equal(compiled(images), expected.logits)
        features = compiled(images, read=True)

    assert torch.equal(features.logits, expected.logits)
    assert all(map(torch.equal, features.pre + features.out, expected.pre + expected.out))
