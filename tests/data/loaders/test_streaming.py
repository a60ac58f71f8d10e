"""The loader that decodes while training."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import imagenet_layouts as tiny
import numpy as np
import pytest
import torch
from encoded_images import COUNT, IMAGE, LABELS, MEAN, ROWS, STD, loader, pixels
from torchvision.transforms import v2

from kdbench.data.loaders import decoding, streaming
from kdbench.data.loaders.decoding import decode, transforms
from kdbench.data.loaders.in_memory import InMemoryLoader
from kdbench.data.loaders.order import Part, draws
from kdbench.data.loaders.streaming import StreamingLoader
from kdbench.data.stored.shards import Sharded, write
from kdbench.errors import BadValue, DamagedData, UnknownName, UserError

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def normalised(image):
    """An image of bytes as a batch has it."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    return (image.float() / 255 - mean) / std


def slow(epoch, step, batch=4, seed=7, index=None):
    """A training batch, image by image, as the documentation says; nothing is decoded ahead."""
    index = np.arange(COUNT) if index is None else index
    order = torch.randperm(len(index), generator=draws(seed, "order", epoch)).numpy()
    positions = index[order[step * batch : (step + 1) * batch]]
    crops = []
    for place, position in enumerate(positions):
        torch.manual_seed(draws(seed, "augment", epoch, step, place).initial_seed())
        crop = v2.RandomResizedCrop(24, antialias=True)(pixels(position))
        crops.append(normalised(v2.RandomHorizontalFlip()(crop)))
    return torch.stack(crops), torch.from_numpy(LABELS[positions]), torch.from_numpy(positions)


def same(one, other):
    """Whether two batches are equal to the bit."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("epoch", [0, 3])
def test_batches_are_those_of_the_slow_way(images, workers, epoch):
    """To the bit, whatever the number of workers, and all of an epoch."""
    batches = list(loader(images, workers=workers).epoch(epoch))

    assert [len(batch.labels) for batch in batches] == [4, 4, 4, 4, 3]
    for step, batch in enumerate(batches):
        assert same(batch, slow(epoch, step))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupted_epoch_goes_on_with_the_same_batches(images, workers):
    """From any step, a new loader serves the very rest; so does a single batch."""
    whole = list(loader(images).epoch(4))
    for start in range(len(whole) + 1):
        remaining = list(loader(images, workers=workers).epoch(4, start=start))
        assert len(remaining) == len(whole) - start
        assert all(same(a, b) for a, b in zip(remaining, whole[start:], strict=True))
    used = loader(images)
    for step in (3, 0, 4):
        assert same(used.batch(4, step), whole[step])


def test_a_batch_is_what_the_contract_says(images):
    """Types and shapes, also where a test made float64 the default."""
    batch = loader(images).batch(0, 0)

    assert batch.images.shape == (4, 3, 24, 24)
    assert batch.images.dtype == torch.float32
    assert batch.labels.dtype == batch.index.dtype == torch.int64


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_memory_format_is_the_one_asked_for(images, memory_format):
    """In training and in evaluation, with the same values."""
    served = loader(images, memory_format=memory_format)
    for batch in (served.batch(0, 1), next(served.in_order(4))):
        assert batch.images.is_contiguous(memory_format=memory_format)
    assert same(served.batch(0, 1), slow(0, 1))


def test_an_epoch_covers_every_image_once(images):
    """In another order than the split's, another in every epoch and for every seed."""
    orders = {
        tuple(torch.cat([b.index for b in loader(images, seed=seed).epoch(number)]).tolist())
        for seed in (7, 8)
        for number in range(3)
    }

    assert all(sorted(order) == list(range(COUNT)) for order in orders)
    assert len(orders) == 6
    assert tuple(range(COUNT)) not in orders


