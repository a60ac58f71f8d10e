"""Tiny data sets of every family, in every layout that the preparation reads.

Their declarations are the real ones but for names, sizes and counts, so that the real names of
files, keys and folders are tried.
"""

import hashlib
import io
import json
import tarfile
import zipfile
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from old_pickles import python2, python3
from PIL import Image

from kdbench.plan.components import find_components

__all__ = ["python2", "python3"]  # for tests that have this module as the fixture `layouts`
UNKNOWN = ("fingerprint", "mean", "std", "tolerance", "smoke")  # numbers of the real data


def declaration(name):
    """A copy of what a data set of the package declares."""
    return deepcopy(find_components().get("dataset", name, where="data").described)


class Entry(NamedTuple):
    """One image: its class, the name of its file, its pixels (H, W, 3), its published file."""

    label: str
    stem: str
    pixels: np.ndarray
    file: bytes


@dataclass(frozen=True)
class Family:
    """A data set of a few images, declared like the real one called `name`."""

    name: str
    classes: tuple[str, ...]  # not in alphabetical order, so that an unmapped label is wrong
    each: dict[str, int]  # images of a class by split
    folders: dict[str, str]  # folder of each split among class folders
    image: tuple[int, int, int] = (3, 6, 8)  # C, H, W: swapping height and width is seen

    @property
    def tiny(self):
        """Its name as a plug-in."""
        return f"tiny_{self.name}"

    @property
    def real(self):
        """The real declaration."""
        return declaration(self.name)

    @property
    def suffix(self):
        """Format of its published pictures."""
        return self.real.get("formats", ["png"])[0].lower()

    @property
    def archive(self):
        """File name of the official archive."""
        return self.real["archive"]["url"].rpartition("/")[2]

    @property
    def root(self):
        """The folder that the official archive unpacks to."""
        return self.real["archive"]["root"]

    def declared(self, **changes):
        """Its declaration."""
        real = self.real
        return {
            **{key: value for key, value in real.items() if key not in UNKNOWN},
            "name": self.tiny,
            "classes": len(self.classes),
            "class_names": sorted(self.classes),
            "image": list(self.image),
            "splits": {split: n * len(self.classes) for split, n in self.each.items()},
            "each": {split: [n, n] for split, n in self.each.items()},
            "archive": {"url": f"http://localhost/{self.archive}", "root": self.root},
            **changes,
        }

    def content(self, seed=0):
        """By split, entries in a random order; two of a lossy family's are grey."""
        rng = np.random.RandomState(seed)
        entries = {}
        for split, each in self.each.items():
            drawn = [
                (name, f"{name}_{k}", rng.randint(0, 256, (*self.image[1:], 3), dtype=np.uint8))
                for name in self.classes
                for k in range(each)
            ]
            chosen = [drawn[i] for i in rng.permutation(len(drawn))]
            entries[split] = [self.entry(*one, grey=i == 0) for i, one in enumerate(chosen)]
        return entries

    def entry(self, label, stem, pixels, grey=False):
        """An image as it is published: a lossy file has other pixels than it was made from."""
        if self.suffix == "png":
            return Entry(label, stem, pixels, encode(pixels, "png"))
        file = encode(pixels[..., 0] if grey else pixels, self.suffix)
        return Entry(label, stem, np.asarray(Image.open(io.BytesIO(file)).convert("RGB")), file)

    def official(self, data):
        """The files of the official archive by their paths below its root."""
        return OFFICIAL[self.name](self, data)

    def write_archive(self, path, data, extra=(), prefix=None):
        """The official archive; `extra` are further members, see `pack`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f"{self.root}/" if prefix is None else prefix
        files = [(f"{prefix}{name}", file) for name, file in self.official(data).items()]
        return pack(path, [*extra, *files], as_zip=self.archive.endswith(".zip"))

    def write_extracted(self, folder, data):
        """What the official archive unpacks to."""
        for name, file in self.official(data).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(file)
        return folder

    def tampered(self, folder, **changes):
        """The extracted official files with some replaced, or taken away by None."""
        folder = self.write_extracted(folder, self.content())
        for name, data in changes.items():
            path = folder / name
            if data is None:
                path.unlink()
            else:
                path.write_bytes(data)
        return folder

    def write_folders(self, folder, data, suffix=None):
        """Class folders, with the clutter that file managers leave."""
        for split, entries in data.items():
            for entry in entries:
                place = folder / self.folders[split] / entry.label
                place.mkdir(parents=True, exist_ok=True)
                file = encode(entry.pixels, suffix) if suffix else entry.file
                (place / f"{entry.stem}.{suffix or self.suffix}").write_bytes(file)
        (folder / "train" / self.classes[0] / ".DS_Store").write_bytes(b"clutter")
        (folder / "train" / self.classes[0] / "._hidden.png").write_bytes(b"clutter")
        (folder / "README.txt").write_text("clutter")
        return folder

    def write_shards(self, folder, data, suffix="webp"):
        """Zip shards, two of each split, with their checksums."""
        folder.mkdir(parents=True, exist_ok=True)
        for split, entries in data.items():
            name = self.folders[split]
            for number in range(2):
                with zipfile.ZipFile(folder / f"{name}-{number}.zip", "w") as shard:
                    for entry in entries[number::2]:
                        place = f"{name}/{entry.label}/{entry.stem}.{suffix}"
                        shard.writestr(place, encode(entry.pixels, suffix))
        write_sums(folder)
        return folder


def _cifar(family, data):
    """Pickles, the images of a split spread over as many as its declaration names."""
    names, keys = family.real["files"], family.real["keys"]
    files = {}
    for split, entries in data.items():
        for number, name in enumerate(names[split]):
            part = entries[number :: len(names[split])]
            rows = [entry.pixels.transpose(2, 0, 1).reshape(-1) for entry in part]
            record = {
                "filenames": [f"{entry.stem}.png" for entry in part],
                keys["labels"]: [family.classes.index(entry.label) for entry in part],
                "data": np.stack(rows),
            }
            files[name] = python2(record)
    files[names["meta"]] = python2({keys["names"]: list(family.classes)})
    return files


def _cinic(family, data):
    """Class folders and two lists."""
    files = {"README.md": b"clutter", "synsets-to-cifar-10-classes.txt": b"clutter"}
    for split, entries in data.items():
        files |= {f"{split}/{e.label}/{e.stem}.png": e.file for e in entries}
    return files


def _tinyimagenet(family, data):
    """Lists before and after the pictures, boxes, and test pictures without labels."""
    classes = "".join(f"{name}\n" for name in family.classes)
    words = "".join(f"{name}\tthe {name}, or so\n" for name in ("n0", *family.classes))
    lines = "".join(f"{e.stem}.JPEG\t{e.label}\t0\t0\t62\t62\n" for e in data["test"])
    files = {"words.txt": words.encode()}
    for entry in data["train"]:
        files[f"train/{entry.label}/images/{entry.stem}.JPEG"] = entry.file
        files[f"train/{entry.label}/{entry.label}_boxes.txt"] = b"x.JPEG\t0\t0\t62\t62\n"
    files |= {f"val/images/{e.stem}.JPEG": e.file for e in data["test"]}
    files |= {"val/val_annotations.txt": lines.encode(), "wnids.txt": classes.encode()}
    return {**files, "test/images/test_0.JPEG": b"no label, not read"}


OFFICIAL = {
    "cifar10": _cifar,
    "cifar100": _cifar,
    "cinic10": _cinic,
    "tinyimagenet": _tinyimagenet,
}
FRUIT = ("pear", "apple", "aquarium_fish", "lamp")
PICKLED = ("cifar10", "cifar100")  # the others publish picture files
BOTH = {"train": "train", "test": "test"}
FAMILIES = {
    family.name: family
    for family in (
        Family("cifar10", FRUIT, {"train": 3, "test": 2}, BOTH),
        Family("cifar100", FRUIT, {"train": 3, "test": 2}, BOTH),
        Family("cinic10", FRUIT, {"train": 3, "valid": 2, "test": 2}, {**BOTH, "valid": "valid"}),
        Family(
            "tinyimagenet",
            ("n02", "n04", "n01", "n03"),
            {"train": 3, "test": 2},
            {"train": "train", "test": "val"},
        ),
    )
}


def encode(pixels, suffix):
    """A picture file's bytes; without loss but for jpeg."""
    file = io.BytesIO()
    options = {"webp": {"lossless": True, "exact": True}, "jpeg": {"quality": 95}}
    Image.fromarray(pixels).save(file, suffix, **options.get(suffix, {}))
    return file.getvalue()


