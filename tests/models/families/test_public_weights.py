"""Public weights: renamed to our keys they give what torchvision's and timm's networks give."""

import pytest
import timm
import torch
import torchvision
from declared import build, component
from sampling import sampled
from torch import nn
from torch.nn.functional import relu
from waves import fill, images, probe

from kdbench.models.checkpoints import rename
from kdbench.models.families.mobilenet_v1 import MobileNetV1
from kdbench.models.families.vit import fitting_patch

TIMM = {
    "vit-ti-16": "vit_tiny_patch16_224",
    "vit-b-16": "vit_base_patch16_224",
    "deit-tiny": "deit_tiny_patch16_224",
}


@pytest.fixture(autouse=True)
def drawn():
    """Every test draws the same numbers, whichever run before it."""
    torch.manual_seed(0)


def original(name, classes, side):
    """The network of torchvision or timm that a name stands for."""
    if name in TIMM:
        patch = fitting_patch((3, side, side))
        options = {"img_size": side, "patch_size": patch, "num_classes": classes}
        built = timm.create_model(TIMM[name], pretrained=False, **options)
        for block in built.blocks:
            block.attn.fused_attn = False  # as ours: the same bits
        return built
    make = getattr(torchvision.models, name.replace("-", "_"))
    return make(weights=None, num_classes=classes)


@torch.no_grad()
def lively(network):
    """Random statistics, scales, shifts and class token; fresh ones would hide what is swapped."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.3)
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.3)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    for name, parameter in network.named_parameters():
        if name.endswith("cls_token"):
            nn.init.normal_(parameter)
    return network.eval()


def rules(name):
    """The one naming of a network's declaration."""
    (only,) = component(name).declaration.names.values()
    return only


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet34", "resnet50", "resnet101", "mobilenet-v2", *TIMM]
)
def test_every_public_weight_has_its_place(name):
    """The original's keys are renamed to ours, one to one, with the same shapes."""
    with torch.device("meta"):
        theirs = original(name, 1000, 224).state_dict()
        expected = build(name).state_dict()

    renamed, differences = rename(theirs, expected, rules(name))

    assert differences.lines() == []
    assert len(renamed) == len(theirs) == len(expected)


