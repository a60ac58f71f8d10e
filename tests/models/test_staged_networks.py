"""What every staged network promises, held for the smallest network of every declaration.

What depends on how a stage ends is derived from its segment: a ReLU after the last block
(`ActivatedStage`), a norm and a ReLU after it (`PreActivatedStage`), or nothing (all others).
"""

import copy
from functools import lru_cache
from itertools import pairwise

import pytest
import torch
from declared import DECLARATIONS, GOING_ON, SMALLEST, build, every, going_on, side, small
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, relu

from kdbench.errors import UserError
from kdbench.models.families.resnet_cifar import BottleneckBlock
from kdbench.models.segments import ActivatedStage, PreActivatedStage, Segment

REFUSING = [stem for stem in DECLARATIONS if stem not in GOING_ON]
RESIDUAL = [stem for stem in SMALLEST if "resnet" in stem]


@lru_cache(maxsize=2)
def four(stem):
    """Four images for the small network of a declaration."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 3, side(stem), side(stem), generator=generator)


@lru_cache(maxsize=2)
@torch.no_grad()
def shown(stem):
    """The small network of a declaration and what it shows of the images, to be left unchanged."""
    network = small(stem)
    return network, network.read(four(stem))


def segments(network):
    """The stages' modules, in order."""
    return list(network.trunk.values())


def norms(module):
    """All batch norms inside."""
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


@torch.no_grad()
@every
def test_a_read_has_the_logits_of_a_plain_pass(stem):
    """Reading changes nothing: the same bits come out, twice."""
    network, features = shown(stem)

    assert torch.equal(features.logits, network(four(stem)))
    assert torch.equal(features.logits, network.read(four(stem)).logits)


@torch.no_grad()
@every
def test_a_pass_that_stops_at_a_stage_shows_the_same_bits_up_to_there(stem):
    """Later stages do not run, nor does the head: it has no logits to give."""
    network, features = shown(stem)
    ran = []
    note = lambda module, *_: ran.append(module)  # noqa: E731
    hooks = [segment.register_forward_hook(note) for segment in network.segments]
    for last in range(len(network.stages)):
        ran.clear()
        part = network.read(four(stem), last)

        assert ran == network.segments[: last + 1]
        for name in ("pre", "post", "out", "blocks"):
            own, whole = (flat(getattr(f, name)) for f in (part, features))
            assert len(getattr(part, name)) == last + 1
            assert all(torch.equal(a, b) for a, b in zip(own, whole, strict=False))
        assert part.logits.shape == part.pooled.shape == (4, 0)
    for hook in hooks:
        hook.remove()


def flat(maps):
    """All maps of a list that may hold lists."""
    return [m for entry in maps for m in (entry if isinstance(entry, list) else [entry])]


@torch.no_grad()
@every
def test_a_stage_ends_as_its_segment_says(stem):
    """`post` is the activated `pre`, `out` the map that the field means, blocks end in either."""
    network, features = shown(stem)

    for i, segment in enumerate(segments(network)):
        pre, post, out = features.pre[i], features.post[i], features.out[i]
        last = features.blocks[i][-1]
        assert (pre < 0).any()
        if isinstance(segment, ActivatedStage):
            assert out is post
            assert torch.equal(last, pre)
        elif isinstance(segment, PreActivatedStage):
            assert torch.equal(segment.norm(last), pre)
            assert torch.equal(out, last)
        else:
            assert post is pre
            assert out is pre
            assert torch.equal(last, pre)
        if isinstance(segment, ActivatedStage | PreActivatedStage):
            own = type(segment).activate is not Segment.activate
            assert torch.equal(post, segment.activate(pre) if own else relu(pre))
            assert (post >= 0).all()


@torch.no_grad()
@going_on
def test_the_rest_of_the_network_gives_the_same_logits(stem):
    """Going on from any stage's pre-activation repeats the pass to the last bit; counts too."""
    network, features = shown(stem)

    for i, pre in enumerate(features.pre):
        assert torch.equal(network.from_stage(i, pre), features.logits)
        assert torch.equal(network.from_stage(i - len(network.trunk), pre), features.logits)
        assert not torch.equal(network.from_stage(i, pre.flip(0)), features.logits)


@torch.no_grad()
@going_on
def test_the_rest_of_the_network_behind_a_raw_map_gives_the_same_logits(stem):
    """Going on from the last block's output runs the norm that follows, where there is one."""
    network, features = shown(stem)

    for i, blocks in enumerate(features.blocks):
        assert torch.equal(network.from_stage(i, blocks[-1], raw=True), features.logits)
        assert not torch.equal(network.from_stage(i, blocks[-1].flip(0), raw=True), features.logits)


