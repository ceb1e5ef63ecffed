"""A grid of photos with captions beneath them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cutmix.errors import UsageError
from cutmix.pictures import INK, _figure, _write_png

COLUMNS = 4
CELL = 3.0  # inches
LINE = 0.15  # inches of a caption's line
WIDTH = 46  # letters of a line
LINES = 7  # the most of a caption


def captions_picture(images: Sequence[np.ndarray], captions: Sequence[str], path: Path, title: str = "") -> None:
    """Write a grid of uint8 images (H, W, 3), each with its caption (lines apart by ``\\n``), to the PNG ``path``.

    Raises:
        UsageError: there is no image, or another number of captions.
    """
    if not images or len(images) != len(captions):
        raise UsageError(f"captions_picture got {len(images)} images and {len(captions)} captions.")
    texts = [_lines(caption) for caption in captions]
    columns = min(COLUMNS, len(images))
    rows = [range(start, min(start + columns, len(images))) for start in range(0, len(images), columns)]
    heights = [CELL + LINE * (0.5 + max(len(texts[number]) for number in row)) for row in rows]
    full, wide = sum(heights) + 0.35, CELL * columns
    figure = _figure(wide, full, 100)
    figure.text(0.01, 1 - 0.05 / full, title, va="top", fontsize=10, color=INK, parse_math=False)
    top = full - 0.35
    for row, height in zip(rows, heights):
        for column, number in enumerate(row):
            edges = (
                (column * CELL + 0.04) / wide,
                (top - CELL + 0.04) / full,
                (CELL - 0.08) / wide,
                (CELL - 0.08) / full,
            )
            axes = figure.add_axes(edges)
            axes.imshow(images[number])
            axes.set_axis_off()
            figure.text(edges[0], (top - CELL) / full, "\n".join(texts[number]), va="top", fontsize=7, color=INK,
                        parse_math=False)  # fmt: skip
        top -= height
    _write_png(figure, path)


def _lines(caption: str) -> list[str]:
    lines = [line for part in caption.splitlines() for line in textwrap.wrap(part, WIDTH)]
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], "..."]
