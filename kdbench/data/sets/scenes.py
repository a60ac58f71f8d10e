"""Scenes put together from digits: true masks and true depths, for scale smoke.

A scene has a ground that comes nearer from top to bottom, and four digits before it, each at a
depth of its own: the nearer, the larger, and nearer ones hide farther ones. Its frames show the
digits moving sideways, nearer ones faster, so that neighbouring frames are almost twins.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdbench.data.sets.digits import load, stratified
from kdbench.data.stored.fingerprint import Images
from kdbench.data.stored.maps import DEPTH_UNIT, MappedSplit, write
from kdbench.errors import BadValue
from kdbench.exhibits.tasks import DEPTH, IGNORED, NO_DEPTH, SEGMENTATION

HEIGHT, WIDTH = 32, 48
SCENES, FRAMES = 60, 4
GROUND = 10  # its class, after the ten digits
FAR, NEAR = 10.0, 6.0  # metres of the ground at the top and at the bottom
OBJECTS = ((5.0, 1), (4.0, 1), (3.0, 2), (1.5, 2))  # metres, and times a digit's size; far to near
INK = 64  # a digit's pixel that is at least as bright hides what is behind
CLASSES = (*(f"digit {digit}" for digit in range(10)), "ground")


@dataclass(frozen=True)
class Thing:
    """A digit in a scene.

    Attributes:
        label: the digit.
        grey: (h, w) uint8 of it.
        colour: (3,) factors of its brightness.
        top, left: of its first frame's place.
        depth: in metres.
    """

    label: int
    grey: NDArray[np.uint8]
    colour: NDArray[np.float64]
    top: int
    left: int
    depth: float


def prepare_stand_in(
    out: Path, *, name: str, task: str, split_seed: int, test_share: float, parted: bool = True
) -> str:
    """Write scenes to `out` in the place of the data set `name`.

    Args:
        out: the prepared folder, see `maps.write`.
        name: the data set whose place they take.
        task: what the maps are of.
        split_seed: draws which digits stand in test scenes, and all scenes.
        test_share: share of the scenes, and of every class's digits, that are for testing.
        parted: see `kdbench.data.stored.maps.Mapped`.

    Returns:
        The fingerprint.

    Raises:
        BadValue: a share that leaves nothing to train or to test on, or an unknown task.
        UserError: the disk is full.
    """
    if not 0 < test_share < 1:
        raise BadValue(f"{name}, smoke.test_share", test_share, "a share between 0 and 1")
    if task not in (SEGMENTATION, DEPTH):
        raise BadValue(f"{name}, smoke.task", task, f"{SEGMENTATION!r} or {DEPTH!r}")
    images, digits = load()
    counts = {"test": round(test_share * SCENES)}
    counts["train"] = SCENES - counts["test"]
    rng = np.random.RandomState(split_seed)
    splits = {}
    for split, chosen in stratified(digits, {"test": test_share}, split_seed).items():
        pool = images[chosen][..., 0], digits[chosen]
        splits[split] = _split(*pool, counts[split], task, rng)
    classes = CLASSES if task == SEGMENTATION else ("metres",)
    return write(out, name, splits, classes, task=task, parted=parted, stand_in="scenes")


def _split(
    greys: Images, digits: NDArray[np.int64], scenes: int, task: str, rng: np.random.RandomState
) -> MappedSplit:
    """So many scenes, frame by frame."""
    images, maps = [], []
    for _ in range(scenes):
        things = [_draw(greys, digits, depth, size, rng) for depth, size in OBJECTS]
        for frame in range(FRAMES):
            image, labels, depths = compose(things, frame)
            images.append(image)
            maps.append(labels if task == SEGMENTATION else _in_units(depths))
    numbers = np.repeat(np.arange(scenes, dtype=np.int64), FRAMES)
    return MappedSplit(np.stack(images), np.stack(maps), numbers)


def _draw(
    greys: Images, digits: NDArray[np.int64], depth: float, size: int, rng: np.random.RandomState
) -> Thing:
    which = rng.randint(len(digits))
    grey = np.kron(greys[which], np.ones((size, size), np.uint8))
    top = rng.randint(HEIGHT - grey.shape[0])
    left = rng.randint(WIDTH - grey.shape[1] - FRAMES)
    colour = rng.uniform(0.5, 1.0, 3)
    return Thing(int(digits[which]), grey, colour, top, left, depth)


def compose(
    things: list[Thing], frame: int
) -> tuple[Images, NDArray[np.uint8], NDArray[np.float64]]:
    """One frame: the image (H, W, 3), the classes and the depths in metres (H, W).

    The last row shows the bonnet of the car that the camera stands on: its pixels have neither a
    class nor a depth.

    Args:
        things: in any order; the nearer hide the farther.
        frame: nearer things have moved farther to the right.
    """
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    labels = np.full((HEIGHT, WIDTH), GROUND, np.uint8)
    depths = np.repeat(np.linspace(FAR, NEAR, HEIGHT)[:, None], WIDTH, 1)
    for thing in sorted(things, key=lambda thing: -thing.depth):
        height, width = thing.grey.shape
        left = thing.left + (frame if thing.depth < OBJECTS[1][0] else 0)
        place = np.s_[thing.top : thing.top + height, left : left + width]
        ink = thing.grey >= INK
        image[place][ink] = (thing.grey[ink][:, None] * thing.colour).astype(np.uint8)
        labels[place][ink] = thing.label
        depths[place][ink] = thing.depth
    labels[-1], depths[-1] = IGNORED, NO_DEPTH
    return image, labels, depths


def _in_units(depths: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.rint(depths / DEPTH_UNIT).astype(np.uint16)
