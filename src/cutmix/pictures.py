"""Pictures of what a run saw and did: mixed batches, methods side by side, learning curves, class activation maps.

Arrays in, one PNG out. Nothing here draws by chance, keeps state or opens a window, so it is safe in any thread.

Shapes: B images of a batch, N images, H height, W width, C channels (1 or 3).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cutmix.errors import UsageError
from cutmix.files import write_atomically

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "bands_picture",
    "boxed",
    "cam_overlay",
    "curves_picture",
    "denormalise",
    "grid_pixels",
    "methods_picture",
    "mixed_batch_picture",
    "runs_picture",
    "share_captions",
    "under_cam",
]

# Okabe and Ito's palette: told apart by people with any common colour blindness. Black comes last, yellow is left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES: tuple[Any, ...] = ("solid", (0, (4, 1.5)), (0, (1, 1)))
INK, FAINT = "#222222", "#8A8A8A"

TILE = 128  # pixels: small images are enlarged by the whole factor that comes nearest to it
LARGEST_TILE = 160  # pixels: larger images are shrunk to it
GAP = 10  # pixels between tiles
DPI = 100  # of the image grids, where one figure pixel is one picture pixel
LONG_NAME = 30  # characters: of more, a legend has no room within the axes, and hides the curves
NAME_INCHES = 0.19  # of a name's line below them
CAPTION, NAME, LINE = 8.5, 11.5, 16  # points of a caption and of a method's name, pixels of a caption's line


# ---------------------------------------------------------------------------------------------------- pixels and words


def denormalise(
    images_BCHW: torch.Tensor | NDArray[Any], mean: Sequence[float], std: Sequence[float]
) -> NDArray[np.uint8]:
    """Undo ``(pixel - mean) / std`` and return uint8 images ``(B, H, W, C)``.

    ``mean`` and ``std`` hold one number a channel, for pixels in [0, 1]. Takes a tensor of any float type on any
    device, or an array. What falls outside of the 256 levels is clipped.
    """
    if hasattr(images_BCHW, "detach"):
        images_BCHW = images_BCHW.detach().cpu().float().numpy()
    images = np.asarray(images_BCHW, dtype=np.float32)
    if images.ndim != 4 or not images.shape[1] == len(mean) == len(std):
        raise UsageError(
            f"denormalise got images of shape {images.shape} with {len(mean)} means and {len(std)} deviations: "
            "it takes (B, C, H, W) and one mean and deviation a channel."
        )
    channel = (1, -1, 1, 1)
    pixels = images * np.reshape(np.asarray(std, np.float32), channel) + np.reshape(
        np.asarray(mean, np.float32), channel
    )
    levels = np.rint(np.clip(np.nan_to_num(pixels), 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(0, 2, 3, 1))


def share_captions(
    labels: ArrayLike | torch.Tensor,
    partner_labels: ArrayLike | torch.Tensor,
    shares: ArrayLike | torch.Tensor,
    classes: Sequence[str],
) -> list[str]:
    """What each mixed image is labelled: ``"cat 0.72 + ship 0.28"``, or one name when its share is 1.

    ``labels`` and ``partner_labels`` (B,) are indices into ``classes``; ``shares`` (B,) in [0, 1] is the weight of the
    first label.
    """
    first, second, share = (
        np.asarray(part.detach().cpu() if hasattr(part, "detach") else part)
        for part in (labels, partner_labels, shares)
    )
    if first.ndim != 1 or not np.issubdtype(first.dtype, np.integer) or not first.shape == second.shape == share.shape:
        raise UsageError(
            f"share_captions got labels {first.shape} {first.dtype}, partners {second.shape} and shares {share.shape}: "
            "it takes three vectors of one length, labels as class indices."
        )
    return [_caption(classes[a], classes[b], float(part)) for a, b, part in zip(first, second, share)]


def _caption(name: str, partner: str, share: float) -> str:
    if share >= 1:
        return name
    if share <= 0:
        return partner
    if not 0.005 <= share < 0.995:  # two decimals would claim that nothing was mixed
        return f"{name} >0.99 + {partner} <0.01" if share > 0.5 else f"{name} <0.01 + {partner} >0.99"
    kept = round(share, 2)
    return f"{name} {kept:.2f} + {partner} {1 - kept:.2f}"


# --------------------------------------------------------------------------------------------------------- image grids


def mixed_batch_picture(
    images_NHWC: NDArray[np.uint8],
    captions: Sequence[str],
    path: Path | str,
    columns: int = 8,
    title: str | None = None,
    limit: int = 32,
) -> None:
    """Write a grid of the first ``limit`` images to the PNG ``path``, each with its caption beneath."""
    images = _checked_images(images_NHWC, captions)[:limit]
    columns = min(columns, len(images))
    rows = [
        ("", images[start : start + columns], list(captions[start : min(start + columns, limit)]))
        for start in range(0, len(images), columns)
    ]
    _write_grid(rows, path, title)


def methods_picture(
    rows: Sequence[tuple[str, NDArray[np.uint8], Sequence[str]]], path: Path | str, title: str | None = None
) -> None:
    """Write one row of images a method to the PNG ``path``: ``(name, images (N, H, W, C), captions)`` each.

    As in the first table of Yun et al. 2019, which shows the same photographs under Mixup, Cutout and CutMix.
    """
    if not rows:
        raise UsageError("methods_picture got no rows: it takes at least one (name, images, captions).")
    _write_grid(
        [(name, _checked_images(images, captions), list(captions)) for name, images, captions in rows], path, title
    )


def _checked_images(images_NHWC: NDArray[np.uint8], captions: Sequence[str]) -> NDArray[np.uint8]:
    """The images with three channels, or an error that names what is wrong with them."""
    images = np.asarray(images_NHWC)
    if images.ndim != 4 or images.shape[3] not in (1, 3) or images.dtype != np.uint8 or not len(images):
        raise UsageError(
            f"a picture got images of shape {images.shape}, {images.dtype}: it takes one or more uint8 images as "
            "(N, H, W, 1 or 3). denormalise() makes them from a normalised batch."
        )
    if len(captions) != len(images):
        raise UsageError(
            f"a picture got {len(images)} images and {len(captions)} captions: it takes one caption an image."
        )
    return np.broadcast_to(images, (*images.shape[:3], 3))


def _tiles(images_NHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The images at a size that a reader can see: whole pixels repeated, or large photographs shrunk."""
    longest = max(images_NHWC.shape[1:3])
    if longest <= LARGEST_TILE:
        factor = max(1, round(TILE / longest))
        return images_NHWC.repeat(factor, axis=1).repeat(factor, axis=2)
    from PIL import Image

    height, width = (max(1, round(side * LARGEST_TILE / longest)) for side in images_NHWC.shape[1:3])
    return np.stack(
        [np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)) for image in images_NHWC]
    )


