"""Pictures as PNG files that weigh little."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

_COLOURS = 256  # that a PNG with a palette can have


def encode(picture: UInt8[np.ndarray, "..."]) -> bytes:
    """Return a picture ``(h, w)`` or ``(h, w, 3)`` as PNG, pixel by pixel; with a palette where it has few colours."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    if image.mode == "RGB" and image.getcolors(_COLOURS):
        image = image.quantize(_COLOURS, dither=Image.Dither.NONE)
    return _file(image)


def lighten(png: bytes, limit: int = 250_000) -> bytes:
    """Return a PNG as it is, or one of more than ``limit`` bytes in the 256 colours that suit it.

    That is a third of the size for thousands of coloured polygons; no pixel is blended with its neighbours.
    """
    if len(png) <= limit:
        return png
    image = Image.open(io.BytesIO(png)).convert("RGB")
    return min(_file(image.quantize(_COLOURS, dither=Image.Dither.NONE)), png, key=len)


def _file(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
