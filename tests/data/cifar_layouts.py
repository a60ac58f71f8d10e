"""Builders of tiny data sets in every layout that the preparation reads."""

import hashlib
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

# Not in alphabetical order, so that a label taken over unmapped is a wrong label.
NAMES = ["pear", "apple", "aquarium_fish", "lamp"]
IMAGE = (3, 6, 8)  # C, H, W: height and width differ, so that swapping them is seen
EACH = {"train": 3, "test": 2}
ROOT = "cifar-100-python"


def declaration(**changes):
    """A declaration of the tiny data set, as its TOML file would give it."""
    archive = {"url": f"http://localhost/{ROOT}.tar.gz", "root": ROOT}
    return {
        "name": "tiny",
        "module": "cifar",
        "classes": len(NAMES),
        "image": list(IMAGE),
        "splits": {split: n * len(NAMES) for split, n in EACH.items()},
        "archive": archive,
        **changes,
    }


def content(seed=0):
    """By split, a shuffled list of (class name, file stem, (H, W, C) pixels)."""
    rng = np.random.RandomState(seed)
    found = {}
    for split, each in EACH.items():
        entries = [
            (name, f"{name}_{k}", rng.randint(0, 256, (*IMAGE[1:], 3), dtype=np.uint8))
            for name in NAMES
            for k in range(each)
        ]
        found[split] = [entries[i] for i in rng.permutation(len(entries))]
    return found


def official(data, dump):
    """The files train, test and meta of the official archive, pickled by `dump`."""
    files = {}
    for split, entries in data.items():
        rows = [pixels.transpose(2, 0, 1).reshape(-1) for _, _, pixels in entries]
        record = {
            "filenames": [f"{stem}.png" for _, stem, _ in entries],
            "batch_label": "batch 1 of 1",
            "fine_labels": [NAMES.index(name) for name, _, _ in entries],
            "coarse_labels": [0] * len(entries),
            "data": np.stack(rows),
        }
        files[split] = dump(record)
    files["meta"] = dump({"fine_label_names": NAMES, "coarse_label_names": ["thing"]})
    return files


def python2(value):
    """Pickle as Python 2 and its numpy did: text as bytes, arrays with their raw string."""
    return b"\x80\x02" + _old(value) + b"."


def python3(protocol):
    """A pickling function of today's Python and numpy."""
    return lambda value: pickle.dumps(value, protocol)


def _old(value):
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"I01\n" if value else b"I00\n"
    if isinstance(value, int):
        return b"J" + value.to_bytes(4, "little", signed=True)
    if isinstance(value, str | bytes):
        raw = value.encode() if isinstance(value, str) else value
        return b"T" + len(raw).to_bytes(4, "little") + raw
    if isinstance(value, list | tuple):
        items = b"".join(map(_old, value))
        return b"](" + items + b"e" if isinstance(value, list) else b"(" + items + b"t"
    if isinstance(value, dict):
        return b"}(" + b"".join(_old(k) + _old(v) for k, v in value.items()) + b"u"
    kind = b"cnumpy\ndtype\n" + _old(("u1", 0, 1)) + b"R"
    kind += _old((3, "|", None, None, None, -1, -1, 0)) + b"b"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + _old((0,)) + _old("b")
    state = _old(1) + _old(value.shape) + kind + _old(False) + _old(value.tobytes())
    return empty + b"tR(" + state + b"tb"


def write_archive(path, files):
    """A tar.gz of the official files."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{ROOT}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_extracted(folder, files):
    """The folder that the official archive unpacks to."""
    (folder / ROOT).mkdir(parents=True)
    for name, data in files.items():
        (folder / ROOT / name).write_bytes(data)
    return folder / ROOT


def encode(pixels, suffix):
    """A picture file's bytes, without loss."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(
        file, suffix, **({"lossless": True, "exact": True} if suffix == "webp" else {})
    )
    return file.getvalue()


def write_folders(folder, data, suffix="png"):
    """Class folders, with the clutter that file managers leave."""
    for split, entries in data.items():
        for name, stem, pixels in entries:
            place = folder / split / name
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{stem}.{suffix}").write_bytes(encode(pixels, suffix))
    (folder / "train" / NAMES[0] / ".DS_Store").write_bytes(b"clutter")
    (folder / "README.txt").write_text("clutter")
    return folder


def write_shards(folder, data, suffix="webp"):
    """Zip shards, two of each split, with their checksums."""
    folder.mkdir(parents=True)
    for split, entries in data.items():
        for number in range(2):
            with zipfile.ZipFile(folder / f"{split}-{number}.zip", "w") as archive:
                for name, stem, pixels in entries[number::2]:
                    archive.writestr(f"{split}/{name}/{stem}.{suffix}", encode(pixels, suffix))
    write_sums(folder)
    return folder


def write_sums(folder):
    """SHA256SUMS of every zip in the folder."""
    shards = sorted(Path(folder).glob("*.zip"))
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in shards]
    (folder / "SHA256SUMS").write_text("".join(lines))


def one_line(caught, *words):
    """The caught error is one line and has all these words."""
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message, message