class _Ruler:
    """Measures words in pixels, and cuts them to a width."""

    def __init__(self, points: float, weight: str = "normal") -> None:
        from matplotlib.backends.backend_agg import RendererAgg
        from matplotlib.font_manager import FontProperties

        self._renderer = RendererAgg(8, 8, DPI)
        self._font = FontProperties(family="DejaVu Sans", size=points, weight=weight)

    def width(self, text: str) -> float:
        with _missing_glyphs_drawn_as_boxes():
            return self._renderer.get_text_width_height_descent(text, self._font, ismath=False)[0]

    def shorten(self, text: str, room: float) -> str:
        """``text``, with an ellipsis before its last number (its share) if that is what it takes to fit."""
        if self.width(text) <= room:
            return text
        name, _, share = text.rpartition(" ")
        ending = f"… {share}" if name and share.lstrip("<>").replace(".", "", 1).isdigit() else "…"
        name = name if len(ending) > 1 else text
        while len(name) > 1 and self.width(name.rstrip() + ending) > room:
            name = name[:-1]
        return name.rstrip() + ending


def _wrapped(captions: Sequence[str], room: float, ruler: _Ruler) -> list[list[str]]:
    """Each caption in lines of at most ``room`` pixels; if one breaks at its plus, all do, so that rows line up."""
    if all(ruler.width(caption) <= room for caption in captions):
        return [[caption] for caption in captions]
    return [[ruler.shorten(line, room) for line in caption.replace(" + ", "\n+ ").split("\n")] for caption in captions]


def _name_lines(name: str) -> list[str]:
    """The constructor call ``CutMix(alpha=1.0, prob=0.5)`` as the lines CutMix, alpha=1.0, prob=0.5."""
    method, _, settings = name.partition("(")
    return [method, *(settings.removesuffix(")").split(", ") if settings.removesuffix(")") else [])]


def _write_grid(rows: Sequence[tuple[str, NDArray[np.uint8], list[str]]], path: Path | str, title: str | None) -> None:
    _write_png(_grid_figure(rows, title), path)


