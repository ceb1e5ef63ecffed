"""Captioning data: COCO's JSON and plain lines, and everything that can be wrong with them, counted before training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from cutmix.cli import main
from cutmix.data import check_data, load_captions
from cutmix.data.captions import CaptionData, CaptionSplit, has_word, list_captions
from cutmix.errors import CutmixError, UsageError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def write_coco(folder: Path, train: dict[str, list], test: dict[str, list]) -> Path:
    (folder / "annotations").mkdir(parents=True)
    for part, captions in (("train", train), ("val", test)):
        pictures = folder / f"{part}2017"
        pictures.mkdir()
        images, annotations = [], []
        for number, (name, of_picture) in enumerate(captions.items(), 10):
            Image.new("RGB", (8, 6), (number * 20, 0, 50 if part == "train" else 90)).save(pictures / name)
            images.append({"id": number, "file_name": name})
            annotations += [
                {"image_id": number, "id": 100 * number + k, "caption": c} for k, c in enumerate(of_picture)
            ]
        content = {"images": images, "annotations": annotations}
        (folder / "annotations" / f"captions_{part}2017.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def coco(tmp_path) -> Path:
    train = {"a.png": ["A red bus.", "two  red\nbuses"], "b.png": ["a cat", "", " . "], "c.png": []}
    return write_coco(tmp_path / "photos", train, {"d.png": ["a dog", "dogs", "x"], "e.png": ["!"]})


def change(coco: Path, part: str, edit) -> None:
    file = coco / "annotations" / f"captions_{part}2017.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_coco_captions(coco):
    data = load_captions(f"coco:{coco}")
    assert [path.name for path in data.train.paths] == ["a.png", "b.png"]
    assert data.train.captions == (("A red bus.", "two red buses"), ("a cat",))
    assert data.test.captions == (("a dog", "dogs", "x"),)
    assert data.note == (
        "trained on captions_train2017, tested on captions_val2017; 3 empty captions left out; "
        "2 pictures without a caption left out"
    )


def test_a_row_a_caption(coco):
    each = load_captions(f"coco:{coco}").train.each()
    assert [(path.name, *said) for path, said in zip(each.paths, each.captions)] == [
        ("a.png", "A red bus."), ("a.png", "two red buses"), ("b.png", "a cat")]  # fmt: skip


def test_a_number_is_a_word():
    assert [has_word(caption) for caption in ("42", " ?! ", "é", "", "a.")] == [True, False, True, False, True]


def split(**captions: str) -> CaptionSplit:
    """A picture for each name, with its captions apart by commas."""
    return CaptionSplit(tuple(map(Path, captions)), tuple(tuple(said.split(",")) for said in captions.values()))


def test_a_subset_has_the_order_that_is_asked_for():
    picked = split(a="one,two", b="three", c="four").subset([2, 0])
    assert picked.paths == (Path("c"), Path("a"))
    assert picked.captions == (("four",), ("one", "two"))


def test_lines_of_a_folder(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4), "red" if name == "a.png" else "blue").save(tmp_path / name)
    (tmp_path / "train.tsv").write_text("\ufeffa.png#0\tA bus\n\na.png#1\ttwo\tbuses\n", encoding="utf-8")
    (tmp_path / "test.tsv").write_text("b.png\tcafé\n", encoding="utf-8")
    data = load_captions(f"tsv:{tmp_path}")
    assert (data.train.paths, data.train.captions) == ((tmp_path / "a.png",), (("A bus", "two buses"),))
    assert (data.test.captions, data.note) == ((("café",),), "tested on test.tsv")


def test_a_number_sign_within_a_name_belongs_to_it(tmp_path):
    (tmp_path / "train.tsv").write_text("no#1.png#2\ta bus\nno#1.png\ttwo\na#b\tc\n")
    (tmp_path / "val.tsv").write_text("b.png#10\tcar\n")
    listed = list_captions(f"tsv:{tmp_path}")
    assert [path.name for path in listed.paths] == ["no#1.png", "a#b", "b.png"]
    assert listed.train.captions == (("a bus", "two"), ("c",))


def test_two_test_parts_are_refused(tmp_path):
    for name in ("train", "val", "test"):
        (tmp_path / f"{name}.tsv").write_text("a.png\ta\n")
    with pytest.raises(CutmixError, match=r"must hold train.tsv and one of val.tsv and test.tsv"):
        list_captions(f"tsv:{tmp_path}")


def test_one_file_is_split_by_names(tmp_path):
    for number in range(10):
        Image.new("RGB", (4, 4), (number * 9, 0, 0)).save(tmp_path / f"{number}.png")
    lines = [f"{number}.png\tcaption {number} {k}" for number in range(10) for k in range(2)]
    (tmp_path / "all.tsv").write_text("\n".join(lines))
    data = load_captions(f"tsv:{tmp_path / 'all.tsv'}")
    assert (len(data.train), len(data.test)) == (8, 2)
    assert not set(data.train.paths) & set(data.test.paths)
    assert all(len(said) == 2 for said in data.test.captions)
    (tmp_path / "all.tsv").write_text("\n".join(reversed(lines)))
    assert set(load_captions(f"tsv:{tmp_path / 'all.tsv'}").test.paths) == set(data.test.paths)


def test_what_cannot_be_used_is_named_and_counted(coco):
    (coco / "train2017" / "a.png").unlink()
    whole = (coco / "val2017" / "d.png").read_bytes()
    (coco / "val2017" / "d.png").write_bytes(whole[: len(whole) // 2])
    change(coco, "val", lambda content: content["annotations"].append({"id": 7, "image_id": 99, "caption": "a"}))
    change(coco, "val", lambda content: content["annotations"].append({"id": 8, "image_id": 10, "caption": 5}))
    change(coco, "val", lambda content: content["annotations"].append({"id": 9, "image_id": 10}))
    with pytest.raises(CutmixError) as caught:
        load_captions(f"coco:{coco}")
    said = str(caught.value)
    assert said.startswith("5 problem(s)")
    assert "annotation 7 is of image 99, which is not listed" in said
    assert "annotation 8 has a caption that is no text (int)" in said
    assert "annotation 9 cannot be used (KeyError: 'caption')" in said
    assert "a.png: is missing" in said
    assert "d.png: is not a picture that can be decoded" in said
    assert [path.name for path, _ in check_data(f"coco:{coco}").parts[0].problems] == [
        *["captions_val2017.json"] * 3, "a.png", "d.png"]  # fmt: skip


def test_an_image_id_that_is_no_number_is_named(coco):
    change(coco, "val", lambda content: content["annotations"].append({"id": 6, "image_id": [10], "caption": "a"}))
    with pytest.raises(CutmixError, match=r"annotation 6 cannot be used \(TypeError"):
        load_captions(f"coco:{coco}")


def test_the_command_looks_captions_over(coco, capsys):
    assert main(["data", "check", f"coco:{coco}"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "photos: 2 train pictures with 3 captions, 1 to 2 each",
        "photos: 1 test pictures with 3 captions, 3 to 3 each",
        "trained on captions_train2017, tested on captions_val2017",
        "warning: 3 empty captions left out; 2 pictures without a caption left out",
        "can be trained on",
    ]
    (coco / "val2017" / "d.png").write_bytes((coco / "train2017" / "a.png").read_bytes())
    assert main(["data", "check", f"coco:{coco}"]) == 0
    assert "d.png is the same as" in capsys.readouterr().out
    (coco / "val2017" / "d.png").unlink()
    assert main(["data", "check", f"coco:{coco}"]) == 1
    assert "1 problem(s) keep it" in capsys.readouterr().out


def test_a_folder_with_boxes_and_captions_is_looked_over_for_both(coco):
    for part in ("train", "val"):
        images = json.loads((coco / "annotations" / f"captions_{part}2017.json").read_text())["images"]
        boxes = [{"id": 1, "image_id": 10, "category_id": 3, "bbox": [1, 1, 4, 3]}]
        content = {"images": images, "annotations": boxes, "categories": [{"id": 3, "name": "bus"}]}
        (coco / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(content))
    report = list(check_data(f"coco:{coco}").lines())
    assert any("objects of each class" in line for line in report)
    assert any("pictures with 3 captions" in line for line in report)


@pytest.mark.parametrize(
    ("text", "said"),
    [("a.png a bus\n", "line 1 is not picture<TAB>caption"), ("\n\tbus\n", "line 2 is not"),
     ("a.png\t\n", "the train part has no picture with a caption")],
)  # fmt: skip
def test_lines_that_cannot_be_used(tmp_path, text, said):
    (tmp_path / "all.tsv").write_text(text)
    with pytest.raises(CutmixError, match=said):
        load_captions(f"tsv:{tmp_path / 'all.tsv'}")


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "cannot be read as JSON"), ("[]", "lacks images, annotations"), ('{"images": []}', "lacks annotations"),
     ('{"images": [{"id": 1}], "annotations": []}', "lacks its id or file_name")],
)  # fmt: skip
def test_files_that_are_no_coco_captions(coco, content, said):
    (coco / "annotations" / "captions_val2017.json").write_text(content)
    with pytest.raises(CutmixError, match=said):
        list_captions(f"coco:{coco}")


def test_folders_that_hold_something_else(tmp_path, coco):
    with pytest.raises(CutmixError, match=r"captions_trainYEAR.json is needed, it holds none"):
        list_captions(f"coco:{tmp_path}")
    with pytest.raises(CutmixError, match=r"must hold train.tsv and one of"):
        list_captions(f"tsv:{tmp_path}")
    with pytest.raises(CutmixError, match=r"no.tsv is missing"):
        list_captions(f"tsv:{tmp_path / 'no.tsv'}")
    with pytest.raises(UsageError, match="coco:PATH or tsv:PATH is accepted"):
        list_captions(f"voc:{tmp_path}")


def test_the_fingerprint_stands_for_names_and_captions(coco):
    before = load_captions(f"coco:{coco}").fingerprint
    assert load_captions(f"coco:{coco}").fingerprint == before
    change(coco, "train", lambda content: content["annotations"][0].update(caption="A red bus"))
    assert load_captions(f"coco:{coco}").fingerprint != before
    whole = CaptionData("", split(a="one", b="two"), split(c="three")).fingerprint
    others = [
        CaptionData("", split(a="one", other="two"), split(c="three")),  # a name
        CaptionData("", split(a="one"), split(b="two", c="three")),  # the part of a picture
        CaptionData("", split(a="one", b="two"), split(c="thr,ee")),  # how many captions
    ]
    assert len({whole, *(data.fingerprint for data in others)}) == 4
    assert CaptionData("else", split(a="one", b="two"), split(c="three"), "note", ("a",)).fingerprint == whole
