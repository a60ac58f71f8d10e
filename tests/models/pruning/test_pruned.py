"""Pruned students: as small as their structure says, and equal to the gated network."""

import numpy as np
import pytest
import torch
from prunable import FAMILIES, closed_where, experienced, plan_of, scattered, with_gates
from sampling import sampled
from torch import nn, randn

from kdbench.errors import BadValue, UnknownName, UserError
from kdbench.evaluate.cost import operations
from kdbench.models.families.shufflenet_v1 import ShuffleNetV1
from kdbench.models.families.vgg import VGG
from kdbench.models.pruning import channel_layout
from kdbench.models.pruning.build import (
    build_pruned,
    layout_of,
    layouts,
    structure_of,
    transfer_weights,
)
from kdbench.models.pruning.slimming import Pick, Slice, picking
from kdbench.models.pruning.structure import Structure
from kdbench.models.pruning.vgg import VGGLayout
from kdbench.models.pruning.wide_resnet import WideResNetLayout

IMAGE = (3, 16, 16)


def only(*open_readers):
    """All gates open where a reader's name holds one of the words, closed elsewhere."""
    return lambda reader, width: torch.full((width,), float(any(w in reader for w in open_readers)))


def without(*closed):
    """All gates of readers closed whose name holds one of the words."""
    return lambda reader, width: torch.full((width,), float(all(w not in reader for w in closed)))


def single(reader, width):
    """One open gate per reader, each in a different place."""
    gates = torch.zeros(width)
    gates[sum(map(ord, reader)) % width] = 0.7
    return gates


EXTREMES = {
    "all open": without("nothing"),
    "all closed": only("nothing"),
    "one per reader": single,
    "a first block closed": without("stage1.blocks.0.", "stem.blocks.1", "stage1.blocks.1.conv"),
    "a last block closed": without("stage3.blocks.1.", "stage3.blocks.2."),
    "second layers closed": without("norm2", "first.norm"),
    "first layers closed": without("norm1", "first.conv"),
    "a stage closed": without("stage2.blocks", "stage2.norm"),
    "classifier closed": without("classifier", "stage3.norm"),
    "half": scattered(0.5),
    "a tenth": scattered(0.1),
    "most": scattered(0.9),
}


def pruned_from(network):
    """The pruned student with the gated network's weights, and the plan behind it."""
    plan = plan_of(network)
    structure = structure_of(network, plan, {})
    pruned = build_pruned(structure, network.classifier.out_features, network.image).eval()
    transfer_weights(network, pruned)
    return pruned, plan


@pytest.mark.parametrize("gates", EXTREMES)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_pruned_student_computes_what_the_gated_one_does(float64, name, gates):
    """Same logits to 1e-10 after the weights moved over, whatever is closed."""
    network, _ = with_gates(name, EXTREMES[gates])
    pruned, plan = pruned_from(network)
    closed_where(network, plan)
    images = randn(3, *IMAGE)
    torch.testing.assert_close(pruned(images), network(images), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("gates", EXTREMES)
@pytest.mark.parametrize("name", FAMILIES)
def test_operations_are_known_without_building(name, gates):
    """Both conventions as counted on the built network, which holds no gate."""
    network, _ = with_gates(name, EXTREMES[gates])
    pruned, plan = pruned_from(network)
    assert tuple(operations(pruned, IMAGE)) == layout_of(network).operations(plan)
    assert not any(key.endswith("gate") for key in pruned.state_dict())


@pytest.mark.parametrize("name", FAMILIES)
def test_all_open_is_the_network_itself(name):
    """Same keys and shapes; nothing is picked or bypassed."""
    network = experienced(name)
    plan = layout_of(network).plan(layout_of(network).open())
    built = build_pruned(structure_of(network, plan, {}), 5, IMAGE)
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in (network, built)]
    assert shapes[0] == shapes[1] and not plan.bypasses
    assert not any(isinstance(m, Pick | Slice) for m in built.modules())


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_that_is_left_can_matter(float64, name):
    """A random image's logits have a gradient in every channel of every weight: none is dead."""
    network, _ = with_gates(name, scattered(0.4))
    pruned, _ = pruned_from(network)
    for parameter in pruned.parameters():
        nn.init.uniform_(parameter, 0.05, 0.5)  # no ReLU stays at 0
    pruned(torch.rand(2, *IMAGE)).square().sum().backward()
    for key, parameter in pruned.named_parameters():
        assert parameter.grad is not None, key
        if parameter.dim() > 1:
            assert parameter.grad.flatten(1).abs().sum(1).all(), key
            assert parameter.grad.transpose(0, 1).flatten(1).abs().sum(1).all(), key