def _grid_figure(rows: Sequence[tuple[str, NDArray[np.uint8], list[str]]], title: str | None) -> Figure:
    """Lay out rows of (name, images, captions) pixel by pixel, with all words drawn by the figure."""
    ruler, bold = _Ruler(CAPTION), _Ruler(NAME, "bold")
    tiles = [_tiles(images) for _, images, _ in rows]
    tile_h, tile_w = (max(row.shape[axis] for row in tiles) for axis in (1, 2))
    words = [_wrapped(captions, tile_w + GAP - 4, ruler) for _, _, captions in rows]
    lines = max(len(caption) for row in words for caption in row)
    names = [_name_lines(name) for name, _, _ in rows]
    gutter = max(max(bold.width(name[0]), *map(ruler.width, name)) for name in names)
    left = GAP + (int(gutter) + 2 * GAP if gutter else 0)
    top = GAP + (28 if title else 0)
    pitch = tile_h + 4 + lines * LINE + GAP
    width = left + max(len(row) for row in tiles) * (tile_w + GAP)
    height = top + len(rows) * pitch

    canvas = np.full((height, width, 3), 255, np.uint8)
    figure = _figure(width / DPI, height / DPI, DPI)

    def write(x: float, y: float, text: str, **style: Any) -> None:
        figure.text(x / width, 1 - y / height, text, va="top", color=INK, parse_math=False, **style)

    write(GAP, GAP, title or "", fontsize=11)
    for r, (name, row) in enumerate(zip(names, tiles)):
        y = top + r * pitch
        write(GAP, y + 2, name[0], fontsize=NAME, fontweight="bold")
        write(GAP, y + 2 + 1.5 * LINE, "\n".join(name[1:]), fontsize=CAPTION)
        for c, tile in enumerate(row):
            x = left + c * (tile_w + GAP)
            canvas[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
            write(x + tile.shape[1] / 2, y + tile_h + 4, "\n".join(words[r][c]), ha="center", fontsize=CAPTION)
    figure.figimage(canvas, resize=False)
    return figure


# -------------------------------------------------------------------------------------------------------------- curves


def curves_picture(records: Sequence[Mapping[str, Any]], path: Path | str, title: str | None = None) -> None:
    """Write the learning curves of one run to the PNG ``path``: loss, error and, beneath them, the learning rate.

    ``records`` has one mapping an epoch with ``epoch`` (from 1) and any of ``train_loss``, ``train_error``,
    ``test_loss``, ``test_error_top1``, ``test_error_top5`` (errors in percent) and ``lr``. What an epoch lacks, or is
    not finite, is left out.
    """
    if not records:
        raise UsageError("curves_picture got no records: it takes one record an epoch.")
    figure = _figure(10, 4.6, 130)
    grid = figure.add_gridspec(2, 2, height_ratios=[6, 1], hspace=0.12, wspace=0.2,
                               left=0.07, right=0.985, top=0.9 if title else 0.97, bottom=0.11)  # fmt: skip
    if title:
        figure.suptitle(title, x=0.07, y=0.975, ha="left", fontsize=11, color=INK, parse_math=False)
    loss, error = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    _draw(loss, records, "train_loss", "train, on mixed labels", COLOURS[5])
    _draw(loss, records, "test_loss", "test", COLOURS[0])
    _draw(error, records, "train_error", "train, on mixed labels", COLOURS[5])
    _draw(error, records, "test_error_top1", "test, top-1", COLOURS[0])
    _draw(error, records, "test_error_top5", "test, top-5", COLOURS[4], DASHES[1])
    _mark_best_and_last(error, *_series(records, "test_error_top1"))
    for axes, name in ((loss, "loss"), (error, "error (%)")):
        _tidy(axes, name)
        axes.tick_params(labelbottom=False)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8.5, labelcolor=INK)
    for axes, above in ((figure.add_subplot(grid[1, 0]), loss), (figure.add_subplot(grid[1, 1]), error)):
        axes.sharex(above)
        _draw(axes, records, "lr", "lr", FAINT)
        _tidy(axes, "lr" if above is loss else "")
        _ticks_at_epochs(axes)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("epoch", fontsize=9, color=INK)
    _write_png(figure, path)


