"""Small copies of CamVid's and Cityscapes' official layouts, and how to spoil them."""

import io
import zipfile

import numpy as np
from PIL import Image

from kdbench.plan.components import find_components

SIZE = (6, 8)  # (H, W)
CAMVID = {
    "train": ["0001TP_006690", "0006R0_f00930", "0006R0_f00960"],
    "val": ["0016E5_07959"],
    "test": ["Seq05VD_f00000"],
}
CITIES = {
    "train": ["aachen_000000_000019", "aachen_000001_000019", "zurich_000121_000019"],
    "val": ["lindau_000000_000019"],
}


def declared(name, **splits):
    """A data set's declaration with other sizes."""
    described = find_components().get("dataset", name, where="tests").described
    return {**described, "image": [3, *SIZE], "splits": splits, "formats": []}


def png(values):
    """A PNG of an array."""
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def picture(key):
    """The (H, W, 3) pixels of an image."""
    return np.random.default_rng(list(key.encode())).integers(0, 256, (*SIZE, 3), np.uint8)


def mask(key, values):
    """The (H, W) values of its mask."""
    rng = np.random.default_rng([1, *key.encode()])
    return np.array(values, np.uint8)[rng.integers(0, len(values), SIZE)]


def camvid():
    """SegNet's folder, file by file."""
    files = {}
    for split, keys in CAMVID.items():
        for key in keys:
            files[f"CamVid/{split}/{key}.png"] = png(picture(key))
            files[f"CamVid/{split}annot/{key}.png"] = png(mask(key, range(12)))
    return files


def cityscapes():
    """The two official archives' folders; gtFine has more kinds of pictures than one."""
    files = {}
    for split, keys in CITIES.items():
        for key in keys:
            city = key.partition("_")[0]
            image, truth = f"leftImg8bit/{split}/{city}/{key}", f"gtFine/{split}/{city}/{key}"
            files[f"{image}_leftImg8bit.png"] = png(picture(key))
            files[f"{truth}_gtFine_labelIds.png"] = png(mask(key, range(34)))
            files[f"{truth}_gtFine_instanceIds.png"] = png(mask(key, range(34)))
            files[f"{truth}_gtFine_color.png"] = png(picture(key))
    return files


def unpacked(folder, files):
    """The files in a folder; returns it."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def zipped(path, files):
    """The files in an archive; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path
