"""Encoded images on the disk."""

import pytest
from encoded_images import IMAGE, MEAN, ROWS, STD

from kdbench.data.stored import arrow
from kdbench.data.stored.shards import Sharded, write


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The images in several shards."""
    folder = tmp_path_factory.mktemp("shards") / "set"
    about = {"name": "toy", "image": IMAGE, "mean": MEAN, "std": STD, "stand_in": None}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow, "BATCH_BYTES", 2000)
        patch.setattr(arrow, "SHARD_BYTES", 6000)
        write(folder, about, {"train": ROWS}, list("abcde"))
    return Sharded.open(folder).encoded("train")