def runs_picture(
    groups: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
    key: str,
    path: Path | str,
    label: str,
    title: str | None = None,
    top: float | None = None,
) -> None:
    """Write one curve a run of the number ``key`` to the PNG ``path``; the runs of a group share its colour and name.

    ``groups`` maps a name to its runs, each a sequence of records as in :func:`curves_picture`. ``label`` names the
    vertical axis; what is above ``top`` is left outside of the frame.
    """
    figure, axes = _small_figure(title)
    for index, (name, runs) in enumerate(groups.items()):
        for number, records in enumerate(runs):
            _draw(
                axes,
                records,
                key,
                name if number == 0 else None,
                COLOURS[index % len(COLOURS)],
                _dash(index),
                thin=len(runs) > 1,
            )
    _finish_small(figure, axes, path, label, top, title)


def bands_picture(
    groups: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
    key: str,
    path: Path | str,
    label: str,
    title: str | None = None,
    top: float | None = None,
) -> None:
    """Write each group's mean over runs of the number ``key``, in a band of ± one standard deviation (n - 1), as a PNG.

    Arguments as in :func:`runs_picture`. A group's curve goes through the epochs at which all of its runs have the
    number; a group of one run has no band, and its name in the legend says n.
    """
    figure, axes = _small_figure(title)
    for index, (name, runs) in enumerate(groups.items()):
        epochs, values_RE = _in_all_runs(runs, key)
        if not len(epochs):
            continue
        mean, colour = values_RE.mean(0), COLOURS[index % len(COLOURS)]
        points = [{"epoch": epoch, key: value} for epoch, value in zip(epochs, mean)]
        _draw(axes, points, key, f"{name} (n = {len(runs)})", colour, _dash(index))
        if len(runs) > 1:
            sd = values_RE.std(0, ddof=1)
            axes.fill_between(epochs, mean - sd, mean + sd, color=colour, alpha=0.18, linewidth=0)
    _finish_small(figure, axes, path, label, top, title, "mean over seeds ± standard deviation")


