"""PGD (Madry et al., ICLR 2018): the strongest small change of an image that gradient ascent on the loss finds.

All of it happens in pixels: values in [0, 1], eps in the same unit (8/255 is eight grey levels), the result clamped to
[0, 1]. What is attacked is the network with its normalisation as first layer (``Subject.pixel_model``), so that a step
of the attack is a step in pixels. Added to normalised images, the same eps would be a change about four times smaller.

Legend: B = images of a batch, C = channels, H = height, W = width, K = classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cutmix.errors import UsageError
from cutmix.evaluation.accuracy import rate
from cutmix.evaluation.question import Question
from cutmix.evaluation.subject import Subject, likeliest, require_likeliest
from cutmix.evaluation.values import Number, Value

EPS = 8 / 255
"""Of the paper's table 11, and of Madry et al. for CIFAR-10."""
STEPS = 10
"""With steps of eps / 4 and a random start: what MadryLab/cifar10_challenge has in its config.json at eps 8/255."""

Attack: TypeAlias = Callable[[nn.Module, Tensor, Tensor, range], Tensor]
"""(model on pixels, pixels (B, C, H, W), labels (B,), the images' places in the split) -> attacked pixels."""


def pgd(
    model: nn.Module,
    pixels_BCHW: Tensor,
    labels_B: Tensor,
    *,
    eps: float = EPS,
    steps: int = STEPS,
    step_size: float | None = None,
    start_BCHW: Tensor | None = None,
) -> Tensor:
    """The images after ``steps`` steps of size ``step_size`` along the sign of the gradient of the cross-entropy.

    After every step the image is brought back to within ``eps`` of where it began, in each value, and to [0, 1].
    The model is run as it is, in its own mode, which should be evaluation mode; its parameters get no gradients.

    Args:
        model: takes pixels in [0, 1], gives logits (``OnPixels`` makes one of a network and its constants).
        pixels_BCHW: in [0, 1], on the model's device.
        labels_B: the true classes, from whose likelihood the images are moved away.
        eps: the largest change of a value, in units where a pixel lies in [0, 1]: from 0 to 1.
        steps: how often the gradient is asked for.
        step_size: in the same unit as ``eps``; None for a quarter of it.
        start_BCHW: what is added before the first step, each value from -eps to eps (:func:`draw_start`); None for
            nothing.

    Returns:
        The attacked images (B, C, H, W) in [0, 1], none of whose values is further than ``eps`` from where it was.

    Raises:
        UsageError: ``eps`` or the pixels are in another unit (0 to 255, or normalised), no gradient reaches the pixels,
            or it is not finite.
    """
    step_size = eps / 4 if step_size is None else step_size
    check_attack(pixels_BCHW, eps)
    if steps < 1 or not 0 <= step_size <= 1:
        raise UsageError(f"{steps} steps of {step_size:g}: at least one is taken, of a size from 0 to 1, as eps.")
    pixels_BCHW = pixels_BCHW.detach()
    finite = torch.ones((), dtype=torch.bool, device=pixels_BCHW.device)  # asked once, so that no step waits for it
    low, high = (pixels_BCHW - eps).clamp(min=0), (pixels_BCHW + eps).clamp(max=1)
    attacked = pixels_BCHW if start_BCHW is None else (pixels_BCHW + start_BCHW).clamp(low, high)
    for _ in range(steps):
        gradient = loss_gradient(model, attacked, labels_B)
        finite &= gradient.isfinite().all()
        attacked = (attacked + step_size * gradient.sign()).clamp(low, high)
    if not finite:
        raise UsageError("the gradient of the network's loss is not finite: no attack can be built on it")
    return attacked


def loss_gradient(model: nn.Module, pixels_BCHW: Tensor, labels_B: Tensor) -> Tensor:
    """The gradient of each image's cross-entropy with respect to its pixels: (B, C, H, W).

    It is asked for the pixels alone, so that nothing is added to the gradients of the parameters.

    Raises:
        UsageError: the output does not depend on the pixels in a way that can be differentiated.
    """
    with torch.enable_grad():
        pixels_BCHW = pixels_BCHW.detach().requires_grad_()
        # The sum, not the mean: an image's gradient does not hang on how many are attacked with it.
        loss = F.cross_entropy(model(pixels_BCHW).float(), labels_B, reduction="sum")
        gradient = torch.autograd.grad(loss, pixels_BCHW, allow_unused=True)[0] if loss.requires_grad else None
    if gradient is None:
        raise UsageError("no gradient reaches the pixels: the network cannot be attacked by its gradient")
    return gradient


def draw_start(shape: Sequence[int], eps: float, rng: np.random.Generator) -> Tensor:
    """A random start: float32 of that shape, each value uniform from -eps to eps."""
    return torch.from_numpy(rng.uniform(-eps, eps, tuple(shape))).float().clamp(-eps, eps)


