"""What a question is: it is asked of a subject, and answers with named values. And asking several of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from torch import nn

from cutmix.data import Data
from cutmix.errors import UsageError
from cutmix.evaluation.subject import Subject
from cutmix.evaluation.values import Missing, Value

SUITES = ("quick", "paper", "full")


class Question(ABC):
    """A question asked of a trained network. One file each in this folder, found by looking through it.

    A question is a frozen dataclass whose arguments all have defaults; its ``repr`` says all that its answer depends
    on. What is computed is in pure functions on arrays beside it; the question hands them the subject's arrays.
    """

    name: ClassVar[str]
    """What ``--only`` calls it, and what the names of all its values begin with, before a slash."""
    suites: ClassVar[frozenset[str]] = frozenset({"full"})
    """Those of :data:`SUITES` that it belongs to."""
    headline: ClassVar[tuple[str, ...]] = ()
    """Names, or patterns of names, of the few numbers that a reader looks for first."""
    bars: ClassVar[tuple[str, ...]] = ()
    """Patterns, one ``*`` between two slashes or at the end in each, of numbers that the page draws as a bar each."""

    @property
    @abstractmethod
    def about(self) -> Mapping[str, str]:
        """How each value is defined, in words for the page.

        A key is a value's name, or a pattern of names as ``fnmatch`` reads them (``"ood/*/msp/auroc"``). Every name of
        the answer, but those of notes and of what is missing, matches one.
        """

    @abstractmethod
    def answer(self, subject: Subject) -> Iterator[tuple[str, Value]]:
        """The named values, as they are found.

        A data set or an extra that is not there is a :class:`Missing`; what makes the whole question impossible for
        this network or data may be raised as a ``UsageError``, which becomes one.
        """

    @property
    def wants_features(self) -> bool:
        """Whether it calls ``subject.features()``, so that they are noted in the same pass as the logits."""
        return False

    @property
    def needs_same_classes(self) -> bool:
        """Whether the network must tell the data's classes apart for it, in their order."""
        return True

    def passes(self, subject: Subject) -> float:
        """How long the answer takes, in forward passes over the test images, roughly. For the time left."""
        return 1.0

    def surroundings(self, subject: Subject) -> str:
        """What else the answer depends on, in a few letters: files beside the data set, and what is installed.

        An answer that was written down counts as long as this stays the same.
        """
        return ""

    @classmethod
    def for_suite(cls, suite: str) -> Question | None:
        """The question as ``suite`` asks it, or None if it does not."""
        return cls() if suite in cls.suites else None


def ask(question: Question, subject: Subject) -> Iterator[tuple[str, Value]]:
    """The answer to one question, where what cannot be asked is named as :class:`Missing`."""
    try:
        yield from question.answer(subject)
    except UsageError as error:
        yield question.name, Missing(str(error))


def evaluate(
    model: nn.Module | Subject, questions: Iterable[Question], data: Data | None = None, **settings: Any
) -> Iterator[tuple[str, Value]]:
    """Ask a network several questions: ``for name, value in evaluate(model, questions, data): ...``.

    Args:
        model: a network that takes normalised images, or a :class:`Subject`, which has its data with it.
        questions: for example ``[Accuracy(), FGSM(eps=2 / 255)]``.
        data: with the constants that the network's input needs.
        settings: ``batch_size``, ``limit``, ``seed``, ``device`` and whatever else a :class:`Subject` takes.

    Yields:
        (name, value), as soon as it is known. Names begin with the question's.

    Raises:
        UsageError: no data, or settings beside a subject, which has its own.
    """
    asked = list(questions)
    if isinstance(model, Subject):
        if data is not None or settings:
            raise UsageError("a Subject has its data and settings with it: give either it, or a network and these.")
        subject = model
    elif data is None:
        raise UsageError("evaluate needs a data set beside a network.")
    else:
        subject = Subject(model, data, **settings)
    subject.wants_features = subject.wants_features or any(question.wants_features for question in asked)
    for question in asked:
        subject.memory = {}
        yield from ask(question, subject)
