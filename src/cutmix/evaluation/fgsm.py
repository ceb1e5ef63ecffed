"""FGSM (Goodfellow et al., ICLR 2015): one step along the sign of the gradient, the attack of the paper's table 11."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from cutmix.evaluation.pgd import EPS, attack_about, attack_values, pgd
from cutmix.evaluation.question import Question
from cutmix.evaluation.subject import Subject
from cutmix.evaluation.values import Value


@dataclass(frozen=True)
class FGSM(Question):
    """How many images are still recognised after one step along the sign of the gradient?

    Args:
        eps: the size of the step, in units where a pixel lies in [0, 1]. The paper's is 8/255; whether it counts in
            pixels or in normalised values, and whether it clamps, it does not say.
    """

    name: ClassVar[str] = "fgsm"
    suites: ClassVar[frozenset[str]] = frozenset({"paper", "full"})
    headline: ClassVar[tuple[str, ...]] = ("fgsm/accuracy",)
    eps: float = EPS

    @property
    def about(self) -> Mapping[str, str]:
        return attack_about(
            self.name, self.eps, "one step of eps along the sign of the gradient (table 11 of the paper)"
        )

    def answer(self, subject: Subject) -> Iterator[tuple[str, Value]]:
        def attack(model: nn.Module, pixels_BCHW: Tensor, labels_B: Tensor, places: range) -> Tensor:
            return fgsm(model, pixels_BCHW, labels_B, eps=self.eps)

        yield from attack_values(self.name, subject, attack, cost=self.passes(subject))

    def passes(self, subject: Subject) -> float:
        return 4.0


def fgsm(model: nn.Module, pixels_BCHW: Tensor, labels_B: Tensor, *, eps: float = EPS) -> Tensor:
    """The images moved by ``eps`` along the sign of the gradient of the cross-entropy, clamped to [0, 1].

    That is PGD with one step of size eps and no random start, and that is how it is computed. Arguments, units and
    errors: :func:`cutmix.evaluation.pgd.pgd`.
    """
    return pgd(model, pixels_BCHW, labels_B, eps=eps, steps=1, step_size=eps)
