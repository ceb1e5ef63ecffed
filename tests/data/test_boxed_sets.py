"""The sets that have boxes, as their archives unpack: what is read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cutmix.data import load_data, view_boxes
from cutmix.data.boxes import picture_size
from cutmix.errors import CutmixError, UsageError

from .conftest import make_cub200, make_imagenet, make_oxford_pets, make_tiny_imagenet


def test_tiny_imagenet(tmp_path: Path) -> None:
    data = load_data(make_tiny_imagenet(tmp_path), tmp_path)
    assert data.classes == ("goldfish", "European fire salamander")
    assert data.train.labels_N.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.labels_N.tolist() == [1, 0, 0]  # in the order of val_annotations.txt
    assert data.image_size == 64
    boxes = view_boxes(data)
    assert boxes.boxes_M4.tolist() == [[0, 0, 64, 64], [5, 10, 21, 50]]  # last pixels belong to boxes
    assert (boxes.counts_N.tolist(), boxes.dropped) == ([1, 1, 0], 1)
    assert view_boxes(data, data.train).boxes_M4[2].tolist() == [2, 3, 43, 51]
    half = load_data("tiny_imagenet", tmp_path, image_size=32)
    assert view_boxes(half).boxes_M4.tolist() == [[0, 0, 32, 32], [2.5, 5, 10.5, 25]]


def test_cub200(tmp_path: Path) -> None:
    data = load_data(make_cub200(tmp_path), tmp_path)
    assert data.classes == ("Black footed Albatross", "Laysan Albatross")
    assert [path.name for path in data.train.paths] == ["a.jpg", "c.jpg", "d.jpg"]
    assert [path.name for path in data.test.paths] == ["b.jpg", "e.jpg"]
    assert data.test.labels_N.tolist() == [0, 1]
    assert data.test.read_boxes().boxes_M4.tolist() == [[1, 5, 21, 15], [4, 5, 24, 15]]  # of photos 2 and 5
    assert data.test.read_boxes().sizes_N2.tolist() == [[40, 30]] * 2


def test_cub200s_tables_say_of_which_photo_each_line_is(tmp_path: Path) -> None:
    make_cub200(tmp_path)
    table = tmp_path / "CUB_200_2011/bounding_boxes.txt"
    table.write_text(
        "5 3.5 2.0 6.0 4.0\n4 0.0 1.0 2.0 3.0\n3 9.0 9.0 9.0 9.0\n2 30.0 20.0 20.0 5.0\n1 1.0 1.0 1.0 1.0\n"
    )
    boxes = load_data("cub200", tmp_path).test.read_boxes()
    assert boxes.boxes_M4.tolist() == [[30, 20, 40, 25], [3.5, 2, 9.5, 6]]  # of photos 2, clipped to 40 columns, and 5


def test_oxford_pets(tmp_path: Path) -> None:
    data = load_data(make_oxford_pets(tmp_path), tmp_path)
    assert data.classes == ("Abyssinian", "american bulldog")
    assert [path.stem for path in data.test.paths] == ["american_bulldog_3", "american_bulldog_2", "Abyssinian_3"]
    assert data.test.labels_N.tolist() == [1, 1, 0]
    assert data.test.read_boxes().boxes_M4.tolist() == [[7, 4, 21, 12], [6, 4, 21, 12], [4, 4, 21, 12]]


def test_a_part_of_the_pets_gets_a_drawn_test_part(tmp_path: Path) -> None:
    make_oxford_pets(tmp_path)
    (tmp_path / "oxford-iiit-pet/annotations/test.txt").unlink()
    data = load_data("oxford_pets", tmp_path)
    assert len(data.train) + len(data.test) == 6
    assert "drawn for testing" in data.note


def test_overlapping_lists_are_noted(tmp_path: Path) -> None:
    make_oxford_pets(tmp_path)
    lists = tmp_path / "oxford-iiit-pet/annotations"
    (lists / "trainval.txt").write_text((lists / "trainval.txt").read_text() + "Abyssinian_3 1 1 1\n")
    assert load_data("oxford_pets", tmp_path).note == "1 of 3 test pictures are also train pictures"


def test_outlines_of_another_size_or_of_nothing_are_dropped(tmp_path: Path) -> None:
    make_oxford_pets(tmp_path)
    trimaps = tmp_path / "oxford-iiit-pet/annotations/trimaps"
    Image.fromarray(np.ones((40, 30), np.uint8)).save(trimaps / "Abyssinian_3.png")
    Image.fromarray(np.full((30, 40), 2, np.uint8)).save(trimaps / "american_bulldog_2.png")
    boxes = load_data("oxford_pets", tmp_path).test.read_boxes()
    assert (boxes.counts_N.tolist(), boxes.dropped) == ([1, 0, 0], 2)


def write_imagenet_boxes(folder: Path, data_paths: tuple[Path, ...]) -> None:
    folder.mkdir(parents=True)
    for number, path in enumerate(data_paths):
        width, height = picture_size(path)
        (folder / f"{path.stem}.xml").write_text(
            f"<annotation><size><width>{width}</width><height>{height}</height></size>"
            + "".join(
                f"<object><bndbox><xmin>{left}</xmin><ymin>2</ymin><xmax>{20 + number}</xmax><ymax>9</ymax>"
                "</bndbox></object>"
                for left in range(1, 2 + number % 2)
            )
            + "</annotation>"
        )


@pytest.mark.parametrize("place", ["bbox/val", "Annotations/CLS-LOC/val"])
def test_imagenets_boxes_lie_beside_its_photos(tmp_path: Path, place: str) -> None:
    make_imagenet(tmp_path)
    paths = load_data("imagenet", tmp_path).test.paths
    for class_folder in {path.parent for path in paths}:  # ImageNet's names are unlike each other
        for path in sorted(class_folder.iterdir()):
            path.rename(path.with_name(f"{class_folder.name}_{path.name}"))
    data = load_data("imagenet", tmp_path)
    write_imagenet_boxes(tmp_path / "ILSVRC" / place, data.test.paths)
    boxes = data.test.read_boxes()
    assert boxes.counts_N.tolist() == [1, 2, 1, 2]
    assert boxes.of(3).tolist() == [[0, 1, 23, 9], [1, 1, 23, 9]]


def test_without_imagenets_boxes_it_is_said_where_they_belong(tmp_path: Path) -> None:
    data = load_data(make_imagenet(tmp_path), tmp_path)  # training needs none
    with pytest.raises(UsageError, match="ILSVRC2012_bbox_val_v3") as caught:
        view_boxes(data)
    assert str(tmp_path / "ILSVRC/bbox/val") in str(caught.value)


@pytest.mark.parametrize(
    ("make", "spoil", "said"),
    [
        (
            make_tiny_imagenet,
            lambda root: (root / "tiny-imagenet-200/val/val_annotations.txt").unlink(),
            "val_annotations",
        ),
        (make_tiny_imagenet, lambda root: (root / "tiny-imagenet-200/wnids.txt").write_text("n1\n"), "holds no .JPEG"),
        (
            make_cub200,
            lambda root: (root / "CUB_200_2011/classes.txt").write_text("1 001.One\n"),
            "classes.txt has not: 2",
        ),
        (
            make_cub200,
            lambda root: (root / "CUB_200_2011/train_test_split.txt").write_text("1 1\n2 0\n"),
            r"says nothing of photo 3 \(3 in all\)",
        ),
        (
            make_oxford_pets,
            lambda root: (root / "oxford-iiit-pet/annotations/test.txt").write_text("Abyssinian_3\n"),
            "4 parts a line",
        ),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, make: Callable[[Path], str], spoil: Callable[[Path], object], said: str
) -> None:
    spec = make(tmp_path)
    spoil(tmp_path)
    with pytest.raises(CutmixError, match=said):
        load_data(spec, tmp_path)


@pytest.mark.parametrize(
    ("make", "spoil", "said"),
    [
        (
            make_cub200,
            lambda root: (root / "CUB_200_2011/bounding_boxes.txt").unlink(),
            r"bounding_boxes\.txt is missing",
        ),
        (
            make_cub200,
            lambda root: (root / "CUB_200_2011/bounding_boxes.txt").write_text(
                "".join(f"{k} 1 2 3\n" for k in range(1, 6))
            ),
            "four numbers a photo",
        ),
        (
            make_oxford_pets,
            lambda root: (root / "oxford-iiit-pet/annotations/trimaps/Abyssinian_3.png").unlink(),
            r"Abyssinian_3\.png",
        ),
    ],
)
def test_missing_boxes_are_named_when_they_are_needed(
    tmp_path: Path, make: Callable[[Path], str], spoil: Callable[[Path], object], said: str
) -> None:
    spec = make(tmp_path)
    spoil(tmp_path)
    with pytest.raises(CutmixError, match=said):
        view_boxes(load_data(spec, tmp_path))