def pack(path, members, as_zip):
    """An archive of (name, bytes) or (name, change) where `change` edits the member's header."""
    if as_zip:
        with zipfile.ZipFile(path, "w") as archive:
            for name, what in members:
                info = zipfile.ZipInfo(name)
                archive.writestr(info, b"" if callable(what) else what)
                if callable(what):
                    what(info)
        return path
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, what in members:
            info = tarfile.TarInfo(name)
            if callable(what):
                what(info)
                archive.addfile(info)
            else:
                info.size = len(what)
                archive.addfile(info, io.BytesIO(what))
    return path


def write_sums(folder):
    """SHA256SUMS of every zip in the folder."""
    shards = sorted(Path(folder).glob("*.zip"))
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in shards]
    (folder / "SHA256SUMS").write_text("".join(lines))


def toml(declared):
    """A declaration as a plug-in's file."""
    keys = {**declared, "kind": "dataset"}
    del keys["name"], keys["module"]
    plain = {k: v for k, v in keys.items() if not isinstance(v, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for section in keys.keys() - plain.keys():
        lines += [f"[{section}]", *(f"{k} = {json.dumps(v)}" for k, v in keys[section].items())]
    return "\n".join(lines) + "\n"


def one_line(caught, *words):
    """The caught error, or its text, is one line and has all these words."""
    message = str(getattr(caught, "value", caught))
    assert "\n" not in message.rstrip("\n")
    for word in words:
        assert str(word) in message, message
