"""The loader on the device."""

import numpy as np
import pytest
import torch

from kdbench.data.loaders.augment import Augment, crop, flip
from kdbench.data.loaders.in_memory import InMemoryLoader
from kdbench.data.loaders.order import Part, draws
from kdbench.data.loaders.random_resized_crop import draw_boxes, stretch
from kdbench.errors import BadValue, UnknownName

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
RNG = np.random.RandomState(0)
IMAGES = RNG.randint(0, 256, (23, 6, 8, 3)).astype(np.uint8)
LABELS = RNG.randint(0, 5, 23).astype(np.int64)


def loader(**changes):
    """A loader over 23 images in batches of 4."""
    options = {"batch": 4, "augment": "crop2-flip", "mean": MEAN, "std": STD, "seed": 7}
    return InMemoryLoader(IMAGES, LABELS, **{**options, **changes})


def same(one, other):
    """Whether two batches are equal to the bit."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("number", [0, 1, 5])
def test_an_epoch_covers_every_image_once(number):
    """In another order than the split's, with the labels that belong to them."""
    batches = list(loader().epoch(number))
    index = torch.cat([batch.index for batch in batches]).numpy()

    assert [len(batch.labels) for batch in batches] == [4, 4, 4, 4, 4, 3]
    assert sorted(index) == list(range(23))
    assert list(index) != list(range(23))
    np.testing.assert_array_equal(torch.cat([b.labels for b in batches]), LABELS[index])


def test_a_batch_is_what_the_contract_says():
    """Types and shapes."""
    batch = loader().batch(0, 0)

    assert batch.images.shape == (4, 3, 6, 8)
    assert batch.images.dtype == torch.float32
    assert batch.labels.dtype == batch.index.dtype == torch.int64


def test_types_do_not_follow_the_default(float64):
    """Tests of arithmetic change torch's default type; images stay float32."""
    assert loader().batch(0, 0).images.dtype == torch.float32


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_images_are_normalised_pixels(memory_format):
    """Pixel by pixel: (value / 255 - mean) / std in float32, in the memory format asked for."""
    served = loader(augment="none", memory_format=memory_format)
    f = np.float32

    for batch in (served.batch(0, 1), next(served.in_order(7))):
        assert batch.images.is_contiguous(memory_format=memory_format)
        for image, index in zip(batch.images, batch.index, strict=True):
            for c in range(3):
                pixels = IMAGES[index, :, :, c].astype(f)
                expected = (pixels / f(255) - f(MEAN[c])) / f(STD[c])
                np.testing.assert_array_equal(image[c], expected)


def test_black_is_added_before_normalisation():
    """A border of the crop is a black pixel, not the mean colour."""
    white = np.full_like(IMAGES, 255)
    served = InMemoryLoader(
        white, LABELS, batch=23, augment="crop2", mean=MEAN, std=STD, seed=0, device="cpu"
    )
    channel = served.batch(0, 0).images[:, 0]

    assert sorted(set(channel.flatten().tolist())) == pytest.approx([-0.5 / 0.2, 0.5 / 0.2])


def test_a_batch_depends_on_seed_epoch_and_step_only():
    """Two loaders agree in any order of asking; one that was used differs in nothing."""
    used = loader()
    list(used.epoch(3))
    asked = [(2, 5), (0, 1), (2, 0)]
    backwards = [loader().batch(*key) for key in reversed(asked)][::-1]

    for key, expected in zip(asked, backwards, strict=True):
        torch.manual_seed(len(key))
        assert same(used.batch(*key), expected)


def test_an_interrupted_epoch_goes_on_with_the_same_batches():
    """From any step, a new loader serves the very rest."""
    whole = list(loader().epoch(4))
    for start in range(len(whole) + 1):
        remaining = list(loader().epoch(4, start=start))
        assert len(remaining) == len(whole) - start
        assert all(same(a, b) for a, b in zip(remaining, whole[start:], strict=True))


def slow_images(augment, epoch, step):
    """A batch's bytes, drawn for its step alone: order, then box, offsets and flips in turn."""
    chosen = Augment.parse(augment)
    order = torch.randperm(23, generator=draws(7, "order", epoch))
    places = order[4 * step : 4 * step + 4]
    images = torch.from_numpy(IMAGES).permute(0, 3, 1, 2)[places]
    rng = draws(7, "augment", epoch, step)
    if chosen.random_resized_crop:
        images = stretch(images, draw_boxes(len(places), 6, 8, rng))
    if chosen.pad:
        offsets = torch.randint(2 * chosen.pad + 1, (2, len(places)), generator=rng)
        images = crop(images, offsets, chosen.pad, chosen.border)
    if chosen.flip:
        images = flip(images, torch.randint(2, (len(places),), generator=rng).bool())
    return images, places


@pytest.mark.parametrize(
    "augment", ["none", "flip", "crop2", "crop2-flip", "reflect2-flip", "resized-flip"]
)
@pytest.mark.parametrize("most", [None, 2])
def test_draws_of_an_epoch_are_those_of_its_steps(augment, most):
    """Made at once they are, to the bit, what each step would draw by itself."""
    served = loader(augment=augment, mean=[0] * 3, std=[1 / 255] * 3, steps_per_epoch=most)

    for epoch in (0, 3):
        for step in range(served.steps):
            images, places = slow_images(augment, epoch, step)
            batch = served.batch(epoch, step)
            assert torch.equal(batch.index, places)
            assert torch.equal(batch.images.round().to(torch.uint8), images)


