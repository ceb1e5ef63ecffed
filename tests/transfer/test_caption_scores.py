"""Caption scores by hand, and equal to pycocoevalcap's: identical, shuffled, human and random captions."""

from __future__ import annotations

import io
import math
import shutil
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from cutmix.errors import UsageError
from cutmix.transfer import meteor as meteor_module
from cutmix.transfer.caption_scores import bleu, caption_scores, cider, leave_one_out, longest_common, ngrams, rouge_l
from cutmix.transfer.meteor import meteor

PEOPLE = [
    ["a man rides a brown horse on the beach", "a man on a horse near the sea", "someone is riding a horse",
     "a rider and his horse walk along the sand"],
    ["two red buses wait at a bus stop", "a couple of buses are parked", "two buses on a street",
     "red double-decker buses stand in a row"],
    ["a cat sleeps on a laptop", "the cat is lying on the keyboard of a laptop", "a cat on a computer", "a cat naps"],
    ["a plate of food with broccoli and rice", "broccoli and rice on a plate", "some food on a white plate",
     "a meal of rice and vegetables"],
]  # fmt: skip
REFERENCES = [[caption.split() for caption in of_picture] for of_picture in PEOPLE]


def cases() -> Iterator[tuple[str, list, list]]:
    rng = np.random.default_rng(0)
    yield "identical", [of_picture[0] for of_picture in REFERENCES], REFERENCES
    yield "another picture's", [of_picture[1] for of_picture in REFERENCES[1:] + REFERENCES[:1]], REFERENCES
    shuffled = [[of_picture[0][k] for k in rng.permutation(len(of_picture[0]))] for of_picture in REFERENCES]
    yield "shuffled", shuffled, REFERENCES
    for number, (found, others) in enumerate(leave_one_out(REFERENCES)):
        yield f"human {number}", found, others
    yield "short", [["a"], ["two", "buses"], ["cat"], ["broccoli", "and", "rice"]], REFERENCES
    yield "nothing right", [["x"] * 3] * 4, REFERENCES
    yield "repeated", [["a"] * 9, ["two", "two", "buses"], ["a", "cat"] * 4, ["rice"] * 2], REFERENCES
    letters = list("abcdef")
    drawn = lambda: [str(letter) for letter in rng.choice(letters, rng.integers(1, 12))]  # noqa: E731
    for number in range(3):
        references = [[drawn() for _ in range(rng.integers(1, 5))] for _ in range(20)]
        yield f"random {number}", [drawn() for _ in references], references


@pytest.mark.parametrize(("found", "references"), [pytest.param(*rest, id=name) for name, *rest in cases()])
def test_scores_are_those_of_coco_caption(found, references):
    bleu_module = pytest.importorskip("pycocoevalcap.bleu.bleu")
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    said = {k: [" ".join(caption)] for k, caption in enumerate(found)}
    true = {k: [" ".join(one) for one in of_picture] for k, of_picture in enumerate(references)}
    assert bleu(found, references) == pytest.approx(bleu_module.Bleu(4).compute_score(true, said, 0)[0], abs=1e-9)
    per_picture = [rouge_l(caption, of_picture) for caption, of_picture in zip(found, references)]
    assert per_picture == pytest.approx(list(Rouge().compute_score(true, said)[1]), abs=1e-9)
    assert cider(found, references) == pytest.approx(list(Cider().compute_score(true, said)[1]), abs=1e-9)


def test_identical_captions_are_perfect():
    found = [of_picture[0] for of_picture in REFERENCES]
    alone = [[caption] for caption in found]
    scores = caption_scores(found, alone)
    assert scores == pytest.approx({"bleu1": 100, "bleu2": 100, "bleu3": 100, "bleu4": 100, "rouge_l": 100,
                                    "cider": 1000}, abs=1e-5)  # fmt: skip


def test_bleu_by_hand():
    """Six words, two of its five pairs right, clipped; the references have 4 and 9 words, 4 being closer to 6."""
    found = ["the", "the", "cat", "sat", "on", "it"]
    references = [["the", "cat", "sat", "up"], ["on", "a", "mat", "with", "all", "of", "its", "four", "legs"]]
    one, two, three, _ = bleu([found], [references])
    assert one == pytest.approx(4 / 6)  # the (once), cat, sat, on
    assert two == pytest.approx(math.sqrt(4 / 6 * 2 / 5))  # the cat, cat sat
    assert three == pytest.approx((4 / 6 * 2 / 5 * 1 / 4) ** (1 / 3))


def test_a_word_may_be_said_as_often_as_in_one_reference():
    """Twice in one reference, once in the other: of four, two are right."""
    assert bleu([["the"] * 4], [[["the", "big", "the", "end"], ["on", "the", "road", "now"]]])[0] == pytest.approx(0.5)


def test_the_reference_closest_in_length_counts():
    """4 words are closer to 3 than 1 is."""
    value = bleu([["a", "red", "bus"]], [[["a", "red", "bus", "here"], ["bus"]]])[0]
    assert value == pytest.approx(math.exp(1 - 4 / 3))


def test_a_short_caption_is_punished_and_of_two_lengths_the_shorter_counts():
    found = [["a", "red", "bus"]]
    longer = [[["a", "red", "bus", "is", "here"]]]
    assert bleu(found, longer)[0] == pytest.approx(math.exp(1 - 5 / 3))
    equally_far = [[["a", "red", "bus", "is", "here"], ["bus"]]]  # 5 and 1 are both 2 words away from 3
    assert bleu(found, equally_far)[0] == pytest.approx(1)


