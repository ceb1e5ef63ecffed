"""Picture files: decoding whatever a folder holds into 8-bit RGB, or saying which file cannot be used and why."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cutmix.errors import CutmixError

if TYPE_CHECKING:
    from PIL import Image

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})
"""File name endings (any case) that count as pictures."""


TOO_LARGE = "has more pixels than Pillow decodes without doubt (Image.MAX_IMAGE_PIXELS); make it smaller"


class PhotoError(CutmixError):
    """A picture file cannot be used. ``path`` and ``reason`` say which and why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def read_photo(path: Path) -> Image.Image:
    """Decode a whole file to an RGB image of 8 bits a channel, turned as its EXIF orientation says.

    Grey, palette and CMYK become RGB. 16-bit grey is scaled to 8 bits (65535 -> 255), not clipped. What is transparent
    is laid over white. Of an animation the first frame is taken. Raises ``PhotoError`` for whatever cannot be decoded.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
                raise PhotoError(path, TOO_LARGE)
            image.load()
            # A picture whose EXIF block is damaged is used as it lies.
            with suppress(Exception):
                ImageOps.exif_transpose(image, in_place=True)
            return to_rgb(image, path)
    except PhotoError:
        raise
    # Pillow's decoders raise whatever their format's parser raises: OSError, SyntaxError, ValueError, struct.error, ...
    except Exception as error:
        raise PhotoError(path, _reason(path, error)) from error


def to_rgb(image: Image.Image, path: Path = Path("image")) -> Image.Image:
    """``image`` as 8-bit RGB, by the rules of ``read_photo``; ``path`` is named if that is not possible."""
    from PIL import Image

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(np.asarray(image), path)).convert("RGB")
    if image.mode == "F":
        raise PhotoError(path, "holds floating-point pixels, whose range is not known; save it with 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values_HW: np.ndarray, path: Path) -> np.ndarray:
    low, high = int(values_HW.min()), int(values_HW.max())
    if low < 0 or high > 65535:
        raise PhotoError(path, f"holds 32-bit pixels from {low} to {high}; save it with 8 or 16 bits")
    return ((values_HW.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is missing"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    if path.is_file() and path.stat().st_size == 0:
        return "is empty (0 bytes)"
    if "DecompressionBomb" in type(error).__name__:
        return TOO_LARGE
    if type(error).__name__ == "UnidentifiedImageError":
        return "is not a picture that can be decoded"
    return f"cannot be decoded ({type(error).__name__}: {error})"
