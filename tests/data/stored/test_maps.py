"""Prepared images with maps: order, fingerprint, scenes, damage."""

import numpy as np
import pytest

from kdbench.data.stored.maps import Mapped, MappedSplit, take, write
from kdbench.data.stored.open import open_data, verify_data
from kdbench.data.stored.twins import groups
from kdbench.errors import DamagedData

RNG = np.random.default_rng(0)
SPLIT = MappedSplit(
    RNG.integers(0, 256, (6, 4, 5, 3), np.uint8),
    RNG.integers(0, 3, (6, 4, 5)).astype(np.uint8),
    np.array([1, 0, 1, 0, 2, 2]),
)
CLASSES = ("a", "b", "c")


def written(folder, split=SPLIT, **changes):
    """A prepared data set; its fingerprint."""
    settings = {"task": "segmentation", **changes}
    return write(folder, "x", {"train": split, "test": split}, CLASSES, **settings)


def shuffled(split):
    """The same pairs in another order."""
    order = [3, 1, 5, 0, 4, 2]
    return MappedSplit(*(part[order] for part in split))


def test_pairs_come_back_whole_by_scene(tmp_path):
    """An image stands where its map does, whatever the order of the source."""
    fingerprint = written(tmp_path / "a")
    assert written(tmp_path / "b", shuffled(SPLIT)) == fingerprint

    data = open_data(tmp_path / "b")
    assert isinstance(data, Mapped)
    assert data.labels("train").tolist() == [0, 0, 1, 1, 2, 2]
    expected = {(i.tobytes(), m.tobytes(), int(s)) for i, m, s in zip(*SPLIT, strict=True)}
    arrays = data.images("train"), data.maps("train"), data.labels("train")
    assert {(i.tobytes(), m.tobytes(), int(s)) for i, m, s in zip(*arrays, strict=True)} == expected


def test_a_changed_map_is_another_data_set(tmp_path):
    """And a changed scene."""
    maps, scenes = SPLIT.maps.copy(), SPLIT.scenes.copy()
    maps[0, 0, 0] += 1
    scenes[0] = 2

    prints = {
        written(tmp_path / "a"),
        written(tmp_path / "b", SPLIT._replace(maps=maps)),
        written(tmp_path / "c", SPLIT._replace(scenes=scenes)),
    }
    assert len(prints) == 3


def test_damage_is_found(tmp_path):
    """A byte of a map is part of the fingerprint."""
    written(tmp_path / "a")
    verify_data(tmp_path / "a")
    file = tmp_path / "a" / "train_maps.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)

    with pytest.raises(DamagedData, match="fingerprint"):
        verify_data(tmp_path / "a")


def test_whole_scenes_stay_together_where_they_must(tmp_path):
    """Frames of a video are almost twins; of single images only equal ones are."""
    written(tmp_path / "a", parted=False)
    written(tmp_path / "b")

    scenes, images = (groups(open_data(tmp_path / name).together("train")) for name in "ab")
    assert len(set(scenes)) == 3
    assert [len(set(scenes[k : k + 2])) for k in (0, 2, 4)] == [1, 1, 1]
    assert len(set(images)) == 6


def test_a_share_keeps_pairs_and_settings(tmp_path):
    """Test images are all kept."""
    written(tmp_path / "a", parted=False)
    data = open_data(tmp_path / "a")
    take(data, tmp_path / "b", {"train": np.array([1, 4])})

    part = open_data(tmp_path / "b")
    assert (part.task, part.parted, len(part.labels("test"))) == ("segmentation", False, 6)
    np.testing.assert_array_equal(part.images("train"), data.images("train")[[1, 4]])
    np.testing.assert_array_equal(part.maps("train"), data.maps("train")[[1, 4]])
