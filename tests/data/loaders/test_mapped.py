"""The loader of images with maps: batches are a pure function of (seed, epoch, step)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kdbench.data.loaders.mapped import MappedLoader
from kdbench.data.loaders.order import Part
from kdbench.data.stored.maps import DEPTH_UNIT, Mapped, MappedSplit

PIXELS = np.random.default_rng(0).integers(0, 256, (11, 12, 16, 3), np.uint8)
MASKS = np.random.default_rng(1).integers(0, 5, (11, 12, 16)).astype(np.uint8)
MASKS[:, 0] = 255


def prepared(images=PIXELS, maps=MASKS, task="segmentation"):
    """A data set of some images that lies in no folder."""
    return Mapped(
        name="x",
        classes=(),
        fingerprint="",
        image=(3, 12, 16),
        mean=(),
        std=(),
        stand_in=None,
        folder=Path(),
        _parts={"train": MappedSplit(images, maps, np.arange(len(images)))},
        task=task,
        parted=True,
    )


def loader(data=None, **changes):
    """A loader of eleven images, or of a data set."""
    settings = {
        "batch": 4,
        "augment": "scale0.7to1.5-crop8x8-flip",
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.2, 0.2),
        "seed": 3,
    }
    return MappedLoader(data or prepared(), "train", **{**settings, **changes})


def same(one, other):
    """Whether two batches have the same bits."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_batch_depends_on_nothing_but_its_place_and_the_seed():
    """Whatever was served before, and from whatever step an epoch is resumed."""
    whole = list(loader().epoch(2))

    assert len(whole) == 3
    assert all(same(*pair) for pair in zip(whole[1:], loader().epoch(2, start=1), strict=True))
    used = loader()
    list(used.epoch(0))
    assert same(used.batch(2, 1), whole[1])


def test_epochs_places_and_seeds_have_draws_of_their_own():
    """Not one stream per epoch or worker, as in sparse-to-dense's loader."""
    one_image = prepared(np.repeat(PIXELS[:1], 8, 0), np.repeat(MASKS[:1], 8, 0))
    served = [
        image.numpy().tobytes()
        for seed in (0, 1)
        for epoch in (0, 1)
        for step in (0, 1)
        for image in loader(one_image, augment="crop6x6", seed=seed).batch(epoch, step).images
    ]

    assert len(set(served)) > 20  # of 32 draws of 77 windows


def test_evaluation_serves_whole_images_in_order():
    """Normalised as training images are, masks with their ignored pixels."""
    batches = list(loader(augment="none").in_order(5))

    assert [len(batch.images) for batch in batches] == [5, 5, 1]
    masks = torch.cat([batch.labels for batch in batches])
    assert masks.dtype == torch.int64
    np.testing.assert_array_equal(masks.numpy(), MASKS)
    expected = (PIXELS[0].transpose(2, 0, 1) / 255 - np.array([0.5, 0.4, 0.3])[:, None, None]) / 0.2
    np.testing.assert_allclose(batches[0].images[0].numpy(), expected, atol=1e-5)
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(11))


def test_depths_come_in_metres():
    """As float32, 0 where there is none."""
    numbers = np.arange(11 * 12 * 16, dtype=np.uint16).reshape(11, 12, 16)
    data = prepared(maps=numbers, task="depth")
    (batch,) = loader(data, augment="none").in_order(11)

    assert batch.labels.dtype == torch.float32
    np.testing.assert_allclose(batch.labels.numpy(), numbers * DEPTH_UNIT, rtol=1e-6)


def test_only_chosen_positions_are_served():
    """With their positions in the split."""
    (batch,) = loader(index=np.array([7, 2]), augment="none").in_order(4)

    assert batch.index.tolist() == [7, 2]
    np.testing.assert_array_equal(batch.labels[0].numpy(), MASKS[7])


def test_channels_less_a_mean_are_the_source_s_blue_green_red():
    """IFVD subtracts (104.007, 116.669, 122.679) from blue, green and red and divides by nothing.

    The protocol's constants give the same numbers in the order red, green, blue.
    """
    from kdbench.exhibits.protocols import CITYSCAPES

    (batch,) = loader(mean=CITYSCAPES.mean, std=CITYSCAPES.std, augment="none").in_order(11)
    source = PIXELS[..., ::-1].astype(np.float64) - np.array([104.007, 116.669, 122.679])

    ours = batch.images.numpy().transpose(0, 2, 3, 1)[..., ::-1]
    np.testing.assert_allclose(ours, source, atol=1e-3)


@pytest.mark.parametrize("flag", ["scale", "flip", "crop512x512"])
def test_the_protocol_scales_and_mirrors(flag):
    """Flags that are off by default in IFVD's public script, without which its numbers fail."""
    from kdbench.exhibits.protocols import CITYSCAPES

    assert flag in CITYSCAPES.augment


def test_parts_of_two_ranks_are_the_batch_of_one_process():
    """To the bit, crops and mirroring too, in training and in the order of the split."""
    parts = [loader(part=Part(rank, 2)) for rank in range(2)]
    whole = loader()

    for step in range(2):
        pieces = zip(*(part.batch(1, step) for part in parts), strict=True)
        assert same([torch.cat(piece) for piece in pieces], whole.batch(1, step))
    served = [batch for part in parts for batch in part.in_order(3)]
    assert all(same(one, other) for one, other in zip(served, whole.in_order(3), strict=True))
