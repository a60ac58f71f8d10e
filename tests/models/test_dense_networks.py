"""Networks with an output per pixel: what they promise beyond, or in place of, the others."""

import pytest
import torch
from declared import DENSE, build, lively

from kdbench.errors import UserError
from kdbench.evaluate import cost
from kdbench.evaluate.tasks import AUXILIARY, TASKS, task_of
from kdbench.models.dense import DenseNetwork

SHAPE = (3, 24, 32)
EXAMPLES = [name for declared in DENSE.values() for name in declared["examples"][:2]]
SEGMENTING = DENSE["pspnet"]["examples"][:2]
# Of IFVD's paper, table 1, in millions: with PSPNet's stem of three convolutions.
PUBLISHED = {"pspnet-resnet101-deep": 70.43, "pspnet-resnet18-deep": 13.07}
every = pytest.mark.parametrize("name", EXAMPLES)
segmenting = pytest.mark.parametrize("name", SEGMENTING)


@pytest.fixture(scope="module")
def network():
    """Makes each network once."""
    made = {}

    def get(name):
        if name not in made:
            torch.manual_seed(0)
            made[name] = lively(build(name, classes=5, image=SHAPE), torch.randn(2, *SHAPE))
        return made[name]

    return get


@every
@torch.no_grad()
def test_every_pixel_has_logits_whatever_the_size(network, name):
    """A read has those of a plain pass, to the bit."""
    for height, width in ((24, 32), (33, 41)):
        images = torch.randn(2, 3, height, width)
        features = network(name).read(images)
        outputs = features.logits.shape[1]
        assert features.logits.shape == (2, outputs, height, width)
        assert torch.equal(features.logits, network(name)(images))


@every
def test_stages_say_the_shapes_of_maps(network, name):
    """And how long the pooled vector is."""
    built = network(name)
    features = built.read(torch.randn(2, *SHAPE))
    assert [tuple(m.shape[1:]) for m in features.pre] == [
        (s.channels, *s.size) for s in built.stages
    ]
    assert features.pooled.shape == (2, built.pooled_width)


@segmenting
def test_maps_for_masks_have_stride_eight(network, name):
    """From stage 2 on, and the pooled vector is as long as the classifier is wide."""
    built = network(name)
    assert all(stage.size == (3, 4) for stage in built.stages[2:5])
    assert built.pooled_width == built.classifier.in_features


@segmenting
def test_only_training_has_an_auxiliary_head(network, name):
    """Of the images' size; its weights learn by its own loss alone."""
    built = network(name)
    assert built.read(torch.randn(2, *SHAPE)).auxiliary is None
    features = built.train().read(torch.randn(2, *SHAPE))
    targets = torch.randint(0, 5, (2, *SHAPE[1:]))
    task = task_of(built)
    total = task.training_loss(features, targets)
    expected = task.loss(features.logits, targets) + AUXILIARY * task.loss(
        features.auxiliary, targets
    )
    built.eval()

    torch.testing.assert_close(total, expected)
    assert features.auxiliary.shape == features.logits.shape


@every
def test_going_on_from_a_map_is_refused_in_one_line(network, name):
    """The size of the images is not known there."""
    with pytest.raises(UserError, match="cannot go on"):
        network(name).from_stage(1, torch.randn(2, 3, 4, 4))


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_the_published_ones(name):
    """To the last digit that the paper prints."""
    with torch.device("meta"):
        built = build(name, classes=19, image=(3, 64, 64))

    assert round(cost.parameters(built) / 1e6, 2) == pytest.approx(PUBLISHED[name], abs=0.011)


def test_every_dense_network_has_a_task_of_its_declaration():
    """And is a `DenseNetwork`."""
    for declared in DENSE.values():
        built = build(declared["examples"][0], classes=5, image=SHAPE)
        assert isinstance(built, DenseNetwork)
        assert built.task == declared["task"]
        assert built.task in TASKS
