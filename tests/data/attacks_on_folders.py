"""Class folders and shards of them that are not what they should be; see `attacks.py`."""

import shutil
import zipfile

import numpy as np
from families import encode


def missing_class(family, folder):
    """A class that no split has."""
    family.write_folders(folder, family.content())
    name = sorted(family.classes)[1]
    for place in folder.glob(f"*/{name}"):
        shutil.rmtree(place)
    return folder, (f"train/{name}", "0 images", "expected 3")


def class_missing_in_test(family, folder):
    """A class that only the training split has."""
    family.write_folders(folder, family.content())
    name = family.classes[0]
    shutil.rmtree(folder / family.folders["test"] / name)
    return folder, (f"test/{name}", "0 images", "expected 2")


def missing_split(family, folder):
    """Nothing to test with."""
    family.write_folders(folder, family.content())
    shutil.rmtree(folder / family.folders["test"])
    return folder, (f"test/{sorted(family.classes)[0]}", "0 images")


def extra_class(family, folder):
    """A class that the data set does not have."""
    family.write_folders(folder, family.content())
    shutil.copytree(folder / "train" / family.classes[0], folder / "train" / "torch")
    return folder, ("train/torch", "3 images of an unknown class", "the 4 classes")


def renamed_class(family, folder):
    """As many classes as there should be, but another one."""
    family.write_folders(folder, family.content())
    for place in list(folder.glob(f"*/{family.classes[0]}")):
        place.rename(place.with_name("torch"))
    return folder, ("train/torch", "3 images of an unknown class")


def too_few(family, folder):
    """An image is missing."""
    family.write_folders(folder, family.content())
    name = family.classes[-1]
    next((folder / "train" / name).glob(f"{name}_1.*")).unlink()
    return folder, (f"train/{name}", "2 images", "expected 3")


def too_many(family, folder):
    """An image is there twice."""
    family.write_folders(folder, family.content())
    name = family.classes[-1]
    path = next((folder / "train" / name).glob(f"{name}_1.*"))
    shutil.copy(path, path.with_stem("again"))
    return folder, (f"train/{name}", "4 images", "expected 3")


def _picture(family, folder, change):
    family.write_folders(folder, family.content())
    name = family.classes[-1]
    path = next((folder / "train" / name).glob(f"{name}_1.*"))
    path.write_bytes(change(path.read_bytes()))
    return folder, (path,)


def unreadable_picture(family, folder):
    """A picture that was cut."""
    source, words = _picture(family, folder, lambda data: data[:60])
    return source, (*words, "unreadable", "60 bytes")


def empty_picture(family, folder):
    """A picture of 0 bytes."""
    source, words = _picture(family, folder, lambda data: b"")
    return source, (*words, "unreadable", "0 bytes")


def turned_picture(family, folder):
    """Height and width swapped."""
    other = encode(np.zeros((8, 6, 3), np.uint8), family.suffix)
    source, words = _picture(family, folder, lambda data: other)
    return source, (*words, "6 x 8", "8 x 6")


def huge_picture(family, folder):
    """A picture of more pixels than fit into memory, in a few bytes."""
    grey = encode(np.zeros((1, 1, 3), np.uint8), "png")
    huge = grey[:16] + (60_000).to_bytes(4, "big") * 2 + grey[24:]
    source, words = _picture(family, folder, lambda data: huge)
    return source, (*words, "unreadable")


def other_format(family, folder):
    """A picture whose format loses detail, and is not the published one."""
    other = encode(np.zeros((6, 8, 3), np.uint8), "gif")
    source, words = _picture(family, folder, lambda data: other)
    return source, (*words, "unreadable", "PNG")


def broken_picture_in_shard(family, folder):
    """The error names shard and member."""
    family.write_shards(folder, family.content())
    (folder / "SHA256SUMS").unlink()
    with zipfile.ZipFile(folder / "train-9.zip", "w") as shard:
        shard.writestr("train/lamp/lamp_1.webp", b"RIFF")
    shutil.move(folder / "train-9.zip", folder / "train-0.zip")
    return folder, ("train-0.zip", "train/lamp/lamp_1.webp", "unreadable")


def truncated_shard(family, folder):
    """The end of a shard is missing."""
    path = family.write_shards(folder, family.content()) / "train-0.zip"
    path.write_bytes(path.read_bytes()[:-30])
    (folder / "SHA256SUMS").unlink()
    return folder, (path, "broken archive")


def wrong_sum(family, folder):
    """A shard that is not the one of its checksum."""
    family.write_shards(folder, family.content())
    shutil.copy(folder / "train-1.zip", folder / "train-0.zip")
    return folder, ("train-0.zip", "another checksum")


def shard_without_sum(family, folder):
    """A shard that came from elsewhere."""
    family.write_shards(folder, family.content())
    shutil.copy(folder / "train-1.zip", folder / "train-2.zip")
    return folder, ("SHA256SUMS", "no line for train-2.zip")


def missing_shard(family, folder):
    """A shard that was not downloaded."""
    family.write_shards(folder, family.content())
    (folder / "train-0.zip").unlink()
    return folder, ("SHA256SUMS", "train-0.zip listed but absent")


def shard_of_another_name(family, folder):
    """It is there, so "absent" would send its owner for it again."""
    family.write_shards(folder, family.content())
    (folder / "train-0.zip").rename(folder / "train.zip")
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text().replace("train-0.zip", "train.zip"))
    return folder, ("SHA256SUMS", "train.zip listed", "names like train-0.zip", "unpack all")


def unknown_layout(family, folder):
    """Something else altogether; the error says what would be understood."""
    (folder / "notes.txt").write_text("x")
    shape = f"train/<class>/*.{'JPEG' if family.suffix == 'jpeg' else 'png'}"
    words = ("notes.txt", shape, "train-<n>.zip", family.archive, family.root)
    return folder, (folder, "not recognised", *words)


def empty_folder(family, folder):
    """Nothing at all."""
    return folder, (folder, "found nothing", family.archive)


def absent_source(family, folder):
    """A mistyped path."""
    return folder / "absent", (folder / "absent", "no such file or folder", family.archive)
