"""AutoAttack (Croce and Hein, ICML 2020): four attacks without settings, each on the images that the others left over.

Computed by the library ``pyautoattack``, which ``pip install 'cutmix[attacks]'`` brings. It takes from hundreds to
thousands of passes over the images, so it is in no suite: ask for it by name, with a limit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cutmix.errors import UsageError
from cutmix.evaluation.pgd import EPS, attack_about, attack_values, check_attack
from cutmix.evaluation.question import Question
from cutmix.evaluation.subject import Subject
from cutmix.evaluation.values import Missing, Value

ATTACKS = ("apgd-ce", "apgd-t", "fab-t", "square")
"""Of the version called standard."""


@dataclass(frozen=True)
class AutoAttack(Question):
    """How many images are still recognised after the strongest of several attacks?

    Args:
        eps: the largest change of a pixel's value, in units where a pixel lies in [0, 1].
        attacks: which ones, in this order. ``"apgd-t"`` and ``"fab-t"`` need four classes or more.
    """

    name: ClassVar[str] = "autoattack"
    suites: ClassVar[frozenset[str]] = frozenset()
    headline: ClassVar[tuple[str, ...]] = ("autoattack/accuracy",)
    eps: float = EPS
    attacks: tuple[str, ...] = ATTACKS

    def __post_init__(self) -> None:
        unknown = [attack for attack in self.attacks if attack not in ATTACKS]
        if unknown or not self.attacks:
            raise UsageError(f"attacks are {self.attacks}; some of {', '.join(ATTACKS)} are accepted.")

    @property
    def about(self) -> Mapping[str, str]:
        how = f"the first of {', '.join(self.attacks)} that succeeds (AutoAttack, Croce and Hein 2020; pyautoattack)"
        return attack_about(self.name, self.eps, how)

    def answer(self, subject: Subject) -> Iterator[tuple[str, Value]]:
        try:
            import pyautoattack  # noqa: F401
        except ImportError:
            yield self.name, Missing("AutoAttack needs an extra: pip install 'cutmix[attacks]'")
            return
        seed = int(subject.rng(self.name).integers(2**31))

        def attack(model: nn.Module, pixels_BCHW: Tensor, labels_B: Tensor, places: range) -> Tensor:
            return auto_attack(model, pixels_BCHW, labels_B, eps=self.eps, attacks=self.attacks, seed=seed)

        yield from attack_values(self.name, subject, attack, cost=self.passes(subject))

    def passes(self, subject: Subject) -> float:
        return 300.0  # of a network that was not trained against attacks: the first one leaves few images over


def auto_attack(
    model: nn.Module,
    pixels_BCHW: Tensor,
    labels_B: Tensor,
    *,
    eps: float = EPS,
    attacks: tuple[str, ...] = ATTACKS,
    seed: int = 0,
) -> Tensor:
    """The images as the first attack that succeeded left them, and unchanged where none did.

    The library draws from torch's global generator, seeded anew for each attack and batch: so the numbers hang, a
    little, on the batch size. That generator is put back, and the parameters get no gradients.

    Arguments and units as of :func:`cutmix.evaluation.pgd.pgd`.

    Raises:
        UsageError: as there, or there are too few classes for these attacks.
    """
    from pyautoattack import AutoAttack as Library

    check_attack(pixels_BCHW, eps)
    with torch.no_grad():
        classes = model(pixels_BCHW[:1]).shape[1]
    if classes < 4 and {"apgd-t", "fab-t"} & set(attacks):
        raise UsageError(f"the network has {classes} classes; apgd-t and fab-t need at least 4.")
    with _left_as_found(model, pixels_BCHW.device):
        library = Library(
            model, attacks=list(attacks), eps=eps, norm="Linf", seed=seed, version="custom", device=pixels_BCHW.device
        )
        # As the version called standard, except that there may be fewer than nine wrong classes.
        library.apgd.n_restarts = library.apgd_targeted.n_restarts = library.fab.n_restarts = 1
        library.apgd_targeted.n_target_classes = library.fab.n_target_classes = min(9, classes - 1)
        attacked_BCHW, _ = library.run_standard_evaluation(
            pixels_BCHW.contiguous(), labels_B, batch_size=len(pixels_BCHW)
        )
    return attacked_BCHW.detach()


@contextmanager
def _left_as_found(model: nn.Module, device: torch.device) -> Iterator[None]:
    """No gradients for the parameters; torch's global generators and Python's tracing as they were."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    tracing: Any = sys.gettrace()  # the library switches it off, and with it a debugger or the measuring of coverage
    try:
        for parameter in learning:
            parameter.requires_grad_(False)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        sys.settrace(tracing)
        for parameter in learning:
            parameter.requires_grad_(True)
