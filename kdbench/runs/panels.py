"""Small pictures of a few test images, for the record; see `kdbench.store.panels`."""

import io
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kdbench.data.stored.maps import Mapped
from kdbench.data.stored.open import Stored
from kdbench.engine.precision import Precision
from kdbench.evaluate.segmentation import segment
from kdbench.exhibits.recipe import Recipe
from kdbench.exhibits.tasks import IGNORED, SEGMENTATION
from kdbench.models.stages import StagedNetwork
from kdbench.runs import assemble
from kdbench.store.panels import GUESS, IMAGE, KEY, NO_CLASS, OF, TRUTH, as_text, colours

COUNT = 3
LONGEST = 120  # pixels of an image's longer side
PHOTO_COLOURS = 32  # of an image: a street scene is then a quarter as large


def panels_of_data(data: Stored) -> dict[str, Any]:
    """The images and their true classes, by a record's key; nothing where images have no masks."""
    places = shown_places(data)
    if not isinstance(data, Mapped) or not places:
        return {}
    images, masks = data.images("test"), data.maps("test")
    shrink = _stride(data)
    photos = [np.asarray(Image.fromarray(images[p]).reduce(shrink)) for p in places]
    photo = Image.fromarray(np.concatenate(photos, axis=1))
    palette = photo.quantize(PHOTO_COLOURS, dither=Image.Dither.NONE)
    truth = _strip([masks[place] for place in places], shrink, len(data.classes))
    return {KEY: {OF: _hashes(data, places), IMAGE: _text(palette), TRUTH: truth}}


def panels_of_network(
    network: StagedNetwork, data: Stored, recipe: Recipe, precision: Precision
) -> dict[str, Any]:
    """The classes that a network sees in the same images, by a record's key.

    Args:
        network: with the weights that are shown.
        data: its data set; nothing comes of one whose images have no masks.
        recipe: gives the view of an image.
        precision: of the passes.
    """
    places = shown_places(data)
    if not places:
        return {}
    index, recipe = np.array(places), replace(recipe, batch=1)
    loader = assemble.make_loader(data, "test", recipe, 0, precision, index=index, purpose="test")
    masks = [
        np.asarray(mask, dtype=np.uint8)
        for batch in loader.in_order(1)
        for mask in segment(network, batch.images, precision).cpu()
    ]
    guess = _strip(masks, _stride(data), len(data.classes))
    return {KEY: {OF: _hashes(data, places), GUESS: guess}}


def shown_places(data: Stored) -> list[int]:
    """Positions of test images, evenly spaced: those of a video are then of several scenes."""
    if not isinstance(data, Mapped) or data.task != SEGMENTATION or "test" not in data.splits:
        return []
    images = len(data.labels("test"))
    count = min(COUNT, images)
    return [(2 * number + 1) * images // (2 * count) for number in range(count)]


def _hashes(data: Stored, places: Sequence[int]) -> list[str]:
    assert isinstance(data, Mapped)
    images = data.images("test")
    return [sha256(np.ascontiguousarray(images[p]).tobytes()).hexdigest()[:16] for p in places]


def _stride(data: Stored) -> int:
    """By how much images are shrunk."""
    return -(-max(data.image[1:]) // LONGEST)


def _strip(masks: Sequence[NDArray[Any]], shrink: int, classes: int) -> str:
    """Masks (H, W) uint8 side by side, every `shrink`th pixel, in the classes' colours."""
    half = shrink // 2
    numbers = np.concatenate([mask[half::shrink, half::shrink] for mask in masks], axis=1)
    numbers = np.where(numbers == IGNORED, classes, numbers).astype(np.uint8)
    strip = Image.fromarray(numbers)
    strip.putpalette([part for colour in (*colours(classes), NO_CLASS) for part in colour])
    return _text(strip)


def _text(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return as_text(file.getvalue())