def shown(name, network, batch):
    """What the original computes: maps by (kind, stage, block), seen by hooks, and its logits."""
    seen, hooks = {}, []

    def watch(module, key, take=lambda y: y):
        def keep(_module, _inputs, output):
            seen[key] = take(output).clone()  # an activation may overwrite it in place

        hooks.append(module.register_forward_hook(keep))

    if name.startswith("resnet"):
        watch(network.bn1, ("pre", 0))
        for i in range(1, 5):
            layer = getattr(network, f"layer{i}")
            watch(layer, ("post", i))
            for k, block in enumerate(layer):
                watch(block, ("active block", i, k))
        watch(network.avgpool, ("pooled",), lambda y: y.flatten(1))
    elif name == "mobilenet-v2":
        watch(network.features[0][1], ("pre", 0))
        watch(network.features[0], ("post", 0))
        places = [(i, k) for i in range(1, 5) for k in range((0, 3, 3, 7, 4)[i])]
        for part, (i, k) in zip(network.features[1:18], places, strict=True):
            watch(part, ("block", i, k))
        watch(network.features[18], ("pooled",), lambda y: y.mean((2, 3)))
    else:
        side = network.patch_embed.grid_size[0]

        def grid(tokens):
            return tokens[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)

        watch(network.norm_pre, ("block", 0, 0), grid)
        for k, block in enumerate(network.blocks):
            watch(block, ("block", 1 + k // 3, k % 3), grid)
        watch(network.norm, ("pooled",), lambda y: y[:, 0])
    logits = network(batch)
    for hook in hooks:
        hook.remove()
    return seen, logits


def same_maps(features, seen):
    """Compare what a read shows with what hooks saw, to the last bit; returns the keys."""
    for key, expected in seen.items():
        match key:
            case ("pooled",):
                torch.testing.assert_close(features.pooled, expected, rtol=1e-5, atol=1e-5)
            case ("block", i, k):
                assert torch.equal(features.blocks[i][k], expected), key
            case ("active block", i, k):
                assert torch.equal(relu(features.blocks[i][k]), expected), key
            case (kind, i):
                assert torch.equal(getattr(features, kind)[i], expected), key
    return set(seen)


@torch.no_grad()
@pytest.mark.parametrize("side", sampled([64, 224], [64]))
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet-v2", "vit-ti-16", "deit-tiny"])
def test_public_weights_give_the_original_s_numbers(name, side):
    """Renamed and loaded strictly: the same maps to the last bit, and the same logits."""
    theirs = lively(original(name, 7, side))
    network = build(name, classes=7, image=(3, side, side)).eval()
    weights, _ = rename(theirs.state_dict(), network.state_dict(), rules(name))
    network.load_state_dict(weights)
    batch = torch.randn(2, 3, side, side)

    seen, logits = shown(name, theirs, batch)
    features = network.read(batch)

    assert len(same_maps(features, seen)) >= 10
    torch.testing.assert_close(features.logits, logits, rtol=1e-6, atol=2e-6)
    torch.testing.assert_close(network(batch), logits, rtol=1e-6, atol=2e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2", "vit-ti-16"])
def test_weights_start_as_the_original_s_do(name):
    """Constants are the same constants; what is drawn has the same spread."""
    theirs, network = original(name, 100, 32), build(name, classes=100, image=(3, 32, 32))
    expected, _ = rename(theirs.state_dict(), network.state_dict(), rules(name))

    assert len(expected) == len(network.state_dict()) > 100
    for key, weight in network.state_dict().items():
        other = expected[key]
        if not other.is_floating_point() or other.unique().numel() == 1:
            assert torch.equal(weight, other), key
        else:
            tolerance = 6 / weight.numel() ** 0.5  # standard errors of two standard deviations
            assert weight.std().item() == pytest.approx(other.std().item(), rel=tolerance), key


def test_mobilenet_v1_starts_as_torch_draws():
    """Uniform within ± 1 / √(fan-in), as in the code of the distillation papers."""
    drawn = [m for m in MobileNetV1().modules() if isinstance(m, nn.Conv2d | nn.Linear)]

    assert len(drawn) == 28  # the stem, 13 times two convolutions, the classifier
    for module in drawn:
        bound = module.weight[0].numel() ** -0.5
        assert 0.9 * bound < module.weight.abs().max().item() <= bound


@torch.no_grad()
def test_mobilenet_v1_is_that_of_the_distillation_papers(float64):
    """Logits and maps before the ReLU, as OFD's ImageNet code gives them for weights of a formula.

    The numbers were computed once with that code and the same `fill`; they are not from kdbench.
    """
    features = fill(MobileNetV1()).eval().read(images(224))

    logits = [14416.7497875, 10298.9805981, 4875.65507389]
    maps = [
        [5.1918096409, -4.72952967754e-06],
        [24.9215730267, -3.34840104037e-05],
        [208622.043475, 0.0358650430796],
        [8333344.12092, -0.201866930421],
    ]
    assert features.logits[0, :3].tolist() == pytest.approx(logits, rel=1e-9)
    for pre, expected in zip(features.pre[1:], maps, strict=True):
        assert probe(pre) == pytest.approx(expected, rel=1e-6)


def test_mobilenet_v1_takes_the_keys_of_that_code():
    """Thirteen blocks of two convolutions and two norms behind a stem, and `fc`."""
    network = MobileNetV1()
    layers = [("model.0.0", network.trunk["stem"].blocks[0].conv)]
    layers += [("model.0.1", network.trunk["stem"].blocks[0].norm)]
    blocks = [b for i in range(1, 5) for b in network.trunk[f"stage{i}"].blocks]
    for k, block in enumerate(blocks, 1):
        layers += [(f"model.{k}.{j}", block.layers[j]) for j in (0, 1, 3, 4)]
    layers += [("fc", network.classifier)]
    theirs = {f"{key}.{n}": t for key, m in layers for n, t in m.state_dict().items()}

    renamed, differences = rename(theirs, network.state_dict(), rules("mobilenet-v1"))

    assert differences.lines() == []
    assert all(torch.equal(renamed[key], t) for key, t in network.state_dict().items())
    assert len(theirs) == len(renamed)
