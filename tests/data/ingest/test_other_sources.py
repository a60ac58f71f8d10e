"""Sources that people have in place of the published ones: read, or refused with the way out."""

import tarfile
import tomllib
from pathlib import Path

import numpy as np
import pytest
from families import FAMILIES, encode, one_line
from PIL import Image

from kdbench.data.ingest.prepare import prepare
from kdbench.data.stored.arrays import Prepared
from kdbench.data.stored.validation import misleading_numbers
from kdbench.errors import DamagedData

OWN = {"name": "mine", "label": "Mine", "module": "kdbench.data.sets.cinic10", "image": [3, 8, 8]}


def write_folders(folder, counts, suffix="png", seed=0):
    """Class folders of random 8 x 8 images; `counts` by split and class."""
    rng = np.random.RandomState(seed)
    for split, classes in counts.items():
        for name, count in classes.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.randint(0, 256, (8, 8, 3), dtype=np.uint8)
                (folder / split / name / f"{number}.{suffix}").write_bytes(encode(pixels, suffix))
    return folder


def declared(counts, **more):
    """A data set with as many images as that."""
    splits = {split: sum(classes.values()) for split, classes in counts.items()}
    return {**OWN, "classes": len(counts["train"]), "splits": splits, **more}


@pytest.mark.parametrize("name", FAMILIES)
def test_lossy_copies_are_counted_and_called_so(tmp_path, name):
    """CIFAR-10 as JPEG class folders is not said to be empty."""
    family = FAMILIES[name]
    source = family.write_folders(tmp_path / "source", family.content())
    for path in list(source.glob("*/*/[!.]*.*")):
        path.rename(path.with_suffix(".gif"))

    with pytest.raises(DamagedData) as caught:
        prepare({**family.declared(), "module": family.real["module"]}, source, tmp_path / "out")
    words = (
        "0 images (3 GIF files were passed over)",
        f"lossy copies are not {family.real['label']}",
    )
    one_line(caught, *words)


@pytest.mark.parametrize("named", [True, False])
def test_own_images_of_a_format_with_loss_ask_for_a_line_in_the_declaration(tmp_path, named):
    """The line says which; with it they are read."""
    counts = {"train": {"a": 3, "b": 5}, "test": {"a": 1, "b": 2}}
    source = write_folders(tmp_path / "source", counts, "jpeg")
    own = declared(counts, **({"class_names": ["a", "b"]} if named else {}))

    with pytest.raises(DamagedData) as caught:
        prepare(own, source, tmp_path / "out")
    one_line(caught, "JPEG files were passed over", 'write formats = ["JPEG"] into mine.toml')
    prepare({**own, "formats": ["JPEG"]}, source, tmp_path / "out")
    assert np.bincount(Prepared.open(tmp_path / "out").labels("train")).tolist() == [3, 5]


def test_classes_may_have_unequal_numbers_of_images(tmp_path):
    """Where the declaration does not promise a number; it may promise bounds."""
    counts = {"train": {"a": 3, "b": 5}, "test": {"a": 1, "b": 2}}
    source = write_folders(tmp_path / "source", counts)
    prepare(declared(counts), source, tmp_path / "out")
    prepare(declared(counts, each={"train": [3, 5]}), source, tmp_path / "out")

    with pytest.raises(DamagedData) as caught:
        prepare(declared(counts, each={"train": [4, 5]}), source, tmp_path / "out")
    one_line(caught, "train/a", "found 3 images", "expected 4 to 5")
    with pytest.raises(DamagedData) as caught:
        prepare({**declared(counts), "splits": {"train": 9, "test": 3}}, source, tmp_path / "out")
    one_line(caught, "train", "found 8 images", "9, as declared", "write train = 8 under [splits]")


def test_a_class_without_images_in_a_split_is_refused(tmp_path):
    """It is a mistake more often than a wish."""
    counts = {"train": {"a": 3, "b": 5}, "test": {"a": 2}}
    source = write_folders(tmp_path / "source", counts)
    with pytest.raises(DamagedData) as caught:
        prepare(declared(counts), source, tmp_path / "out")
    one_line(caught, "test/b", "0 images")