@dataclass(frozen=True)
class PGD(Question):
    """How many images are still recognised after projected gradient ascent on the loss?

    Args:
        eps: the largest change of a pixel's value, in units where a pixel lies in [0, 1].
        steps: gradients asked for, one after the other.
        step_size: in the unit of ``eps``; None for a quarter of it.
        random_start: begin at a random place within ``eps``, drawn for each image, and not at the image.
    """

    name: ClassVar[str] = "pgd"
    headline: ClassVar[tuple[str, ...]] = ("pgd/accuracy",)
    eps: float = EPS
    steps: int = STEPS
    step_size: float | None = None
    random_start: bool = True

    @property
    def about(self) -> Mapping[str, str]:
        size = f"{self.eps * 255 / 4:g}/255" if self.step_size is None else f"{self.step_size * 255:g}/255"
        start = "from a random place within eps" if self.random_start else "from the image"
        return attack_about(
            self.name,
            self.eps,
            f"{self.steps} steps of {size} along the sign of the gradient {start} (Madry et al. 2018)",
        )

    def answer(self, subject: Subject) -> Iterator[tuple[str, Value]]:
        yield from attack_values(self.name, subject, self._attack(subject), cost=self.passes(subject))

    def passes(self, subject: Subject) -> float:
        return 3.0 * self.steps + 1

    def _attack(self, subject: Subject) -> Attack:
        def attack(model: nn.Module, pixels_BCHW: Tensor, labels_B: Tensor, places: range) -> Tensor:
            start = self._starts(subject, pixels_BCHW, places) if self.random_start else None
            return pgd(
                model, pixels_BCHW, labels_B, eps=self.eps, steps=self.steps, step_size=self.step_size, start_BCHW=start
            )

        return attack

    def _starts(self, subject: Subject, pixels_BCHW: Tensor, places: range) -> Tensor:
        # A generator an image: what is drawn for it does not hang on the batch that it is in.
        shape_CHW = pixels_BCHW.shape[1:]
        starts = [draw_start(shape_CHW, self.eps, subject.rng(self.name, place)) for place in places]
        return torch.stack(starts).to(pixels_BCHW.device)


def attack_about(name: str, eps: float, how: str) -> dict[str, str]:
    """How the values of an attack are defined; ``how`` says what the attack does."""
    return {
        f"{name}/accuracy": f"Top-1 accuracy in percent on test images that were changed by up to {eps * 255:g}/255 in "
        f"each pixel so as to raise the cross-entropy of their label: {how}. White box, L-infinity, in pixels "
        "from 0 to 1 with the normalisation as the network's first layer, clamped to [0, 1]. In brackets Wilson's 95 % "
        "interval.",
        f"{name}/largest_change": "The largest change that the attack made to any pixel of any image, in grey levels "
        f"out of 255: at most eps, {eps * 255:g}.",
        f"{name}/mean_change": "The mean absolute change over all pixels of all images, in grey levels out of 255.",
    }


def attack_values(name: str, subject: Subject, attack: Attack, cost: float) -> Iterator[tuple[str, Value]]:
    """Attack the subject's images: accuracy under attack, and how far the pixels were really moved."""
    model, seen, done = subject.pixel_model, [], 0
    for pixels_BCHW, labels_B, total in subject.pixel_batches(cost=cost):
        places = range(done, done + total)[subject.rank :: subject.world_size]
        attacked_BCHW = attack(model, pixels_BCHW, labels_B, places)
        with torch.no_grad():
            guesses_B = likeliest(model(attacked_BCHW))
            change_BV = (attacked_BCHW - pixels_BCHW).abs().flatten(1)
            seen.append(torch.stack([guesses_B, change_BV.amax(1), change_BV.mean(1)], dim=1))
        done += total
    guesses_N, largest_N, mean_N = subject.together(torch.cat(seen)).T
    hits_N = require_likeliest(guesses_N) == torch.from_numpy(subject.split.labels_N)
    yield f"{name}/accuracy", rate(int(hits_N.sum()), len(subject))
    yield f"{name}/largest_change", Number(255 * float(largest_N.max()), len(subject), "grey levels")
    yield f"{name}/mean_change", Number(255 * float(mean_N.double().mean()), len(subject), "grey levels")


def check_attack(pixels_BCHW: Tensor, eps: float) -> None:
    """Raise ``UsageError`` for an eps or for images that do not count in pixels from 0 to 1."""
    if not 0 <= eps <= 1:
        hint = f" Is {eps:g}/255 meant?" if 1 < eps <= 255 else ""
        raise UsageError(f"eps is {eps:g}; it counts in pixels from 0 to 1, and must lie between them.{hint}")
    low, high = pixels_BCHW.amin().item(), pixels_BCHW.amax().item()
    if not (pixels_BCHW.is_floating_point() and 0 <= low <= high <= 1):
        raise UsageError(
            f"images from {low:.4g} to {high:.4g} ({pixels_BCHW.dtype}) were to be attacked; floating-point pixels in "
            "[0, 1] are accepted, and a model that normalises them itself (OnPixels)."
        )