def test_an_epoch_is_drawn_once(monkeypatch):
    """However many of its batches are asked for, and in whatever order."""
    served, counts = loader(), []
    monkeypatch.setattr(
        served, "_draw", lambda epoch, draw=served._draw: counts.append(epoch) or draw(epoch)
    )

    list(served.epoch(1))
    served.batch(1, 0)
    served.batch(2, 4)
    served.batch(2, 3)

    assert counts == [1, 2]


def test_epochs_and_seeds_differ():
    """Every epoch and every seed has an order of its own."""
    orders = {
        tuple(torch.cat([b.index for b in loader(seed=seed).epoch(number)]).tolist())
        for seed in (7, 8)
        for number in range(4)
    }
    assert len(orders) == 8


def test_epochs_and_steps_are_augmented_apart():
    """With equal images only the draws can differ, and they do between any two batches."""
    equal = np.repeat(IMAGES[:1], 22, axis=0)
    served = InMemoryLoader(
        equal, LABELS[:22], batch=11, augment="crop2-flip", mean=MEAN, std=STD, seed=7
    )
    batches = [served.batch(number, step) for number in range(5) for step in range(2)]

    assert len({batch.images.numpy().tobytes() for batch in batches}) == 10


def test_steps_of_an_epoch_draw_apart():
    """Step 1 does not repeat the flips of step 0."""
    served = loader(augment="flip", batch=11)
    plain = loader(augment="none", batch=11)
    patterns = []
    for step in range(2):
        flipped, images = served.batch(0, step).images, plain.batch(0, step).images
        mirrored = flip(images, torch.ones(11, dtype=torch.bool))
        patterns.append([torch.equal(a, b) for a, b in zip(flipped, mirrored, strict=True)])
    assert patterns[0] != patterns[1]
    assert any(patterns[0])


def test_in_order_serves_everything_without_augmentation():
    """For evaluation: every image in place, also a last one alone."""
    batches = list(loader().in_order(11))

    assert [len(batch.labels) for batch in batches] == [11, 11, 1]
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(23))
    np.testing.assert_array_equal(torch.cat([b.labels for b in batches]), LABELS)
    assert same(batches[0], next(loader(augment="none").in_order(11)))


def test_a_subset_keeps_its_positions():
    """Indices are positions in the prepared split, also of a part of it."""
    part = np.array([2, 3, 5, 7, 11, 13, 17, 19])
    served = loader(index=part, augment="none")

    batches = list(served.epoch(0))
    index = torch.cat([batch.index for batch in batches]).numpy()

    assert len(served) == 8
    assert sorted(index) == part.tolist()
    np.testing.assert_array_equal(torch.cat([b.labels for b in batches]), LABELS[index])
    (whole,) = loader(augment="none").in_order(23)
    for batch in [*batches, *served.in_order(3)]:
        for image, i in zip(batch.images, batch.index, strict=True):
            assert torch.equal(image, whole.images[i])


def test_an_epoch_can_be_cut_short():
    """The first batches of the same epoch, and never more than there are."""
    short = loader(steps_per_epoch=2)

    assert short.steps == 2
    assert all(same(a, b) for a, b in zip(short.epoch(1), loader().epoch(1), strict=False))
    assert len(list(short.epoch(1))) == 2
    assert loader(steps_per_epoch=100).steps == 6
    with pytest.raises(IndexError):
        short.batch(0, 2)


def test_a_loader_of_one_image_is_refused():
    """No batch can be made of it."""
    with pytest.raises(BadValue, match="1 images"):
        loader(index=np.array([3]))


def test_an_unknown_augmentation_is_refused_at_once():
    """Not in the middle of the first epoch."""
    with pytest.raises(UnknownName):
        loader(augment="crop4-flop")


def test_read_only_arrays_are_served(tmp_path):
    """Prepared arrays are memory-mapped; no warning, no copy problem."""
    np.save(tmp_path / "a.npy", IMAGES)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    served = InMemoryLoader(
        mapped, LABELS, batch=4, augment="crop2-flip", mean=MEAN, std=STD, seed=7
    )

    assert same(served.batch(0, 0), loader().batch(0, 0))


@pytest.mark.cuda
def test_the_accelerator_sees_the_same_batches():
    """Draws are made on the CPU, so devices agree to the bit of rounding."""
    for one, other in zip(loader().epoch(0), loader(device="cuda").epoch(0), strict=True):
        torch.testing.assert_close(one.images, other.images.cpu())
        assert torch.equal(one.index, other.index.cpu())


def test_parts_of_two_ranks_are_the_batch_of_one_process():
    """To the bit, crops and mirroring too, in training and in the order of the split."""
    parts = [loader(part=Part(rank, 2)) for rank in range(2)]
    whole = loader()

    for step in range(2):
        pieces = zip(*(part.batch(1, step) for part in parts), strict=True)
        assert same([torch.cat(piece) for piece in pieces], whole.batch(1, step))
    served = [batch for part in parts for batch in part.in_order(3)]
    assert all(same(one, other) for one, other in zip(served, whole.in_order(3), strict=True))