def test_crops_differ_between_epochs_seeds_and_places(tmp_path):
    """With one image again and again only the draws can differ, and all do."""
    raw = tiny.picture(np.random.RandomState(3), (60, 50))
    about = {"name": "toy", "image": IMAGE, "mean": MEAN, "std": STD, "stand_in": None}
    write(tmp_path / "set", about, {"train": [(0, raw)] * 6}, ["a"])
    one = Sharded.open(tmp_path / "set")
    crops = set()
    for seed in (7, 8):
        served = StreamingLoader(
            one.encoded("train"), one.labels("train"), seed=seed, image=IMAGE, batch=3,
            augment="rrc24-flip", mean=MEAN, std=STD, workers=0,
        )  # fmt: skip
        for epoch in range(2):
            for batch in served.epoch(epoch):
                crops.update(image.numpy().tobytes() for image in batch.images)

    assert len(crops) == 2 * 2 * 6


@pytest.mark.parametrize("workers", [0, 2])
def test_in_order_serves_the_middle_of_everything(images, workers):
    """Every image in place, a last one alone too, as torchvision's pipeline by hand makes it."""
    batches = list(loader(images, workers=workers).in_order(6))
    assert [len(batch.labels) for batch in batches] == [6, 6, 6, 1]
    assert torch.cat([b.index for b in batches]).tolist() == list(range(COUNT))
    np.testing.assert_array_equal(torch.cat([b.labels for b in batches]), LABELS)
    for position, image in enumerate(torch.cat([b.images for b in batches])):
        resized = v2.functional.resize(pixels(position), [27], antialias=True)
        middle = v2.functional.center_crop(resized, [24, 24])
        assert torch.equal(image, normalised(middle))


@pytest.mark.parametrize(("size", "shorter"), [(224, 256), (24, 27), (64, 73), (288, 329)])
def test_the_shorter_side_keeps_its_ratio(size, shorter):
    """256 for 224, and as much more for other sizes."""
    _, plain = transforms("none", (3, size, size))

    assert plain.transforms[0].size == [shorter]
    assert plain(torch.zeros(3, 40, 30, dtype=torch.uint8)).shape == (3, size, size)


def test_none_trains_on_what_evaluation_sees(images):
    """In the order of the epoch, without draws."""
    batch = loader(images, augment="none").batch(0, 0)
    everything = torch.cat([b.images for b in loader(images).in_order(5)])

    assert torch.equal(batch.images, everything[batch.index])
    assert batch.index.tolist() == slow(0, 0)[2].tolist()


def test_a_subset_keeps_its_positions(images):
    """Indices are positions in the prepared split, also of a part of it."""
    part = np.array([2, 3, 5, 7, 11, 13, 17])
    served = loader(images, index=part, workers=2)

    assert len(served) == 7
    for step, batch in enumerate(served.epoch(1)):
        assert same(batch, slow(1, step, index=part))
    assert torch.cat([b.index for b in served.in_order(3)]).tolist() == part.tolist()


def test_an_epoch_can_be_cut_short(images):
    """The first batches of the same epoch, and never more than there are."""
    short = loader(images, steps_per_epoch=2, workers=2)

    assert short.steps == 2
    assert [same(b, slow(1, step)) for step, b in enumerate(short.epoch(1))] == [True, True]
    assert loader(images, steps_per_epoch=100).steps == 5
    with pytest.raises(IndexError):
        short.batch(0, 2)


def test_a_last_batch_of_one_image_is_left_out(images):
    """As in the loader that keeps the images on the device; and no loader is made of one."""
    assert loader(images, batch=6).steps == 3
    assert [len(b.labels) for b in loader(images, batch=6).epoch(0)] == [6, 6, 6]
    with pytest.raises(BadValue, match="1 images"):
        loader(images, index=np.array([3]))


@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_is_drawn_from_the_global_generator(images, workers):
    """A dropout's draws must not depend on where a run was interrupted."""
    torch.manual_seed(11)
    before = torch.get_rng_state()
    list(loader(images, workers=workers).epoch(0))
    loader(images, workers=workers).batch(0, 1)
    list(loader(images, workers=workers).in_order(8))

    assert torch.equal(torch.get_rng_state(), before)


