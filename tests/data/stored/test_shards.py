"""Encoded images in shards: order, fingerprint, and what a damaged folder says."""

import json
import pickle
import tracemalloc
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pytest
from prepared_sets import ABOUT, CLASSES, ENCODED_SPLITS, change_byte

from kdbench.data.stored import arrow
from kdbench.data.stored.shards import Sharded, fingerprint, take, verify, write
from kdbench.errors import DamagedData
from kdbench.store.disk import checksum_of


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    """A few images per batch, a few batches per shard: every border is met."""
    monkeypatch.setattr(arrow, "BATCH_BYTES", 200)
    monkeypatch.setattr(arrow, "SHARD_BYTES", 500)


@pytest.fixture
def folder(tmp_path):
    """A prepared data set."""
    write(tmp_path / "set", ABOUT, ENCODED_SPLITS, CLASSES)
    return tmp_path / "set"


def damaged(look, layouts, *words):
    """Looking raises one line of these words."""
    with pytest.raises(DamagedData) as caught:
        look()
    layouts.one_line(caught, *words)


def test_what_was_written_is_opened(folder):
    """Every image keeps its bytes, its label and its place, across batches and shards."""
    data = Sharded.open(folder)

    assert (data.name, data.classes, data.image) == ("toy", ("a", "b", "c"), (3, 8, 8))
    assert (data.mean, data.std, data.stand_in) == ((0.1,) * 3, (0.2,) * 3, None)
    assert data.splits == ("extra", "test", "train")
    for split, rows in ENCODED_SPLITS.items():
        assert list(zip(data.labels(split).tolist(), data.encoded(split), strict=True)) == rows
        assert data.labels(split).dtype == np.int64
    assert len(list(folder.glob("train-*.arrow"))) > 2


def test_images_are_found_by_their_position(folder):
    """In any order, by numpy's integers too, each as bytes of its own."""
    images = Sharded.open(folder).encoded("train")
    order = np.random.RandomState(1).permutation(12)

    assert [images[i] for i in order] == [ENCODED_SPLITS["train"][i][1] for i in order]
    assert type(images[0]) is bytes
    assert len(images) == 12
    for position in (12, -1, 10**9):
        with pytest.raises(IndexError, match=f"position {position} of 12"):
            images[position]


def test_the_digest_beside_an_image_is_its_own(folder):
    """Computed when it was written."""
    images = Sharded.open(folder).encoded("train")

    assert [images.digest(i) for i in range(12)] == [sha256(x).digest() for x in images]


def test_images_travel_to_other_processes(folder):
    """A pickle holds paths and no image; the copy reads the same."""
    images = Sharded.open(folder).encoded("train")
    fresh = len(pickle.dumps(images))
    assert len(list(images)) == 12

    travelled = pickle.dumps(images)

    assert len(travelled) == fresh
    assert list(pickle.loads(travelled)) == list(images)


