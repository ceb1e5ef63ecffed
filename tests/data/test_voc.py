"""VOC folders: boxes in edges, which lists are taken, classes as found, and what may be wrong with an annotation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cutmix.data.objects import check_listed, load_listed
from cutmix.data.voc import list_voc, read_annotation
from cutmix.errors import CutmixError

DOG = "<object><name>dog</name><difficult>{hard}</difficult><bndbox>{box}</bndbox></object>"
BOX = "<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"


def xml(*objects: str, size: str = "<size><width>40</width><height>30</height></size>") -> str:
    return f"<annotation>{size}{''.join(objects)}</annotation>"


def dog(*edges: float, hard: int = 0) -> str:
    return DOG.format(hard=hard, box=BOX.format(*edges))


def year(folder: Path, first: int = 0, **lists: int) -> Path:
    """A VOC folder with so many pictures in each list, of consecutive numbers."""
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    for part, count in lists.items():
        names = [f"{number:06}" for number in range(first, first + count)]
        first += count
        (folder / "ImageSets" / "Main" / f"{part}.txt").write_text("".join(f"{name}  1\n" for name in names))
        for name in names:
            Image.new("RGB", (40, 30), (int(name), 0, 0)).save(folder / "JPEGImages" / f"{name}.jpg")
            (folder / "Annotations" / f"{name}.xml").write_text(xml(dog(1, 2, 11, 22)))
    return folder


def test_a_box_in_edges(tmp_path):
    """Pixels 1 to 11 and 2 to 22, counted from 1: 11 wide and 21 high, from (0, 1)."""
    (tmp_path / "a.xml").write_text(xml(dog(1, 2, 11, 22), dog(5.5, 6, 7, 8, hard=1)))
    annotation = read_annotation(tmp_path / "a.xml")
    assert annotation.size == (40, 30)
    assert annotation.objects == (("dog", (0, 1, 11, 22), False), ("dog", (4.5, 5, 7, 8), True))


def test_trainval_and_test_or_else_train_and_val(tmp_path):
    one = list_voc(year(tmp_path / "one", trainval=3, test=2))
    other = list_voc(year(tmp_path / "other", train=2, val=1))
    assert (len(one.train), len(one.test), one.note) == (3, 2, "trained on trainval, tested on test")
    assert (len(other.train), len(other.test), other.note) == (2, 1, "trained on train, tested on val")
    assert one.classes == ("dog",)


def test_a_devkit_is_trained_on_all_years_and_tested_on_2007(tmp_path):
    year(tmp_path / "VOC2007", trainval=3, test=2)
    year(tmp_path / "VOC2012", first=50, trainval=4)
    listed = list_voc(tmp_path)
    assert (len(listed.train), len(listed.test)) == (7, 2)
    assert listed.note == "trained on VOC2007 trainval and VOC2012 trainval, tested on VOC2007 test"
    assert {path.parts[-3] for path in listed.test.paths} == {"VOC2007"}
    assert len(load_listed(listed).train) == 7


def test_classes_are_those_of_both_parts_in_the_order_of_the_alphabet(tmp_path):
    """A cow is in a test picture alone, behind a dog."""
    folder = year(tmp_path / "one", trainval=1, test=1)
    text = xml(dog(3, 4, 9, 9), dog(1, 2, 11, 22).replace("dog", "cow"))
    (folder / "Annotations" / "000001.xml").write_text(text)
    listed = list_voc(folder)
    assert listed.classes == ("cow", "dog")
    assert [boxes.labels_M.tolist() for boxes in (*listed.train.boxes, *listed.test.boxes)] == [[1], [1, 0]]
    assert listed.sizes == dict.fromkeys(listed.paths, (40, 30))


def test_a_line_is_degenerate(tmp_path):
    """As wide as nothing, three pixels high; and the other way round."""
    folder = year(tmp_path / "one", trainval=2, test=1)
    lines = (dog(14, 7, 14, 9), dog(14, 7, 16, 7), dog(3, 4, 9, 9))
    (folder / "Annotations" / "000000.xml").write_text(xml(*lines))
    data = load_listed(list_voc(folder))
    assert data.note.endswith("2 degenerate boxes (no width or no height) left out")
    np.testing.assert_array_equal(data.train.boxes[0].xyxy_M4, [[2, 3, 9, 9]])


def test_a_point_is_degenerate(tmp_path):
    """As in BCCD: xmin = xmax, ymin = ymax."""
    folder = year(tmp_path / "one", trainval=2, test=1)
    (folder / "Annotations" / "000000.xml").write_text(xml(dog(14, 7, 14, 7), dog(3, 4, 9, 9)))
    data = load_listed(list_voc(folder))
    assert data.note.endswith("1 degenerate boxes (no width or no height) left out")
    np.testing.assert_array_equal(data.train.boxes[0].xyxy_M4, [[2, 3, 9, 9]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<annotation><object>", "cannot be read as XML"),
        ("", "cannot be read as XML"),
        (xml("<object><bndbox/></object>"), "object 1 has no name"),
        (xml("<object><name>dog</name></object>"), r"object 1 \(dog\) has no bndbox"),
        (xml(dog(1, 2, 3, "x")), r"object 1 \(dog\) has no number as ymax: 'x'"),
        (xml(size="<size><width>40</width></size>"), "size has no number as height: None"),
        (xml(size="<size><width>nan</width><height>9</height></size>"), "size has no number as width: 'nan'"),
        (xml(dog(1, 2, float("inf"), 9)), r"object 1 \(dog\) has no number as xmax: 'inf'"),
        ('<?xml version="1.0" encoding="latin-99"?>' + xml(), "cannot be read as XML .*latin-99"),
    ],
)
def test_what_may_be_wrong_with_an_annotation(tmp_path, text, said):
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(CutmixError, match=said):
        read_annotation(path)


def test_problems_are_collected_and_named(tmp_path):
    folder = year(tmp_path / "one", trainval=4, test=1)
    (folder / "Annotations" / "000000.xml").unlink()
    (folder / "Annotations" / "000001.xml").write_text(xml(dog(1, 2, 3, "x")))
    (folder / "JPEGImages" / "000002.jpg").unlink()
    check = check_listed(list_voc(folder))
    found = {path.name: reason for path, reason in check.problems}
    assert found["000000.xml"] == "is missing"
    assert "no number as ymax" in found["000001.xml"]
    assert found["000002.jpg"] == "is missing"
    with pytest.raises(CutmixError, match=r"3 problem\(s\)"):
        load_listed(list_voc(folder))


def test_a_size_of_zero_is_not_known(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(xml(size="<size><width>0</width><height>0</height></size>"))
    assert read_annotation(path).size is None
    path.write_text(xml(size=""))
    assert read_annotation(path).size is None


def test_pictures_may_have_another_ending_than_jpg(tmp_path):
    folder = year(tmp_path / "one", trainval=1, test=1)
    (folder / "JPEGImages" / "000000.jpg").rename(folder / "JPEGImages" / "000000.JPEG")
    assert list_voc(folder).train.paths[0].name == "000000.JPEG"


@pytest.mark.parametrize("missing", ["trainval", "test"])
def test_missing_lists(tmp_path, missing):
    folder = year(tmp_path / "one", trainval=1, test=1)
    (folder / "ImageSets" / "Main" / f"{missing}.txt").unlink()
    with pytest.raises(CutmixError, match=r"\.txt cannot be read: a line for each picture"):
        list_voc(folder)


def test_what_is_no_voc_folder(tmp_path):
    with pytest.raises(CutmixError, match="is no VOC folder: JPEGImages, Annotations, ImageSets/Main are needed"):
        list_voc(tmp_path)
