"""Where in an image does the network see a class? Boxes from its class activation maps, against the true ones.

Shapes: N images, B of a batch, L = 255 levels at which a map is cut, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cutmix.data import Boxes, test_batches, view_boxes
from cutmix.errors import UsageError
from cutmix.evaluation.accuracy import rate
from cutmix.evaluation.box_accuracy import (
    V2_OVERLAPS,
    Overlaps,
    box_accuracy,
    iou,
    max_box_acc,
    max_box_acc_v2,
    overlaps,
    thresholds,
)
from cutmix.evaluation.cam import class_activation_maps, upsample_cams
from cutmix.evaluation.gradcam import library_maps
from cutmix.evaluation.question import Question
from cutmix.evaluation.regions import LEVELS, grey_levels, level_of, regions
from cutmix.evaluation.subject import Subject, likeliest, require_likeliest
from cutmix.evaluation.values import Curve, Missing, Note, Number, Picture, Value

CLASSES = ("true", "predicted")
EXAMPLES = 16
AT_ONCE = 2**17
"""Pixels of the maps whose regions are found together: enough to be fast, few enough for the memory."""


@dataclass(frozen=True, eq=False)
class Found:
    """What was found of each image: is it recognised, and the IoUs of :class:`~.box_accuracy.Overlaps`."""

    right_N: NDArray[np.bool_]
    tight_N: NDArray[np.float64]
    largest_NL: NDArray[np.float64]
    any_NL: NDArray[np.float64]
    full_N: NDArray[np.float64]
    """Of the box that covers the whole view."""
    same_classes: bool
    """Whether the network's classes are the data's, by their names where these are known, else by their number."""


@dataclass(frozen=True)
class Localization(Question):
    """Localization by class activation maps, as in the paper (section 4.2) and as wsolevaluation measures it.

    One forward pass; maps, boxes and scores are made of batches in memory.

    Args:
        threshold: of the paper's numbers: foreground is what exceeds this share of a map's maximum.
        iou: of the paper's numbers: a box is right above this IoU with a true one.
        cam_class: whose map is cut: ``"true"`` for the image's own class (GT-known), or ``"predicted"``, which can also
            be asked of a network with other classes than the data.
        method: ``"cam"``, or one of ``cutmix.evaluation.gradcam.METHODS``, which need the extra ``cutmix[cam]``.
        examples: images in the gallery, spread evenly over the test set.
    """

    name: ClassVar[str] = "localization"
    suites: ClassVar[frozenset[str]] = frozenset({"paper", "full"})
    headline: ClassVar[tuple[str, ...]] = ("localization/top1", "localization/max_box_acc")

    threshold: float = 0.15
    iou: float = 0.5
    cam_class: Literal["true", "predicted"] = "true"
    method: str = "cam"
    examples: int = EXAMPLES

    def __post_init__(self) -> None:
        level_of(self.threshold)
        if not 0 <= self.iou < 1:
            raise UsageError(f"iou is {self.iou}; 0 to less than 1 is accepted.")
        if self.cam_class not in CLASSES:
            raise UsageError(f"cam_class is {self.cam_class!r}; one of {', '.join(CLASSES)} is accepted.")
        if self.examples < 0:
            raise UsageError(f"examples is {self.examples}; at least 0 is accepted.")

    @property
    def about(self) -> Mapping[str, str]:
        whose = {"true": "the image's own class", "predicted": "the class that the network thinks likeliest"}
        map_of = f"the {self.method} of {whose[self.cam_class]}, resized bilinearly to the view and stretched to 0..1"
        box = (
            f"the tightest box around the largest region (corners touch; area within its contour) of {map_of}, above "
            f"{self.threshold} of its maximum, in 256 grey levels"
        )
        right = f"IoU above {self.iou} with any true box"
        v2 = ", ".join(map(str, V2_OVERLAPS))
        whole = "The same for a box that covers the whole view: what can be had without looking at the image."
        return {
            "localization/top1": f"Images that are recognised and whose box has {right}, in percent. The box is {box}.",
            f"localization/{self._known}": f"Images whose box has {right}, recognised or not, in percent: {box}.",
            "localization/max_box_acc": "MaxBoxAcc of wsolevaluation: images whose largest region's box has an IoU of "
            f"at least 0.5, at the one threshold that is best for the set (not for each image), in percent; {map_of}. "
            "Its boxes are a pixel wider and higher than tight. The threshold is chosen on these images.",
            "localization/max_box_acc_v2": f"MaxBoxAccV2: the mean over IoU {v2} of the same, each at its best "
            "threshold, where any of a map's regions (or holes) may be the one that fits.",
            "localization/curve/*": "Images whose box has at least that IoU, by the threshold: the largest region's "
            "(MaxBoxAcc is its top), and the whole view's.",
            "localization/*/full_image": whole,
            "localization/gallery": "Images spread evenly over the test set, under their maps: the true box in red, "
            "the network's in dashed green, and their IoU.",
        }

    @property
    def needs_same_classes(self) -> bool:
        """Only if it asks for the map of the image's own class."""
        return self.cam_class == "true"

    @property
    def _known(self) -> str:
        return "gt_known" if self.cam_class == "true" else "predicted_class"

    def passes(self, subject: Subject) -> float:
        return 1.4 if self.method == "cam" else 4.0

    def answer(self, subject: Subject) -> Iterator[tuple[str, Value]]:
        boxes = view_boxes(subject.data, subject.split)
        rows = np.flatnonzero(boxes.counts_N > 0)
        if not len(rows):
            raise UsageError(f"no box of {subject.data.name} lies in a view of its test images.")
        if boxes.dropped or len(rows) < len(boxes):
            yield "localization/note", Note(left_out(boxes))
        found = self.look(subject, boxes, rows)
        yield from self.numbers(subject, found)
        if self.examples:
            yield "localization/gallery", self.gallery(subject, boxes, rows)

    def look(self, subject: Subject, boxes: Boxes, rows: NDArray[np.int64]) -> Found:
        """Find and compare the boxes of the images at ``rows`` of the subject's split."""
        split = subject.split.subset(rows)
        # With its place for a label, each image of a batch finds its boxes, whichever process has it.
        placed = replace(split, labels_N=np.arange(len(split)))
        seen = []
        classes = subject.num_classes
        for images_BCHW, places_B, _ in subject.batches(placed, cost=self.passes(subject)):
            places = places_B.tolist()
            labels_B = torch.from_numpy(split.labels_N[places]).to(places_B.device)
            maps_BHW, logits_BK = self.maps(subject, images_BCHW, labels_B)
            classes = logits_BK.shape[1]
            guesses = likeliest(logits_BK).tolist()
            whole_14 = np.array([[0, 0, *images_BCHW.shape[:1:-1]]])
            true_boxes = [boxes.of(int(rows[place])) for place in places]
            for guess, score, true_T4 in zip(guesses, self.scores(maps_BHW, true_boxes), true_boxes):
                seen.append(np.r_[guess, score.tight, iou(whole_14, true_T4).max(), score.largest_L, score.any_L])
        columns = torch.from_numpy(np.reshape(seen, (-1, 3 + 2 * LEVELS)))
        whole = subject.together(columns, placed).numpy()
        guesses_N, tight_N, full_N = whole[:, :3].T
        right_N = require_likeliest(torch.from_numpy(guesses_N)).numpy() == split.labels_N
        largest_NL, any_NL = np.split(whole[:, 3:], 2, axis=1)
        return Found(right_N, tight_N, largest_NL, any_NL, full_N, subject.tells_apart(classes))

    def maps(self, subject: Subject, images_BCHW: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor]:
        """Maps in [0, 1] at the size of the images, and logits."""
        classes_B = labels_B if self.cam_class == "true" else None
        if self.method == "cam":
            cams_BHW, logits_BK = class_activation_maps(subject.model, images_BCHW, classes_B)
        else:
            cams_BHW, logits_BK = library_maps(subject.model, images_BCHW, classes_B, self.method)
        if classes_B is not None and logits_BK.shape[1] != subject.num_classes:
            raise UsageError(
                f"the network tells {logits_BK.shape[1]} classes apart, {subject.data.name} has {subject.num_classes}: "
                "only the maps of predicted classes can be looked at, Localization(cam_class='predicted')."
            )
        return upsample_cams(cams_BHW, (images_BCHW.shape[2], images_BCHW.shape[3])), logits_BK

    def scores(self, maps_BHW: Tensor, true_boxes: list[NDArray]) -> Iterator[Overlaps]:
        """Compare the boxes of each map with the image's true ones."""
        heights_BHW = maps_BHW.cpu().numpy()
        greys_BHW = grey_levels(heights_BHW)
        levels = [level_of(self.threshold, int(grey_HW.max())) for grey_HW in greys_BHW]
        _, height, width = greys_BHW.shape
        several = max(1, AT_ONCE // (height * width))
        for start in range(0, len(levels), several):
            part = slice(start, start + several)
            found = regions(greys_BHW[part], heights_BHW[part])
            yield from overlaps(found, (height, width), true_boxes[part], levels[part])

    def numbers(self, subject: Subject, found: Found) -> Iterator[tuple[str, Value]]:
        """The numbers, each followed by that of the whole view."""
        n = len(found.right_N)
        inside, full = found.tight_N > self.iou, found.full_N > self.iou
        yield f"localization/{self._known}", rate(int(inside.sum()), n)
        yield f"localization/{self._known}/full_image", rate(int(full.sum()), n)
        if found.same_classes:
            yield "localization/top1", rate(int((found.right_N & inside).sum()), n)
            yield "localization/top1/full_image", rate(int((found.right_N & full).sum()), n)
        else:
            yield "localization/top1", Missing("the network's classes are not those of the data.")
        fulls_N1 = found.full_N[:, None]
        yield "localization/max_box_acc", Number(max_box_acc(found.largest_NL), n, "%")
        yield "localization/max_box_acc/full_image", Number(max_box_acc(fulls_N1), n, "%")
        yield "localization/max_box_acc_v2", Number(max_box_acc_v2(found.any_NL), n, "%")
        yield "localization/max_box_acc_v2/full_image", Number(max_box_acc_v2(fulls_N1), n, "%")
        x = thresholds().tolist()
        axes = ("threshold, of a map's maximum", "images (%)")
        for at in V2_OVERLAPS:
            yield f"localization/curve/iou_{at}", Curve(x, box_accuracy(found.largest_NL, at).tolist(), *axes)
            whole = float(box_accuracy(fulls_N1, at)[0])
            yield f"localization/curve/iou_{at}_full_image", Curve([x[0], x[-1]], [whole, whole], *axes)

    def gallery(self, subject: Subject, boxes: Boxes, rows: NDArray[np.int64]) -> Picture:
        """Images spread evenly over the set under their maps, with the true boxes and the network's."""
        from cutmix.pictures import grid_pixels

        caption = "True boxes in red, the network's in dashed green, and their IoU; the maps are laid over."
        return Picture(grid_pixels(*self.examples_of(subject, boxes, rows)), caption)

    def examples_of(
        self, subject: Subject, boxes: Boxes, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], list[str]]:
        """Tiles (N, H, W, 3) of at most ``examples`` images with their boxes, and captions: the class and the IoU."""
        from cutmix.pictures import boxed, denormalise

        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, self.examples).round().astype(np.int64))]
        data, split = subject.data, subject.split.subset(chosen)
        true_boxes = [boxes.of(int(row)) for row in chosen]
        images, cams = [], []
        found: list[Overlaps] = []
        for images_BCHW, labels_B, _ in test_batches(
            data, split, batch_size=min(subject.batch_size, len(split)), workers=0, device=subject.device or "cpu"
        ):
            maps_BHW, _ = self.maps(subject, images_BCHW, labels_B)
            found += list(self.scores(maps_BHW, true_boxes[len(found) :]))
            images.append(denormalise(images_BCHW, data.mean, data.std))
            cams.append(maps_BHW.cpu().numpy())
        found_boxes = [score.tight_box_4[None] for score in found]
        captions = [f"{data.classes[label]} {score.tight:.2f}" for label, score in zip(split.labels_N, found)]
        return boxed(np.concatenate(images), np.concatenate(cams), found_boxes, true_boxes), captions


def left_out(boxes: Boxes) -> str:
    """A sentence on what the numbers are not about."""
    without = int((boxes.counts_N == 0).sum())
    return (
        f"{boxes.dropped} boxes were left out: they have no area, lie outside of the view, or were drawn on a picture "
        f"of another size. {without} of {len(boxes)} images have no box left, and are not counted."
    )
