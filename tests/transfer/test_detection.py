"""The detection task: batches, detections in the photo's own pixels, gathering, what a test leaves, pictures."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cutmix.data import BoxSplit, load_boxes, make_boxes
from cutmix.errors import CutmixError, UsageError
from cutmix.transfer.average_precision import Detections
from cutmix.transfer.batches import Place, TestPictures, TrainPictures
from cutmix.transfer.detection import detect, drawings, gathered
from cutmix.transfer.faster_rcnn import FasterRCNN
from cutmix.transfer.ssd import SSD
from cutmix.transfer.task import PictureBatch, Sample

CPU = torch.device("cpu")
ALONE = SimpleNamespace(num_processes=1, is_main_process=True)
TASK = SSD(size=64, expand=1.0)


@pytest.fixture
def data(tiny_voc):
    return load_boxes(f"voc:{tiny_voc}")


class Oracle(nn.Module):
    """Finds what it is told, in the pixels that it was given."""

    def __init__(self, data) -> None:
        super().__init__()
        self.every = iter(data.test.boxes)

    def forward(self, images):
        outputs = []
        for image in images:
            boxes = next(self.every)
            scale = torch.tensor([image.shape[2] / 64, image.shape[1] / 48] * 2)
            labels = torch.from_numpy(boxes.labels_M) + 1
            edges = torch.from_numpy(boxes.xyxy_M4) * scale
            outputs.append({"boxes": edges, "labels": labels, "scores": torch.full((len(labels),), 0.9)})
        return outputs


def test_a_perfect_detector_has_a_perfect_mean_ap(data, tmp_path):
    """Boxes come back in the photo's pixels, 64x48, from the network's 64x64."""
    batches = TestPictures(TASK, data.test, 2, Place(CPU, workers=0))
    tested = TASK.test(Oracle(data), batches, data, ALONE, final=True)
    assert tested.measures == pytest.approx({"mean_ap": 100, "mean_ap_voc07": 100, "mean_ap_voc": 100})
    assert tested.details["coco_map"] == pytest.approx(100)
    assert {name: values["objects"] for name, values in tested.details["per_class"].items()} == {"blue": 4, "red": 1}
    for name, draw in tested.drawings.items():
        draw(tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] > 300
    assert set(tested.drawings) == {"detections.png", "precision_recall.png"}


def test_the_first_batch_is_drawn_with_the_names_of_its_classes(data, tmp_path, monkeypatch):
    """The network's class 1 is the first one, background being 0."""
    shown = []
    monkeypatch.setattr("cutmix.transfer.box_pictures.boxes_picture",
                        lambda pictures, path, title: shown.extend(pictures))  # fmt: skip
    images = [torch.zeros(3, 8, 8), torch.ones(3, 8, 8)]
    targets = [{"boxes": torch.tensor([[1.0, 2, 5, 7]]), "labels": torch.tensor([2])},
               {"boxes": torch.zeros(2, 4), "labels": torch.tensor([1, 2])}]  # fmt: skip
    TASK.draw_batch(PictureBatch(images, targets, [0, 1], 2), data, tmp_path / "first.png", "title")
    assert data.classes == ("blue", "red")
    assert [list(picture.names) for picture in shown] == [["red"], ["blue", "red"]]
    assert shown[0].xyxy_D4.tolist() == [[1, 2, 5, 7]]
    assert [int(picture.image_HW3.max()) for picture in shown] == [0, 255]


