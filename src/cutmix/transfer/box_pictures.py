"""Pictures of detection: photos with boxes around what is there and what was found, and precision over recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cutmix.errors import UsageError
from cutmix.pictures import COLOURS, DASHES, INK, _figure, _tidy, _write_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cutmix.transfer.average_precision import Curve

COLUMNS = 4
CELL = 3.0  # inches of a picture's width


@dataclass(frozen=True, eq=False)
class BoxPicture:
    """An image, uint8 (H, W, 3), with named boxes, and the true ones beside them where these are guesses."""

    image_HW3: np.ndarray
    xyxy_D4: np.ndarray
    names: Sequence[str]
    true_M4: np.ndarray | None = None


def boxes_picture(pictures: Sequence[BoxPicture], path: Path, title: str = "") -> None:
    """Write a grid of images with their boxes to the PNG ``path``; a class has the same colour everywhere.

    Raises:
        UsageError: there is no image.
    """
    if not pictures:
        raise UsageError("boxes_picture got no images: it takes one or more.")
    kinds = sorted({name.partition(" ")[0] for picture in pictures for name in picture.names})
    colours = {kind: COLOURS[number % len(COLOURS)] for number, kind in enumerate(kinds)}
    columns = min(COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    steepest = max(picture.image_HW3.shape[0] / picture.image_HW3.shape[1] for picture in pictures)
    figure = _figure(CELL * columns, CELL * min(steepest, 2) * rows + 0.3, 100)
    figure.text(0.01, 1 - 0.05 / figure.get_figheight(), title, va="top", fontsize=10, color=INK, parse_math=False)
    grid = figure.add_gridspec(
        rows,
        columns,
        left=0.01,
        right=0.99,
        bottom=0.01,
        top=1 - 0.3 / figure.get_figheight(),
        wspace=0.03,
        hspace=0.03,
    )
    for number, picture in enumerate(pictures):
        axes = figure.add_subplot(grid[number // columns, number % columns])
        axes.imshow(picture.image_HW3)
        axes.set_axis_off()
        if picture.true_M4 is not None:
            for edges in picture.true_M4:
                _box(axes, edges, "white", 2.2)
        for edges, name in zip(picture.xyxy_D4, picture.names):
            colour = colours[name.partition(" ")[0]]
            _box(axes, edges, colour, 1.2)
            axes.text(edges[0], edges[1], name, fontsize=6, color="white", va="bottom", clip_on=True, parse_math=False,
                      bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.6})  # fmt: skip
    _write_png(figure, path)


def _box(axes: Axes, edges: Any, colour: str, width: float) -> None:
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = (float(edge) for edge in edges)
    axes.add_patch(Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=width))


def precision_recall_picture(curves: Mapping[str, Curve], path: Path) -> None:
    """Write precision over recall, a line a class with its AP (area), to the PNG ``path``."""
    figure = _figure(6.4, 4.4, 130)
    axes = figure.add_axes((0.1, 0.12, 0.87, 0.83))
    for number, (name, curve) in enumerate(curves.items()):
        recall, precision = np.concatenate(([0.0], curve.recall_N)), np.concatenate(([1.0], curve.precision_N))
        style = {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number // len(COLOURS) % len(DASHES)]}
        axes.plot(recall, precision, linewidth=1.4, label=f"{name}: AP {100 * curve.area:.1f}", **style)
    _tidy(axes, "precision")
    axes.set(xlim=(0, 1.005), ylim=(0, 1.02))
    axes.set_xlabel("recall", fontsize=9, color=INK)
    if axes.lines:
        for text in axes.legend(frameon=False, fontsize=7 if len(curves) > 12 else 8.5, labelcolor=INK).get_texts():
            text.set_parse_math(False)
    _write_png(figure, path)
