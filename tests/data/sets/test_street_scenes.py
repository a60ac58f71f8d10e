"""CamVid and Cityscapes from their official layouts, whole and attacked."""

import numpy as np
import pytest
from street_scenes import (
    CAMVID,
    CITIES,
    SIZE,
    camvid,
    cityscapes,
    declared,
    mask,
    picture,
    png,
    unpacked,
    zipped,
)

from kdbench.data.sets.camvid import prepare as prepare_camvid
from kdbench.data.sets.cityscapes import TRAINED
from kdbench.data.sets.cityscapes import prepare as prepare_cityscapes
from kdbench.data.stored.maps import Mapped
from kdbench.data.stored.open import open_data, verify_data
from kdbench.errors import DamagedData, UserError

CAMVID_DECLARED = declared("camvid", train=3, valid=1, test=1)
CITY_DECLARED = declared("cityscapes", train=3, test=1)
# From labels.py of cityscapesScripts: all that has a training id.
TRAIN_IDS = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole",
    19: "traffic light", 20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky",
    24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 31: "train", 32: "motorcycle",
    33: "bicycle",
}  # fmt: skip


def pairs(data, split):
    """Images and masks of a split, as a set of bytes."""
    arrays = zip(data.images(split), data.maps(split), strict=True)
    return {(image.tobytes(), one.tobytes()) for image, one in arrays}


def test_every_image_of_camvid_stands_beside_its_own_mask(tmp_path):
    """The twelfth value is ignored; videos are scenes; the split val becomes valid."""
    source = unpacked(tmp_path / "source", camvid())
    prepare_camvid(source, tmp_path / "out", CAMVID_DECLARED)

    data = open_data(tmp_path / "out")
    assert isinstance(data, Mapped)
    assert data.task == "segmentation"
    assert len(data.classes) == 11
    for split, keys in zip(("train", "valid", "test"), CAMVID.values(), strict=True):
        expected = set()
        for key in keys:
            values = mask(key, range(12))
            expected.add((picture(key).tobytes(), np.where(values == 11, 255, values).tobytes()))
        assert pairs(data, split) == expected
    assert data.labels("train").tolist() == [0, 1, 1]
    assert verify_data(tmp_path / "out") == data.fingerprint


def test_cityscapes_ids_become_the_nineteen_classes(tmp_path):
    """Every other id is ignored; pictures of other kinds beside the masks are passed over."""
    source = unpacked(tmp_path / "source", cityscapes())
    prepare_cityscapes(source, tmp_path / "out", CITY_DECLARED)

    data = open_data(tmp_path / "out")
    assert tuple(TRAIN_IDS) == TRAINED
    assert list(data.classes) == list(TRAIN_IDS.values())
    numbers = {value: place for place, value in enumerate(TRAIN_IDS)}
    for split, keys in zip(("train", "test"), CITIES.values(), strict=True):
        expected = set()
        for key in keys:
            values = mask(key, range(34))
            classes = np.vectorize(lambda value: numbers.get(value, 255))(values)
            expected.add((picture(key).tobytes(), classes.astype(np.uint8).tobytes()))
        assert pairs(data, split) == expected


@pytest.mark.parametrize(
    ("files", "prepare", "description"),
    [
        (camvid(), prepare_camvid, CAMVID_DECLARED),
        (cityscapes(), prepare_cityscapes, CITY_DECLARED),
    ],
    ids=["camvid", "cityscapes"],
)
def test_folders_and_archives_give_the_same_data(tmp_path, files, prepare, description):
    """An archive of everything, and a folder of the official archives, too."""
    folder = unpacked(tmp_path / "folder", files)
    whole = zipped(tmp_path / "whole.zip", files)
    several = tmp_path / "several"
    if description["name"] == "camvid":
        names = {split: f"{split}.zip" for split in CAMVID}
        parts = {n: {f: d for f, d in files.items() if f"/{s}" in f} for s, n in names.items()}
    else:
        parts = {
            f"{kind}_trainvaltest.zip": {f: d for f, d in files.items() if f.startswith(kind)}
            for kind in ("leftImg8bit", "gtFine")
        }
    for name, own in parts.items():
        zipped(several / name, own)

    fingerprints = {
        prepare(source, tmp_path / f"out{place}", description)
        for place, source in enumerate((folder, whole, several))
    }

    assert len(fingerprints) == 1


IMAGE, MASK = "CamVid/train/0001TP_006690.png", "CamVid/trainannot/0001TP_006690.png"
OTHER = np.zeros((SIZE[0] + 1, SIZE[1]), np.uint8)
ATTACKS = {
    "an image is absent": ({IMAGE: None}, "train: found no image for 0001TP_006690"),
    "a mask is absent": ({MASK: None}, "train: found no mask for 0001TP_006690"),
    "a pair is absent": ({IMAGE: None, MASK: None}, "found 2 images, expected 3"),
    "a pair is too much": (
        {"CamVid/train/x_1.png": png(picture("x")), "CamVid/trainannot/x_1.png": png(OTHER[1:])},
        "more than 3 images",
    ),
    "an image is cut": ({IMAGE: png(picture("x"))[:60]}, "unreadable"),
    "a mask is cut": ({MASK: png(OTHER[1:])[:40]}, "unreadable"),
    "a mask is empty": ({MASK: b""}, "unreadable picture of 0 bytes"),
    "a mask has another size": ({MASK: png(OTHER)}, "8 x 7 pixels"),
    "a mask is in colours": ({MASK: png(picture("x"))}, "mode RGB"),
    "an image has another size": ({IMAGE: png(OTHER)}, "8 x 7 pixels"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_damaged_source_is_one_clear_line(tmp_path, attack):
    """In a folder and in an archive; what was prepared before stays."""
    changes, words = ATTACKS[attack]
    files = {k: v for k, v in {**camvid(), **changes}.items() if v is not None}
    prepare_camvid(unpacked(tmp_path / "good", camvid()), tmp_path / "out", CAMVID_DECLARED)
    before = open_data(tmp_path / "out").fingerprint
    sources = unpacked(tmp_path / "folder", files), zipped(tmp_path / "a.zip", files)
    for source in sources:
        with pytest.raises(DamagedData) as error:
            prepare_camvid(source, tmp_path / "out", CAMVID_DECLARED)
        assert words in str(error.value)
        assert "\n" not in str(error.value)

    assert verify_data(tmp_path / "out") == before


def test_a_mask_with_loss_is_refused(tmp_path):
    """A JPEG invents classes between two others."""
    from PIL import Image

    source = unpacked(tmp_path / "source", camvid())
    (source / MASK).unlink()
    Image.fromarray(mask("x", range(12))).save(source / MASK.replace(".png", ".jpg"), "JPEG")

    with pytest.raises(DamagedData, match="PNG of one number per pixel"):
        prepare_camvid(source, tmp_path / "out", CAMVID_DECLARED)


def test_an_archive_that_leads_outside_is_refused(tmp_path):
    """As of all data sets."""
    source = zipped(tmp_path / "a.zip", {**camvid(), "../evil.png": b"x"})

    with pytest.raises(DamagedData, match="leads out of the archive"):
        prepare_camvid(source, tmp_path / "out", CAMVID_DECLARED)


def test_a_source_that_is_not_there_is_named(tmp_path):
    """Nothing is written."""
    with pytest.raises(UserError, match="no such file or folder"):
        prepare_cityscapes(tmp_path / "nothing", tmp_path / "out", CITY_DECLARED)
    assert not (tmp_path / "out").exists()