def test_open_shards_hold_no_file(folder):
    """Of a thousand shards, a process could not keep as many files open."""
    from pathlib import Path

    before = len(list(Path("/proc/self/fd").iterdir()))
    images = Sharded.open(folder).encoded("train")
    read = list(images)

    assert len(read) == 12
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_arrow_reads_the_files_without_this_package(folder):
    """Columns as documented, in the open format, with no compression that would need a copy."""
    with pa.memory_map(str(folder / "train-0000.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()

    assert table.schema == pa.schema([("image", pa.binary()), ("sha256", pa.binary(32))])
    assert table["image"][0].as_py() == ENCODED_SPLITS["train"][0][1]
    assert table["sha256"][0].as_py() == sha256(ENCODED_SPLITS["train"][0][1]).digest()


def test_few_images_are_in_memory_while_writing(tmp_path, monkeypatch):
    """Rows are taken one by one, a batch is held, and what Arrow holds is as little."""
    monkeypatch.setattr(arrow, "BATCH_BYTES", 1 << 20)
    monkeypatch.setattr(arrow, "SHARD_BYTES", 4 << 20)
    rng = np.random.RandomState(0)

    def rows():
        seeds = sorted(range(200), key=lambda k: sha256(content(k)).digest())
        yield from ((0, content(k)) for k in seeds)

    def content(k):
        return rng.__class__(k).bytes(100_000)

    begun = pa.total_allocated_bytes()
    tracemalloc.start()
    peaks = []

    def watched():
        for row in rows():
            peaks.append(pa.total_allocated_bytes() - begun)
            yield row

    write(tmp_path / "set", ABOUT, {"train": watched()}, CLASSES)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(peaks) == 200  # 20 MB
    assert peak < 3 << 20
    assert max(peaks) < 3 << 20


def test_the_fingerprint_is_what_it_says(folder):
    """Computed here as the documentation spells it out."""
    digest = sha256(b'["a", "b", "c"]')
    for split in ("extra", "test", "train"):
        rows = ENCODED_SPLITS[split]
        digest.update(f'["{split}", "encoded", {len(rows)}]'.encode())
        digest.update(b"".join(label.to_bytes(8, "little") for label, _ in rows))
        digest.update(b"".join(sha256(raw).digest() for _, raw in rows))

    assert Sharded.open(folder).fingerprint == verify(folder) == digest.hexdigest()


@pytest.mark.parametrize("what", ["byte", "label", "class", "split"])
def test_the_fingerprint_sees_every_change(what):
    """One byte of one image, a label, a class's name, a split's name."""
    classes = list(CLASSES)
    content = {
        split: (np.array([label for label, _ in rows]), digests([raw for _, raw in rows]))
        for split, rows in ENCODED_SPLITS.items()
    }
    before = fingerprint(classes, content)
    labels, hashes = content["test"]
    if what == "byte":
        raw = ENCODED_SPLITS["test"][3][1]
        hashes[3] = digests([raw[:-1] + bytes([raw[-1] ^ 1])])[0]
    elif what == "label":
        labels[3] += 1
    elif what == "class":
        classes[1] = "d"
    else:
        content["exam"] = content.pop("test")

    assert fingerprint(classes, content) != before


def digests(images):
    """(N, 32) SHA-256."""
    hashes = b"".join(sha256(raw).digest() for raw in images)
    return np.frombuffer(hashes, np.uint8).reshape(-1, 32).copy()


@pytest.mark.parametrize("change", [lambda r: r[::-1], lambda r: [*r[1:], r[0]]])
def test_images_out_of_order_are_refused(tmp_path, layouts, change):
    """Whoever sorted them saw other bytes than those that came; nothing is written."""
    splits = {"train": change(ENCODED_SPLITS["train"])}
    damaged(lambda: write(tmp_path / "set", ABOUT, splits, CLASSES), layouts, "train images")
    assert list(tmp_path.iterdir()) == []


def test_another_number_of_images_than_of_labels_is_damage(folder, layouts):
    """Both numbers are in the error."""
    meta = json.loads((folder / "meta.json").read_text())
    meta["shards"]["train"][0]["rows"] += 1
    (folder / "meta.json").write_text(json.dumps(meta))
    words = ("train_labels.npy", "12 labels", "13 images")
    damaged(lambda: Sharded.open(folder), layouts, *words)


def test_every_changed_byte_of_a_shard_is_seen(folder, layouts):
    """Reading may succeed or say that the file is damaged; verifying always says so."""
    path = folder / "test-0000.arrow"
    whole, meta = path.read_bytes(), json.loads((folder / "meta.json").read_text())
    for place in range(0, len(whole), 7):
        change_byte(path, place, whole[place] ^ 0xFF)
        try:
            list(Sharded.open(folder).encoded("test"))
        except DamagedData as error:
            assert "\n" not in str(error)
        damaged(lambda: verify(folder), layouts, "test-0000.arrow", "sha256")
        path.write_bytes(whole)
    assert verify(folder) == meta["fingerprint"]


def test_verify_names_the_image(folder, layouts):
    """Where the index was made to agree, the digest beside the image does not."""
    images = Sharded.open(folder).encoded("test")
    path = folder / "test-0000.arrow"
    change_byte(path, path.read_bytes().index(images[1]))
    meta = json.loads((folder / "meta.json").read_text())
    meta["shards"]["test"][0]["sha256"] = checksum_of(path)
    (folder / "meta.json").write_text(json.dumps(meta))

    damaged(lambda: verify(folder), layouts, "test-0000.arrow, image 1", "sha256")


@pytest.mark.parametrize("what", ["label", "fingerprint", "class"])
def test_verify_compares_the_whole(folder, layouts, what):
    """A changed label, fingerprint or class name, which no shard knows of."""
    meta = json.loads((folder / "meta.json").read_text())
    if what == "label":
        change_byte(folder / "test_labels.npy", -8)
    elif what == "class":
        meta["classes"][0] = "z"
    else:
        meta["fingerprint"] = "0" * 64
    (folder / "meta.json").write_text(json.dumps(meta))

    damaged(lambda: verify(folder), layouts, folder, "fingerprint")


def test_an_offset_that_leads_nowhere_is_damage(folder, layouts):
    """Arrow trusts offsets unless it is asked; a wild one would end the process."""
    path = folder / "train-0000.arrow"
    table = arrow.read_shard(folder, Sharded.open(folder).encoded("train")._shards[0])
    offsets = table["image"].chunk(0).buffers()[1].to_pybytes()
    at = path.read_bytes().index(offsets[:12])
    change_byte(path, at + 7, 0x7F)

    damaged(lambda: list(Sharded.open(folder).encoded("train")), layouts, "train-0000", "broken")


def test_a_shard_of_another_kind_is_damage(folder, layouts):
    """A valid Arrow file with other columns or another number of rows."""
    path = folder / "train-0000.arrow"
    other, empty = pa.table({"x": [1]}), pa.Table.from_batches([], arrow.SCHEMA)
    for table, found in ((other, "other columns"), (empty, "found 0 images")):
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
        meta = json.loads((folder / "meta.json").read_text())
        meta["shards"]["train"][0]["bytes"] = path.stat().st_size
        (folder / "meta.json").write_text(json.dumps(meta))
        damaged(lambda: Sharded.open(folder).encoded("train")[0], layouts, "train-0000", found)


def test_a_share_is_a_data_set_of_its_own(folder, tmp_path):
    """The chosen training images in their order, the other splits whole, and the description."""
    chosen = np.array([0, 2, 3, 7, 11])
    data = Sharded.open(folder)

    fingerprint = take(data, tmp_path / "share", {"train": chosen})

    share = Sharded.open(tmp_path / "share")
    assert list(share.encoded("train")) == [ENCODED_SPLITS["train"][i][1] for i in chosen]
    assert share.labels("train").tolist() == [ENCODED_SPLITS["train"][i][0] for i in chosen]
    assert list(share.encoded("test")) == list(data.encoded("test"))
    assert (share.image, share.mean, share.classes) == (data.image, data.mean, data.classes)
    assert fingerprint == verify(tmp_path / "share") != data.fingerprint


def test_a_share_keeps_what_is_known_of_the_classes(tmp_path):
    """Further keys of the description go with it."""
    write(tmp_path / "set", {**ABOUT, "words": {"a": "ant"}}, ENCODED_SPLITS, CLASSES)

    take(Sharded.open(tmp_path / "set"), tmp_path / "share", {"train": np.arange(3)})

    assert json.loads((tmp_path / "share" / "meta.json").read_text())["words"] == {"a": "ant"}


def test_a_damaged_image_is_in_no_share(folder, tmp_path, layouts):
    """Its bytes are compared with the digest beside them on the way."""
    images = Sharded.open(folder).encoded("train")
    path = folder / "train-0000.arrow"
    change_byte(path, path.read_bytes().index(images[0]))
    data = Sharded.open(folder)

    everything = {"train": np.arange(12)}
    damaged(lambda: take(data, tmp_path / "share", everything), layouts, "train-0000.arrow, image")
    assert not (tmp_path / "share").exists()
