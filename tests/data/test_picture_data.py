"""What data of pictures share: rows of a split, copies between its parts, the first few of many problems."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutmix.data.captions import CaptionSplit
from cutmix.data.photo_facts import PhotoFact
from cutmix.data.picture_data import Findings, copies, copies_note, list_by_kind, refuse
from cutmix.errors import CutmixError, UsageError


def split(*names: str) -> CaptionSplit:
    return CaptionSplit(tuple(map(Path, names)), tuple((f"it is {name}",) for name in names))


def test_what_belongs_to_a_picture_goes_with_it():
    part = split("a", "b", "c").subset([2, 0])
    assert type(part) is CaptionSplit
    assert (part.paths, part.captions) == ((Path("c"), Path("a")), (("it is c",), ("it is a",)))


def test_copies_are_test_pictures_with_the_bytes_of_a_train_picture():
    train, test = split("a", "b", "broken"), split("c", "d", "gone", "e")
    facts = [PhotoFact(1, 1, digest, "") for digest in ("1", "2", "", "3", "2", "", "2")]
    assert copies(train, test, facts) == [(Path("b"), Path("d")), (Path("b"), Path("e"))]
    assert copies_note(train, test, facts) == "2 of 4 test pictures are also train pictures"
    assert copies_note(train, test, facts[:3] + facts[3:4] * 4) == ""


def test_five_of_seven_problems_are_named():
    wrong = [(Path(f"{number}.png"), "is bad") for number in range(7)]
    with pytest.raises(CutmixError) as caught:
        refuse(wrong, "7 bad ones", "folder:x")
    lines = str(caught.value).splitlines()
    assert lines[:2] == ["7 bad ones:", "  0.png: is bad"]
    assert lines[5:] == [
        "  4.png: is bad",
        "  ... and 2 more",
        "Repair or remove them; cutmix data check folder:x lists them all.",
    ]
    with pytest.raises(CutmixError, match="data check lists them all") as caught:
        refuse(wrong[:5], "5 bad ones")
    assert "more" not in str(caught.value)
    refuse([], "none")


@pytest.mark.parametrize("spec", ["voc:x", "tsv:", "tsv"])
def test_another_kind_of_data_is_refused(spec):
    with pytest.raises(UsageError, match=f"'{spec}' is no box data; tsv:PATH or coco:PATH is accepted"):
        list_by_kind(spec, {"tsv": str, "coco": repr}, "box")
    assert list_by_kind("coco:~/x:y", {"tsv": str, "coco": repr}, "box") == repr(Path("~/x:y").expanduser())


def test_copies_are_no_reason_against_training():
    found = Findings(copies=(("a", "b"),))
    assert list(found.ending()) == ["warning: b is the same as a", "can be trained on"]
    found = Findings(problems=((Path("a"), "is bad"),))
    assert list(found.ending()) == ["error: a: is bad", "1 problem(s) keep it from being trained on"]
