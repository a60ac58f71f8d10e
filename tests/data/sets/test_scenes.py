"""Scenes of digits: what their masks and depths say is true."""

import numpy as np
import pytest

from kdbench.data.sets.scenes import (
    FRAMES,
    GROUND,
    SCENES,
    Thing,
    compose,
    prepare_stand_in,
)
from kdbench.data.stored.maps import DEPTH_UNIT
from kdbench.data.stored.open import open_data
from kdbench.errors import BadValue

CHOICES = {"name": "camvid", "task": "segmentation", "split_seed": 3, "test_share": 0.2}


def prepared(folder, **changes):
    """A stand-in with some choices changed."""
    prepare_stand_in(folder, **{**CHOICES, **changes})
    return open_data(folder)


def square(label, depth, top, left, side=8):
    """A digit that is all ink."""
    grey = np.full((side, side), 200, np.uint8)
    return Thing(label, grey, np.array([1.0, 0.5, 0.25]), top, left, depth)


def test_nearer_things_hide_farther_ones_in_image_mask_and_depth():
    """Whatever the order in which they are given."""
    near, far = square(3, 1.5, 4, 10), square(7, 5.0, 0, 6)
    for things in ([near, far], [far, near]):
        image, labels, depths = compose(things, 0)

        assert (labels[4:12, 10:18] == 3).all()
        assert (depths[4:12, 10:18] == 1.5).all()
        assert (image[4:12, 10:18] == [200, 100, 50]).all()
        assert labels[1, 7] == 7
        assert depths[1, 7] == 5.0
        assert labels[20, 40] == GROUND


def test_the_ground_comes_nearer_from_top_to_bottom_and_the_last_row_has_nothing():
    """Neither a class nor a depth."""
    _, labels, depths = compose([], 0)

    assert (np.diff(depths[:-1, 0]) < 0).all()
    assert (depths[:-1].min(), depths[0].max()) > (5.0, 9.0)
    assert (labels[-1] == 255).all()
    assert (depths[-1] == 0).all()


def test_only_near_things_move_from_frame_to_frame():
    """As parallax has it."""
    near, far = square(3, 1.5, 20, 10), square(7, 5.0, 0, 6)
    _, labels, _ = compose([near, far], 2)

    assert (labels[20:28, 12:20] == 3).all()
    assert (labels[0:8, 6:14] == 7).all()


def test_splits_are_whole_scenes_of_digits_of_their_own(tmp_path):
    """Four frames a scene; depths are in their unit, and 0 where there is none."""
    data, deep = prepared(tmp_path / "a"), prepared(tmp_path / "b", task="depth")
    for split, scenes in (("train", 48), ("test", 12)):
        assert np.bincount(data.labels(split)).tolist() == [FRAMES] * scenes
        depths = deep.maps(split) * DEPTH_UNIT
        assert 1.4 < depths[depths > 0].min() < 1.6
        assert depths.max() <= 10.0001
        assert (depths[:, -1] == 0).all()
    assert SCENES == 48 + 12
    assert data.classes[GROUND] == "ground"
    assert set(np.unique(data.maps("train"))) == {*range(11), 255}


@pytest.mark.parametrize(
    ("change", "words"),
    [({"test_share": 1.0}, "between 0 and 1"), ({"task": "classification"}, "'segmentation'")],
)
def test_choices_that_make_no_sense_are_refused(tmp_path, change, words):
    """In one line."""
    with pytest.raises(BadValue, match=words):
        prepared(tmp_path / "a", **change)
