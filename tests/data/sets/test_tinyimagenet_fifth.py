"""The fifth of Tiny-ImageNet: which images are taken, and which sources are refused."""

import io
import shutil
import zipfile

import numpy as np
import pytest
from families import FAMILIES, declaration, encode, one_line
from PIL import Image

from kdbench.data.ingest.prepare import prepare
from kdbench.data.sets import tinyimagenet_fifth
from kdbench.data.stored.shards import Sharded
from kdbench.errors import DamagedData

FAMILY = FAMILIES["tinyimagenet"]  # four classes of three training images, numbered from 0
TAKEN = 2  # of each class
WNIDS, LISTED = "wnids.txt", "val/val_annotations.txt"


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Two training images of a class instead of a hundred."""
    monkeypatch.setattr(tinyimagenet_fifth, "PER_CLASS", TAKEN)


@pytest.fixture(params=["as published", "class folders"])
def source(request, tmp_path):
    """A good source of each layout."""
    folder = tmp_path / "source"
    write = FAMILY.write_extracted if request.param == "as published" else FAMILY.write_folders
    return write(folder, FAMILY.content())


def prepare_tiny(source, out):
    """Prepare it as the package's own module does."""
    each = {"train": TAKEN, "test": FAMILY.each["test"]}
    declared = FAMILY.declared(
        splits={split: n * len(FAMILY.classes) for split, n in each.items()},
        each={split: [n, n] for split, n in each.items()},
        module=declaration("tinyimagenet_fifth")["module"],
        mean=[0.5] * 3,
        std=[0.25] * 3,
    )
    return prepare(declared, source, out)


def refused(source, tmp_path, *words):
    """Preparing it ends in one line with these words, and nothing is there then."""
    with pytest.raises(DamagedData) as caught:
        prepare_tiny(source, tmp_path / "out")
    one_line(caught, *words)
    assert not (tmp_path / "out").exists()


def image_of(source, name, split="train"):
    """The place of an image, by its name without an ending."""
    return next(source.glob(f"{split}/**/{name}.*"))


def test_the_first_images_of_every_class_are_taken_as_they_are(source, tmp_path):
    """Byte for byte, in the order of class and hash; further numbers are left out."""
    prepare_tiny(source, tmp_path / "out")

    data = Sharded.open(tmp_path / "out")
    taken, images = data.encoded("train"), FAMILY.content()["train"]
    expected = {entry.file for entry in images if int(entry.stem[-1]) < TAKEN}
    assert {bytes(taken[place]) for place in range(len(taken))} == expected
    assert data.labels("train").tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_an_unknown_class_folder_is_refused(source, tmp_path):
    """As for the whole Tiny-ImageNet, whatever the numbers of its images."""
    shutil.copytree(source / "train/n02", source / "train/n99")
    for name in ("n02_0", "n02_1"):
        next(source.glob(f"train/n99/**/{name}.*")).unlink()
    refused(source, tmp_path, "train/n99: found 1 images of an unknown class", "the 4 classes")


def test_an_unknown_class_in_the_lists_is_refused(tmp_path):
    """Both name it, so that nothing but the declaration says that it is none."""
    source = FAMILY.write_extracted(tmp_path / "source", FAMILY.content())
    for name in (WNIDS, LISTED):
        text = (source / name).read_text()
        end = "\n" if name == WNIDS else "\t0"
        (source / name).write_text(text.replace(f"n01{end}", f"n98{end}"))
    refused(source, tmp_path, "test/n98: found 2 images of an unknown class")


def test_images_per_class_are_compared(tmp_path):
    """One too many in one class and one too few in another leave the sum as declared."""
    source = FAMILY.write_folders(tmp_path / "source", FAMILY.content())
    (source / "val/n01/n01_0.jpeg").rename(source / "val/n03/other.jpeg")
    refused(source, tmp_path, "test/n01: found 1 images, expected 2")


def test_a_number_that_is_there_twice_is_refused(source, tmp_path):
    """The image of another class brings its number with it."""
    image = image_of(source, "n01_1")
    moved = image_of(source, "n02_1").with_name(image.name)
    image.rename(moved)
    refused(source, tmp_path, "train/n02", "found number 1 again", "every number of a class once")


def test_a_member_that_is_there_twice_is_refused(tmp_path):
    """A zip file may have two members of one name."""
    source = FAMILY.write_shards(tmp_path / "source", FAMILY.content(), "png")
    (source / "SHA256SUMS").unlink()
    with zipfile.ZipFile(source / "train-0.zip", "a") as shard:
        name = next(one for one in shard.namelist() if one.endswith("_0.png"))
        with pytest.warns(UserWarning, match="Duplicate"):
            shard.writestr(name, shard.read(name))
    refused(source, tmp_path, name, "number 0 again")


@pytest.mark.parametrize("name", ["n01_01", "n01_\N{ARABIC-INDIC DIGIT ONE}", "1", "n01_1_"])
def test_only_published_names_count(source, tmp_path, name):
    """No leading zeros, no other digits, nothing behind the number."""
    image = image_of(source, "n01_1")
    image.rename(image.with_stem(name))
    refused(source, tmp_path, "train/n01: found 1 images (1 more, whose names", "expected 2")


def test_images_under_names_of_their_own_are_named(source, tmp_path):
    """The line says which names are wanted."""
    for number, image in enumerate(sorted(source.glob("train/**/n0?_?.*"))):
        image.rename(image.with_stem(f"pic{number:02d}"))
    refused(
        source,
        tmp_path,
        "train/n01: found 0 images (3 more, whose names do not end in _<number> as published)",
        "give the images their published names, such as n01_7.JPEG",
    )


@pytest.mark.parametrize("damage", ["empty", "garbage", "header", "truncated"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_damaged_files_are_refused(source, tmp_path, split, damage):
    """Without decoding what has its header and its end."""
    path = image_of(source, "n01_1", split)
    whole = path.read_bytes()
    bad = {"empty": b"", "garbage": b"no picture", "header": whole[:20], "truncated": whole[:-9]}
    path.write_bytes(bad[damage])
    refused(source, tmp_path, path, "an unreadable picture of", "JPEG or PNG")


def test_images_of_another_size_are_refused(source, tmp_path):
    """Width and height are told apart."""
    path = image_of(source, "n01_1")
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        path.write_bytes(encode(np.asarray(image.convert("RGB").rotate(90, expand=True)), "jpeg"))
    refused(source, tmp_path, path, "found 6 x 8 pixels, expected 8 x 6 pixels")


def test_formats_that_training_does_not_read_are_refused(tmp_path):
    """Files are kept as they are."""
    source = FAMILY.write_folders(tmp_path / "source", FAMILY.content(), "bmp")
    refused(source, tmp_path, ".bmp", "expected a whole picture in JPEG or PNG")
