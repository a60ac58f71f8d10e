"""Small pictures of a few test images, for the record; see `kdbench.store.panels`."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from kdbench.data.stored.maps import Mapped
from kdbench.data.stored.open import Stored
from kdbench.engine.precision import Precision
from kdbench.evaluate.depth import depths_of
from kdbench.evaluate.segmentation import segment
from kdbench.exhibits.recipe import Recipe
from kdbench.exhibits.tasks import DEPTH, SEGMENTATION
from kdbench.models.stages import StagedNetwork
from kdbench.runs import assemble
from kdbench.runs.panel_colours import Palette, in_whole_image, true_map
from kdbench.store.panels import GUESS, IMAGE, KEY, METRES, OF, TRUTH, as_text

COUNT = 3
LONGEST = 120  # pixels of an image's longer side
PHOTO_COLOURS = 32  # of an image: a street scene is then a quarter as large
# By task, the map (B, H, W) that a network gives of images.
MAPS_OF: Mapping[str, Callable[..., Tensor]] = {SEGMENTATION: segment, DEPTH: depths_of}


def panels_of_data(data: Stored) -> dict[str, Any]:
    """The images and their true maps, by a record's key; nothing where images have no maps."""
    places = shown_places(data)
    if not isinstance(data, Mapped) or not places:
        return {}
    images, shrink = data.images("test"), _stride(data)
    photos = [np.asarray(Image.fromarray(images[p]).reduce(shrink)) for p in places]
    photo = Image.fromarray(np.concatenate(photos, axis=1))
    few = photo.quantize(PHOTO_COLOURS, dither=Image.Dither.NONE)
    maps = [true_map(data, place) for place in places]
    palette = Palette.of(data, maps)
    truth = _strip(maps, shrink, palette)
    return {KEY: {**_about(data, places, palette), IMAGE: _text(few), TRUTH: truth}}


def panels_of_network(
    network: StagedNetwork, data: Stored, recipe: Recipe, precision: Precision
) -> dict[str, Any]:
    """The classes or depths that a network sees in the same images, by a record's key.

    Depths have the scale of the true ones. Where a network is measured on a part of an image,
    its map lies in that part.

    Args:
        network: with the weights that are shown.
        data: its data set; nothing comes of one whose images have no maps.
        recipe: gives the view of an image.
        precision: of the passes.
    """
    places = shown_places(data)
    if not isinstance(data, Mapped) or not places:
        return {}
    index, recipe = np.array(places), replace(recipe, batch=1)
    loader = assemble.make_loader(data, "test", recipe, 0, precision, index=index, purpose="test")
    maps = [
        in_whole_image(a_map.numpy(), data, recipe.view or "none")
        for batch in loader.in_order(1)
        for a_map in MAPS_OF[data.task](network, batch.images, precision).cpu()
    ]
    palette = Palette.of(data, [true_map(data, place) for place in places])
    guess = _strip(maps, _stride(data), palette)
    return {KEY: {**_about(data, places, palette), GUESS: guess}}


def shown_places(data: Stored) -> list[int]:
    """Positions of test images, evenly spaced: those of a video are then of several scenes."""
    if not isinstance(data, Mapped) or data.task not in MAPS_OF or "test" not in data.splits:
        return []
    images = len(data.labels("test"))
    count = min(COUNT, images)
    return [(2 * number + 1) * images // (2 * count) for number in range(count)]


def _about(data: Mapped, places: Sequence[int], palette: Palette) -> dict[str, Any]:
    """By what panels of several records belong together: the images, and a scale of depths."""
    images = data.images("test")
    hashes = [sha256(np.ascontiguousarray(images[p]).tobytes()).hexdigest()[:16] for p in places]
    return {OF: hashes} | ({METRES: list(palette.metres)} if palette.metres else {})


def _stride(data: Stored) -> int:
    """By how much images are shrunk."""
    return -(-max(data.image[1:]) // LONGEST)


def _strip(maps: Sequence[NDArray[Any]], shrink: int, palette: Palette) -> str:
    """Maps (H, W) side by side, every `shrink`th pixel, in a palette's colours."""
    half = shrink // 2
    numbers = np.concatenate([a_map[half::shrink, half::shrink] for a_map in maps], axis=1)
    strip = Image.fromarray(palette.numbers(numbers))
    strip.putpalette([part for colour in palette.colours for part in colour])
    return _text(strip)


def _text(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return as_text(file.getvalue())
