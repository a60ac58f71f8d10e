"""Writes the two files of your own data set from the content of its folder."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.data.ingest.own import Survey, survey
from kdbench.errors import BadValue, UserError
from kdbench.plan.components import find_components
from kdbench.store.atomic import write_text
from kdbench.store.disk import plain_errors

BATCH = 128  # of most protocols
STEPS = 2000  # that a training at scale lite has where its data set is small
ENOUGH = 10_000  # images of it; of larger sets it takes a share, and a tenth at least
MOST_EPOCHS = 240  # of most protocols
LARGEST_OWN = 96  # pixels of a side up to which pictures of one size are taken as they are
CODE = '''"""{label}: pictures of one's own, see docs/own-data.md."""

from kdbench.data.ingest.own import prepare

__all__ = ["prepare"]
'''


def write_data_set(
    name: str, source: Path, folder: Path, size: int | None, declared: Mapping[str, Any]
) -> tuple[list[Path], Survey]:
    """Write `<name>.py` and `<name>.toml` for the pictures of a folder; nothing is overwritten.

    Args:
        name: of the data set: small letters, digits, "-" and "_", a letter first.
        source: the pictures, see `own_pictures.own_pictures`.
        folder: made if need be; params.yaml then lists it under `plugins`.
        size: width and height that the pictures get; None keeps that which all of them have.
        declared: `test_share` and `keys`, where they are needed.

    Returns:
        The two files, and what the source holds.

    Raises:
        BadValue: no such name or size, or one class.
        UserError: the files are there, or the source is no folder of pictures.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,60}", name):
        expected = "small letters, digits, - and _, a letter first"
        raise BadValue("data new, NAME", name, expected)
    if name in find_components().names("dataset"):
        raise BadValue("data new, NAME", name, "a name that no data set has", "choose another")
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; give the folder with the images")
    files = [folder / f"{name}.py", folder / f"{name}.toml"]
    for file in files:
        if file.exists():
            raise UserError(f"{file}: already exists; choose another name or folder")
    content = survey(source, declared)
    if len(content.classes) < 2:
        raise BadValue(str(source), f"classes {list(content.classes)}", "two or more classes")
    text = _declaration(name, content, _image(source, content, size), declared)
    with plain_errors(folder):
        write_text(files[0], CODE.format(label=name))
        write_text(files[1], text)
    return files, content


def _image(source: Path, content: Survey, size: int | None) -> tuple[int, int]:
    """(height, width) of the prepared images.

    Raises:
        BadValue: the pictures have several sizes, or are large, and none was given.
    """
    if size is not None:
        return size, size
    (width, height), *others = sorted(content.sizes)
    if others or max(width, height) > LARGEST_OWN:
        (w, h) = others[-1] if others else (width, height)
        found = f"pictures of {width} x {height} to {w} x {h} pixels"
        advice = "for instance --size 32, or 64; they are cropped in the middle and resized"
        raise BadValue(f"{source}, size", found, "--size", advice)
    return height, width


def _declaration(
    name: str, content: Survey, image: tuple[int, int], declared: Mapping[str, Any]
) -> str:
    keys = declared.get("keys", {})
    lines = [
        'kind = "dataset"',
        f"label = {json.dumps(name)}",
        "revision = 1  # raise it when you prepare other pictures under this name",
        f"classes = {len(content.classes)}",
        f"image = [3, {image[0]}, {image[1]}]",
        'formats = ["JPEG"]  # beside those without loss, which are always read',
        *([f"test_share = {declared['test_share']}"] if "test_share" in declared else []),
        "",
        "[splits]  # images in each",
        *(f"{split} = {count}" for split, count in sorted(content.splits.items())),
        *(["", "[keys]  # columns"] if keys else []),
        *(f"{role} = {json.dumps(column)}" for role, column in keys.items()),
        "",
        "[smoke]  # what stands in for it at scale smoke",
        'stand_in = "digits"',
        "split_seed = 1",
        "test_share = 0.15",
        "relabel = 1",
        'augment = "crop1"',
        *_lite(content.splits.get("train", 0)),
        "",
    ]
    return "\n".join(lines)


def _lite(images: int) -> list[str]:
    """The section of scale lite: all images of a small set, and more epochs the fewer there are.

    Scale lite itself is made for sets of 50,000 images and takes a tenth of them.
    """
    share = round(min(1.0, max(0.1, ENOUGH / max(1, images))), 2)
    wanted = -(-STEPS // max(1, int(share * images) // BATCH))
    teacher, student = (min(MOST_EPOCHS, max(least, wanted)) for least in (20, 8))
    return [
        "",
        "[lite]  # scale lite on it; kdbench estimate says how long that takes",
        f"train_share = {share}",
        f"teacher_epochs = {teacher}",
        f"student_epochs = {student}",
        f"evaluate_every = {max(4, student // 10)}",
    ]