@pytest.mark.parametrize("mode", ["w:xz", "w:gz", "w"])
def test_a_repacked_archive_is_called_so_and_its_folder_is_read(tmp_path, mode):
    """Same files, another checksum: the line says to unpack it, and that works."""
    family = FAMILIES["cifar100"]
    module = {"module": family.real["module"]}
    files = family.write_extracted(tmp_path / "files" / family.root, family.content())
    repacked = tmp_path / "cifar-100-python.tar.xz"
    with tarfile.open(repacked, mode) as archive:
        archive.add(files, f"./{family.root}")
    archive = {**family.declared()["archive"], "checksum": "md5:" + "0" * 32}

    with pytest.raises(DamagedData) as caught:
        prepare({**family.declared(archive=archive), **module}, repacked, tmp_path / "out")
    one_line(caught, "md5:", "not the published file", "unpack this and give the folder")
    assert prepare({**family.declared(archive=archive), **module}, files.parent, tmp_path / "out")


def test_a_hard_link_in_an_archive_says_to_unpack_it(tmp_path):
    """As `tar` writes files that are linked on the disk; nothing is followed."""
    folder = write_folders(tmp_path / "in", {"train": {"a": 1}}) / "train/a"
    (folder / "1.png").hardlink_to(folder / "0.png")
    with tarfile.open(tmp_path / "mine.tar", "w") as archive:
        archive.add(tmp_path / "in/train", "train")

    with pytest.raises(DamagedData) as caught:
        prepare(declared({"train": {"a": 2}}), tmp_path / "mine.tar", tmp_path / "out")
    one_line(caught, "a link or a device", "unpack it yourself and give the folder")


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    """The higher eight bits of a grey PNG stay; Pillow alone would leave white."""
    counts = {"train": {"a": 1}, "test": {"a": 1}}
    source = write_folders(tmp_path / "source", counts)
    deep = (np.arange(64, dtype=np.uint16) * 1040).reshape(8, 8)
    Image.fromarray(deep).save(source / "train/a/0.png")
    prepare(declared(counts), source, tmp_path / "out")

    pixels = Prepared.open(tmp_path / "out").images("train")[0]
    assert np.array_equal(pixels, np.repeat((deep // 256)[..., None], 3, axis=2))


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ([*"0123", *map(str, range(4, 10))], ""),
        (sorted(map(str, range(12))), 'class "10" is label 2'),
        (["1", "2", "3"], 'class "1" is label 0'),
        (sorted(["1_cat", "2_dog", "10_ox"]), 'class "10_ox" is label 0'),
        (["1_cat", "2_dog"], ""),
        (["007", "008"], 'class "007" is label 0'),
        (["n01", "n02"], ""),
        (["3d", "cat"], ""),
    ],
)
def test_class_names_that_look_like_numbers_are_told(classes, words):
    """Where a reader would take them for labels, and they are others."""
    line = misleading_numbers(classes)
    assert bool(line) == bool(words) and words in line


def test_the_walk_through_of_the_documentation_works(tmp_path):
    """Its declaration, with nine unequal classes of 64 x 64 JPEG files."""
    page = (Path(__file__).parents[3] / "docs/data.md").read_text(encoding="utf-8")
    own = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])
    assert (own.pop("kind"), own["classes"], own["image"]) == ("dataset", 9, [3, 64, 64])
    file = encode(np.full((64, 64, 3), 90, np.uint8), "jpeg")
    for split, total in own["splits"].items():
        shares = [total // 45 * number for number in range(1, 9)]
        for number, count in enumerate([*shares, total - sum(shares)]):
            folder = tmp_path / "photos" / split / f"class{number}"
            folder.mkdir(parents=True)
            for image in range(count):
                (folder / f"{image}.jpg").write_bytes(file)

    prepare({**OWN, **own}, tmp_path / "photos", tmp_path / "out")
    assert len(set(np.bincount(Prepared.open(tmp_path / "out").labels("train")))) == 9
