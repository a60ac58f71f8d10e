"""From maps of classes or depths to the numbers and colours of a small picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kdbench.data.loaders.joint import Joint
from kdbench.data.stored.maps import DEPTH_UNIT, Mapped
from kdbench.exhibits.tasks import DEPTH, IGNORED, NO_DEPTH
from kdbench.store.panels import BLACK, SHADES, colours, shades


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
    """A map (h, w) of what a view shows, put where it lies in the whole image (H, W).

    What lies outside of the view is `IGNORED`, or NaN in metres.

    Args:
        seen: classes or metres.
        data: says how large the whole image is.
        view: a height, a window in the middle, or both, see `Joint`.
    """
    height, width = data.image[1:]
    scaled = replace(Joint.parse(view), centre=None).output(height, width)
    rows, columns = (
        (np.arange(whole) + 0.5) * size // whole - round((size - shown) / 2)
        for whole, size, shown in zip((height, width), scaled, seen.shape, strict=True)
    )
    inside = ((rows >= 0) & (rows < len(seen)))[:, None] & (columns >= 0)
    inside &= columns < seen.shape[1]
    lines = (np.clip(rows, 0, len(seen) - 1), np.clip(columns, 0, seen.shape[1] - 1))
    whole_map = seen[np.ix_(*(line.astype(int) for line in lines))]
    return np.where(inside, whole_map, np.nan if data.task == DEPTH else IGNORED)
