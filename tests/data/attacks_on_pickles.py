"""Pickles of the CIFAR families that are not what they should be; see `attacks.py`."""

import numpy as np
from families import python2


def _pickle(family, **changes):
    """A pickle of one image, with some entries changed."""
    width, keys = int(np.prod(family.image)), family.real["keys"]
    record = {"data": np.zeros((1, width), np.uint8), keys["labels"]: [0], **changes}
    return python2({key: value for key, value in record.items() if value is not None})


def _with_pickle(family, folder, data, split="train"):
    name = family.real["files"][split][-1]
    return family.tampered(folder, **{name: data}), name


def evil_pickle(family, folder):
    """A pickle that would run a command."""
    target = folder.parent / "escaped"
    evil = b"cposix\nsystem\n(S'touch " + str(target).encode() + b"'\ntR."
    source, name = _with_pickle(family, folder, evil)
    return source, (name, "posix.system", "do not trust")


def labels_out_of_range(family, folder):
    """A label that no class has."""
    key = family.real["keys"]["labels"]
    source, name = _with_pickle(family, folder, _pickle(family, **{key: [99]}))
    return source, (name, f"{key} from 0 to 3")


def no_labels(family, folder):
    """Images without labels."""
    key = family.real["keys"]["labels"]
    source, name = _with_pickle(family, folder, _pickle(family, **{key: None}), "test")
    return source, (name, f"1 {key}")


def images_of_another_size(family, folder):
    """Rows of another length."""
    bad = _pickle(family, data=np.zeros((1, 12), np.uint8))
    source, name = _with_pickle(family, folder, bad, "test")
    return source, (name, "(N, 144)")


def no_class_names(family, folder):
    """A list of something else."""
    meta, key = family.real["files"]["meta"], family.real["keys"]["names"]
    return family.tampered(folder, **{meta: python2({"x": 1})}), (meta, key)


def other_class_names(family, folder):
    """The names of another data set."""
    meta, key = family.real["files"]["meta"], family.real["keys"]["names"]
    names = ["pear", "apple", "torch", "lamp"]
    source = family.tampered(folder, **{meta: python2({key: names})})
    return source, ("train/torch", "unknown class")
