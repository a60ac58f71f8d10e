"""Copies of ImageNet whose validation images lie in one folder are ImageNet all the same."""

import shutil

import imagenet_layouts as tiny
import pytest
from families import one_line

from kdbench.data.sets.imagenet import prepare
from kdbench.errors import DamagedData

DATA = tiny.content()
DEVKIT = tiny.FILES["devkit"]


@pytest.fixture
def flat(tmp_path):
    """Class folders of training images, and all validation images in val/."""
    folder = tiny.write_folders(tmp_path / "source", DATA)
    for path in list(folder.glob("val/*/*")):
        path.rename(folder / "val" / path.name)
    for path in list(folder.glob("val/*/")):
        path.rmdir()
    return folder


def write_solution(folder, change=lambda wnid: wnid):
    """Kaggle's list."""
    rows = [
        f"{name.removesuffix('.JPEG')},{change(wnid)} 1 2 3 4 " for wnid, name, _ in DATA["test"]
    ]
    text = "\n".join(["ImageId,PredictionString", *reversed(rows)]) + "\n"
    (folder / "LOC_val_solution.csv").write_text(text)


@pytest.fixture
def fingerprint(tmp_path):
    """Of the sorted class folders."""
    source = tiny.write_folders(tmp_path / "sorted", DATA)
    return prepare(source, tmp_path / "reference", tiny.declaration(DATA))


@pytest.mark.parametrize("labels", ["devkit", "solution"])
@pytest.mark.parametrize("below", ["", "ILSVRC/Data/CLS-LOC"])
def test_flat_validation_images_are_read(tmp_path, flat, fingerprint, below, labels):
    """Beside the devkit or Kaggle's list, also below the folders of Kaggle's copy."""
    source = tmp_path / "copy"
    shutil.copytree(flat, source / below, dirs_exist_ok=True)
    if labels == "devkit":
        (source / DEVKIT).write_bytes(tiny.devkit(DATA))
    else:
        write_solution(source)

    assert prepare(source, tmp_path / "out", tiny.declaration(DATA)) == fingerprint


def test_without_a_list_the_line_says_which_would_do(tmp_path, flat):
    """Nothing is guessed from names."""
    with pytest.raises(DamagedData) as caught:
        prepare(flat, tmp_path / "out", tiny.declaration(DATA))
    one_line(caught, "8 images of no class", DEVKIT, "LOC_val_solution.csv")


def test_a_list_of_other_classes_is_refused(tmp_path, flat):
    """With its line."""
    write_solution(flat, lambda wnid: "n99999999")
    with pytest.raises(DamagedData) as caught:
        prepare(flat, tmp_path / "out", tiny.declaration(DATA))
    one_line(caught, "LOC_val_solution.csv, line 2", "one of 4 classes")


def test_an_image_that_no_list_has_is_refused(tmp_path, flat):
    """It would have no class."""
    write_solution(flat)
    image = next(flat.glob("val/*.JPEG"))
    shutil.copy(image, flat / "val/other.JPEG")
    with pytest.raises(DamagedData) as caught:
        prepare(flat, tmp_path / "out", tiny.declaration(DATA))
    one_line(caught, "other.JPEG", "not listed")