def test_detections_of_one_half_and_more_are_drawn(data, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("cutmix.transfer.box_pictures.boxes_picture",
                        lambda pictures, path, title: shown.extend(pictures))  # fmt: skip
    edges = np.array([[1.0, 2, 5, 7], [3, 4, 9, 8], [0, 0, 2, 2]])
    found = [Detections(edges, np.array([1, 0, 1]), np.array([0.5, 0.75, 0.49]))]
    drawings(found, [], data)["detections.png"](tmp_path / "detections.png")
    assert list(shown[0].names) == ["red 0.50", "blue 0.75"]
    np.testing.assert_array_equal(shown[0].xyxy_D4, edges[:2])
    np.testing.assert_array_equal(shown[0].true_M4, data.test.boxes[0].xyxy_M4)


def test_boxes_of_less_than_a_pixel_are_not_learned(tmp_path):
    """Of 10x10, 0.5x10 and 10x0.9 pixels, the first alone."""
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    boxes = make_boxes([[20, 5, 20.5, 15], [4, 5, 14, 15], [4, 5, 14, 5.9]], [0, 1, 0])
    split = BoxSplit((tmp_path / "a.png",), (boxes,))
    _, target = FasterRCNN().train_view(split, 0, np.random.default_rng(0))
    assert target["labels"].tolist() == [2]
    assert len(target["boxes"]) == 1


def test_details_are_for_the_last_test_alone(data):
    batches = TestPictures(TASK, data.test, 2, Place(CPU, workers=0))
    tested = TASK.test(Oracle(data), batches, data, ALONE, final=False)
    assert not tested.details
    assert not tested.drawings


def test_the_chosen_metric_is_reported(data):
    class Half(Oracle):
        """Misses every second object, with a wrong one before each."""

        def forward(self, images):
            outputs = super().forward(images)
            for output in outputs:
                output["boxes"][1:] = torch.tensor([0.0, 60.0, 3.0, 64.0])
                output["scores"] = torch.linspace(0.5, 0.9, len(output["boxes"]))
            return outputs

    # Red: one of one. Blue, four objects: two wrong ones, then two right ones, so that precision is 1/2 up to a recall
    # of 1/2: an area of 1/4, and six of eleven points.
    red, blue = {"voc07": 100.0, "voc": 100.0}, {"voc07": 100 * 6 / 11 / 2, "voc": 25.0}
    means = {f"mean_ap_{metric}": (red[metric] + blue[metric]) / 2 for metric in red}
    for metric in ("voc07", "voc"):
        batches = TestPictures(TASK, data.test, 2, Place(CPU, workers=0))
        tested = SSD(size=64, metric=metric).test(Half(data), batches, data, ALONE, final=True)
        assert tested.measures == pytest.approx({"mean_ap": means[f"mean_ap_{metric}"], **means})
        assert tested.details["per_class"]["blue"] == pytest.approx({**blue, "objects": 4})


def test_two_processes_test_each_picture_once(data):
    """Three pictures over two processes: what both find, put together, is what one finds."""
    rows = []
    for rank in range(2):
        batches = TestPictures(TASK, data.test, 2, Place(CPU, rank, 2, workers=0))
        rows += [row for batch in batches for row in batch.rows]
    assert sorted(rows) == [0, 1, 2]


def test_a_picture_that_was_tested_twice_or_never_is_noticed():
    nothing = Detections(np.empty((0, 4)), np.empty(0, int), np.empty(0))
    assert len(gathered([(1, nothing), (0, nothing)], 2, ALONE)) == 2
    with pytest.raises(UsageError, match="3 pictures were tested, 2 different ones; each of 3"):
        gathered([(0, nothing), (1, nothing), (1, nothing)], 3, ALONE)


def test_an_epoch_is_the_same_however_it_is_asked_for(data):
    """From its middle, in two processes, or with workers."""
    train = TrainPictures(TASK, data.train, 3, 5, Place(CPU, workers=0))
    whole = list(train.epoch(1))
    assert train.steps_per_epoch == len(whole) == 3
    assert [batch.total for batch in whole] == [3, 3, 2]
    rest = list(TrainPictures(TASK, data.train, 3, 5, Place(CPU, workers=1)).epoch(1, 1))
    halves = [list(TrainPictures(TASK, data.train, 3, 5, Place(CPU, rank, 2, 0)).epoch(1)) for rank in range(2)]
    assert [batch.rows for batch in rest] == [batch.rows for batch in whole[1:]]
    assert [one.rows[0::1] for one in halves[0]] == [batch.rows[0::2] for batch in whole]
    for batch, one, other in zip(whole[1:], rest, halves[0][1:]):
        assert all(torch.equal(a, b) for a, b in zip(batch.images, one.images))
        assert torch.equal(batch.targets[0]["boxes"], one.targets[0]["boxes"])
        assert torch.equal(batch.images[0], other.images[0])
    assert whole[0].rows != next(iter(train.epoch(2))).rows
    assert float(whole[0].images[0].max()) <= 1


def test_views_change_with_the_epoch_and_the_seed(data):
    """Each picture's view by row: another one in the next epoch, and under another seed."""

    def views(seed: int, epoch: int) -> dict[int, torch.Tensor]:
        batches = TrainPictures(TASK, data.train, 3, seed, Place(CPU, workers=0)).epoch(epoch)
        return {row: image for batch in batches for row, image in zip(batch.rows, batch.images)}

    first, later, other = views(5, 0), views(5, 1), views(6, 0)
    assert list(first) != list(later)
    assert list(first) != list(other)
    for row, image in first.items():
        assert not torch.equal(image, later[row])
        assert not torch.equal(image, other[row])


def test_each_picture_of_an_epoch_has_a_chance_of_its_own(data):
    """The first number that each row's generator gives."""

    class Draws(SSD):
        def train_view(self, split, row, rng):
            return Sample(torch.zeros(3, 1, 1, dtype=torch.uint8), {"drawn": torch.tensor(rng.random())})

    batches = TrainPictures(Draws(), data.train, 3, 5, Place(CPU, workers=0)).epoch(0)
    drawn = [float(target["drawn"]) for batch in batches for target in batch.targets]
    assert len(set(drawn)) == len(drawn) == 8


def test_more_processes_than_pictures_in_a_batch_are_refused(data):
    with pytest.raises(UsageError, match="batch_size is 1; each of 2"):
        TrainPictures(TASK, data.train, 1, 0, Place(CPU, 0, 2, 0))


def test_a_picture_that_vanished_is_named(data):
    data.test.paths[1].unlink()
    with pytest.raises(CutmixError, match=f"{data.test.paths[1].name}: is missing"):
        list(TestPictures(TASK, data.test, 2, Place(CPU, workers=0)))


def test_detections_are_counted_from_class_0(data):
    (batch, *_) = TestPictures(TASK, data.test, 2, Place(CPU, workers=0))
    row, found = detect(Oracle(data), batch)[0]
    assert row == 0
    assert set(found.labels_D) <= {0, 1}
    np.testing.assert_allclose(found.xyxy_D4, data.test.boxes[0].xyxy_M4, rtol=1e-5)
