"""Builders of a tiny ImageNet: its official archives and class folders, with all their traps."""

import hashlib
import io
import tarfile

import numpy as np
from PIL import Image
from scipy.io import savemat

# The devkit's order, which is not the alphabet's: a label taken over unmapped is a wrong label.
NUMBERED = ["n03000003", "n01000001", "n04000004", "n02000002"]
CLASSES = sorted(NUMBERED)
GROUPS = ["n00000008", "n00000009"]  # synsets with children, which are no classes
EACH = {"train": (3, 5), "test": (2, 2)}
DEVKIT = "ILSVRC2012_devkit_t12"
FILES = {
    "train": "ILSVRC2012_img_train.tar",
    "test": "ILSVRC2012_img_val.tar",
    "devkit": f"{DEVKIT}.tar.gz",
}


def picture(rng, size=(50, 40), mode="RGB", kind="JPEG", **options):
    """The bytes of a smooth random picture of (width, height) pixels."""
    coarse = rng.randint(0, 256, (5, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def content(seed=0):
    """By split, a list of (class, file name, bytes) in an order of chance.

    One training image is grey, one has four colours of ink, one is a PNG in spite of its name.
    """
    rng = np.random.RandomState(seed)
    train = []
    for number, wnid in enumerate(CLASSES):
        for k in range(EACH["train"][0] + number % 3):
            size = (int(rng.randint(30, 60)), int(rng.randint(30, 60)))
            train.append((wnid, f"{wnid}_{rng.randint(10**6)}{k}.JPEG", picture(rng, size)))
    for place, mode, kind in ((0, "L", "JPEG"), (4, "CMYK", "JPEG"), (9, "RGB", "PNG")):
        wnid, name, _ = train[place]
        train[place] = wnid, name, picture(rng, mode=mode, kind=kind)
    labels = rng.permutation(CLASSES * EACH["test"][0])
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, len(labels) + 1)]
    test = [(str(w), name, picture(rng)) for w, name in zip(labels, names, strict=True)]
    return {"train": [train[i] for i in rng.permutation(len(train))], "test": test}


def declaration(data, folder=None, **changes):
    """What imagenet.toml would say of the tiny one; with the checksums of a folder's archives."""
    archives = {role: {"file": name} for role, name in FILES.items()}
    for known in archives.values() if folder else ():
        raw = (folder / known["file"]).read_bytes()
        known |= {"size": len(raw), "checksum": f"md5:{hashlib.md5(raw).hexdigest()}"}
    return {
        "name": "imagenet",
        "module": "kdbench.data.sets.imagenet",
        "classes": len(CLASSES),
        "class_names": list(NUMBERED),
        "image": [3, 24, 24],
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "splits": {split: len(entries) for split, entries in data.items()},
        "each": {split: list(limits) for split, limits in EACH.items()},
        "folders": {"train": ["train"], "test": ["val"]},
        "archives": archives,
        "known": {name: wnid for wnid, name, _ in data["test"][:3]},
        **changes,
    }


def tar(files, mode="w"):
    """The bytes of a tar of (name, bytes); a TarInfo in a name's place goes in as it is."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in files:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def class_tars(data):
    """(name, bytes) of each class's tar, in an order that is nobody's alphabet."""
    return [
        (f"{wnid}.tar", tar([(name, raw) for w, name, raw in data["train"] if w == wnid]))
        for wnid in NUMBERED
    ]


def meta_mat(numbered=NUMBERED):
    """The devkit's meta.mat: a struct array of classes and, after them, of groups of classes."""
    fields = "ILSVRC2012_ID WNID words gloss num_children children wordnet_height num_train_images"
    names = [*numbered, *GROUPS]
    rows = np.empty((len(names), 1), dtype=[(name, object) for name in fields.split()])
    for number, wnid in enumerate(names, start=1):
        children = [] if number <= len(numbered) else [1, 2]
        rows[number - 1, 0] = (
            *(float(number), wnid, f"thing {wnid}, other name", "a thing", float(len(children))),
            *(np.array(children, dtype=float), float(len(children) > 0), 3.0),
        )
    file = io.BytesIO()
    savemat(file, {"synsets": rows})
    return file.getvalue()


def truth(data, numbered=NUMBERED):
    """The validation set's ground truth in the devkit's numbers, from 1."""
    return "".join(f"{numbered.index(wnid) + 1}\n" for wnid, _, _ in data["test"]).encode()


def devkit(data, *, mat=None, lines=None):
    """The bytes of the devkit's archive."""
    files = [
        (f"{DEVKIT}/readme.txt", b"about"),
        (f"{DEVKIT}/data/meta.mat", meta_mat() if mat is None else mat),
        (
            f"{DEVKIT}/data/ILSVRC2012_validation_ground_truth.txt",
            truth(data) if lines is None else lines,
        ),
    ]
    return tar(files, "w:gz")


def write_archives(folder, data, **replaced):
    """The three official archives in a folder; `replaced` gives other bytes for some."""
    folder.mkdir(parents=True, exist_ok=True)
    builders = {
        "train": lambda: tar(class_tars(data)),
        "test": lambda: tar([(name, raw) for _, name, raw in data["test"]]),
        "devkit": lambda: devkit(data),
    }
    for role, name in FILES.items():
        (folder / name).write_bytes(replaced.get(role) or builders[role]())
    return folder


def write_folders(folder, data, place=lambda wnid: wnid):
    """Class folders train/ and val/, with the clutter that file managers leave."""
    for split, root in (("train", "train"), ("test", "val")):
        for wnid, name, raw in data[split]:
            path = folder / root / (place(wnid) if split == "test" else wnid) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
    (folder / "train" / CLASSES[0] / ".DS_Store").write_bytes(b"clutter")
    (folder / "val" / ".ipynb_checkpoints").mkdir()
    return folder
