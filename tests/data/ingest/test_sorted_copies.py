"""Copies of Tiny-ImageNet that scripts have sorted by class are the published data set."""

import shutil

import pytest
from families import FAMILIES, one_line

from kdbench.data.ingest.prepare import prepare
from kdbench.errors import DamagedData

FAMILY = FAMILIES["tinyimagenet"]
LISTED = "val/val_annotations.txt"


def prepare_tiny(source, out):
    """Prepare it as the package's own module does."""
    return prepare({**FAMILY.declared(), "module": FAMILY.real["module"]}, source, out)


@pytest.fixture
def official(tmp_path):
    """(folder with what the archive unpacks to, its fingerprint)."""
    source = FAMILY.write_extracted(tmp_path / "tiny-imagenet-200", FAMILY.content())
    return source, prepare_tiny(source, tmp_path / "official")


def sort_validation(source, below=""):
    """Move validation images to the folders of their classes."""
    for line in (source / LISTED).read_text().splitlines():
        name, label, *_ = line.split("\t")
        target = source / "val" / label / below
        target.mkdir(parents=True, exist_ok=True)
        (source / "val/images" / name).rename(target / name)


def flatten_training(source):
    """Move training images out of the folders called images."""
    for folder in list(source.glob("train/*/images")):
        for path in list(folder.iterdir()):
            path.rename(folder.parent / path.name)
        folder.rmdir()


@pytest.mark.parametrize("training", ["as published", "flat"])
@pytest.mark.parametrize("lists", ["all", "no annotations", "none"])
@pytest.mark.parametrize("below", ["", "images"])
def test_sorted_copies_have_the_official_fingerprint(tmp_path, official, below, lists, training):
    """Whichever script sorted them, and whether it deleted the lists."""
    source, fingerprint = official
    sort_validation(source, below)
    (source / "val/images").rmdir()
    if training == "flat":
        flatten_training(source)
    for name in {"all": [], "no annotations": [LISTED], "none": [LISTED, "wnids.txt"]}[lists]:
        (source / name).unlink()

    assert prepare_tiny(source, tmp_path / "out") == fingerprint


def test_a_script_that_broke_off_is_named(tmp_path, official):
    """Both places are counted; nothing is prepared."""
    source, _ = official
    sort_validation(source)
    moved = next(source.glob("val/n0?/*.JPEG"))
    shutil.copy(moved, source / "val/images" / moved.name)

    with pytest.raises(DamagedData) as caught:
        prepare_tiny(source, tmp_path / "out")
    one_line(caught, "val", "8 images in val/<id> and 1 images in val/images", "one layout")


def test_a_copy_without_labels_says_which_list_is_absent(tmp_path, official):
    """Flat validation images mean nothing without their list."""
    source, _ = official
    (source / LISTED).unlink()
    with pytest.raises(DamagedData) as caught:
        prepare_tiny(source, tmp_path / "out")
    one_line(caught, f"no file {LISTED!r}")


def test_an_image_in_the_folder_of_another_class_is_refused(tmp_path, official):
    """Where the list is still there to say so."""
    source, _ = official
    sort_validation(source)
    image = next(source.glob("val/n01/*.JPEG"))
    image.rename(source / "val/n02" / image.name)
    with pytest.raises(DamagedData) as caught:
        prepare_tiny(source, tmp_path / "out")
    one_line(caught, image.name, "found class n02", "expected class n01", LISTED)
