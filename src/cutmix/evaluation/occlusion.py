"""Occlusion (the paper's figure 5a): the error as a hole grows in the middle, and as only the middle is left.

Legend: B = images of a batch, C = channels, H = height, W = width, S = sides of the hole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.evaluation.question import Question
from cutmix.evaluation.subject import Subject, likeliest, require_likeliest
from cutmix.evaluation.values import Curve, Number, Value
from cutmix.mixing import Box, Erase, box_around

STEPS = 9
"""Every eighth of the side. The paper does not state its step."""


def hole_sides(size: int, steps: int) -> list[int]:
    """``steps`` sides from 0 to ``size``, evenly spaced and rounded to whole pixels, each of them once."""
    if steps < 2:
        raise UsageError(
            f"{steps} sides of the hole were asked for; at least 2, none and all of the image, are needed."
        )
    return sorted({round(float(side)) for side in np.linspace(0, size, steps)})


def centre_box(side: int, size_HW: tuple[int, int]) -> Box:
    """The square of ``side`` pixels in the middle of an image, clipped to it.

    Where one of the two sides is odd and the other even, it lies half a pixel off the middle.
    """
    if side < 0:
        raise UsageError(f"the side of the hole is {side} pixels; at least 0 are accepted.")
    middle = (np.asarray(size_HW[0] // 2), np.asarray(size_HW[1] // 2))
    return box_around(middle, (np.asarray(side), np.asarray(side)), size_HW, "exact")


def occlude_centre(images_BCHW: Tensor, side: int, fill: float = 0.0) -> Tensor:
    """The images with a square hole of ``side`` pixels in the middle, filled with ``fill``; side 0 changes nothing.

    A fill of 0 is the mean colour of normalised images, as where Cutout fills its holes after normalisation.
    """
    height, width = images_BCHW.shape[-2:]
    return Erase(centre_box(side, (height, width)), (height, width), fill).apply(images_BCHW)


def occlude_boundary(images_BCHW: Tensor, side: int, fill: float = 0.0) -> Tensor:
    """The images with ``fill`` everywhere but in a square of ``side`` pixels in the middle; side 0 leaves nothing."""
    height, width = images_BCHW.shape[-2:]
    top, left, bottom, right = centre_box(side, (height, width))
    shown_BCHW = torch.full_like(images_BCHW, fill)
    shown_BCHW[..., top:bottom, left:right] = images_BCHW[..., top:bottom, left:right]
    return shown_BCHW


@dataclass(frozen=True)
class Occlusion(Question):
    """How does the error grow as a hole grows in the middle, and as only the middle is left?

    Args:
        steps: how many sides of the hole, from none to all of the image.
        fill: what is put in place of the pixels, in normalised values; 0 is the mean colour. The paper fills with 0 and
            does not say whether that is before or after normalisation.
    """

    name: ClassVar[str] = "occlusion"
    suites: ClassVar[frozenset[str]] = frozenset({"paper", "full"})
    headline: ClassVar[tuple[str, ...]] = ("occlusion/centre/mean", "occlusion/boundary/mean")
    steps: int = STEPS
    fill: float = 0.0

    @property
    def about(self) -> Mapping[str, str]:
        filled = "the mean colour (0 after normalisation)" if self.fill == 0 else f"{self.fill:g} after normalisation"
        mean = f"The mean of the curve over its {self.steps} points or fewer, in percent."
        return {
            "occlusion/centre": "Top-1 error in percent where a square hole in the middle of each test image is filled "
            f"with {filled}, for sides from 0 to the whole image (figure 5a of the paper, centre).",
            "occlusion/centre/mean": mean,
            "occlusion/boundary": "Top-1 error in percent where everything but a square in the middle of each test "
            f"image is filled with {filled}, for sides from 0 to the whole image (figure 5a of the paper, boundary).",
            "occlusion/boundary/mean": mean,
        }

    @torch.no_grad()
    def answer(self, subject: Subject) -> Iterator[tuple[str, Value]]:
        sides = hole_sides(subject.data.image_size, self.steps)
        guesses = []
        for images_BCHW, _, _ in subject.batches(cost=2.0 * len(sides)):
            # One at a time: all of them at once would be too much memory for photos.
            occluded = (
                occlude(images_BCHW, side, self.fill)
                for occlude in (occlude_centre, occlude_boundary)
                for side in sides
            )
            guesses.append(torch.stack([likeliest(subject.model(images)) for images in occluded], dim=1))
        guesses_N2S = require_likeliest(subject.together(torch.cat(guesses))).reshape(-1, 2, len(sides))
        wrong_N2S = guesses_N2S != torch.from_numpy(subject.split.labels_N)[:, None, None]
        centre_S, boundary_S = (100 * wrong_N2S.double().mean(0)).tolist()
        yield "occlusion/centre", Curve(sides, centre_S, "side of the hole (pixels)", "top-1 error (%)")
        yield "occlusion/centre/mean", Number(float(np.mean(centre_S)), len(subject), "%")
        yield "occlusion/boundary", Curve(sides, boundary_S, "side of what is left (pixels)", "top-1 error (%)")
        yield "occlusion/boundary/mean", Number(float(np.mean(boundary_S)), len(subject), "%")

    def passes(self, subject: Subject) -> float:
        return 2.0 * len(hole_sides(subject.data.image_size, self.steps))