@pytest.mark.parametrize("gates", ["half", "a tenth", "a last block closed"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_pruned_student_is_a_staged_network(name, gates):
    """Shapes of all features are as `stages` says; the rest runs from every stage's map."""
    network, _ = with_gates(name, EXTREMES[gates])
    pruned, _ = pruned_from(network)
    images = randn(2, *IMAGE)
    with torch.no_grad():
        seen = pruned.read(images)
        assert seen.pooled.shape[1] == pruned.pooled_width
        for i, stage in enumerate(pruned.stages):
            assert tuple(seen.pre[i].shape[1:]) == (stage.channels, *stage.size)
            torch.testing.assert_close(pruned.from_stage(i, seen.pre[i]), seen.logits)
            assert len(seen.blocks[i]) == len(network.trunk[stage.name].blocks)
            norm = pruned.last_norm(i)
            assert norm is None or norm.num_features == stage.channels
    assert pruned.stages[-1].channels == pruned.pooled_width


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_scattered_channels_keep_the_memory_format(memory_format):
    """Values and gradients are those of plain indexing, in the format of what arrives."""
    index = torch.tensor([4, 0, 2])
    x = randn(2, 5, 3, 4).contiguous(memory_format=memory_format).requires_grad_()
    upstream = randn(2, 3, 3, 4)

    picked = Pick(index)(x)

    assert torch.equal(picked, x[:, index])
    assert picked.is_contiguous(memory_format=memory_format)
    (gradient,) = torch.autograd.grad(picked, x, upstream)
    (expected,) = torch.autograd.grad(x[:, index], x, upstream)
    assert torch.equal(gradient, expected)


def test_a_slice_stands_where_neighbours_are_read():
    """An index only for scattered channels, nothing where all are read."""
    x = randn(2, 6, 3, 3)
    source = np.array([1, 0, 1, 1, 1, 1, 0, 1], bool)
    for channels, kind in (([2, 3, 4], Slice), ([0, 7], Pick), ([0, 2, 3, 4, 5, 7], nn.Identity)):
        reads = np.isin(np.arange(8), channels)
        module = picking(reads, source)
        places = [np.flatnonzero(source).tolist().index(c) for c in channels]
        assert type(module) is kind
        assert torch.equal(module(x), x[:, places])


@pytest.mark.parametrize("name", sampled(FAMILIES, ("wrn-1", "vgg")))
def test_savings_are_what_closing_one_gate_saves(name):
    """Every gate alone, counted on the network that is really built without it."""
    network = experienced(name, image=(3, 8, 8))
    layout, full = layout_of(network), layout_of(network).open()
    whole = sum(operations(network, (3, 8, 8)))
    savings = layout.savings(with_maker=True)
    for name, gates in full.items():
        for j in {0, len(gates) // 2, len(gates) - 1}:
            less = {**full, name: np.where(np.arange(len(gates)) == j, 0, gates)}
            structure = structure_of(network, layout.plan(less), {})
            left = sum(operations(build_pruned(structure, 5, (3, 8, 8)), (3, 8, 8)))
            assert savings[name][j] == whole - left > 0


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_reader_saves_is_what_its_own_layers_save(name):
    """Rows of the weights that meet the channel, times pixels; of a norm's, its norm and ReLU."""
    network = experienced(name, image=(3, 8, 8))
    layout = layout_of(network)
    whole, savings = layout.plan(layout.open()), layout.savings(with_maker=False)
    most = layout.savings(with_maker=True)
    for reader in layout.widths:
        gates = layout.open()
        gates[reader][0] = 0
        left = layout.plan(gates)
        fewer = {c.path: len(c.reads) - int(c.reads.sum()) for c in left.cuts}
        expected = 0
        for cut in whole.cuts:
            layer = network.get_submodule(cut.path)
            closed = fewer.get(cut.path, len(cut.reads))
            if cut.path == reader and isinstance(layer, nn.BatchNorm2d):
                expected += 2 * cut.area
            elif closed and not isinstance(layer, nn.BatchNorm2d):
                expected += closed * layer.weight[:, 0].numel() * cut.area
        assert savings[reader][0] == expected
        assert 0 < savings[reader][0] <= most[reader][0]


def test_a_layout_joins_by_naming_its_family(monkeypatch):
    """Modules beside `build` are found by themselves; a subclass registers under its family."""
    assert list(layouts()) == sorted(["DenseNet", "ResNet", "VGG", "WideResNet"])

    class OtherVGG(VGG):
        pass

    monkeypatch.setattr(channel_layout, "LAYOUTS", {})

    class OtherLayout(VGGLayout):
        family = OtherVGG

    assert {"OtherVGG": OtherLayout} == channel_layout.LAYOUTS


@pytest.mark.parametrize(
    ("method", "gates"), [("projection_of", "second layers closed"), ("narrowed", "half")]
)
def test_a_layout_without_what_its_plan_needs_is_refused_in_one_line(monkeypatch, method, gates):
    """The line names the module, the class and the method that it lacks."""
    monkeypatch.delattr(WideResNetLayout, method)
    network, _ = with_gates("wrn-2", EXTREMES[gates])
    line = rf"^{WideResNetLayout.__module__}: found 'class WideResNetLayout without {method}', .+$"

    with pytest.raises(BadValue, match=line):
        pruned_from(network)


def test_a_reader_that_must_not_vanish_keeps_its_widest_gate():
    """The widest of closed gates counts nothing; of several, the first."""
    network, gates = with_gates("vgg", only("nothing"))
    gates.by_reader(gates.values)["classifier"][3] = 0.1
    plan = plan_of(network)
    assert plan.kept["classifier"].nonzero()[0].tolist() == [3]
    assert all(kept.nonzero()[0].tolist() == [0] for n, kept in plan.kept.items() if "conv" in n)


def test_fresh_weights_are_drawn_for_the_smaller_layers():
    """Fan-out of what is left, not of the larger network; heads as the family draws them."""
    network, _ = with_gates("wrn-2", scattered(0.5))
    torch.manual_seed(3)
    pruned = build_pruned(structure_of(network, plan_of(network), {}), 5, IMAGE)
    conv = pruned.trunk["stage3"].blocks[1].conv1
    expected = (2 / (9 * conv.out_channels)) ** 0.5
    assert conv.weight.std().item() == pytest.approx(expected, rel=0.1)
    assert not pruned.classifier.bias.any()
    assert all(m.weight.eq(1).all() for m in pruned.modules() if isinstance(m, nn.BatchNorm2d))


def test_a_structure_goes_through_its_file(tmp_path):
    """What was saved comes back, one line per reader, and other classes and sizes can be built."""
    network, _ = with_gates("densenet-bc", scattered(0.5))
    structure = structure_of(network, plan_of(network), {"why": "test"})
    structure.save(tmp_path)
    loaded = Structure.load(tmp_path)
    assert loaded == structure
    lines = (tmp_path / "structure.json").read_text().splitlines()
    assert sum('"trunk.' in line for line in lines) == len(structure.kept)
    assert build_pruned(loaded, 7, (1, 8, 8))(randn(1, 1, 8, 8)).shape == (1, 7)


def test_what_cannot_be_built_is_refused_in_one_line(tmp_path):
    """Foreign families, readers, channels and loose ends, each by name."""
    with pytest.raises(UserError, match="found a ShuffleNetV1, expected one of DenseNet, R"):
        layout_of(ShuffleNetV1(image=IMAGE))
    network, _ = with_gates("wrn-1", scattered(0.5))
    good = structure_of(network, plan_of(network), {})

    def changed(**kept):
        return Structure(good.family, good.arguments, {**good.kept, **kept})

    name = "trunk.stage2.blocks.1.norm1"
    cases = [
        (Structure("Densenet", {}, {}), UnknownName, "did you mean 'DenseNet'"),
        (Structure("WideResNet", {"deep": 3}, {}), BadValue, "structure, arguments"),
        (changed(other=[1]), BadValue, "other missing or too many"),
        (changed(**{name: [99]}), BadValue, "channels below 32"),
        (changed(**{"trunk.stage3.norm": []}), BadValue, "without loose ends"),
    ]
    for structure, error, match in cases:
        with pytest.raises(error, match=match) as caught:
            build_pruned(structure, 5, IMAGE)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "no such file"),
        ("{", "no JSON"),
        ('{"format": 9}', "format 9"),
        ('{"format": 1, "family": "VGG"}', "unreadable content"),
        (
            '{"format":1,"family":"VGG","arguments":{},"kept":{"a":[2,1]},"metadata":{}}',
            "ascending",
        ),
    ],
)
def test_a_damaged_structure_is_refused_in_one_line(tmp_path, text, match):
    """The line holds the file's name."""
    if text is not None:
        (tmp_path / "structure.json").write_text(text)
    with pytest.raises(UserError, match=match) as caught:
        Structure.load(tmp_path)
    assert "\n" not in str(caught.value) and "structure.json" in str(caught.value)
