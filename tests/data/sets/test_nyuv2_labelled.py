"""NYU Depth v2's labelled images in MATLAB's layout, in which axes are reversed; and attacked."""

import numpy as np
import pytest
from scipy.io import savemat

from kdbench.data.sets import nyuv2
from kdbench.data.sets.nyuv2_labelled import IMAGES, SPLITS, prepare
from kdbench.data.stored.maps import DEPTH_UNIT
from kdbench.data.stored.open import open_data, verify_data
from kdbench.data.stored.twins import groups
from kdbench.errors import DamagedData, UserError
from kdbench.plan.components import find_components

h5py = pytest.importorskip("h5py")
DECLARED = {
    **find_components().get("dataset", "nyuv2_labelled", where="tests").described,
    "image": [3, 6, 8],
    "splits": {"train": 3, "test": 2},
}
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 6, 8, 3), np.uint8)
METRES = RNG.uniform(0.7, 10, (5, 6, 8)).astype(np.float32)
NAMES = ["office_0002", "bedroom_0056a", "kitchen_0004", "bedroom_0056b", "study_0008"]
TRAIN, TEST = [2, 4, 5], [1, 3]  # from 1
ARRAYS = {"images": PIXELS.transpose(0, 3, 2, 1), "depths": METRES.transpose(0, 2, 1)}


def source(folder, train=TRAIN, test=TEST, names=NAMES, **arrays):
    """Both files, as MATLAB writes them: a user block, cells of text by reference."""
    folder.mkdir()
    with h5py.File(folder / IMAGES, "w", userblock_size=512) as file:
        for key, array in {**ARRAYS, **arrays}.items():
            if array is not None:
                file.create_dataset(key, data=array, compression="gzip")
        cells = file.create_dataset("scenes", (1, len(names)), h5py.ref_dtype)
        for place, name in enumerate(names):
            codes = np.array([[ord(letter)] for letter in name], np.uint16).reshape(-1, 1)
            file[f"#refs#/{place}"] = codes
            cells[0, place] = file[f"#refs#/{place}"].ref
    columns = {"trainNdxs": np.c_[train], "testNdxs": np.c_[test]}
    savemat(folder / SPLITS, {key: column.astype(np.uint16) for key, column in columns.items()})
    return folder


def test_images_and_depths_are_turned_and_split_officially(tmp_path):
    """From the folder or the file; searches hold out whole scenes."""
    folder = source(tmp_path / "source")
    fingerprint = prepare(folder, tmp_path / "out", DECLARED)

    data = open_data(tmp_path / "out")
    assert verify_data(tmp_path / "out") == fingerprint
    assert prepare(folder / IMAGES, tmp_path / "again", DECLARED) == fingerprint
    for split, numbers in (("train", TRAIN), ("test", TEST)):
        pairs = {
            (image.tobytes(), depths.tobytes())
            for image, depths in zip(data.images(split), data.maps(split), strict=True)
        }
        units = np.rint(METRES.astype(float) / DEPTH_UNIT).astype(np.uint16)
        assert pairs == {(PIXELS[k - 1].tobytes(), units[k - 1].tobytes()) for k in numbers}
    first, second, third = groups(data.together("train"))
    assert first == second != third


ATTACKS = {
    "no depths": ({"depths": None}, "with images, depths and scenes"),
    "axes as in Python": ({"images": PIXELS}, "'images': (5, 6, 8, 3)"),
    "an image is absent": ({"images": ARRAYS["images"][1:]}, "expected {'images': (5, 3, 8, 6)"),
    "scenes of no name": ({"names": [*NAMES[1:], ""]}, "scenes: found something else"),
    "depths in millimetres": ({"depths": 1000 * ARRAYS["depths"]}, "image 2: found depths from"),
    "an image in both splits": ({"test": [1, 2]}, "expected every image in one split"),
    "numbers from 0": ({"train": [1, 3, 4], "test": [0, 2]}, "every image in one split"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_damaged_source_is_one_clear_line(tmp_path, attack):
    """Nothing is prepared."""
    changes, words = ATTACKS[attack]
    with pytest.raises(DamagedData) as error:
        prepare(source(tmp_path / "bad", **changes), tmp_path / "out", DECLARED)

    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "words"), [(IMAGES, "MATLAB 7.3"), (SPLITS, "MATLAB 5 with")])
def test_a_cut_or_absent_file_is_named(tmp_path, name, words):
    """Beside the other one it is expected."""
    file = source(tmp_path / "source") / name
    whole = file.read_bytes()
    for cut in (0, 100, len(whole) // 2, len(whole) - 40):
        file.write_bytes(whole[:cut])
        with pytest.raises(DamagedData, match=rf"{name}: found .*{words}"):
            prepare(tmp_path / "source", tmp_path / "out", DECLARED)
    file.unlink()
    with pytest.raises(UserError, match=rf"{name}: no such file; expected {IMAGES} and {SPLITS}"):
        prepare(tmp_path / "source", tmp_path / "out", DECLARED)


def test_the_data_set_of_frames_names_that_of_the_labelled_images(tmp_path):
    """The file is taken for no archive."""
    with pytest.raises(UserError, match="labelled images are data set nyuv2_labelled"):
        nyuv2.prepare(tmp_path / IMAGES, tmp_path / "out", DECLARED)
