"""What holds of every question, and of asking several."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

import pytest
import torch

from cutmix.data import load_data
from cutmix.errors import UsageError
from cutmix.evaluation.accuracy import Accuracy
from cutmix.evaluation.question import SUITES, Question, evaluate
from cutmix.evaluation.subject import Subject
from cutmix.evaluation.values import Missing, Note, Number, from_json
from cutmix.models import ResNet
from cutmix.recipes.names import questions

QUESTIONS = questions()


@pytest.fixture
def data(tiny_arrays):
    return load_data(f"arrays:{tiny_arrays}")


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return ResNet(depth=8, bottleneck=False, num_classes=3, stem="cifar")


def test_the_questions_are_found():
    assert {"accuracy", "calibration", "ood"} <= set(QUESTIONS)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_a_frozen_dataclass_that_needs_no_argument(name):
    question = QUESTIONS[name]()
    assert question == QUESTIONS[name]()
    assert repr(question).startswith(f"{type(question).__name__}(")
    assert question.suites <= set(SUITES)
    assert type(question).__doc__.splitlines()[0].endswith(("?", ".")), "the page begins with this sentence"
    for field in dataclasses.fields(question):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(question, field.name, getattr(question, field.name))


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_answer_is_named_defined_and_can_be_written(name, data, tmp_path):
    question = QUESTIONS[name]()
    model = network()
    before = {key: weight.clone() for key, weight in model.state_dict().items()}
    found = list(evaluate(model, [question], data, limit=9, batch_size=4, data_root=tmp_path, device="cpu"))
    names = [value_name for value_name, _ in found]
    assert len(set(names)) == len(names)
    for value_name, value in found:
        assert value_name == name or value_name.startswith(f"{name}/")
        if not isinstance(value, Missing | Note):
            assert any(fnmatchcase(value_name, pattern) for pattern in question.about), f"{value_name} is not defined"
        content = value.as_json()
        assert from_json(content, getattr(value, "pixels_HWC", None)).as_json() == content
    assert question.passes(Subject(model, data, "cpu", limit=9, data_root=tmp_path)) >= 0
    assert all(torch.equal(weight, before[key]) for key, weight in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_headline_is_a_name_that_is_defined(name):
    question = QUESTIONS[name]()
    for pattern in question.headline:
        assert any(fnmatchcase(pattern, key) for key in question.about)


class BlindToSome(torch.nn.Module):
    """Its logits for bright images are not finite. ``argmax`` would take them for class 0."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, images_BCHW):
        colour_BC = self.scale * images_BCHW.mean((2, 3))
        return colour_BC / (colour_BC.mean(1, keepdim=True) < 0)  # divided by 1, or by 0


@pytest.mark.parametrize("name", ["fgsm", "pgd", "occlusion", "between_class"])
def test_logits_that_are_not_finite_are_no_answer(name, tiny_arrays):
    data = load_data(f"arrays:{tiny_arrays}")
    found = dict(evaluate(BlindToSome(), [QUESTIONS[name]()], data, device="cpu"))
    assert list(found) == [name]
    assert isinstance(found[name], Missing)
    assert "not finite" in found[name].reason


@dataclass(frozen=True)
class Impossible(Question):
    """Can this be asked?"""

    name: ClassVar[str] = "impossible"
    about: ClassVar[dict[str, str]] = {"impossible/n": "A number."}

    def answer(self, subject: Subject) -> Iterator[tuple[str, Number]]:
        yield "impossible/n", Number(1.0, 1)
        raise UsageError("the network has no such thing")


def test_what_cannot_be_asked_is_named_and_the_next_question_is_asked(data):
    found = dict(evaluate(network(), [Impossible(), Accuracy()], data))
    assert found["impossible/n"] == 1.0
    assert found["impossible"] == Missing("the network has no such thing")
    assert "accuracy/top1" in found


def test_asking_by_python(data):
    for name, value in evaluate(network(), [Accuracy()], data, batch_size=5):
        assert name == "accuracy/top1"
        assert value.n == 18
        break


@pytest.mark.parametrize("given", [{"data": None}, {}])
def test_evaluate_wants_a_network_and_data_or_a_subject(given, data):
    with pytest.raises(UsageError, match="Subject has its data"):
        next(evaluate(Subject(network(), data, "cpu"), [], data))
    with pytest.raises(UsageError, match="needs a data set"):
        next(evaluate(network(), [], **given))


@pytest.mark.parametrize(("value", "n"), [(float("nan"), 1), (float("inf"), 1), (1.0, 0)])
def test_a_number_is_finite_and_over_something(value, n):
    with pytest.raises(UsageError):
        Number(value, n)
