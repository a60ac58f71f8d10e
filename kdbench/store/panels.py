"""Panels: a few test images, what is there and what a network says is there, in records.

Written by the phases that see images, read by the report. A strip is a PNG file of all images side
by side, as text (base64). The record of a data set has the images' own strip and that of their
true classes or depths, the record of an evaluation what the first of its networks says of the same
images.
"""

import binascii
from base64 import b64decode, b64encode
from colorsys import hls_to_rgb

KEY = "panels"  # of a record
OF = "of"  # in it: hashes of the images, by which strips of several records belong together
METRES = "metres"  # in it, of depths: the nearest and the farthest on the scale of colours
IMAGE, TRUTH, GUESS = "image", "truth", "guess"  # in it: strips
BLACK = (0, 0, 0)  # colour of pixels that do not count
SHADES = 64  # of a scale of depths: few enough for small files
SIGNATURE = b"\x89PNG\r\n\x1a\n"
GOLDEN = (5**0.5 - 1) / 2  # of a turn between two hues: neighbours in a list are far apart
LIGHTNESS = (0.5, 0.72, 0.36)


def colours(classes: int) -> list[tuple[int, int, int]]:
    """A colour (red, green, blue, 0 to 255) for every class, by its number.

    >>> len(set(colours(30))), BLACK in colours(30)
    (30, False)
    """
    each = (
        hls_to_rgb(number * GOLDEN % 1, LIGHTNESS[number % len(LIGHTNESS)], 0.75)
        for number in range(classes)
    )
    return [_whole(shade) for shade in each]


def shades(count: int = SHADES) -> list[tuple[int, int, int]]:
    """The scale of depths in even steps, yellow near and blue far; lightness falls all the way.

    >>> shades(3)
    [(254, 254, 52), (26, 229, 107), (41, 65, 163)]
    """
    parts = (number / (count - 1) for number in range(count))
    return [_whole(hls_to_rgb((1 + 2.8 * x) / 6, 0.6 - 0.2 * x, 0.99 - 0.39 * x)) for x in parts]


def _whole(parts: tuple[float, float, float]) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in parts)
    return red, green, blue


def as_text(png: bytes) -> str:
    """A PNG file as a record holds it."""
    return b64encode(png).decode("ascii")


def as_png(text: object) -> bytes | None:
    """The PNG file that a record holds; None where it holds anything else."""
    if not isinstance(text, str):
        return None
    try:
        content = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return content if content.startswith(SIGNATURE) else None