@going_on
def test_the_rest_of_the_network_has_the_same_gradient(stem):
    """The gradient of the logits in every pre-activation is that of the whole pass."""
    network = shown(stem)[0]
    features = network.read(four(stem))

    gradients = torch.autograd.grad(features.logits.square().sum(), features.pre)
    for i, whole in enumerate(gradients):
        given = features.pre[i].detach().requires_grad_()
        (partial,) = torch.autograd.grad(network.from_stage(i, given).square().sum(), given)
        assert partial.any()
        torch.testing.assert_close(partial, whole)


def test_declarations_of_both_kinds_are_among_those_held():
    """No list that tests run over is empty: an empty one would let them pass unseen."""
    assert {"vit", "deit"} <= set(REFUSING)
    assert {"resnet", "resnet_cifar", "torchvision_resnet"} <= set(RESIDUAL)
    assert {"vgg", "densenet_bc", "mobilenet_v2", "torchvision_mobilenet_v2"} <= set(GOING_ON)


@pytest.mark.parametrize("stem", REFUSING)
def test_going_on_is_refused_where_the_declaration_says_so(stem):
    """At every stage, in one line."""
    network, features = shown(stem)

    for i, pre in enumerate(features.pre):
        with pytest.raises(UserError, match=r"^from_stage of [^\n]+$"):
            network.from_stage(i, pre)


@torch.no_grad()
@every
def test_a_norm_that_puts_out_the_pre_activation_is_the_last_norm(stem):
    """Wherever an activation follows, in train mode too; None where none follows."""
    network, seen = small(stem).train(), {}
    for norm in norms(network):
        norm.register_forward_hook(lambda norm, _x, y: seen.setdefault(norm, []).append(y))

    features = network.read(four(stem))

    matches = 0
    for i, segment in enumerate(segments(network)):
        last, pre = network.last_norm(i), features.pre[i]
        makers = [norm for norm in norms(segment) if any(y is pre for y in seen[norm])]
        if not isinstance(segment, ActivatedStage | PreActivatedStage):
            assert last is None
        elif makers:
            assert makers == [last]
            matches += 1
        assert last is None or len(seen[last]) == 1
    assert (matches > 0) == (stem in GOING_ON)  # transformers have no batch norm


@torch.no_grad()
@every
def test_what_the_last_norm_adds_reaches_the_pre_activation(stem):
    """A shift of its output shifts `pre` by as much, channel by channel, behind a sum too."""
    network, (_, features) = small(stem), shown(stem)

    last_norms = [network.last_norm(i) for i in range(len(network.trunk))]
    assert any(last_norms) == (stem in GOING_ON)  # transformers have no batch norm
    for i, (segment, norm) in enumerate(zip(segments(network), last_norms, strict=True)):
        if norm is not None:
            shift = torch.linspace(0.5, 1.5, norm.num_features)
            norm.bias += shift
            after = segment(features.post[i - 1] if i else four(stem)).pre
            expected = features.pre[i] + shift[:, None, None]
            torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stem", RESIDUAL)
def test_residual_networks_have_a_last_norm_in_every_stage_with_a_relu(stem):
    """In ResNets it ends the last block's residual branch, as the authors of OFD take it."""
    network = shown(stem)[0]

    for i, segment in enumerate(segments(network)):
        assert (network.last_norm(i) is None) == (segment.activate(-torch.ones(1)) == -1).item()


@torch.no_grad()
def test_the_last_norm_of_a_bottleneck_ends_its_branch():
    """No smallest network has one: a shift of the norm's output is all that changes."""
    block, x = BottleneckBlock(8, 16, 2).eval(), torch.randn(2, 8, 6, 6)
    before = block(x)

    block.last_norm.bias += 1.0

    torch.testing.assert_close(block(x), before + 1.0)


@torch.no_grad()
@every
def test_every_stage_has_its_blocks(stem):
    """One map a block, all different and never growing; the last has the stage's shape."""
    network, features = shown(stem)

    for segment, blocks, pre in zip(segments(network), features.blocks, features.pre, strict=True):
        assert len(blocks) == len(segment.blocks)
        assert all(not torch.equal(a, b) for a, b in pairwise(blocks) if a.shape == b.shape)
        assert all(a.shape[2:] >= b.shape[2:] for a, b in pairwise(blocks))
        assert blocks[-1].shape == pre.shape


@torch.no_grad()
@every
def test_every_norm_counts_a_pass_once(stem):
    """No pass runs a batch norm twice, and going on runs those behind the stage only."""
    network = small(stem).train()

    features = network.read(four(stem))
    assert all(norm.num_batches_tracked == 1 for norm in norms(network))
    network(four(stem))
    assert all(norm.num_batches_tracked == 2 for norm in norms(network))

    if stem in GOING_ON:
        network.from_stage(2, features.pre[2])
        behind = norms(nn.ModuleList([*segments(network)[3:], network.neck]))
        assert {norm for norm in norms(network) if norm.num_batches_tracked == 3} == set(behind)


