"""The data of a scale: a share of every class, the same for everybody, or the whole."""

import numpy as np
import pytest
from tiny_project import TinyProject

from kdbench.data.stored import arrays as dataset
from kdbench.data.stored.arrays import Prepared

CLASSES, PER_CLASS = 7, 20


def project(root, share):
    """A project whose CIFAR-100 is 7 classes of 20 small images, at a share of them."""
    rng = np.random.RandomState(3)
    tiny = TinyProject(root, scale="lite", scales={"lite": {"train_share": share}})
    splits = {
        split: (
            rng.randint(0, 256, (CLASSES * count, 8, 8, 3)).astype(np.uint8),
            np.repeat(np.arange(CLASSES), count).astype(np.int64),
        )
        for split, count in (("train", PER_CLASS), ("test", 5))
    }
    names = [f"class {i}" for i in range(CLASSES)]
    dataset.write(root / "data" / "cifar100", "cifar100", splits, names)
    tiny.run("data/cifar100")
    return tiny


def prepared(tiny):
    """What the data phase made."""
    return Prepared.open(tiny.folder("data/cifar100") / "prepared")


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_a_share_is_balanced_and_fixed(tmp_path, share):
    """It has equally many images of every class, the same ones anywhere, and all test images."""
    one, other = project(tmp_path / "a", share), project(tmp_path / "b", share)
    data = prepared(one)

    assert np.bincount(data.labels("train")).tolist() == [round(PER_CLASS * share)] * CLASSES
    assert np.bincount(data.labels("test")).tolist() == [5] * CLASSES
    assert data.fingerprint == prepared(other).fingerprint
    assert one.files() == other.files()
    whole = Prepared.open(tmp_path / "a" / "data" / "cifar100")
    known = {image.tobytes() for image in whole.images("train")}
    assert {image.tobytes() for image in data.images("train")} < known


def test_a_larger_share_contains_a_smaller_one(tmp_path):
    """Images of a smaller scale are among those of a larger one."""
    small, large = (
        {image.tobytes() for image in prepared(project(tmp_path / str(s), s)).images("train")}
        for s in (0.1, 0.5)
    )

    assert small < large


def test_the_whole_data_set_is_linked_not_copied(tmp_path):
    """One set of bytes lies on the disk under two names."""
    tiny = project(tmp_path, 1.0)
    files = sorted((tmp_path / "data" / "cifar100").iterdir())

    assert "train_images.npy" in [file.name for file in files]
    assert all((tiny.folder("data/cifar100") / "prepared" / f.name).samefile(f) for f in files)
    assert prepared(tiny).fingerprint == Prepared.open(tmp_path / "data" / "cifar100").fingerprint
