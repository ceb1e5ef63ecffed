"""The corruption question: errors, means and the reference worked out by hand, on corruptions that are made up."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cutmix.data.splits import PhotoSplit
from cutmix.errors import UsageError
from cutmix.evaluation import corrupted_images
from cutmix.evaluation.corrupted_images import CORRUPTIONS, EXTRA, Generated, PhotoFolder
from cutmix.evaluation.corruption import ALEXNET, Corruption, read_reference, relative_errors
from cutmix.evaluation.question import ask
from cutmix.evaluation.subject import Subject
from cutmix.evaluation.values import Missing


def test_relative_errors_by_hand():
    assert relative_errors({"fog": 30.0, "snow": 12.0}, {"fog": 60.0, "snow": 10.0, "frost": 0.0}) == {
        "fog": 50.0,
        "snow": pytest.approx(120.0),
    }
    for reference in ({"fog": 60.0}, {"fog": 60.0, "snow": 0.0}):
        with pytest.raises(UsageError, match="no error above 0 for snow"):
            relative_errors({"fog": 30.0, "snow": 12.0}, reference)


def test_alexnet_is_the_published_reference():
    name, errors = read_reference("AlexNet")
    assert "AlexNet" in name
    assert errors == ALEXNET
    assert set(ALEXNET) == set(CORRUPTIONS)
    assert list(relative_errors(ALEXNET, ALEXNET).values()) == pytest.approx([100.0] * 15)


def test_references_from_files(tmp_path):
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps({"fog": 43.2, "snow": 1, "note": "mine"}))
    assert read_reference(str(plain)) == ("plain.json", {"fog": 43.2, "snow": 1.0})
    numbers = [{"corruption/fog": {"kind": "number", "value": value, "n": 5}} for value in (40.0, 35.5)]
    numbers[1]["corruption/snow"] = {"kind": "missing", "reason": "..."}
    networks = [{"name": name, "values": values} for name, values in zip(("base", "mixed"), numbers)]
    both = tmp_path / "evaluation.json"
    both.write_text(json.dumps({"networks": networks}))
    assert read_reference(f"{both}#mixed") == ("mixed", {"fog": 35.5})
    with pytest.raises(UsageError, match=r"holds base, mixed; say which is the reference: .*#base"):
        read_reference(str(both))
    both.write_text(json.dumps({"networks": networks[:1]}))
    assert read_reference(str(both))[1] == {"fog": 40.0}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "cannot read the reference"),
        ("[]", "holds no errors of corruptions"),
        ('{"top1": 3}', "holds no errors of corruptions"),
        ('{"fog": 101}', "101 as error of fog; percent"),
        ('{"fog": "a"}', "'a' as error of fog"),
        ('{"fog": 0.43, "snow": 0.6}', "in percent, not as shares of 1"),
    ],
)
def test_references_that_do_not_say_percent_are_refused(tmp_path, text, complaint):
    (tmp_path / "errors.json").write_text(text)
    with pytest.raises(UsageError, match=complaint):
        read_reference(str(tmp_path / "errors.json"))
    with pytest.raises(UsageError, match="cannot read the reference"):
        read_reference(str(tmp_path / "elsewhere.json"))


@pytest.fixture
def reds(colours, plain):
    """Four red images of 32x32, from dark to bright."""
    images = plain((50, 0, 0), (70, 0, 0), (90, 0, 0), (110, 0, 0), size=32)
    return lambda **settings: colours(images, [0, 0, 0, 0], **settings)


@pytest.fixture
def made_up(monkeypatch):
    """Fog adds 20 of green a severity, spatter hides all, and the other corruptions do nothing. Notes its calls."""
    pytest.importorskip("imagecorruptions")
    calls = []

    def corrupt(image, corruption, severity, seed):
        calls.append((corruption, severity, seed, int(image[0, 0, 0])))
        corrupted = image.copy()
        if corruption == "fog":
            corrupted[..., 1] += 20 * severity
        return corrupted if corruption != "spatter" else np.full_like(image, (0, 255, 0))

    monkeypatch.setattr(corrupted_images, "corrupt", corrupt)
    return calls


def test_errors_by_hand(made_up, reds, tmp_path):
    # fog: green of 20, 40, 60, 80, 100 above 0, 0, 1, 2, 3 of the four reds
    (tmp_path / "base.json").write_text(
        json.dumps({name: 60 if name == "fog" else 10 for name in (*CORRUPTIONS, *EXTRA)})
    )
    question = Corruption(reference=str(tmp_path / "base.json"))
    subject = reds()
    values = dict(question.answer(subject))
    assert values["corruption/fog"] == 30  # (0 + 0 + 25 + 50 + 75) / 5
    assert values["corruption/fog"].n == 20
    assert values["corruption/snow"] == 0
    assert values["corruption/spatter"] == 100
    assert values["corruption/mean_error"] == 2  # of fifteen: spatter is not one of them
    assert values["corruption/extra/mean_error"] == 25
    assert values["corruption/mce"] == pytest.approx(50 / 15)
    assert values["corruption/by_severity"].y == pytest.approx([0, 0, 25 / 15, 50 / 15, 75 / 15])
    rows = {row[0]: row[1:] for row in values["corruption/all"].rows}
    assert rows["fog"] == [0, 0, 25, 50, 75, 30, 60, 50]
    assert rows["spatter"] == [100] * 6 + [10, 1000]
    assert "base.json" in values["corruption/mce/reference"].text
    assert "imagecorruptions-imaug at 32x32" in values["corruption/source"].text
    assert set(values) - {"corruption/source", "corruption/mce/reference"} == set(question.about)
    assert len(subject.memory) == 19 * 5


def test_photos_are_corrupted_and_read_as_the_data_resizes_them(reds, tmp_path):
    pytest.importorskip("imagecorruptions")
    (tmp_path / "ImageNet-C" / "fog").mkdir(parents=True)
    subject = reds()
    split = PhotoSplit((tmp_path / "n01/a.jpg", tmp_path / "n01/b.jpg"), np.array([0, 0]))
    data = replace(subject.data, train=subject.data.train, test=split, squared=40)
    photos = Subject(subject.model, data, device="cpu", data_root=tmp_path)
    assert Corruption()._source(photos).squared == 40
    assert Corruption(folder=str(tmp_path / "ImageNet-C"))._source(photos).squared == 40


def test_a_reference_over_other_images_is_told_and_one_that_lacks_errors_costs_only_the_mean(made_up, reds, tmp_path):
    where = "Corrupted images: generated by imagecorruptions-imaug at 32x32 pixels."
    numbers = {f"corruption/{name}": {"kind": "number", "value": 40.0, "n": 5} for name in CORRUPTIONS}
    path = tmp_path / "evaluation.json"
    for said, other in ((where, False), ("Corrupted images: read from CIFAR-10-C.", True), ("", False)):
        values = {**numbers, "corruption/source": {"kind": "note", "text": said}}
        path.write_text(json.dumps({"networks": [{"name": "base", "values": values}]}))
        found = dict(ask(Corruption(extra=False, reference=f"{path}#base"), reds()))
        assert ("others (read from CIFAR-10-C): not to be" in found["corruption/mce/reference"].text) == other
    alexnet = dict(ask(Corruption(extra=False, reference="alexnet"), reds()))
    assert "others (read from ImageNet-C)" in alexnet["corruption/mce/reference"].text
    (tmp_path / "some.json").write_text(json.dumps({"fog": 50}))
    found = dict(ask(Corruption(extra=False, reference=str(tmp_path / "some.json")), reds()))
    assert "no error above 0 for gaussian_noise" in found["corruption/mce"].reason
    assert next(row for row in found["corruption/all"].rows if row[0] == "fog")[-2:] == [50, 60]
    assert found["corruption/mean_error"] == 2


def test_an_answer_depends_on_folder_library_and_reference(reds, published, tmp_path):
    subject = published()
    before = Corruption().surroundings(subject)
    assert before.startswith("CIFAR-10-C:")
    np.save(tmp_path / "CIFAR-10-C" / "snow.npy", np.zeros((30, 8, 8, 3), np.uint8))
    assert Corruption().surroundings(subject) != before
    (tmp_path / "base.json").write_text('{"fog": 40}')
    question = Corruption(reference=str(tmp_path / "base.json"))
    named = question.surroundings(reds())
    assert named != Corruption().surroundings(reds())
    (tmp_path / "base.json").write_text('{"fog": 45.5}')
    assert question.surroundings(reds()) != named


def test_alexnet_is_the_reference_for_all_of_imagenet_c_alone():
    def reference(name, classes, source):
        return Corruption()._reference(SimpleNamespace(data=SimpleNamespace(name=name), num_classes=classes), source)

    stored = object.__new__(PhotoFolder)
    generated = Generated(None, 224, None)
    assert reference("imagenet", 1000, stored) == read_reference("alexnet")
    assert reference("imagenet", 1000, generated) is None
    assert reference("imagenet", 100, stored) is None
    assert reference("tiny_imagenet", 1000, stored) is None


def test_without_a_reference_the_plain_mean_is_what_is_said(made_up, reds):
    values = dict(Corruption(extra=False).answer(reds()))
    assert values["corruption/mean_error"] == 2
    assert "corruption/mce" not in values
    assert len(values["corruption/all"].rows) == 15
    assert len(values["corruption/all"].columns) == 7
    assert {call[0] for call in made_up if call[3]} == set(CORRUPTIONS)


def test_seeds_are_the_images_and_not_the_batches(made_up, reds):
    def seeds(**settings):
        made_up.clear()
        list(Corruption(extra=False).answer(reds(**settings)))
        return sorted(call for call in made_up if call[3])  # compiling glass blur ahead is no image of the set

    whole = seeds()
    assert len(whole) == 15 * 5 * 4
    assert len({seed for _, _, seed, _ in whole}) == len(whole)
    assert seeds(batch_size=1) == seeds(batch_size=3) == whole
    assert seeds(seed=1) != whole
    assert len(seeds(limit=2)) == 15 * 5 * 2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_limit_corrupts_the_images_that_are_asked_about(made_up, reds, seed):
    subject = reds(limit=2, seed=seed)
    list(Corruption(extra=False).answer(subject))
    assert {red for *_, red in made_up if red} == set(subject.split.images_NHWC[:, 0, 0, 0].tolist())


def test_what_was_counted_is_not_counted_again(made_up, reds):
    subject = reds()
    whole = dict(Corruption(extra=False).answer(subject))
    made_up.clear()
    subject.memory = {key: value for key, value in subject.memory.items() if ": fog" not in key}
    again = dict(Corruption(extra=False).answer(subject))
    assert {call[0] for call in made_up} == {"fog"}
    assert again["corruption/all"] == whole["corruption/all"]


def test_the_extra_that_is_missing_is_named(reds, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecorruptions", None)
    ((name, value),) = Corruption().answer(reds())
    assert name == "corruption"
    assert isinstance(value, Missing)
    assert "pip install 'cutmix[corruptions]'" in value.reason


def test_small_images_are_named(colours, plain):
    ((_, value),) = ask(Corruption(), colours(plain((9, 0, 0), size=28), [0]))
    assert isinstance(value, Missing)
    assert "at least 32 pixels a side; these have 28" in value.reason


def test_logits_that_are_not_finite_are_no_answer(made_up, reds, monkeypatch):
    subject = reds()
    forward = subject.model.forward
    # Fog of severity 5 makes the darkest image's green 100: nothing finite is said of it.
    monkeypatch.setattr(
        subject.model, "forward", lambda images: forward(images).masked_fill(forward(images)[:, 1:2] > 7, torch.nan)
    )
    found = dict(ask(Corruption(extra=False), subject))
    assert "not finite for 4 of 4 images" in found["corruption"].reason
    assert "corruption/fog" not in found


@pytest.fixture
def published(colours, plain, tmp_path):
    """CIFAR-10-C as published, for 6 test images of 8x8: fog hides a red image more at each severity."""
    folder = tmp_path / "CIFAR-10-C"
    folder.mkdir()
    labels = np.array([0, 0, 0, 1, 1, 2])
    images = np.zeros((5, 6, 8, 8, 3), np.uint8)
    images[:, np.arange(6), :, :, labels] = 200
    for severity in range(5):
        images[severity, : min(severity, 3), :, :, 2] = (
            250  # of severity 1 none, ..., of 4 and 5 three are taken for blue
        )
    np.save(folder / "fog.npy", images.reshape(30, 8, 8, 3))
    np.save(folder / "labels.npy", np.tile(labels, 5))
    subject = colours(plain((9, 0, 0)), [0])
    data = replace(subject.data, name="cifar10", classes=("a", "b", "c"))
    return lambda **settings: Subject(subject.model, data, device="cpu", data_root=tmp_path, **settings)


def test_published_images_are_found_and_read(published, tmp_path):
    values = dict(Corruption().answer(published()))
    assert values["corruption/source"].text == "Corrupted images: read from CIFAR-10-C."
    assert values["corruption/fog"] == pytest.approx(100 * (0 + 1 + 2 + 3 + 3) / 30)
    assert values["corruption/fog"].n == 30
    assert "not read from CIFAR-10-C" in values["corruption/snow"].reason
    assert "14 of the fifteen" in values["corruption/mean_error"].reason
    assert dict(Corruption().answer(published(batch_size=4)))["corruption/fog"] == values["corruption/fog"]
    named = dict(Corruption(folder=str(tmp_path / "CIFAR-10-C")).answer(published()))
    assert named["corruption/fog"] == values["corruption/fog"]


def test_a_limit_takes_the_same_images_of_every_severity(published):
    values = dict(Corruption().answer(published(limit=2)))
    row = next(row for row in values["corruption/all"].rows if row[0] == "fog")
    assert values["corruption/fog"].n == 10
    assert row[1] == 0
    assert list(row[1:6]) == sorted(row[1:6])


def test_another_order_of_classes_is_refused(colours, plain, published, tmp_path):
    # red, green, blue is not the order of the alphabet, in which the published labels count
    ((_, value),) = ask(Corruption(folder=str(tmp_path / "CIFAR-10-C")), colours(plain((9, 0, 0)), [0]))
    assert "the network's are red, green, blue" in value.reason
