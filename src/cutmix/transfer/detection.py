"""What all detectors share: their data, the views of pictures with boxes, the test by average precision, the pictures.

A detector is a network that takes images and targets as torchvision's detectors do: labels from 1, 0 being the
background.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from cutmix.data import BoxData, BoxSplit, Objects, load_boxes, read_photo
from cutmix.errors import UsageError
from cutmix.transfer.average_precision import Curve, Detections, curves, mean_over_classes
from cutmix.transfer.batches import gathered
from cutmix.transfer.coco_map import coco_map
from cutmix.transfer.task import PictureBatch, Progress, Sample, Task, Tested

if TYPE_CHECKING:
    from accelerate import Accelerator

SHOWN_SCORE = 0.5
"""Detections with a lower score are left out of pictures, not of the measures."""
GRID = 16


@dataclass(frozen=True, kw_only=True)
class Detection(Task):
    """A detector's settings; a subclass has a file of its own.

    Args:
        norm: ``"frozen"`` or ``"trained"``: the backbone's batch norms. The paper does not say for SSD; frozen is usual
            with the few images of a detector's batch, but a backbone without trained weights learns little with it.
        metric: ``"voc07"`` (11 points) or ``"voc"`` (area): which mean AP is reported as ``mean_ap``. Both are kept.
        load_side: photos with a longer side are shrunk to it when they are loaded, before anything else is done; 0 for
            never. It saves time on few cores; the measures are those in the photo's own pixels all the same.
    """

    norm: str = "frozen"
    metric: str = "voc07"
    load_side: int = 0

    measure = "mean_ap"

    def __post_init__(self) -> None:
        if self.metric not in ("voc07", "voc"):
            raise UsageError(f"metric must be 'voc07' or 'voc', got {self.metric!r}")
        if self.load_side < 0:
            raise UsageError(f"load_side must not be negative, got {self.load_side}")

    def load(self, spec: str, progress: Progress | None = None) -> BoxData:
        return load_boxes(spec, progress)

    # Views

    @abstractmethod
    def augment(self) -> Callable[[Any, Any, Any], tuple[Any, Any, Any]]:
        """The change of (image, boxes, labels) by chance: torchvision's transforms, from torch's global generator."""

    @abstractmethod
    def prepare(self, image: Any, boxes: Any) -> tuple[Any, Any]:
        """Image and boxes at the size that the network takes."""

    def train_view(self, split: BoxSplit, row: int, rng: np.random.Generator) -> Sample:
        """Difficult objects are left out, as in the protocols. Should every box be cropped away, the picture is kept as
        one without objects."""
        boxes = split.boxes[row]
        image, edges = self._as_tensors(read_photo(split.paths[row]), boxes.where(~boxes.difficult_M))
        labels = torch.from_numpy(boxes.labels_M[~boxes.difficult_M])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**63)))
            image, edges, labels = self.augment()(image, edges, labels)
        image, edges = self.prepare(image, edges)
        edges = edges.as_subclass(Tensor)
        keep = (edges[:, 2:] - edges[:, :2] >= 1).all(1)  # a box of less than a pixel cannot be learned
        return Sample(image.as_subclass(Tensor).contiguous(), {"boxes": edges[keep], "labels": labels[keep] + 1})

    def test_view(self, split: BoxSplit, row: int) -> Sample:
        """The target is the size (width, height) of the photo, in whose pixels boxes are judged."""
        photo = read_photo(split.paths[row])
        image, _ = self.prepare(*self._as_tensors(photo, split.boxes[row]))
        return Sample(image.as_subclass(Tensor).contiguous(), {"size": torch.tensor(photo.size, dtype=torch.float32)})

    def _as_tensors(self, photo: Any, boxes: Objects) -> tuple[Any, Any]:
        from torchvision import tv_tensors

        width, height = photo.size
        scale = min(1.0, self.load_side / max(width, height)) if self.load_side else 1.0
        if scale < 1:
            photo = photo.resize((max(1, round(width * scale)), max(1, round(height * scale))))
        ratio = np.array([photo.width / width, photo.height / height] * 2, np.float32)
        image = tv_tensors.Image(torch.from_numpy(np.array(photo)).permute(2, 0, 1))
        size = (photo.height, photo.width)
        edges = tv_tensors.BoundingBoxes(torch.from_numpy(boxes.xyxy_M4 * ratio), format="XYXY", canvas_size=size)
        return image, edges

    # Test

    def test(
        self,
        network: nn.Module,
        batches: Iterable[PictureBatch],
        data: BoxData,
        accelerator: Accelerator,
        *,
        final: bool,
    ) -> Tested:
        """``mean_ap`` by the chosen metric, ``mean_ap_voc07`` and ``mean_ap_voc``, in percent over the classes."""
        found = gathered([pair for batch in batches for pair in detect(network, batch)], len(data.test), accelerator)
        by_class = curves(found, data.test.boxes, data.num_classes)
        measures = {
            "mean_ap_voc07": 100 * mean_over_classes([curve.eleven_points for curve in by_class]),
            "mean_ap_voc": 100 * mean_over_classes([curve.area for curve in by_class]),
        }
        measures = {"mean_ap": measures[f"mean_ap_{self.metric}"], **measures}
        if not final or not accelerator.is_main_process:
            return Tested(measures)
        details = {"per_class": per_class(by_class, data.classes), **coco_map(found, data.test.boxes, data.classes)}
        return Tested(measures, details, drawings(found, by_class, data))

    def draw_batch(self, batch: PictureBatch, data: BoxData, path: Path, title: str) -> None:
        from cutmix.transfer.box_pictures import BoxPicture, boxes_picture

        shown = [
            BoxPicture(as_pixels(image), target["boxes"].cpu().numpy(), [data.classes[k - 1] for k in target["labels"]])
            for image, target in zip(batch.images[:GRID], batch.targets)
        ]
        boxes_picture(shown, path, title=title)


def as_pixels(image_CHW: Tensor) -> np.ndarray:
    """uint8 (H, W, 3) of an image in [0, 1]."""
    return (image_CHW.detach().cpu() * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


@torch.no_grad()
def detect(network: nn.Module, batch: PictureBatch) -> list[tuple[int, Detections]]:
    """(row, what was found) for each picture of the batch, in the pixels of its photo."""
    found = []
    for row, image, target, output in zip(batch.rows, batch.images, batch.targets, network(batch.images)):
        width, height = target["size"].tolist()
        scale = torch.tensor([width / image.shape[2], height / image.shape[1]] * 2, device=output["boxes"].device)
        numbers = [output["boxes"] * scale, output["labels"] - 1, output["scores"]]
        found.append((row, Detections(*(part.float().cpu().numpy() for part in numbers))))
    return found


def per_class(by_class: Sequence[Curve], classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """AP in percent of each class that has objects, in both forms, with the number of objects."""
    return {
        name: {"voc07": 100 * curve.eleven_points, "voc": 100 * curve.area, "objects": curve.objects}
        for name, curve in zip(classes, by_class)
        if curve.objects
    }


def drawings(found: Sequence[Detections], by_class: Sequence[Curve], data: BoxData) -> dict[str, Callable]:
    """The pictures of a test: precision over recall, and what was found in the first pictures."""
    from cutmix.transfer.box_pictures import precision_recall_picture

    known = {name: curve for name, curve in zip(data.classes, by_class) if curve.objects}
    return {
        "precision_recall.png": partial(precision_recall_picture, known),
        "detections.png": partial(_draw_found, found[:GRID], data),
    }


def _draw_found(found: Sequence[Detections], data: BoxData, path: Path) -> None:
    from cutmix.transfer.box_pictures import BoxPicture, boxes_picture

    shown = []
    for photo, true, detections in zip(data.test.paths, data.test.boxes, found):
        sure = detections.scores_D >= SHOWN_SCORE
        names = [
            f"{data.classes[int(label)]} {score:.2f}"
            for label, score in zip(detections.labels_D[sure], detections.scores_D[sure])
        ]
        image = np.asarray(read_photo(photo))
        shown.append(BoxPicture(image, detections.xyxy_D4[sure], names, true.xyxy_M4))
    boxes_picture(shown, path, title=f"Found with a score of {SHOWN_SCORE} or more (coloured), and true boxes (white)")
