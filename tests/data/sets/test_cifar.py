"""The CIFAR families: pickles of every age, and the real images where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from families import FAMILIES, declaration, pack, python2, python3, write_sums

from kdbench.data.ingest.prepare import prepare
from kdbench.data.stored.arrays import Prepared, verify
from kdbench.errors import UserError

REAL = os.environ.get("KDBENCH_CIFAR100")
needs_real_images = pytest.mark.skipif(REAL is None, reason="no CIFAR-100 at hand")


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("protocol", [2, 5])
def test_pickles_of_today_give_the_same(tmp_path, name, protocol):
    """Somebody may have packed the official files again."""
    family = FAMILIES[name]
    declared = {**family.declared(), "module": family.real["module"]}
    old = family.write_extracted(tmp_path / "old", family.content())
    new = family.write_extracted(tmp_path / "new", family.content())
    keys, files = family.real["keys"], family.real["files"]
    entries = family.content()["test"]
    record = {
        "data": np.stack([entry.pixels.transpose(2, 0, 1).reshape(-1) for entry in entries]),
        keys["labels"]: [family.classes.index(entry.label) for entry in entries],
    }
    dump = python3(protocol)
    (new / files["test"][0]).write_bytes(dump(record))
    (new / files["meta"]).write_bytes(dump({keys["names"]: list(family.classes)}))

    fingerprint = prepare(declared, new, tmp_path / "out")

    assert fingerprint == prepare(declared, old, tmp_path / "again")


def test_a_folder_of_the_other_one_is_not_taken(tmp_path):
    """CIFAR-10 and CIFAR-100 are told apart by the names of their files."""
    ten, hundred = FAMILIES["cifar10"], FAMILIES["cifar100"]
    source = ten.write_extracted(tmp_path / "source", ten.content())

    with pytest.raises(UserError, match="layout not recognised"):
        prepare(
            {**hundred.declared(), "module": "kdbench.data.sets.cifar"}, source, tmp_path / "out"
        )


@needs_real_images
def test_a_share_of_the_real_images(tmp_path):
    """The 10,000 test images of CIFAR-100, as if to train on, are known by their fingerprint."""
    for path in Path(REAL).glob("test-*.zip"):
        (tmp_path / path.name).symlink_to(path.resolve())
    write_sums(tmp_path)
    real = declaration("cifar100")
    keys = ("module", "classes", "image", "class_names", "files", "keys")
    taken = {key: real[key] for key in keys}
    share = {"name": "share", "splits": {"train": 10000}, "folders": {"train": ["test"]}}

    fingerprint = prepare({**taken, **share}, tmp_path, tmp_path / "out")

    assert fingerprint == "0f67935e8a6eee0f00ae5f21bc1ef4bdb633879a856c42582fa085ecd3544b53"


@pytest.mark.slow
@needs_real_images
def test_the_real_images_agree_whatever_holds_them(tmp_path):
    """CIFAR-100 as given, and packed again in the official layout, has its known fingerprint."""
    declared = declaration("cifar100")
    fingerprint = prepare(declared, Path(REAL), tmp_path / "a")
    data = Prepared.open(tmp_path / "a")
    files = [("meta", python2({"fine_label_names": list(data.classes)[::-1]}))]
    for split in data.splits:
        order = np.random.default_rng(0).permutation(len(data.labels(split)))
        rows = data.images(split)[order].transpose(0, 3, 1, 2).reshape(len(order), -1)
        labels = (99 - data.labels(split)[order]).tolist()
        files.append((split, python2({"data": rows, "fine_labels": labels})))
    source = pack(tmp_path / "archive", files, as_zip=False)
    del declared["archive"]["checksum"]

    again = prepare(declared, source, tmp_path / "b")

    assert fingerprint == again == declared["fingerprint"] == verify(tmp_path / "b")
