"""Evaluating trained networks: what is asked, what is written, going on after an interruption, and bad input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from cutmix.errors import UsageError
from cutmix.evaluation.accuracy import Accuracy
from cutmix.evaluation.calibration import Calibration
from cutmix.evaluation.localization import Localization
from cutmix.evaluation.ood import LOGIT_SCORES, OutOfDistribution
from cutmix.evaluation.question import Question
from cutmix.evaluation.subject import Subject
from cutmix.evaluation.values import Number
from cutmix.recipes.evaluated import evaluate_networks, questions_of
from cutmix.recipes.recipe import Recipe
from cutmix.recipes.start import train


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Two seeds of a run on three classes of coloured noise."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    (folder / "tiny").mkdir()
    for split, n in (("train", 24), ("test", 18)):
        labels = np.arange(n) % 3
        images = rng.integers(0, 200, (n, 8, 8, 3), dtype=np.uint8)
        images[np.arange(n), :, :, labels] |= 128
        np.savez(folder / "tiny" / f"{split}.npz", images=images, labels=labels, classes=np.array(["r", "g", "b"]))
    for seed in (0, 1):
        recipe = Recipe(
            data=f"arrays:{folder / 'tiny'}", model="ResNet(depth=8, bottleneck=False)", mixing="NoMixing()",
            epochs=1, batch_size=12, seed=seed,
        )  # fmt: skip
        train(recipe, name=f"s{seed}", runs=folder, cpu=True)
    return folder


def sources(runs: Path) -> list[str]:
    return [str(runs / "s0"), str(runs / "s1")]


# ------------------------------------------------------------------------------------------------------ what is asked


def test_suites_hold_the_questions_that_say_so():
    quick, paper, full = ([question.name for question in questions_of(suite)] for suite in ("quick", "paper", "full"))
    assert quick[0] == paper[0] == full[0] == "accuracy"
    assert {"accuracy", "calibration", "ood"} <= set(quick)
    assert "calibration" not in paper
    assert set(quick) | set(paper) <= set(full)
    ood = next(question for question in questions_of("paper") if question.name == "ood")
    assert ood.scores == LOGIT_SCORES


def test_questions_by_name_and_by_call():
    asked = questions_of(only="ood, Calibration(bins=4)".replace("Calibration", "calibration"), out_sets=["uniform"])
    assert asked == [OutOfDistribution(out_sets=("uniform",)), Calibration(bins=4)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"suite": "papers"}, "Did you mean 'paper'"),
        ({"only": "acuracy"}, "Did you mean 'accuracy'"),
        ({"only": "accuracy,"}, None),
        ({"only": "accuracy,accuracy"}, "asked twice"),
        ({"only": "calibration(bins=0)"}, "bins must be at least 1"),
        ({"only": "calibration(bin=3)"}, "Did you mean 'bins'"),
        ({"only": "accuracy;ood"}, "parted by commas"),
        ({"only": "accuracy", "out_sets": ["uniform"]}, "add ood"),
        ({"out_sets": ["nowhere.npz"]}, "there is no out-set"),
        ({"out_sets": ["uniform", "uniform"]}, "two out-sets are called"),
    ],
)
def test_what_there_is_not_is_refused(arguments, message):
    if message is None:
        assert questions_of(**arguments) == [Accuracy()]
        return
    with pytest.raises(UsageError, match=message):
        questions_of(**arguments)


# ---------------------------------------------------------------------------------------------------- what is written


def test_the_result_says_all_that_one_must_know(runs, tmp_path):
    found = evaluate_networks(sources(runs), [Accuracy(), Calibration()], tmp_path, cpu=True, command="cutmix ...")
    assert json.loads((tmp_path / "evaluation.json").read_text()) == found
    assert found["command"] == "cutmix ..."
    assert found["settings"]["questions"] == ["Accuracy()", "Calibration(bins=15, held_out=0.2)"]
    assert [question["name"] for question in found["questions"]] == ["accuracy", "calibration"]
    first, second = found["networks"]
    assert (first["name"], first["recipe"]["seed"], second["recipe"]["seed"]) == ("s0", 0, 1)
    assert first["data"]["asked"] == first["data"]["test_images"] == 18
    assert first["values"]["accuracy/top1"]["n"] == 18
    assert first["key"] != second["key"]
    assert set(first["seconds"]) == {"accuracy", "calibration"}


def test_accuracy_is_what_the_run_noted(runs, tmp_path):
    found = evaluate_networks(sources(runs)[:1], [Accuracy()], tmp_path, cpu=True)
    noted = json.loads((runs / "s0" / "result.json").read_text())["test_error_top1_last"]
    assert found["networks"][0]["values"]["accuracy/top1"]["value"] == pytest.approx(100 - noted)


def with_names(runs: Path, tmp_path: Path, names: tuple[str, ...]) -> str:
    """The same images and labels, whose classes are called so."""
    (tmp_path / "named").mkdir()
    for part in ("train", "test"):
        with np.load(runs / "tiny" / f"{part}.npz") as file:
            content = {"images": file["images"], "labels": file["labels"], "classes": np.array(names)}
        np.savez(tmp_path / "named" / f"{part}.npz", **content)
    return f"arrays:{tmp_path / 'named'}"


@dataclass(frozen=True)
class Long(Question):
    """Does it go on where it stopped?"""

    name: ClassVar[str] = "long"
    about: ClassVar[dict[str, str]] = {"long/*": "A step."}
    asked: ClassVar[list[str]] = []
    breaks: ClassVar[list[str]] = []

    def answer(self, subject: Subject) -> Iterator[tuple[str, Number]]:
        for step in ("one", "two", "three"):
            yield f"long/{step}", Number(subject.once(step, lambda step=step: self._step(step)), 1)

    def _step(self, step: str) -> float:
        if step in self.breaks:
            raise KeyboardInterrupt
        self.asked.append(step)
        return 10.0 * len(step)


def test_an_interrupted_evaluation_goes_on_at_the_step_it_had_come_to(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(Long, "asked", [])
    monkeypatch.setattr(Long, "breaks", ["three"])
    questions = [Accuracy(), Long()]
    with pytest.raises(KeyboardInterrupt):
        evaluate_networks(sources(runs), questions, tmp_path, cpu=True)
    assert not (tmp_path / "evaluation.json").exists()
    assert Long.asked == ["one", "two"]
    monkeypatch.setattr(Long, "breaks", [])
    monkeypatch.setattr(Long, "asked", [])
    found = evaluate_networks(sources(runs), questions, tmp_path, cpu=True)
    assert Long.asked == ["three", "one", "two", "three"]  # the rest of the first network's, all of the second's
    whole = evaluate_networks(sources(runs), questions, tmp_path / "whole", cpu=True)
    assert [network["values"] for network in found["networks"]] == [network["values"] for network in whole["networks"]]
    before = len(Long.asked)
    again = evaluate_networks(sources(runs), questions, tmp_path, cpu=True)
    assert len(Long.asked) == before
    assert again["networks"] == found["networks"]


def test_other_questions_can_be_added_later_and_other_settings_not(runs, tmp_path, monkeypatch):
    evaluate_networks(sources(runs)[:1], [Accuracy()], tmp_path, cpu=True)
    found = evaluate_networks(sources(runs)[:1], [Accuracy(), Calibration()], tmp_path, cpu=True)
    assert "calibration/ece" in found["networks"][0]["values"]
    with pytest.raises(UsageError, match="limit was None, is 5"):
        evaluate_networks(sources(runs)[:1], [Accuracy()], tmp_path, cpu=True, limit=5)
    with pytest.raises(UsageError, match="seed was 0, is 7"):
        evaluate_networks(sources(runs)[:1], [Accuracy()], tmp_path, cpu=True, seed=7)
    same = f"arrays:{runs / 'tiny'}"  # named, where before it was what the network was trained on
    with pytest.raises(UsageError, match="data was None, is 'arrays:"):
        evaluate_networks(sources(runs)[:1], [Accuracy()], tmp_path, cpu=True, data=same)
    monkeypatch.setattr("cutmix.recipes.evaluated.code_version", lambda: "another")
    with pytest.raises(UsageError, match="version was '.*', is 'another'"):
        evaluate_networks(sources(runs)[:1], [Accuracy()], tmp_path, cpu=True)


# ---------------------------------------------------------------------------------------------------------- bad input


def test_a_network_given_twice_is_refused(runs, tmp_path):
    with pytest.raises(UsageError, match="is the same network as"):
        evaluate_networks([sources(runs)[0], str(runs / "s0" / "last.pth.tar")], [Accuracy()], tmp_path, cpu=True)


def test_other_classes_are_refused_before_anything_is_asked(runs, tmp_path):
    with pytest.raises(UsageError, match="tells 3 classes apart, digits has 10"):
        evaluate_networks(sources(runs), [Accuracy()], tmp_path / "out", cpu=True, data="digits")
    assert not (tmp_path / "out").exists()


def test_another_order_of_the_classes_is_refused(runs, tmp_path):
    with pytest.raises(UsageError, match="class 0 is 'g', the network's is 'r'"):
        evaluate_networks(
            sources(runs), [Accuracy()], tmp_path / "out", cpu=True, data=with_names(runs, tmp_path, ("g", "r", "b"))
        )


def test_images_of_another_size_are_resized_as_the_network_was_trained(runs, tmp_path):
    (tmp_path / "large").mkdir()
    for part in ("train", "test"):
        with np.load(runs / "tiny" / f"{part}.npz") as file:
            large = {"images": file["images"].repeat(2, 1).repeat(2, 2), "labels": file["labels"]}
            np.savez(tmp_path / "large" / f"{part}.npz", **large, classes=file["classes"])
    found = evaluate_networks(
        sources(runs)[:1], [Accuracy()], tmp_path / "out", cpu=True, data=f"arrays:{tmp_path / 'large'}"
    )
    assert found["networks"][0]["data"]["image_size"] == 8


def test_an_out_set_that_overlaps_the_in_set_is_told(runs, tmp_path):
    question = OutOfDistribution(out_sets=(f"same=arrays:{runs / 'tiny'}", str(tmp_path)), scores=LOGIT_SCORES)
    found = evaluate_networks(sources(runs)[:1], [question], tmp_path / "out", cpu=True)["networks"][0]["values"]
    assert found["ood/same/shared"]["text"].startswith("18 of the 18 images of the out-set same are also in the in-set")
    assert found["ood/same/msp/auroc"]["value"] == 50.0
    assert "holds no pictures" in found[f"ood/{tmp_path.name}"]["reason"]
    (row,) = [row for row in found["ood/all"]["rows"] if row[2] == "msp"]
    assert row[:5] == ["tiny", "same", "msp", 18, 18]


def test_boxes_of_predicted_classes_can_be_asked_for_on_data_with_other_classes(runs, tmp_path):
    """Digits have no boxes, which is all that stands in the way; a question of labels beside it is named as missing."""
    predicted = Localization(cam_class="predicted")
    found = evaluate_networks(sources(runs)[:1], [predicted, Accuracy()], tmp_path / "out", cpu=True, data="digits")[
        "networks"
    ][0]
    assert "digits has no boxes" in found["values"]["localization"]["reason"]
    assert "tells 3 classes apart, digits has 10" in found["values"]["accuracy"]["reason"]
    assert found["classes_compared_by"] is None
    with pytest.raises(UsageError, match=r"digits has 10.*--only 'localization\(cam_class=\"predicted\"\)'"):
        evaluate_networks(sources(runs)[:1], [Localization()], tmp_path / "true", cpu=True, data="digits")


def boxed(runs, tmp_path, monkeypatch, names=("r", "g", "b")) -> str:
    """Makes every set of arrays have boxes; gives a set whose classes are called so."""
    from cutmix.data import arrays
    from cutmix.data.boxes import Boxes

    original = arrays.read_npz

    def read(path):
        split, classes = original(path)
        n = len(split)
        boxes = Boxes(np.tile([0.0, 0.0, 5.0, 6.0], (n, 1)), np.arange(n), np.full((n, 2), 8))
        return replace(split, read_boxes=lambda: boxes), classes

    monkeypatch.setattr(arrays, "read_npz", read)
    return with_names(runs, tmp_path, names)


def test_as_many_classes_in_another_order_are_no_matter_of_accuracy(runs, tmp_path, monkeypatch):
    """Their names are compared where they are known: as many are not the same."""
    predicted = Localization(cam_class="predicted", examples=0)
    data = boxed(runs, tmp_path, monkeypatch, ("g", "r", "b"))
    found = evaluate_networks(sources(runs)[:1], [Accuracy(), predicted], tmp_path / "out", cpu=True, data=data)
    values = found["networks"][0]["values"]
    assert "class 0 is 'g', the network's is 'r'" in values["accuracy"]["reason"]
    assert values["localization/predicted_class"]["n"] == 18
    assert values["localization/top1"]["kind"] == "missing"


def test_classes_of_the_same_names_are_the_same(runs, tmp_path, monkeypatch):
    predicted = Localization(cam_class="predicted", examples=0)
    data = boxed(runs, tmp_path, monkeypatch)
    found = evaluate_networks(sources(runs)[:1], [Accuracy(), predicted], tmp_path / "out", cpu=True, data=data)
    entry = found["networks"][0]
    assert entry["classes_compared_by"] == "name"
    assert entry["values"]["localization/top1"]["kind"] == "number"
    assert entry["values"]["accuracy/top1"]["n"] == 18


# ------------------------------------------------------------------------- what an answer that is reused depends on


def test_an_out_set_that_changed_is_asked_about_again(runs, tmp_path):
    def asked() -> dict:
        question = OutOfDistribution(out_sets=(f"other={tmp_path / 'other.npz'}",), scores=LOGIT_SCORES)
        return evaluate_networks(sources(runs)[:1], [question], tmp_path / "out", cpu=True)["networks"][0]["values"]

    images = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "other.npz", images=images)
    assert asked()["ood/other/msp/auroc"]["n"] == 18 + 9
    lines = (tmp_path / "out" / "evaluation.jsonl").read_text()
    assert asked()["ood/other/msp/auroc"]["n"] == 18 + 9
    assert (tmp_path / "out" / "evaluation.jsonl").read_text() == lines, "nothing changed, nothing was asked"
    np.savez(tmp_path / "other.npz", images=images[:5])
    assert asked()["ood/other/msp/auroc"]["n"] == 18 + 5


def test_a_question_that_could_not_be_asked_is_asked_again(runs, tmp_path, monkeypatch):
    predicted = Localization(cam_class="predicted", examples=0)
    first = evaluate_networks(sources(runs)[:1], [predicted], tmp_path / "out", cpu=True)["networks"][0]["values"]
    assert "has no boxes" in first["localization"]["reason"]
    boxed(runs, tmp_path, monkeypatch)
    second = evaluate_networks(sources(runs)[:1], [predicted], tmp_path / "out", cpu=True)["networks"][0]["values"]
    assert "localization" not in second
    assert second["localization/predicted_class"]["n"] == 18


def test_the_same_weights_in_another_network_are_another_network(runs):
    from cutmix.data import load_data
    from cutmix.recipes.evaluated import Network, _key
    from cutmix.recipes.trained import load_trained

    trained = load_trained(str(runs / "s0"))
    data = load_data(f"arrays:{runs / 'tiny'}")
    keys = [
        _key(Network("a", trained, None), data),
        _key(Network("a", replace(trained, model_call="ResNet(depth=8, last_stride=1)"), None), data),
        _key(Network("a", replace(trained, regularizer="ShakeDrop(last=0.5)"), None), data),
        _key(Network("a", trained, None), replace(data, squared=10)),
        _key(Network("a", trained, None), replace(data, mean=(0.5, 0.5, 0.5))),
        _key(Network("a", trained, None), replace(data, test=data.test.subset(range(9)))),
        _key(Network("a", load_trained(str(runs / "s1")), None), data),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == _key(Network("b", load_trained(str(runs / "s0" / "last.pth.tar")), None), data)


def test_a_question_with_other_arguments_is_another_question(runs, tmp_path):
    """Of one bin is left one row; the answer with fifteen is no answer to it."""
    rows = []
    for question in (Calibration(bins=15), Calibration(bins=1)):
        found = evaluate_networks(sources(runs)[:1], [question], tmp_path, cpu=True)["networks"][0]["values"]
        rows.append(len(found["calibration/bins"]["rows"]))
    assert rows[1] == 1 < rows[0]
