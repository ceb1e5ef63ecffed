"""The journal: what was written is there again, what was broken off is not, and other settings are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cutmix.errors import CutmixError, UsageError
from cutmix.evaluation.journal import JOURNAL, Journal, Key
from cutmix.evaluation.values import Curve, Missing, Number, Picture

SETTINGS = {"data": "cifar10", "seed": 3}
KEY, OTHER = Key("ab12", "Accuracy()"), Key("ab12", "FGSM(eps=0.1)")


def test_an_answer_is_there_again(tmp_path):
    journal = Journal(tmp_path, SETTINGS)
    journal.begin(KEY)
    journal.add(KEY, "accuracy/top1", Number(12.5, 8, "%", (3.0, 40.0)))
    journal.add(KEY, "accuracy/curve", Curve([1, 2], [3, 4], "x", "y"))
    assert journal.answer(KEY).seconds is None
    journal.done(KEY, 1.25)
    again = Journal(tmp_path, SETTINGS).answer(KEY)
    assert (again.values, again.seconds) == (journal.answer(KEY).values, 1.25)
    assert again.values["accuracy/top1"]["interval"] == [3.0, 40.0]
    assert Journal(tmp_path, SETTINGS).answer(OTHER).values == {}


def test_a_picture_becomes_a_file(tmp_path):
    from PIL import Image

    journal = Journal(tmp_path, SETTINGS)
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    journal.add(KEY, "cam/first one", Picture(pixels, "a caption"))
    journal.add(OTHER, "cam/first one", Picture(pixels[::-1].copy(), "another"))
    first, second = (journal.answer(key).values["cam/first one"] for key in (KEY, OTHER))
    assert first["file"] != second["file"]
    assert (np.asarray(Image.open(tmp_path / first["file"])) == pixels).all()
    assert (first["kind"], first["caption"]) == ("picture", "a caption")


def test_steps_are_remembered_though_the_answer_was_broken_off(tmp_path):
    journal = Journal(tmp_path, SETTINGS)
    journal.begin(KEY)
    journal.steps(KEY)["fog/3"] = [1.5, 2]
    journal.add(KEY, "corruption/fog", Number(1.0, 1))
    again = Journal(tmp_path, SETTINGS)
    again.begin(KEY)
    assert again.answer(KEY).values == {}
    assert dict(again.steps(KEY)) == {"fog/3": [1.5, 2]}
    assert list(again.steps(OTHER)) == []


def test_an_answer_that_is_asked_for_again_keeps_nothing_of_the_one_before(tmp_path):
    journal = Journal(tmp_path, SETTINGS)
    journal.add(KEY, "ood/elsewhere", Missing("not there"))
    journal.add(KEY, "ood/noise/auroc", Number(12.5, 8))
    journal.done(KEY, 2.0)
    journal.begin(KEY)
    assert journal.answer(KEY).seconds is None
    journal.add(KEY, "ood/noise/auroc", Number(60.0, 8))
    journal.done(KEY, 3.0)
    again = Journal(tmp_path, SETTINGS).answer(KEY)
    assert {name: value["value"] for name, value in again.values.items()} == {"ood/noise/auroc": 60.0}
    assert again.seconds == 3.0


def test_what_could_not_be_asked_is_told_from_what_was_answered(tmp_path):
    journal = Journal(tmp_path, SETTINGS)
    assert not journal.answer(KEY).is_missing
    journal.add(KEY, "ood", Missing("an extra is not installed"))
    assert journal.answer(KEY).is_missing
    journal.add(KEY, "ood/noise/auroc", Number(12.5, 8))
    assert not journal.answer(KEY).is_missing


@pytest.mark.parametrize("cut", [1, 7, 60])
def test_a_line_that_was_cut_off_is_forgotten(tmp_path, cut):
    journal = Journal(tmp_path, SETTINGS)
    journal.add(KEY, "a/1", Number(1.0, 1))
    journal.add(KEY, "a/2", Number(2.0, 1))
    path = tmp_path / JOURNAL
    path.write_bytes(path.read_bytes()[:-cut])
    again = Journal(tmp_path, SETTINGS)
    assert list(again.answer(KEY).values) == ["a/1"]
    again.add(KEY, "a/2", Number(3.0, 1))
    assert Journal(tmp_path, SETTINGS).answer(KEY).values["a/2"]["value"] == 3.0


def test_other_settings_are_refused_with_the_difference(tmp_path):
    Journal(tmp_path, SETTINGS)
    with pytest.raises(UsageError, match="seed was 3, is 4.*--out"):
        Journal(tmp_path, {**SETTINGS, "seed": 4})


def test_what_is_no_journal_is_refused(tmp_path):
    (tmp_path / JOURNAL).write_text('{"a": 1}\n')
    with pytest.raises(CutmixError, match="is not the journal"):
        Journal(tmp_path, SETTINGS)
    (tmp_path / JOURNAL).write_text(json.dumps({"settings": SETTINGS}) + "\nrubbish\n{}\n")
    with pytest.raises(CutmixError, match="line 2 cannot be read"):
        Journal(tmp_path, SETTINGS)


def test_one_process_writes(tmp_path):
    Journal(tmp_path, SETTINGS, writes=False).add(KEY, "a/1", Number(1.0, 1))
    assert not (tmp_path / JOURNAL).exists()
