"""From maps of classes or depths to the numbers and colours of a small picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from kdbench.data.loaders.joint import Joint
from kdbench.data.stored.maps import DEPTH_UNIT, Mapped
from kdbench.exhibits.tasks import DEPTH, IGNORED, NO_DEPTH
from kdbench.store.panels import BLACK, SHADES, colours, shades

OUTSIDE = -1  # a line of an image that a view does not show


@dataclass(frozen=True)
class Palette:
    """The colours of a data set's maps.

    Attributes:
        colours: (red, green, blue) by number, black last: what does not count.
        metres: the depths of the first and of the last colour before black; None of classes.
    """

    colours: Sequence[tuple[int, int, int]]
    metres: tuple[float, float] | None = None

    @classmethod
    def of(cls, data: Mapped, maps: Sequence[NDArray[Any]]) -> Self:
        """The palette for some true maps; of depths it reaches from the nearest to the farthest."""
        if data.task != DEPTH:
            return cls([*colours(len(data.classes)), BLACK])
        measured = np.concatenate([depths[np.isfinite(depths)] for depths in maps])
        near, far = (measured.min(), measured.max()) if measured.size else (0.0, 0.1)
        tenths = floor(10 * near), max(ceil(10 * far), floor(10 * near) + 1)
        return cls([*shades(), BLACK], (tenths[0] / 10, tenths[1] / 10))

    def numbers(self, a_map: NDArray[Any]) -> NDArray[np.uint8]:
        """The number of every pixel's colour; depths beyond an end of the scale have its colour.

        Args:
            a_map: classes with `IGNORED`, or metres with NaN, where nothing is shown.
        """
        black = len(self.colours) - 1
        if self.metres is None:
            return np.where(a_map == IGNORED, black, a_map).astype(np.uint8)
        near, far = self.metres
        place = np.clip((a_map - near) / (far - near) * SHADES, 0, SHADES - 1)
        return np.where(np.isnan(a_map), black, np.nan_to_num(place)).astype(np.uint8)


def true_map(data: Mapped, place: int) -> NDArray[Any]:
    """The map (H, W) of a test image: classes, or metres with NaN where nothing is measured."""
    stored = np.asarray(data.maps("test")[place])
    if data.task != DEPTH:
        return stored
    return np.where(stored == NO_DEPTH, np.nan, stored * DEPTH_UNIT)


def in_whole_image(seen: NDArray[Any], data: Mapped, view: str) -> NDArray[Any]:
    """A map of what a view shows, put where it lies in the whole image.

    Args:
        seen: (h, w) classes or metres.
        data: says how large the whole image is.
        view: the fixed augmentation that networks are measured in.

    Returns:
        (H, W); what lies outside of the view is `IGNORED`, or NaN in metres.
    """
    _, height, width = data.image
    rows, columns = _lines_shown(view, height, width)
    whole = seen[np.ix_(np.maximum(rows, 0), np.maximum(columns, 0))]
    outside = (rows == OUTSIDE)[:, None] | (columns == OUTSIDE)
    return np.where(outside, np.nan if data.task == DEPTH else IGNORED, whole)


def _lines_shown(view: str, height: int, width: int) -> tuple[NDArray[np.int64], ...]:
    """By row and by column of the whole image, the row and column of the view that shows it."""
    grid = np.meshgrid(np.arange(1, height + 1), np.arange(1, width + 1), indexing="ij")
    image, rng = torch.zeros(3, height, width, dtype=torch.uint8), torch.Generator()
    joint, lines = Joint.parse(view), []
    for axis, numbers in enumerate(grid):
        _, moved = joint(image, torch.from_numpy(numbers), rng, depth=False, fill=0)
        shown = moved.amax(1 - axis).numpy()  # 0 where the view reaches beyond the image
        places = np.flatnonzero(shown)
        first, last = shown[places[[0, -1]]]
        line, spacing = np.arange(1, numbers.shape[axis] + 1), (last - first + 1) / len(places)
        before = np.searchsorted(shown[places], line, side="right") - 1
        beyond = (before < 0) | (line >= last + max(1, round(spacing)))
        lines.append(np.where(beyond, OUTSIDE, places[before]))
    return tuple(lines)
