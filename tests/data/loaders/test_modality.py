"""What networks see of images with depths: colours, sparse depths, or both."""

import numpy as np
import pytest
import torch
from test_mapped import PIXELS, loader, prepared, same

from kdbench.data.loaders.modality import Modality, sparse_depths
from kdbench.data.stored.maps import DEPTH_UNIT
from kdbench.errors import BadValue, UnknownName

METRES = np.random.default_rng(2).integers(5000, 50000, PIXELS.shape[:3]).astype(np.uint16)
METRES[:, :2] = 0  # no measurement
CHOICES = {"augment": "scale1to1.5-crop10x12", "modality": "rgbd30"}


def deep(**changes):
    """A loader of images with depths."""
    return loader(prepared(maps=METRES, task="depth"), **{**CHOICES, **changes})


def test_the_fourth_channel_is_a_part_of_the_depths_as_the_network_is_to_give_them():
    """In metres, scaled with the image; 0 at all other pixels; colours as without it."""
    for batch in deep().epoch(0):
        seen, truth = batch.images[:, 3], batch.labels
        kept = seen > 0
        assert torch.equal(seen[kept], truth[kept])
        assert (seen[truth == 0] == 0).all()
        assert 10 < kept.sum((1, 2)).float().mean() < 60

    coloured = deep(modality="rgb").batch(1, 0)
    assert torch.equal(deep().batch(1, 0).images[:, :3], coloured.images)
    assert torch.equal(deep(modality="d30").batch(1, 0).images, deep().batch(1, 0).images[:, 3:])


def test_as_many_pixels_are_kept_on_average_as_are_asked_for():
    """Each by a draw of its own, whatever share of an image is measured."""
    rng = torch.Generator().manual_seed(0)
    depths = torch.rand(60, 80, generator=rng) + 1
    depths[:45] = 0
    counts = [int((sparse_depths(depths, 50, rng) > 0).sum()) for _ in range(400)]

    assert sum(counts) / 400 == pytest.approx(50, abs=1.5)
    assert len(set(counts)) > 10


def test_a_map_without_measurements_gives_none():
    """Where others are asked for more than there are, all are given."""
    rng = torch.Generator().manual_seed(0)

    assert (sparse_depths(torch.zeros(4, 5), 10, rng) == 0).all()
    few = torch.tensor([[0.0, 1.0, 2.0]])
    assert torch.equal(sparse_depths(few, 10, rng), few)


def test_samples_are_a_pure_function_of_seed_epoch_and_step():
    """So that a stopped run sees the same when it goes on; other epochs see others."""
    assert same(deep().batch(1, 1), deep().batch(1, 1))
    assert same(list(deep().epoch(1))[2], next(deep().epoch(1, start=2)))
    one = prepared(np.repeat(PIXELS[:1], 8, 0), np.repeat(METRES[:1], 8, 0), task="depth")
    served = {
        image.numpy().tobytes()
        for seed in (0, 1)
        for epoch in (0, 1)
        for step in (0, 1)
        for image in loader(one, augment="none", modality="d30", seed=seed)
        .batch(epoch, step)
        .images
    }
    assert len(served) == 2 * 2 * 8


def test_every_evaluation_is_given_the_same_samples():
    """Whatever was served before, and however many images at once."""
    used = deep()
    list(used.epoch(0))
    whole = torch.cat([batch.images for batch in used.in_order(11)])
    few = torch.cat([batch.images for batch in deep().in_order(3)])

    assert torch.equal(whole, few)


def test_images_stay_channels_last():
    """Where they were."""
    batch = deep(memory_format=torch.channels_last).batch(0, 0)

    assert batch.images.shape[1] == 4
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("text", ["", "bgr", "rgbd", "rgbd0", "d", "rgb500"])
def test_other_modalities_are_refused(text):
    """In one line, which says what there is."""
    with pytest.raises(UnknownName, match="no modality is called"):
        Modality.parse(text)


def test_channels_are_counted():
    """Of the network that sees them."""
    names = ("rgb", "d5", "rgbd5")
    assert [Modality.parse(name).channels(3) for name in names] == [3, 1, 4]


def test_images_without_depths_cannot_show_any():
    """Masks are no depths."""
    with pytest.raises(BadValue, match="has no depths"):
        loader(modality="rgbd30")


def test_depths_shrink_as_the_image_grows():
    """What is seen from half as far away is twice as large: every pixel's metres times the zoom."""
    flat = np.full_like(METRES, 20000)
    served = [
        batch
        for epoch in range(3)
        for batch in loader(
            prepared(maps=flat, task="depth"), augment="scale1.5to1.5-crop12x16"
        ).epoch(epoch)
    ]
    depths = torch.cat([batch.labels.flatten() for batch in served])

    torch.testing.assert_close(depths, torch.full_like(depths, 20000 * DEPTH_UNIT / 1.5))