def _in_all_runs(
    runs: Sequence[Sequence[Mapping[str, Any]]], key: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(epochs (E,), values (R, E)) of the E epochs at which each of the R runs has a finite number under ``key``."""
    series = [dict(zip(*(part.tolist() for part in _series(records, key)))) for records in runs]
    epochs = sorted(set.intersection(*(set(one) for one in series))) if series else []
    return np.array(epochs), np.array([[one[epoch] for epoch in epochs] for one in series])


def _dash(index: int) -> Any:
    """The line style of a group: another one once all colours have been used."""
    return DASHES[index // len(COLOURS) % len(DASHES)]


def _small_figure(title: str | None) -> tuple[Figure, Axes]:
    figure = _figure(4.8, 3.3, 190)
    return figure, figure.add_axes((0.125, 0.14, 0.855, 0.765 if title else 0.83))


def _finish_small(
    figure: Figure, axes: Axes, path: Path | str, label: str, top: float | None, title: str | None, note: str = ""
) -> None:
    """Frame, name and write what has been drawn; ``note`` stands above the names of the legend."""
    if top is not None and axes.get_ylim()[1] > top:
        axes.set_ylim(bottom=max(axes.get_ylim()[0], 0.0), top=top)  # the margin is that of all the curve
    _tidy(axes, label)
    _ticks_at_epochs(axes)
    axes.set_xlabel("epoch", fontsize=9, color=INK)
    if title:
        axes.set_title(title, loc="left", fontsize=10.5, color=INK, parse_math=False)
    if axes.lines:
        place: dict[str, Any] = {}
        if any(len(str(line.get_label())) > LONG_NAME for line in axes.lines):
            place = _room_below(figure, axes, len(axes.get_legend_handles_labels()[1]) + bool(note))
        legend = axes.legend(frameon=False, fontsize=8.5, labelcolor=INK, title=note, title_fontsize=8, **place)
        for text in legend.get_texts():
            text.set_parse_math(False)
    _write_png(figure, path)


def _room_below(figure: Figure, axes: Axes, lines: int) -> dict[str, Any]:
    """Make the figure higher by ``lines`` of a legend; returns where that has to stand, which is below the axes."""
    (width, height), before = figure.get_size_inches(), axes.get_position()
    higher = height + NAME_INCHES * lines + 0.1
    figure.set_size_inches(width, higher)
    grown = height / higher
    axes.set_position((before.x0, 1 - (1 - before.y0) * grown, before.width, before.height * grown))
    return {"loc": "upper left", "bbox_to_anchor": (0.0, 1 - (1 - before.y0) * grown - 0.42 / higher),
            "bbox_transform": figure.transFigure}  # fmt: skip


def _series(records: Sequence[Mapping[str, Any]], key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(epochs, values) of the records that hold a finite number under ``key``."""
    points = [(record["epoch"], record[key]) for record in records if record.get(key) is not None]
    epochs, values = np.array(points, dtype=np.float64).reshape(-1, 2).T
    finite = np.isfinite(values)
    return epochs[finite], values[finite]


def _draw(
    axes: Axes,
    records: Sequence[Mapping[str, Any]],
    key: str,
    name: str | None,
    colour: str,
    dash: Any = "solid",
    thin: bool = False,
) -> None:
    epochs, values = _series(records, key)
    if len(values):
        marker = "o" if len(values) == 1 else None  # a line through one point cannot be seen
        axes.plot(epochs, values, color=colour, linestyle=dash, linewidth=1.1 if thin else 1.6, marker=marker,
                  markersize=4, label=name)  # fmt: skip


def _mark_best_and_last(axes: Axes, epochs: NDArray[np.float64], errors: NDArray[np.float64]) -> None:
    if not len(errors):
        return
    best = len(errors) - 1 - int(np.argmin(errors[::-1]))  # of equal ones the last, as in the official code
    axes.plot(epochs[best], errors[best], "o", markersize=6, markerfacecolor="white", markeredgecolor=COLOURS[1],
              markeredgewidth=1.6, linestyle="none",
              label=f"best on test set {errors[best]:.2f} (epoch {epochs[best]:.0f})")  # fmt: skip
    axes.plot(epochs[-1], errors[-1], "s", markersize=4.5, color=COLOURS[0], linestyle="none",
              label=f"last {errors[-1]:.2f}")  # fmt: skip


def _tidy(axes: Axes, name: str) -> None:
    axes.set_ylabel(name, fontsize=9, color=INK)
    axes.tick_params(labelsize=8.5, colors=INK, color=FAINT)
    axes.grid(color="#E6E6E6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)


def _ticks_at_epochs(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


# -------------------------------------------------------------------------------------------- class activation overlay


def cam_overlay(
    image_HWC: NDArray[np.uint8],
    cam_HW: NDArray[np.floating[Any]],
    path: Path | str,
    caption: str,
    probabilities: Sequence[tuple[str, float]],
) -> None:
    """Write the image, the image under its class activation map and the most probable classes to the PNG ``path``.

    ``cam_HW`` in [0, 1] has the height and width of the image. ``probabilities`` is a list of (class, probability), of
    which the first five are shown as they come.
    """
    image = _checked_images(np.asarray(image_HWC)[None], [caption])[0]
    cam = np.asarray(cam_HW, dtype=np.float32)
    if cam.shape != image.shape[:2] or not (np.isfinite(cam).all() and cam.min() >= 0 and cam.max() <= 1):
        raise UsageError(
            f"cam_overlay got a map of shape {cam.shape} over an image of {image.shape[:2]}: it takes a map of the "
            "image's height and width in [0, 1]. upsample_cams() in cutmix.evaluation.cam makes one."
        )
    figure = _figure(9.2, 3.1, 120)
    height = 0.80  # of the figure, which is 9.2 by 3.1 inches; a wide image gets less of it
    width = min(0.31, height * 3.1 / 9.2 * image.shape[1] / image.shape[0])
    figure.text(0.012, 0.965, caption, va="top", fontsize=11, color=INK, parse_math=False)
    for left, cover in ((0.012, False), (0.022 + width, True)):
        axes = figure.add_axes((left, 0.03, width, height))
        axes.imshow(image, interpolation="nearest" if max(cam.shape) <= LARGEST_TILE else "antialiased")
        if cover:
            axes.imshow(cam, cmap="inferno", vmin=0, vmax=1, alpha=0.25 + 0.45 * cam)
        axes.set_anchor("NW")
        axes.set_axis_off()
    _draw_bars(figure, 0.05 + 2 * width, probabilities[:5])
    _write_png(figure, path)


def boxed(
    images_NHWC: NDArray[np.uint8],
    cams_NHW: NDArray[np.floating[Any]],
    found_boxes: Sequence[NDArray[Any]],
    true_boxes: Sequence[NDArray[Any]],
) -> NDArray[np.uint8]:
    """The images under their activation maps, at a size to be seen: true boxes in red, found ones in dashed green.

    As in figure 4 of Yun et al. 2019. Boxes are (left, top, right, bottom), the edges of their pixels, some an image.
    """
    images = _checked_images(images_NHWC, [""] * len(images_NHWC))
    shown = _tiles(np.stack([under_cam(image, cam) for image, cam in zip(images, cams_NHW)])).copy()
    scale = np.array([shown.shape[2] / images.shape[2], shown.shape[1] / images.shape[1]] * 2)
    for tile, found, true in zip(shown, found_boxes, true_boxes):
        for boxes, colour, dashed in ((true, (225, 0, 0), False), (found, (0, 235, 60), True)):
            for box in np.rint(np.asarray(boxes) * scale).astype(int):
                _outline(tile, box, colour, dashed)
    return shown


def grid_pixels(images_NHWC: NDArray[np.uint8], captions: Sequence[str], columns: int = 8) -> NDArray[np.uint8]:
    """What :func:`mixed_batch_picture` writes, as pixels (H, W, 3), without a title or a limit."""
    images = _checked_images(images_NHWC, captions)
    starts = range(0, len(images), columns)
    rows = [("", images[start : start + columns], list(captions[start : start + columns])) for start in starts]
    return _pixels(_grid_figure(rows, None))


def under_cam(image_HWC: NDArray[np.uint8], cam_HW: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """An image under its activation map in [0, 1]: where the map is low, the image is little covered."""
    from matplotlib import colormaps

    cam = np.asarray(cam_HW, np.float32)
    if cam.shape != image_HWC.shape[:2] or not (np.isfinite(cam).all() and cam.min() >= 0 and cam.max() <= 1):
        raise UsageError(
            f"a map of shape {cam.shape} was given for an image of {image_HWC.shape[:2]}: it takes a map of the "
            "image's height and width in [0, 1]. upsample_cams() in cutmix.evaluation.cam makes one."
        )
    cover = (0.25 + 0.45 * cam)[..., None]
    mixed = (1 - cover) * image_HWC + cover * 255 * colormaps["inferno"](cam)[..., :3]
    return np.rint(mixed).astype(np.uint8)


def _outline(tile_HWC: NDArray[np.uint8], box: NDArray[Any], colour: tuple[int, int, int], dashed: bool) -> None:
    """Draw the inner edge of a box, two pixels wide, into the tile."""
    left, top, right, bottom = box.tolist()
    inside = np.zeros(tile_HWC.shape[:2], bool)
    inside[top:bottom, left:right] = True
    inside[top + 2 : max(top + 2, bottom - 2), left + 2 : max(left + 2, right - 2)] = False
    if dashed:
        rows, columns = np.indices(inside.shape)
        inside &= (rows + columns) % 10 < 6
    tile_HWC[inside] = colour


def _draw_bars(figure: Figure, left: float, probabilities: Sequence[tuple[str, float]]) -> None:
    """One bar a class, its name above it, from the left edge of the rest of the figure."""
    axes = figure.add_axes((left, 0.03, 0.985 - left, 0.80))
    ruler, room = _Ruler(9.5), (0.985 - left) * 0.8 * figure.get_figwidth() * DPI
    for place, (name, probability) in enumerate(probabilities):
        axes.barh(place + 0.22, probability, height=0.26, color=COLOURS[0] if place == 0 else COLOURS[4])
        axes.text(0, place - 0.08, ruler.shorten(name, room), fontsize=9.5, color=INK, va="center", parse_math=False)
        axes.text(1, place - 0.08, f"{probability:.1%}", fontsize=9.5, color=INK, va="center", ha="right")
    axes.set(xlim=(0, 1), ylim=(4.5, -0.5))
    axes.set_axis_off()


# ------------------------------------------------------------------------------------------------------------- writing


def _figure(width: float, height: float, dpi: int) -> Figure:
    """A white figure of ``width`` by ``height`` inches that no window and no global list knows of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _pixels(figure: Figure) -> NDArray[np.uint8]:
    """The figure as pixels (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with _missing_glyphs_drawn_as_boxes():
        canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _write_png(figure: Figure, path: Path | str) -> None:
    """Write the figure to ``path``."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise UsageError(f"pictures are written as PNG, and {path.name!r} does not end in .png.")
    with _missing_glyphs_drawn_as_boxes():
        write_atomically(path, lambda file: figure.savefig(file, format="png"))


@contextmanager
def _missing_glyphs_drawn_as_boxes() -> Iterator[None]:
    """No warning for each letter of a class name in a script that the font lacks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