def test_both_loaders_shuffle_alike(images):
    """The same seed, epoch and batch give the same positions, on pixels and on encoded images."""
    arrays = np.zeros((COUNT, 4, 4, 3), np.uint8)
    in_memory = InMemoryLoader(arrays, LABELS, batch=4, augment="none", mean=MEAN, std=STD, seed=7)

    for one, other in zip(in_memory.epoch(2), loader(images).epoch(2), strict=True):
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("name", ["crop4-flip", "flip", "rrc224-flip", "rrc24-flop", ""])
def test_another_augmentation_is_refused_at_once(images, layouts, name):
    """Also one of another size than is served; what there is is named."""
    with pytest.raises(UnknownName) as caught:
        loader(images, augment=name)
    layouts.one_line(caught, "augment", repr(name), "rrc24-flip")


def test_this_augmentation_is_none_of_the_other_loader():
    """The loader in memory has a random resized crop of its own, under another name."""
    with pytest.raises(UnknownName):
        InMemoryLoader(
            np.zeros((8, 4, 4, 3), np.uint8), LABELS[:8], batch=4, augment="rrc4-flip",
            mean=MEAN, std=STD, seed=0,
        )  # fmt: skip


@pytest.mark.parametrize("image", [(1, 24, 24), (3, 24, 32)])
def test_images_of_another_shape_are_refused(images, image):
    """Three channels and a square, which the crops are."""
    with pytest.raises(BadValue, match="a square"):
        loader(images, image=image)


@pytest.mark.parametrize("data", [b"", b"x" * 50, ROWS[0][1][:200]])
def test_a_damaged_image_is_one_line(data, layouts):
    """It names the place and says what to do."""
    with pytest.raises(DamagedData) as caught:
        decode(data, "train-0001.arrow, image 3")
    layouts.one_line(caught, "train-0001.arrow, image 3", f"{len(data)} bytes", "prepare")


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_breaks_while_training_is_one_line(tmp_path, layouts, workers):
    """The same error from a worker as from this process, after the batches before it."""
    rows = [(0, raw) for raw in sorted((r for _, r in ROWS), key=lambda r: sha256(r).digest())]
    rows[9] = (0, rows[9][1][:300])
    rows.sort(key=lambda row: sha256(row[1]).digest())
    about = {"name": "toy", "image": IMAGE, "mean": MEAN, "std": STD, "stand_in": None}
    write(tmp_path / "set", about, {"train": rows}, ["a"])
    data = Sharded.open(tmp_path / "set")
    broken = next(place for place, raw in enumerate(data.encoded("train")) if len(raw) == 300)
    served = loader(data.encoded("train"), workers=workers)

    seen = []
    with pytest.raises(DamagedData) as caught:
        for batch in served.in_order(1):
            seen.append(len(batch.labels))
    layouts.one_line(caught, "train-0000.arrow", f"image {broken}", "300 bytes")
    assert caught.value.exit_code == 3
    assert len(seen) == broken
    assert multiprocessing.active_children() == []  # though the caught error knows the iterator


def test_a_worker_that_dies_is_one_line(images, layouts, monkeypatch):
    """The memory that it lacked, likely; the way out is named."""
    here = os.getpid()
    served = loader(images, workers=2)
    monkeypatch.setattr(
        decoding, "decode", lambda *_: os.getpid() == here or os.kill(os.getpid(), signal.SIGKILL)
    )
    with pytest.raises(UserError) as caught:
        list(served.epoch(0))
    layouts.one_line(caught, "a decoding process ended", "KDBENCH_WORKERS")


def test_workers_outlive_a_signal_to_the_whole_job(images, monkeypatch):
    """SIGTERM and SIGINT to every process: the main one is to finish its step and to save."""
    batches, served = loader(images, workers=2).epoch(0), []
    start = streaming._start

    def interrupted(data):
        started = start(data)
        for child in multiprocessing.active_children():  # some of them not yet ready
            os.kill(child.pid, signal.SIGINT)
            os.kill(child.pid, signal.SIGTERM)
        return started

    monkeypatch.setattr(streaming, "_start", interrupted)
    served += [next(batches), next(batches)]
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGTERM)
    served += batches

    assert all(same(batch, slow(0, step)) for step, batch in enumerate(served))
    assert len(served) == 5


