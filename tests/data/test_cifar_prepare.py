"""One data set in every layout, and every way in which a source can be bad."""

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kdbench.data import cifar, sources
from kdbench.data.dataset import Prepared, verify
from kdbench.errors import DamagedData, UserError

ARCHIVE = "cifar-100-python.tar.gz"


def build(layouts, folder, kind):
    """A good source of that layout; its path."""
    data = layouts.content()
    files = layouts.official(data, layouts.python2)
    folder.mkdir(exist_ok=True)
    match kind:
        case "archive":
            return layouts.write_archive(folder / "renamed.tgz", files)
        case "new pickles":
            new = layouts.official(data, layouts.python3(5))
            return layouts.write_archive(folder / ARCHIVE, new)
        case "folder with archive":
            return layouts.write_archive(folder / ARCHIVE, files).parent
        case "extracted":
            return layouts.write_extracted(folder, files)
        case "folder with extracted":
            return layouts.write_extracted(folder, files).parent
        case "shards":
            return layouts.write_shards(folder / "shards", data)
        case "shards without sums":
            shards = layouts.write_shards(folder / "shards", data, "png")
            (shards / "SHA256SUMS").unlink()
            return shards
        case _:
            return layouts.write_folders(folder / "folders", data, kind)


KINDS = [
    "archive",
    "new pickles",
    "folder with archive",
    "extracted",
    "folder with extracted",
    "shards",
    "shards without sums",
    "png",
    "webp",
    "bmp",
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_gives_the_same_data(tmp_path, layouts, kind):
    """Images under the right names, and a fingerprint that no layout changes."""
    source = build(layouts, tmp_path / "source", kind)

    found = cifar.prepare(source, tmp_path / "out", layouts.declaration())

    assert found == "2205da629bcc41971bdbf117cb83325c5f7483957de4c49f0bd0751107989cd2"
    data = Prepared.open(tmp_path / "out")
    assert list(data.classes) == sorted(layouts.NAMES)
    for split, entries in layouts.content().items():
        expected = {pixels.tobytes(): name for name, _, pixels in entries}
        pairs = zip(data.images(split), data.labels(split), strict=True)
        assert {image.tobytes(): data.classes[label] for image, label in pairs} == expected


def spoil(layouts, source, kind):
    """Damage a good source of zip shards, class folders or the archive; words of the error."""
    data = layouts.content()
    files = layouts.official(data, layouts.python2)
    archive, lamp = source / ARCHIVE, source / "train" / "lamp"
    match kind:
        case "truncated archive":
            whole = layouts.write_archive(archive, files).read_bytes()
            archive.write_bytes(whole[: len(whole) // 2])
            return ARCHIVE, "broken archive"
        case "archive without train":
            layouts.write_archive(archive, {k: v for k, v in files.items() if k != "train"})
            return ARCHIVE, "'train'"
        case "archive with a path out":
            layouts.write_archive(archive, {"../../train": b"", **files})
            return ARCHIVE, "out of the archive"
        case "evil pickle":
            evil = b"cposix\nsystem\n(S'touch " + str(source / "made").encode() + b"'\ntR."
            layouts.write_archive(archive, {**files, "train": evil})
            return ARCHIVE, "posix.system"
        case "labels out of range":
            bad = layouts.python2({"data": np.zeros((1, 144), np.uint8), "fine_labels": [99]})
            layouts.write_archive(archive, {**files, "train": bad})
            return "train", "labels from 0 to 3"
        case "no labels":
            bad = layouts.python2({"data": np.zeros((1, 144), np.uint8)})
            layouts.write_archive(archive, {**files, "train": bad})
            return "train", "1 fine_labels"
        case "images of another size":
            bad = layouts.python2({"data": np.zeros((1, 12), np.uint8), "fine_labels": [0]})
            layouts.write_archive(archive, {**files, "test": bad})
            return "test", "(N, 144)"
        case "no class names":
            layouts.write_archive(archive, {**files, "meta": layouts.python2({"x": 1})})
            return "meta", "fine_label_names"
        case "missing class":
            layouts.write_folders(source, data)
            for split in data:
                shutil.rmtree(source / split / "lamp")
            return str(source), "3 classes", "expected 4"
        case "class missing in test":
            layouts.write_folders(source, data)
            shutil.rmtree(source / "test" / "lamp")
            return "test/lamp", "0 images", "expected 2"
        case "no test split":
            layouts.write_folders(source, data)
            shutil.rmtree(source / "test")
            return "test/apple", "0 images"
        case "missing image":
            layouts.write_folders(source, data)
            (lamp / "lamp_1.png").unlink()
            return "train/lamp", "2 images", "expected 3"
        case "extra image":
            layouts.write_folders(source, data)
            shutil.copy(lamp / "lamp_1.png", lamp / "extra.png")
            return "train/lamp", "4 images", "expected 3"
        case "extra class":
            layouts.write_folders(source, data)
            shutil.copytree(lamp, source / "train" / "torch")
            return str(source), "5 classes"
        case "unreadable image":
            layouts.write_folders(source, data)
            path = lamp / "lamp_1.png"
            path.write_bytes(path.read_bytes()[:60])
            return "lamp_1.png", "unreadable"
        case "empty image":
            layouts.write_folders(source, data)
            (lamp / "lamp_1.png").write_bytes(b"")
            return "lamp_1.png", "0 bytes"
        case "image of another size":
            layouts.write_folders(source, data)
            pixels = np.zeros((8, 6, 3), np.uint8)
            (lamp / "lamp_1.png").write_bytes(layouts.encode(pixels, "png"))
            return "lamp_1.png", "6 x 8", "8 x 6"
        case "jpeg under another name":
            layouts.write_folders(source, data)
            pixels = np.zeros((6, 8, 3), np.uint8)
            (lamp / "lamp_1.png").write_bytes(layouts.encode(pixels, "jpeg"))
            return "lamp_1.png", "unreadable"
        case "unreadable image in a shard":
            with zipfile.ZipFile(source / "train-0.zip", "w") as shard:
                shard.writestr("train/lamp/lamp_1.webp", b"RIFF")
            return "train-0.zip", "train/lamp/lamp_1.webp", "unreadable"
        case "truncated shard":
            layouts.write_shards(source / "s", data)
            whole = (source / "s" / "train-0.zip").read_bytes()
            (source / "train-0.zip").write_bytes(whole[:-30])
            shutil.rmtree(source / "s")
            return "train-0.zip", "broken archive"
        case "wrong sum" | "unlisted shard" | "missing shard":
            shards = layouts.write_shards(source / "s", data)
            for path in list(shards.iterdir()):
                path.rename(source / path.name)
            shards.rmdir()
            if kind == "wrong sum":
                shutil.copy(source / "train-1.zip", source / "train-0.zip")
                return "train-0.zip", "another checksum"
            if kind == "unlisted shard":
                shutil.copy(source / "train-1.zip", source / "train-2.zip")
                return "SHA256SUMS", "no line for train-2.zip"
            (source / "train-0.zip").unlink()
            return "SHA256SUMS", "train-0.zip listed but absent"
        case "unknown layout":
            (source / "notes.txt").write_text("x")
            return str(source), "notes.txt", "train/<class>/*.png", "train-<n>.zip", ARCHIVE
        case "empty folder":
            return str(source), "found nothing", ARCHIVE


BAD = """truncated archive|archive without train|archive with a path out|evil pickle
labels out of range|no labels|images of another size|no class names
missing class|class missing in test|no test split|missing image|extra image|extra class
unreadable image|empty image|image of another size|jpeg under another name
unreadable image in a shard|truncated shard|wrong sum|unlisted shard|missing shard
unknown layout|empty folder""".replace("\n", "|").split("|")


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_source_is_one_line_and_leaves_nothing(tmp_path, layouts, kind):
    """The error names the place; nothing is written, and a good source then succeeds."""
    source, out = tmp_path / "source", tmp_path / "out" / "tiny"
    source.mkdir()
    words = spoil(layouts, source, kind)

    with pytest.raises(UserError) as caught:
        cifar.prepare(source, out, layouts.declaration())
    layouts.one_line(caught, *words)
    assert not out.parent.exists()
    assert not (source / "made").exists()

    good = build(layouts, tmp_path / "good", "shards")
    cifar.prepare(good, out, layouts.declaration())
    assert [path.name for path in out.parent.iterdir()] == ["tiny"]


def test_a_source_that_is_not_there(tmp_path, layouts):
    """The error lists what would be understood."""
    with pytest.raises(UserError) as caught:
        cifar.prepare(tmp_path / "absent", tmp_path / "out", layouts.declaration())
    layouts.one_line(caught, tmp_path / "absent", "no such file", ARCHIVE)


def test_a_file_that_is_no_archive(tmp_path, layouts):
    """A single file can only be the official archive."""
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DamagedData) as caught:
        cifar.prepare(tmp_path / "a.txt", tmp_path / "out", layouts.declaration())
    layouts.one_line(caught, "a.txt", "broken archive")


def test_a_given_archive_is_checked_too(tmp_path, layouts):
    """Where the declaration knows the checksum, another archive is refused before it is read."""
    source = build(layouts, tmp_path / "source", "archive")
    archive = layouts.declaration()["archive"]
    right = "md5:" + hashlib.md5(source.read_bytes()).hexdigest()
    declared = layouts.declaration(archive={**archive, "checksum": right})
    cifar.prepare(source, tmp_path / "out", declared)

    wrong = "md5:" + "0" * 32
    with pytest.raises(DamagedData) as caught:
        declared = layouts.declaration(archive={**archive, "checksum": wrong})
        cifar.prepare(source, tmp_path / "new", declared)
    layouts.one_line(caught, source, right, wrong)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.skipif("KDBENCH_CIFAR100" not in os.environ, reason="no CIFAR-100 at hand")
def test_the_real_images_agree_whatever_holds_them(tmp_path, layouts):
    """CIFAR-100 as given, and packed again in the official layout, has its known fingerprint."""
    declared = sources.declaration("cifar100")
    found = sources.prepare("cifar100", Path(os.environ["KDBENCH_CIFAR100"]), tmp_path / "a")
    data = Prepared.open(tmp_path / "a")
    names = list(data.classes)[::-1]
    files = {"meta": layouts.python2({"fine_label_names": names})}
    for split in data.splits:
        order = np.random.default_rng(0).permutation(len(data.labels(split)))
        rows = data.images(split)[order].transpose(0, 3, 1, 2).reshape(len(order), -1)
        labels = (99 - data.labels(split)[order]).tolist()
        files[split] = layouts.python2({"data": rows, "fine_labels": labels})
    source = layouts.write_archive(tmp_path / ARCHIVE, files)
    del declared["archive"]["checksum"]

    again = cifar.prepare(source, tmp_path / "b", declared)

    assert found == again == declared["fingerprint"] == verify(tmp_path / "b")
    np.testing.assert_allclose(data.mean, declared["mean"], atol=5e-5)
    np.testing.assert_allclose(data.std, declared["std"], atol=5e-5)
