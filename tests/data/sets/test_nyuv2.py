"""NYU Depth v2 from sparse-to-dense's layout, whole and attacked."""

import io
import sys

import numpy as np
import pytest
from street_scenes import unpacked, zipped

from kdbench.data.ingest import frames
from kdbench.data.ingest.tree import File
from kdbench.data.sets.nyuv2 import prepare
from kdbench.data.stored.maps import DEPTH_UNIT, Mapped
from kdbench.data.stored.open import open_data, verify_data
from kdbench.data.stored.twins import groups
from kdbench.errors import DamagedData, UserError
from kdbench.plan.components import find_components

SIZE = (6, 8)
DECLARED = {
    **find_components().get("dataset", "nyuv2", where="tests").described,
    "image": [3, *SIZE],
    "splits": {"train": 4, "test": 2},
}
TRAIN = ["bedroom_0056a/00001", "bedroom_0056b/00021", "kitchen_0004/00001", "study_0008/00101"]
FRAMES = {
    **{f"nyudepthv2/train/{name}.h5": number for number, name in enumerate(TRAIN)},
    **{f"nyudepthv2/val/official/0000{k}.h5": 4 + k for k in (0, 1)},
}


def arrays(number):
    """(3, H, W) bytes and (H, W) metres of a frame."""
    rng = np.random.default_rng(number)
    depth = rng.uniform(0.5, 10, SIZE).astype(np.float32)
    depth[0] = 0
    return rng.integers(0, 256, (3, *SIZE), np.uint8), depth


def packed(rgb, depth):
    """Two arrays in a file, which is no HDF5."""
    file = io.BytesIO()
    np.savez(file, rgb=rgb, depth=depth)
    return file.getvalue()


def unpack(file):
    """In the place of h5py, which not every machine has."""
    with np.load(io.BytesIO(file.data)) as opened:
        return opened["rgb"], opened["depth"]


@pytest.fixture
def without_h5py(monkeypatch):
    """Frames are what `packed` writes."""
    monkeypatch.setattr(frames, "_arrays", unpack)


def source():
    """All frames by their paths."""
    return {name: packed(*arrays(number)) for name, number in FRAMES.items()}


def metres(number):
    """A frame's depths as they are kept: to a fifth of a millimetre."""
    return np.rint(arrays(number)[1].astype(np.float64) / DEPTH_UNIT).astype(np.uint16)


def test_every_image_stands_beside_its_own_depths(without_h5py, tmp_path):
    """The official test images are the split test; 0 stays 0."""
    prepare(unpacked(tmp_path / "source", source()), tmp_path / "out", DECLARED)

    data = open_data(tmp_path / "out")
    assert isinstance(data, Mapped)
    assert (data.task, data.classes) == ("depth", ("metres",))
    for split, numbers in (("train", range(4)), ("test", (4, 5))):
        pairs = zip(data.images(split), data.maps(split), strict=True)
        expected = {
            (arrays(k)[0].transpose(1, 2, 0).tobytes(), metres(k).tobytes()) for k in numbers
        }
        assert {(image.tobytes(), one.tobytes()) for image, one in pairs} == expected
        assert (data.maps(split)[:, 0] == 0).all()
    assert verify_data(tmp_path / "out") == data.fingerprint


def test_searches_hold_out_whole_scenes_however_many_videos_they_have(without_h5py, tmp_path):
    """Frames of bedroom_0056a and bedroom_0056b show one room."""
    prepare(unpacked(tmp_path / "source", source()), tmp_path / "out", DECLARED)

    data = open_data(tmp_path / "out")
    assert data.labels("train").tolist() == [0, 0, 1, 2]
    first, second, *others = groups(data.together("train"))
    assert first == second
    assert len({first, *others}) == 3


def test_folder_archive_and_folder_of_the_archive_give_the_same_data(without_h5py, tmp_path):
    """The inner folder too."""
    files = source()
    folder = unpacked(tmp_path / "folder", files)
    whole = zipped(tmp_path / "whole.zip", files)
    zipped(tmp_path / "several/nyudepthv2.tar.gz", files)
    sources = folder, folder / "nyudepthv2", whole, tmp_path / "several"

    prints = {prepare(one, tmp_path / f"out{k}", DECLARED) for k, one in enumerate(sources)}
    assert len(prints) == 1


FIRST, SECOND = "nyudepthv2/train/bedroom_0056a/00001.h5", "nyudepthv2/val/official/00001.h5"
RGB, DEPTH = arrays(9)
ATTACKS = {
    "a frame is absent": ({FIRST: None}, "train: found 3 frames, expected 4"),
    "a frame is too much": ({"val/official/9.h5": packed(RGB, DEPTH)}, "more than 2 frames"),
    "a size is another": ({FIRST: packed(RGB[:, 1:], DEPTH[1:])}, "(3, 5, 8)"),
    "colours come last": ({FIRST: packed(RGB.transpose(1, 2, 0), DEPTH)}, "(6, 8, 3)"),
    "depths are in millimetres": (
        {SECOND: packed(RGB, (1000 * DEPTH).astype(np.uint16))}, "depth uint16",
    ),
    "depths are in other units": ({SECOND: packed(RGB, 1000 * DEPTH)}, "numbers from 0 to 13.1"),
    "a depth is below 0": ({SECOND: packed(RGB, DEPTH - 1)}, "depths from -1"),
    "a depth is no number": ({SECOND: packed(RGB, DEPTH * np.nan)}, "depths from nan"),
    "colours are floats": ({SECOND: packed(RGB / 255, DEPTH)}, "rgb float64"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_damaged_source_is_one_clear_line(without_h5py, tmp_path, attack):
    """What was prepared before stays."""
    changes, words = ATTACKS[attack]
    files = {k: v for k, v in {**source(), **changes}.items() if v is not None}
    files = {f"nyudepthv2/{k.removeprefix('nyudepthv2/')}": v for k, v in files.items()}
    prepare(unpacked(tmp_path / "good", source()), tmp_path / "out", DECLARED)
    before = open_data(tmp_path / "out").fingerprint

    with pytest.raises(DamagedData) as error:
        prepare(unpacked(tmp_path / "bad", files), tmp_path / "out", DECLARED)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert verify_data(tmp_path / "out") == before


def test_a_machine_without_h5py_says_what_to_install(monkeypatch, tmp_path):
    """Before anything is written."""
    monkeypatch.setitem(sys.modules, "h5py", None)

    with pytest.raises(UserError, match=r"no package h5py.*pip install 'kdbench\[hdf5\]'"):
        prepare(unpacked(tmp_path / "source", source()), tmp_path / "out", DECLARED)
    assert not (tmp_path / "out").exists()


def test_frames_are_read_from_hdf5_and_damaged_ones_are_named():
    """As sparse-to-dense's code wrote them."""
    h5py = pytest.importorskip("h5py")
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened["rgb"], opened["depth"] = arrays(0)
    image, depths = frames.read_frame(File("a", "a", file.getvalue()), SIZE)

    np.testing.assert_array_equal(image.transpose(2, 0, 1), arrays(0)[0])
    np.testing.assert_array_equal(depths, metres(0))
    for damaged in (b"", file.getvalue()[:900], b"x" * 3000):
        with pytest.raises(DamagedData, match="HDF5 with rgb and depth"):
            frames.read_frame(File("a", "a.h5", damaged), SIZE)
    other = io.BytesIO()
    with h5py.File(other, "w") as opened:
        opened["rgb"] = arrays(0)[0]
    with pytest.raises(DamagedData, match="no frame"):
        frames.read_frame(File("a", "a.h5", other.getvalue()), SIZE)