def test_a_worker_goes_on_for_a_while_only(images, layouts, monkeypatch):
    """Its end never disturbs what the main process does; the loader tells of it in one line."""
    monkeypatch.setattr(streaming, "GRACE", 1)
    before = signal.signal(signal.SIGALRM, lambda *_: None)  # a handler that workers inherit
    try:
        batches = loader(images, workers=2, batch=2).epoch(0)
        next(batches)
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGTERM)
            child.join(10)
            assert child.exitcode == -signal.SIGALRM
        with pytest.raises(UserError) as caught:
            list(batches)
    finally:
        signal.signal(signal.SIGALRM, before)
    layouts.one_line(caught, "a decoding process ended")


def test_an_epoch_that_is_left_leaves_no_process(images):
    """A run that stops in the middle of an epoch takes its workers with it."""
    batches = loader(images, workers=2).epoch(0)
    next(batches)
    assert len(multiprocessing.active_children()) == 2

    batches.close()

    assert multiprocessing.active_children() == []


def test_the_end_of_python_waits_for_no_worker(images):
    """Epochs that somebody began and forgot are ended first."""
    forgotten = [loader(images, workers=1).epoch(0), loader(images, workers=1).in_order(4)]
    for batches in forgotten:
        next(batches)
    assert len(multiprocessing.active_children()) == 2

    streaming._end_all()

    assert multiprocessing.active_children() == []


def test_what_workers_get_can_travel(images):
    """Where processes are not forked, they get a pickle; it decodes the same."""
    served = loader(images)
    travelled = pickle.loads(pickle.dumps(served._decoder))
    job = served._job(2, 1)

    assert torch.equal(travelled.batch(job), served._decoder.batch(job))


@pytest.mark.cuda
def test_the_accelerator_sees_the_same_batches(images):
    """Decoded by workers, copied as bytes, normalised there."""
    on_device = loader(images, device="cuda", workers=2, memory_format=torch.channels_last)
    for one, other in zip(loader(images).epoch(0), on_device.epoch(0), strict=True):
        assert other.images.is_cuda
        torch.testing.assert_close(one.images, other.images.cpu())
        assert torch.equal(one.labels, other.labels.cpu())
        assert torch.equal(one.index, other.index.cpu())


TINY_SHARED_MEMORY = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from encoded_images import loader
from kdbench.data.stored.shards import Sharded
images = Sharded.open(Path({folder!r})).encoded("train")
options = {{"image": (3, 96, 96), "augment": "rrc96-flip", "batch": 16}}
plain, shared = (list(loader(images, workers=n, **options).epoch(0)) for n in (0, 4))
assert all((a.images == b.images).all() for a, b in zip(plain, shared, strict=True))
print(len(shared), "batches")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a process a /dev/shm of its own")
def test_batches_are_the_same_where_shared_memory_has_no_room(images, tmp_path):
    """Enough for semaphores, not for a batch; without the pipe the loader waits for ever."""
    folder = str(Path(images.where(0).partition(", image")[0]).parent)
    code = TINY_SHARED_MEMORY.format(path=sys.path, folder=folder)
    mount = "mount -t tmpfs -o size=200k tmpfs /dev/shm"
    words = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("this container may not mount")

    assert done.stdout == "2 batches\n", done.stderr


def test_parts_of_two_ranks_are_the_batch_of_one_process(images):
    """To the bit, crops and mirroring too, in training and in the order of the split."""
    parts = [loader(images, workers=0, part=Part(rank, 2)) for rank in range(2)]
    whole = loader(images, workers=0)

    pieces = zip(*(part.batch(1, 2) for part in parts), strict=True)
    assert same([torch.cat(piece) for piece in pieces], whole.batch(1, 2))
    served = [batch for part in parts for batch in part.in_order(3)]
    assert all(same(one, other) for one, other in zip(served, whole.in_order(3), strict=True))
