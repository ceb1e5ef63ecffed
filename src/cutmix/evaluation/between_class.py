"""In-between classes (the paper's figure 5b): how often a mix of two images is taken for neither of the two.

Legend: N = pairs, B = pairs of a batch, R = mixing ratios, C = channels, H = height, W = width, K = classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.evaluation.occlusion import STEPS, centre_box, hole_sides
from cutmix.evaluation.question import Question
from cutmix.evaluation.subject import Subject, likeliest, require_likeliest
from cutmix.evaluation.values import Curve, Number, Value
from cutmix.mixing import Blend, Paste, Plan


def draw_pairs(labels_N: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``count`` pairs of images of different classes, as (count, 2) indices, each drawn evenly from all such pairs.

    Raises:
        UsageError: all images are of one class.
    """
    labels_N = np.asarray(labels_N)
    if len(np.unique(labels_N)) < 2:
        raise UsageError("pairs of different classes were asked for; all images are of one class.")
    pairs = rng.integers(len(labels_N), size=(count, 2))
    while len(same := np.flatnonzero(labels_N[pairs[:, 0]] == labels_N[pairs[:, 1]])):
        pairs[same] = rng.integers(len(labels_N), size=(len(same), 2))
    return pairs


def mixup_pairs(first_BCHW: Tensor, second_BCHW: Tensor, share: float) -> Tensor:
    """``share`` of the first image of each pair plus the rest of the second, as Mixup mixes."""
    return _mixed(first_BCHW, second_BCHW, Blend(share, _partners(len(first_BCHW))))


def cutmix_pairs(first_BCHW: Tensor, second_BCHW: Tensor, side: int) -> Tensor:
    """The first image of each pair with a square of ``side`` pixels of the second in its middle, as CutMix pastes."""
    height, width = first_BCHW.shape[-2:]
    box = centre_box(side, (height, width))
    return _mixed(first_BCHW, second_BCHW, Paste(box, _partners(len(first_BCHW)), (height, width)))


def share_kept(side: int, size_HW: tuple[int, int]) -> float:
    """The part of the first image that :func:`cutmix_pairs` leaves: 1 - (side / size)^2 for square images."""
    return centre_box(side, size_HW).share_outside(size_HW)


def neither(guesses_NR: Tensor, first_N: Tensor, second_N: Tensor) -> Tensor:
    """Whether each of R guesses is neither the first image's class nor the second's: (N, R) bool."""
    return (guesses_NR != first_N[:, None]) & (guesses_NR != second_N[:, None])


@dataclass(frozen=True)
class BetweenClass(Question):
    """How often is a mix of two images of different classes taken for neither of the two?

    Args:
        steps: how many mixing ratios, from all of the second image to all of the first.
        pairs: how many pairs; None for as many as there are test images. The same for every network.
    """

    name: ClassVar[str] = "between_class"
    suites: ClassVar[frozenset[str]] = frozenset({"paper", "full"})
    headline: ClassVar[tuple[str, ...]] = ("between_class/mixup/mean", "between_class/cutmix/mean")
    steps: int = STEPS
    pairs: int | None = None

    def __post_init__(self) -> None:
        if self.steps < 2 or (self.pairs is not None and self.pairs < 1):
            raise UsageError(f"{self}: at least 2 steps and 1 pair are accepted.")

    @property
    def about(self) -> Mapping[str, str]:
        error = "Predictions that are neither of the two classes, in percent of all pairs"
        mean = f"The mean of the curve over its {self.steps} points or fewer, in percent."
        pairs = (
            "Random ordered pairs of test images of different classes, the same ones for every network of this seed."
        )
        return {
            "between_class/mixup": f"{error}, where the two images are added with the weights x and 1 - x. {pairs} "
            "(Figure 5b of the paper, Mixup samples.)",
            "between_class/mixup/mean": mean,
            "between_class/cutmix": f"{error}, where a square in the middle of the first image shows the second, and x "
            f"is the part of the first that is left; the square's sides are evenly spaced. {pairs} "
            "(Figure 5b of the paper, CutMix samples.)",
            "between_class/cutmix/mean": mean,
        }

    @torch.no_grad()
    def answer(self, subject: Subject) -> Iterator[tuple[str, Value]]:
        size = subject.data.image_size
        pairs_N2 = draw_pairs(subject.split.labels_N, self.pairs or len(subject), subject.rng(self.name))
        shares = np.linspace(0, 1, self.steps).tolist()
        sides = hole_sides(size, self.steps)[::-1]  # so that the first image's part grows along both curves
        errors = self._errors(subject, pairs_N2, shares, sides)
        error = "predicted neither class (%)"
        mixup, cutmix = errors[: len(shares)], errors[len(shares) :]
        yield "between_class/mixup", Curve(shares, mixup, "weight of the first image (Mixup)", error)
        yield "between_class/mixup/mean", Number(float(np.mean(mixup)), len(pairs_N2), "%")
        kept = [share_kept(side, (size, size)) for side in sides]
        yield "between_class/cutmix", Curve(kept, cutmix, "part of the first image that is left (CutMix)", error)
        yield "between_class/cutmix/mean", Number(float(np.mean(cutmix)), len(pairs_N2), "%")

    def passes(self, subject: Subject) -> float:
        return 2.0 * self.steps * (self.pairs or len(subject)) / len(subject)

    @staticmethod
    def _errors(subject: Subject, pairs_N2: NDArray[np.int64], shares: list[float], sides: list[int]) -> list[float]:
        """Of the Mixup samples of each share, then of the CutMix samples of each side, in percent."""
        firsts, seconds = (subject.split.subset(rows_N) for rows_N in pairs_N2.T)
        guesses = []
        both = zip(subject.batches(firsts, cost=len(shares) + len(sides)), subject.batches(seconds, cost=0.0))
        for (first_BCHW, _, _), (second_BCHW, _, _) in both:
            # One at a time: all of them at once would be too much memory for photos.
            mixed = chain(
                (mixup_pairs(first_BCHW, second_BCHW, share) for share in shares),
                (cutmix_pairs(first_BCHW, second_BCHW, side) for side in sides),
            )
            guesses.append(torch.stack([likeliest(subject.model(images)) for images in mixed], dim=1))
        guesses_NR = require_likeliest(subject.together(torch.cat(guesses), firsts))
        wrong_NR = neither(guesses_NR, *(torch.from_numpy(split.labels_N) for split in (firsts, seconds)))
        errors: list[float] = (100 * wrong_NR.double().mean(0)).tolist()
        return errors


def _mixed(first_BCHW: Tensor, second_BCHW: Tensor, plan: Plan) -> Tensor:
    return plan.apply(torch.cat([first_BCHW, second_BCHW]), inplace=True)[: len(first_BCHW)]


def _partners(pairs: int) -> NDArray[np.int64]:
    """For 2 * pairs images: the second half belongs to the first, and is left as it is."""
    seconds = np.arange(pairs, 2 * pairs)
    return np.concatenate([seconds, seconds])
