"""COCO folders: boxes, classes by number, crowds, and annotations that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cutmix.data.coco import list_coco
from cutmix.data.objects import load_listed
from cutmix.errors import CutmixError

CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]


def write(folder: Path, part: str, annotations: list[dict], categories=CATEGORIES, pictures: int = 2) -> Path:
    """Pictures 10, 11, ... of 40x30, and their instances."""
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / part).mkdir()
    images = []
    for number in range(10, 10 + pictures):
        shade = (number, len(part), 0)
        Image.new("RGB", (40, 30), shade).save(folder / part / f"{number}.jpg")
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 40, "height": 30})
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
    return folder


def cat(image: int = 10, **changes) -> dict:
    return {"id": 1, "image_id": image, "category_id": 3, "bbox": [1, 2, 10, 20], "iscrowd": 0, **changes}


def test_boxes_classes_and_crowds(tmp_path):
    """x, y, width, height become edges; classes are counted by their number; a crowd is difficult."""
    write(tmp_path, "train2017", [cat(), cat(category_id=7, bbox=[0.5, 0, 3, 4], iscrowd=1), cat(11)])
    write(tmp_path, "val2017", [cat()])
    data = load_listed(list_coco(tmp_path))
    assert data.classes == ("cat", "dog")
    first = data.train.boxes[0]
    np.testing.assert_array_equal(first.xyxy_M4, [[1, 2, 11, 22], [0.5, 0, 3.5, 4]])
    assert (first.labels_M.tolist(), first.difficult_M.tolist()) == ([0, 1], [False, True])
    assert (len(data.train), len(data.test)) == (2, 2)  # a test picture without objects stays
    assert data.note.startswith("trained on instances_train2017, tested on instances_val2017")


def test_classes_go_by_their_number_and_not_by_their_name(tmp_path):
    categories = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}]
    for part in ("train2017", "val2017"):
        write(tmp_path, part, [cat(category_id=7), cat(category_id=3)], categories)
    listed = list_coco(tmp_path)
    assert listed.classes == ("dog", "cat")
    assert listed.test.boxes[0].labels_M.tolist() == [1, 0]


def test_objects_go_to_their_picture_in_the_folder_of_its_part(tmp_path):
    """Annotations are in any order; of three pictures the second has none. One without "iscrowd" is no crowd."""
    last = cat(12, bbox=[5, 6, 7, 8])
    del last["iscrowd"]
    write(tmp_path, "train2017", [last, cat(10)], pictures=3)
    write(tmp_path, "val2017", [cat()])
    listed = list_coco(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in listed.paths] == [
        "train2017/10.jpg", "train2017/11.jpg", "train2017/12.jpg", "val2017/10.jpg", "val2017/11.jpg"]  # fmt: skip
    assert [boxes.xyxy_M4.tolist() for boxes in listed.train.boxes] == [[[1, 2, 11, 22]], [], [[5, 6, 12, 14]]]
    assert not listed.train.boxes[2].difficult_M.any()
    assert listed.sizes == dict.fromkeys(listed.paths, (40, 30))


def test_annotations_that_cannot_be_used_are_named(tmp_path):
    wrong = [
        cat(id=5, category_id=99),
        cat(id=6, image_id=77),
        {"id": 7, "image_id": 10, "category_id": 3},
        cat(bbox=[1, 2]),
    ]
    write(tmp_path, "train2017", [cat(), *wrong])
    write(tmp_path, "val2017", [cat()])
    with pytest.raises(CutmixError, match=r"4 problem\(s\)") as raised:
        load_listed(list_coco(tmp_path))
    for said in (
        "annotation 5 cannot be used (KeyError: 99)",
        "annotation 6 is of image 77",
        "annotation 7 cannot be used",
    ):
        assert said in str(raised.value)


def test_files_that_are_no_such_json(tmp_path):
    write(tmp_path, "train2017", [cat()])
    with pytest.raises(CutmixError, match="instances_valYEAR.json is needed, it holds none"):
        list_coco(tmp_path)
    write(tmp_path, "val2017", [cat()])
    file = tmp_path / "annotations" / "instances_val2017.json"
    file.write_text(file.read_text()[:50])
    with pytest.raises(CutmixError, match="cannot be read as JSON"):
        list_coco(tmp_path)
    file.write_text("{}")
    with pytest.raises(CutmixError, match="lacks images, annotations, categories"):
        list_coco(tmp_path)


def test_other_categories_in_the_test_are_refused(tmp_path):
    write(tmp_path, "train2017", [cat()])
    write(tmp_path, "val2017", [cat()], categories=CATEGORIES[1:])
    with pytest.raises(CutmixError, match="have other categories"):
        list_coco(tmp_path)


def edited(folder: Path, part: str, edit) -> Path:
    file = folder / "annotations" / f"instances_{part}.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(edit(content) or content))
    return folder


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda content: [1], "lacks images, annotations, categories"),
        (lambda content: content["images"][1].pop("id") and None, r"a picture lacks its id or file_name \(KeyError"),
        (lambda content: content["images"].append("10.jpg"), "a picture lacks its id or file_name"),
        (lambda content: content["images"][1].update(id=10), r"1 id\(s\) are of several pictures, the first is 10"),
        (lambda content: content["categories"].append({"id": 9, "name": "cat"}), "two categories have the name 'cat'"),
        (lambda content: content["categories"].append({"id": 3, "name": "cow"}), "two categories have the id 3"),
    ],
)
def test_a_file_that_contradicts_itself_is_named(tmp_path, edit, said):
    """Two pictures of one id would give the objects of both to the second, without a word."""
    write(tmp_path, "train2017", [cat()])
    write(tmp_path, "val2017", [cat()])
    with pytest.raises(CutmixError, match=said):
        list_coco(edited(tmp_path, "train2017", edit))


def test_entries_of_another_kind_are_named(tmp_path):
    write(tmp_path, "train2017", [cat(), "cat", cat(image_id=[10], id=4), cat(image_id="10", id=5)])  # type: ignore[list-item]
    write(tmp_path, "val2017", [cat()])
    listed = list_coco(edited(tmp_path, "val2017", lambda content: content["images"][0].update(width="wide")))
    said = [reason for _, reason in listed.problems]
    assert said[0].startswith("an annotation cannot be used (TypeError")
    assert said[1].startswith("annotation 4 cannot be used (TypeError")
    assert said[2] == "annotation 5 is of image '10', which is not listed"
    assert said[3].startswith("image 10 has no number as its width or height")
    assert len(listed.train.boxes[0]) == 1
