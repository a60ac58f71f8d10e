"""JPEGs decoded on a GPU, with a stand-in for nvJPEG: what the GPU gets and what the CPU does."""

import io

import numpy as np
import pytest
import torch
from encoded_images import COUNT, IMAGE, LABELS, MEAN, ROWS, STD, loader, pixels
from PIL import Image

from kdbench.data.loaders import gpu_decoding
from kdbench.data.loaders.decoding import Decoder, DecodingJob, decode, transforms
from kdbench.data.loaders.gpu_decoding import suits_gpu
from kdbench.data.stored.shards import Sharded, write
from kdbench.engine.precision import Precision
from kdbench.errors import BadValue, DamagedData

NOISE = np.random.RandomState(3).randint(0, 256, (30, 40, 3), np.uint8)


def encoded(mode="RGB", kind="JPEG", **options):
    """A noisy picture's file."""
    file = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(file, kind, **options)
    return file.getvalue()


def other_pixels(files):
    """A stand-in for nvJPEG: libjpeg's pixels, each a level off; it refuses as a whole."""
    datas = [bytes(file.tolist()) for file in files]
    if any(not suits_gpu(data) or b"refuse me" in data for data in datas):
        raise RuntimeError("nvjpegDecodeBatched failed: 5")
    return [decode(data, "here") ^ 1 for data in datas]


@pytest.fixture(autouse=True)
def nvjpeg(monkeypatch):
    """The stand-in, in nvJPEG's place."""
    monkeypatch.setattr(gpu_decoding, "_decoder", lambda device: other_pixels)


def test_a_gpu_gets_whole_baseline_jpegs_alone():
    """Everything else looks the same whichever decodes, since the CPU does."""
    assert suits_gpu(encoded()) and suits_gpu(encoded("L"))
    others = {
        "progressive": encoded(progressive=True),
        "cmyk": encoded("CMYK"),
        "stored as RGB": encoded(keep_rgb=True),
        "png": encoded(kind="PNG"),
        "cut off": encoded()[:-20],
        "no frame": b"\xff\xd8\xff\xda\x00\x04ab\xff\xd9",
        "empty": b"",
        "start alone": b"\xff\xd8",
        "text": b"not a picture",
    }
    assert [name for name, data in others.items() if suits_gpu(data)] == []


def test_any_bytes_are_looked_at_without_an_error():
    """A damaged header is the CPU's to judge."""
    whole, rng = encoded(), np.random.RandomState(0)
    for length in range(200):
        assert not suits_gpu(whole[:length])
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[rng.randint(2, 200)] = rng.randint(256)
        assert suits_gpu(bytes(damaged)) in (True, False)


def test_batches_have_the_gpus_pixels_where_it_decodes_and_the_cpus_elsewhere(images):
    """Same crops, same order, and no worker process, however many are asked for."""
    augment, plain = transforms("rrc24-flip", IMAGE)
    by_hand = Decoder(images, augment, plain)
    by_hand._decoded = lambda positions: [
        pixels(p) ^ 1 if suits_gpu(ROWS[p][1]) else pixels(p) for p in positions
    ]
    on_gpu, on_cpu = loader(images, decode="gpu", workers=2), loader(images)

    assert on_gpu._workers == 0
    assert 0 < sum(suits_gpu(data) for _, data in ROWS) < COUNT
    for step, batch in enumerate(on_gpu.epoch(2)):
        job = on_gpu._job(2, step)
        assert torch.equal(batch.images, on_gpu._normalise(by_hand.batch(job)))
        assert torch.equal(batch.index, on_cpu.batch(2, step).index)
        assert not torch.equal(batch.images, on_cpu.batch(2, step).images)
    whole = torch.cat([batch.images for batch in on_gpu.in_order(COUNT)])
    job = DecodingJob(list(range(COUNT)), None)
    assert torch.equal(whole, on_gpu._normalise(by_hand.batch(job)))


def one_class(folder, files):
    """The files as a prepared split."""
    about = {"name": "toy", "image": IMAGE, "mean": MEAN, "std": STD, "stand_in": None}
    write(folder, about, {"train": sorted_by_digest(files)}, ["a"])
    return Sharded.open(folder).encoded("train")


def sorted_by_digest(files):
    """Rows as a preparation sorts them."""
    from hashlib import sha256

    return sorted(((0, file) for file in files), key=lambda row: sha256(row[1]).digest())


def test_one_image_that_the_gpu_refuses_costs_no_other_image_its_pixels(tmp_path):
    """The batch is decoded again one by one; that image alone is the CPU's."""
    files = [encoded(quality=q) for q in (50, 70)] + [encoded(comment=b"refuse me")]
    stored = one_class(tmp_path / "set", files)
    _, plain = transforms("none", IMAGE)
    decoder = gpu_decoding.GpuDecoder(stored, plain, plain, torch.device("cpu"))

    for position, shown in enumerate(decoder._decoded(range(3))):
        expected = decode(stored[position], "here")
        assert torch.equal(shown, expected if b"refuse me" in stored[position] else expected ^ 1)


def test_an_image_that_neither_can_read_is_named(tmp_path):
    """By its shard and its place there."""
    stored = one_class(tmp_path / "set", [encoded(), b"\xff\xd8broken\xff\xd9"])
    served = loader(stored, decode="gpu", index=np.arange(2), batch=2)
    with pytest.raises(DamagedData, match=r"train-0000.arrow, image [01].*unreadable"):
        list(served.epoch(0))


def test_a_full_gpu_is_no_reason_to_decode_elsewhere(images, monkeypatch):
    """The pixels would be others than the record's name promises."""
    served = loader(images, decode="gpu")

    def full(files):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(gpu_decoding, "_decoder", lambda device: full)
    with pytest.raises(torch.OutOfMemoryError):
        served.batch(0, 0)


@pytest.mark.parametrize("error", [RuntimeError("not compiled with nvJPEG"), ImportError("gone")])
def test_a_torchvision_without_nvjpeg_is_refused_in_one_line(images, monkeypatch, error, layouts):
    """Before anything is trained: every image would be the CPU's."""

    def absent(device):
        raise error

    monkeypatch.setattr(gpu_decoding, "_decoder", absent)
    with pytest.raises(BadValue) as caught:
        loader(images, decode="gpu")
    layouts.one_line(caught, "decode", "gpu", "CUDA build")


def test_a_cpu_is_refused_in_one_line(layouts):
    """A run whose name promises nvJPEG's pixels is not done without it."""
    with pytest.raises(BadValue) as caught:
        Precision("float32", False, torch.device("cpu"), "gpu")
    layouts.one_line(caught, "decode", "gpu", "'cpu' on cpu", "NVIDIA")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_nvjpeg_differs_from_libjpeg_by_rounding(images, monkeypatch):
    """On a smooth picture; chroma is enlarged in another way at edges."""
    monkeypatch.undo()
    smooth = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, "JPEG", quality=95, subsampling=0)
    [shown] = gpu_decoding.decode_together(
        [torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)], torch.device("cuda")
    )
    expected = decode(file.getvalue(), "here").int()
    assert (shown.cpu().int() - expected).abs().max() <= 3
    assert len(list(loader(images, decode="gpu", device="cuda").epoch(0))) == -(-len(LABELS) // 4)