def test_rouge_by_hand():
    """Common: "a bus here", 3 of 4 words found and 3 of 5 of the reference."""
    value = rouge_l(["a", "bus", "stands", "here"], [["a", "red", "bus", "is", "here"], ["no"]])
    precision, recall = 3 / 4, 3 / 5
    assert value == pytest.approx(2.44 * precision * recall / (recall + 1.44 * precision))
    assert longest_common(list("abcde"), list("axcbe")) == 3
    assert rouge_l([], [["a"]]) == 0


def test_rouge_takes_precision_and_recall_of_the_reference_that_is_best_for_each():
    """Of 4 words 1 is common with the first one, which has 1, and 2 with the second one, which has 5."""
    value = rouge_l(["a", "bus", "stands", "here"], [["here"], ["a", "red", "bus", "is", "there"]])
    assert value == pytest.approx(2.44 * (2 / 4) * 1 / (1 + 1.44 * 2 / 4))


def test_bleu_adds_the_lengths_of_all_captions():
    """3 and 1 words against 4 and 2: four right ones of four, six being the length of the references."""
    found, references = [["a", "red", "bus"], ["cat"]], [[["a", "red", "bus", "here"]], [["cat", "naps"]]]
    assert bleu(found, references)[0] == pytest.approx(math.exp(1 - 6 / 4))


def test_cider_by_hand():
    """Two pictures; "bus" and "cat" are each in one of them, "a" in both and so worth nothing."""
    references = [[["a", "bus"]], [["a", "cat"]]]
    first, second = cider([["bus", "bus"], ["a", "dog", "cat"]], references)
    # One-grams: bus twice against once: clipped, 1 * 1 / (2 * 1). The pairs are others. Nothing longer.
    assert first == pytest.approx(10 * (0.5 + 0 + 0 + 0) / 4)
    # dog is in no reference, and weighs as much as cat: 1 / sqrt(2); one word longer.
    assert second == pytest.approx(10 / math.sqrt(2) / 4 * math.exp(-1 / 72))


def test_cider_counts_pictures_and_is_a_mean_over_references():
    """ "bus" is in two references of one picture of two: as rare as "cat", which is in one."""
    references = [[["bus"], ["bus"], ["tram"]], [["cat"]]]
    first, second = cider([["bus"], ["cat"]], references)
    assert first == pytest.approx(10 * (1 + 1 + 0) / 3 / 4)
    assert second == pytest.approx(10 / 4)


def test_people_are_scored_against_the_others_of_their_picture():
    """As many rounds as every picture has captions; all others are references."""
    one, two, three, four, five = (["one"], ["two"], ["three"], ["four"], ["five"])
    assert list(leave_one_out([[one, two, three], [four, five]])) == [
        ([one, four], [[two, three], [five]]),
        ([two, five], [[one, three], [four]]),
    ]


def test_ngrams_are_counted():
    assert ngrams(["a", "b", "a"]) == {("a",): 2, ("b",): 1, ("a", "b"): 1, ("b", "a"): 1, ("a", "b", "a"): 1}


@pytest.mark.parametrize(
    ("found", "references", "said"),
    [([["a"]], [], "1 pictures were given, and references of 0"), ([], [], "at least one picture"),
     ([["a"]], [[]], "at least one reference")],
)  # fmt: skip
def test_what_cannot_be_scored(found, references, said):
    with pytest.raises(UsageError, match=said):
        caption_scores(found, references)


def test_people_need_two_captions_each():
    with pytest.raises(UsageError, match="two captions or more"):
        list(leave_one_out([[["a"], ["b"]], [["c"]]]))


@pytest.mark.slow  # Java reads 60 MB of paraphrases
def test_meteor_of_known_captions():
    """Identical captions come to 100; without Java, or the package, the reason is told."""
    pytest.importorskip("pycocoevalcap")
    if shutil.which("java") is None:
        pytest.skip("no Java")
    found = [of_picture[0] for of_picture in REFERENCES]
    assert meteor(found, [[caption] for caption in found]) == pytest.approx(100, abs=1e-4)


def test_meteor_is_asked_for_what_was_found_against_the_references(monkeypatch):
    """By a program that answers 0.3 to one question alone."""
    asked = []

    class Answers:
        meteor_p, lock = SimpleNamespace(stdout=io.BytesIO(), stderr=io.BytesIO()), threading.Lock()

        def compute_score(self, true, said):
            asked.append((true, said))
            return 0.3, []

    monkeypatch.setattr(meteor_module.shutil, "which", lambda name: "/usr/bin/java")
    for name in ("pycocoevalcap", "pycocoevalcap.meteor", "pycocoevalcap.meteor.meteor"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(Meteor=Answers))
    assert meteor([["a", "bus"], ["b"]], [[["a", "tram"], ["trams"]], [["c"]]]) == pytest.approx(30)
    assert asked == [({0: ["a tram", "trams"], 1: ["c"]}, {0: ["a bus"], 1: ["b"]})]
    assert Answers.meteor_p.stdout.closed


def test_meteor_is_named_as_skipped(monkeypatch):
    monkeypatch.setattr(meteor_module.shutil, "which", lambda name: None)
    assert meteor([["a"]], [[["a"]]]) == "skipped: needs Java (a command java, version 8 or newer)"
    monkeypatch.setattr(meteor_module.shutil, "which", lambda name: "/usr/bin/java")
    monkeypatch.setitem(__import__("sys").modules, "pycocoevalcap.meteor.meteor", None)
    assert "pip install 'cutmix[caption]'" in meteor([["a"]], [[["a"]]])
    with pytest.raises(UsageError, match="references of 0"):
        meteor([["a"]], [])
