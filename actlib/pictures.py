"""Pictures as PNG files that weigh little."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageChops, ImageStat

_COLOURS = 256  # that a PNG with a palette can have
_CHANGE = 4  # of 255: what can hardly be seen beside the original


def encode(picture: UInt8[np.ndarray, "..."]) -> bytes:
    """Return a picture ``(h, w)`` or ``(h, w, 3)`` as PNG, pixel by pixel; with a palette where it has few colours."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    if image.mode == "RGB" and image.getcolors(_COLOURS):
        image = image.quantize(_COLOURS, dither=Image.Dither.NONE)
    return _file(image)


def lighten(png: bytes, limit: int = 80_000) -> bytes:
    """Return a PNG as it is, or one of more than ``limit`` bytes in the 256 colours that suit it.

    That is a third of the size for thousands of coloured polygons; no pixel is blended with its neighbours. A picture
    that would change by more than 4 of 255 on average, as colourful noise does, stays as it is.
    """
    if len(png) <= limit:
        return png
    image = Image.open(io.BytesIO(png)).convert("RGB")
    light = image.quantize(_COLOURS, dither=Image.Dither.NONE)
    change = ImageStat.Stat(ImageChops.difference(image, light.convert("RGB"))).mean
    return png if sum(change) / 3 > _CHANGE else min(_file(light), png, key=len)


def _file(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