@torch.no_grad()
@every
def test_small_and_odd_images_pass(stem):
    """In train mode, of other channels too, and the stages say what shapes come out."""
    network = build(SMALLEST[stem], classes=7, image=(1, 13, 9)).train()

    features = network.read(torch.randn(2, 1, 13, 9))

    assert features.logits.shape == (2, 7)
    assert features.pooled.shape == (2, network.pooled_width)
    names = ["stem", *(f"stage{i}" for i in range(1, len(network.trunk)))]
    assert [s.name for s in network.stages] == names
    for maps in (features.pre, features.post, features.out):
        assert [tuple(m.shape[1:]) for m in maps] == [(s.channels, *s.size) for s in network.stages]


@torch.no_grad()
@going_on
def test_a_network_takes_images_of_other_sizes(stem):
    """One that was built for 16×16 takes 24×20 too, and 8×8."""
    network = shown(stem)[0]

    for size in ((24, 20), (8, 8)):
        assert network(torch.randn(1, 3, *size)).isfinite().all()


@every
def test_measuring_leaves_no_trace(stem):
    """Shapes cost no random number, no gradient and no statistics, and are measured once."""
    network = small(stem)
    before, random = copy.deepcopy(network.state_dict()), torch.get_rng_state()

    assert network.stages is network.stages

    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    assert all(p.device.type == "cpu" and p.grad is None for p in network.parameters())


@every
def test_every_parameter_learns(stem):
    """The gradient of the cross-entropy reaches every parameter."""
    network = small(stem).train()

    cross_entropy(network(four(stem)), torch.arange(4)).backward()

    stuck = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert stuck == []


@every
def test_gradients_do_not_depend_on_reading(stem):
    """The gradient of a read's logits in the images is that of a plain pass's."""
    network, images = shown(stem)[0], four(stem).clone().requires_grad_()
    (plain,) = torch.autograd.grad(network(images).square().sum(), images)
    (read,) = torch.autograd.grad(network.read(images).logits.square().sum(), images)

    assert plain.any()
    assert torch.equal(plain, read)


@torch.no_grad()
@every
def test_double_precision_passes(stem):
    """In float64 everything is float64, and near what float32 gives."""
    single = shown(stem)[1]
    double = small(stem).double().read(four(stem).double())

    assert {m.dtype for m in [double.logits, double.pooled, *double.pre]} == {torch.float64}
    torch.testing.assert_close(single.logits.double(), double.logits, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@every
def test_channels_last_gives_the_same(stem):
    """The order of the bytes in memory changes nothing but rounding."""
    expected, last = shown(stem)[1], torch.channels_last
    features = small(stem).to(memory_format=last).read(four(stem).to(memory_format=last))

    torch.testing.assert_close(features.logits, expected.logits, rtol=1e-4, atol=1e-4)
    for ours, plain in zip(features.pre, expected.pre, strict=True):
        assert (ours - plain).norm() < 1e-5 * plain.norm()


@torch.no_grad()
@every
def test_mixed_precision_passes(stem):
    """Under autocast to bfloat16 the logits are near those of float32."""
    network, features = shown(stem)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(four(stem))

    assert logits.dtype == torch.bfloat16
    assert (logits.float() - features.logits).norm() < 0.3 * features.logits.norm()


@torch.no_grad()
@every
def test_given_weights_are_the_ones_that_count(stem):
    """Reading and going on by functional_call use the weights handed in, everywhere."""
    network, other = shown(stem)[0], small(stem)
    for tensor in [*other.parameters(), *other.buffers()]:
        if tensor.is_floating_point():
            tensor *= torch.empty_like(tensor).uniform_(0.9, 1.1)
    tensors = other.state_dict()

    features = functional_call(network, tensors, (four(stem),), {"read": True})

    assert torch.equal(features.logits, other(four(stem)))
    assert not torch.equal(features.logits, shown(stem)[1].logits)
    if stem in GOING_ON:
        logits = functional_call(network, tensors, (features.pre[1],), {"after": 1})
        assert torch.equal(logits, features.logits)


@every
def test_a_part_cannot_be_read_and_a_stage_must_exist(stem):
    """Features of a pass that starts in the middle are refused, and so is the stage after all."""
    network = shown(stem)[0]

    with pytest.raises(ValueError, match="either read or after"):
        network(four(stem), read=True, after=1)
    with pytest.raises(ValueError, match="give read with until"):
        network(four(stem), until=1)
    with pytest.raises(IndexError):
        network.read(four(stem), len(network.trunk))
    with pytest.raises(IndexError):
        network.from_stage(len(network.trunk), four(stem))
    with pytest.raises(IndexError):
        network.last_norm(len(network.trunk))
