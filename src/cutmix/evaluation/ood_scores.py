"""Scores by which out-of-distribution images are told: a larger one means "more like what the network was trained on".

Each is a pure function of logits, features or a network, and a small class that says what it needs.
Shapes: N images, K classes, D features before the last layer, B images of a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cutmix.errors import UsageError
from cutmix.evaluation.subject import Outputs, Source, Subject, require_features

Scores: TypeAlias = NDArray[np.float64]
ROWS = 1024
"""Images whose distances to all training images are held at a time."""


def max_softmax(logits_NK: Tensor) -> Tensor:
    """The largest probability, (N,) in (0, 1] (Hendrycks and Gimpel 2017): the score of the CutMix paper."""
    return logits_NK.double().softmax(1).amax(1)


def max_logit(logits_NK: Tensor) -> Tensor:
    """The largest logit, (N,) (Hendrycks et al. 2022)."""
    return logits_NK.double().amax(1)


def negative_energy(logits_NK: Tensor, temperature: float = 1.0) -> Tensor:
    """T log sum exp(logits / T), (N,): the energy with its sign turned (Liu et al. 2020)."""
    return temperature * (logits_NK.double() / temperature).logsumexp(1)


def odin(pixel_model: nn.Module, pixels_BCHW: Tensor, temperature: float = 1000.0, eps: float = 0.0014) -> Tensor:
    """ODIN (Liang et al. 2018): the largest probability at a temperature, after a step that makes it larger, (B,).

    Args:
        pixel_model: takes pixels in [0, 1]; normalises them itself.
        eps: the step in pixel units, along the sign of the gradient. As in the authors' code nothing is clamped.
    """
    with torch.enable_grad():
        pixels_BCHW = pixels_BCHW.detach().requires_grad_()
        logits_BK = pixel_model(pixels_BCHW) / temperature
        loss = F.cross_entropy(logits_BK, logits_BK.argmax(1), reduction="sum")
        (gradient_BCHW,) = torch.autograd.grad(loss, pixels_BCHW)
    with torch.no_grad():
        moved_BK = pixel_model(pixels_BCHW.detach() - eps * gradient_BCHW.sign())
        return (moved_BK.double() / temperature).softmax(1).amax(1)


@dataclass(frozen=True, eq=False)
class ClassGaussians:
    """A Gaussian a class over features, with one covariance for all (Lee et al. 2018)."""

    means_KD: Tensor
    precision_DD: Tensor

    @classmethod
    def fit(cls, features_ND: Tensor, labels_N: Tensor) -> ClassGaussians:
        """Means of the classes that have images, and the inverse (pseudo-inverse) of the pooled covariance."""
        features_ND = features_ND.double()
        present, own_N = labels_N.unique(return_inverse=True)
        means_KD = torch.stack([features_ND[labels_N == label].mean(0) for label in present])
        centred_ND = features_ND - means_KD[own_N]
        covariance_DD = centred_ND.T @ centred_ND / len(features_ND)
        return cls(means_KD, torch.linalg.pinv(covariance_DD, hermitian=True))

    def score(self, features_ND: Tensor) -> Tensor:
        """Minus the squared Mahalanobis distance to the nearest class mean, (N,)."""
        distances = [self._distance(features_ND.double() - mean_D) for mean_D in self.means_KD]
        return -torch.stack(distances).amin(0)

    def _distance(self, offset_ND: Tensor) -> Tensor:
        return ((offset_ND @ self.precision_DD) * offset_ND).sum(1)


def nearest_neighbour(features_ND: Tensor, training_MD: Tensor, k: int) -> Tensor:
    """Minus the distance to the k-th nearest training feature, (N,), all scaled to length 1 (Sun et al. 2022).

    Raises:
        UsageError: there are fewer than ``k`` training features.
    """
    if not 1 <= k <= len(training_MD):
        raise UsageError(f"the {k}-th nearest of {len(training_MD)} training images was asked for.")
    training_MD = F.normalize(training_MD.double())
    nearest = [
        (F.normalize(rows.double()) @ training_MD.T).topk(k, dim=1).values[:, -1] for rows in features_ND.split(ROWS)
    ]
    return -(2 - 2 * torch.cat(nearest)).clamp(min=0).sqrt()


# ----------------------------------------------------------------------------------- the scores as a question asks them


class Score(ABC):
    """One way to score images."""

    name: ClassVar[str]
    wants_features: ClassVar[bool] = False
    wants_training: ClassVar[bool] = False
    """Whether it looks at training images first."""
    cost: ClassVar[float] = 0.0
    """Forward passes that an image costs beyond the one that all scores share; a backward pass counts as two."""

    @property
    @abstractmethod
    def about(self) -> str:
        """How it is computed, as a noun phrase."""

    @abstractmethod
    def scorer(self, subject: Subject, train: Outputs | None) -> Callable[[Source, Outputs], Scores]:
        """What scores a set of images, given the images and what the network said of them."""


@dataclass(frozen=True)
class MaxSoftmax(Score):
    """Maximum softmax probability."""

    name: ClassVar[str] = "msp"

    @property
    def about(self) -> str:
        return "the largest softmax probability, without temperature or perturbation (Hendrycks and Gimpel 2017)"

    def scorer(self, subject: Subject, train: Outputs | None) -> Callable[[Source, Outputs], Scores]:
        return lambda source, outputs: max_softmax(outputs.logits_NK).numpy()


@dataclass(frozen=True)
class MaxLogit(Score):
    """Maximum logit."""

    name: ClassVar[str] = "max_logit"

    @property
    def about(self) -> str:
        return "the largest logit (Hendrycks et al. 2022)"

    def scorer(self, subject: Subject, train: Outputs | None) -> Callable[[Source, Outputs], Scores]:
        return lambda source, outputs: max_logit(outputs.logits_NK).numpy()


@dataclass(frozen=True)
class Energy(Score):
    """Energy with its sign turned."""

    name: ClassVar[str] = "energy"
    temperature: float = 1.0

    @property
    def about(self) -> str:
        return f"T log sum exp(logits / T) with T = {self.temperature:g} (Liu et al. 2020, sign turned)"

    def scorer(self, subject: Subject, train: Outputs | None) -> Callable[[Source, Outputs], Scores]:
        return lambda source, outputs: negative_energy(outputs.logits_NK, self.temperature).numpy()


@dataclass(frozen=True)
class Odin(Score):
    """ODIN. Its two numbers are the ones that its authors found for CIFAR; they are not tuned on the out-set here."""

    name: ClassVar[str] = "odin"
    cost: ClassVar[float] = 4.0
    temperature: float = 1000.0
    eps: float = 0.0014

    @property
    def about(self) -> str:
        return (
            f"ODIN: the largest softmax probability at temperature {self.temperature:g} after a step of {self.eps:g} "
            "in pixel units (a pixel lies in 0 to 1) along the sign of its gradient (Liang et al. 2018); neither "
            "number is tuned on the out-set"
        )

    def scorer(self, subject: Subject, train: Outputs | None) -> Callable[[Source, Outputs], Scores]:
        def score(source: Source, outputs: Outputs) -> Scores:
            parts = [
                odin(subject.pixel_model, pixels_BCHW, self.temperature, self.eps)
                for pixels_BCHW, _, _ in subject.pixel_batches(source, cost=self.cost)
            ]
            return subject.together(torch.cat(parts), source).numpy()

        return score


@dataclass(frozen=True)
class Mahalanobis(Score):
    """Mahalanobis distance of the last layer's input, without input perturbation and without other layers."""

    name: ClassVar[str] = "mahalanobis"
    wants_features: ClassVar[bool] = True
    wants_training: ClassVar[bool] = True

    @property
    def about(self) -> str:
        return (
            "minus the squared Mahalanobis distance of the last layer's input to the nearest class mean, with one "
            "covariance for all classes (Lee et al. 2018, last layer only, no input perturbation)"
        )

    def scorer(self, subject: Subject, train: Outputs | None) -> Callable[[Source, Outputs], Scores]:
        assert train is not None
        gaussians = ClassGaussians.fit(require_features(train), train.labels_N)
        return lambda source, outputs: gaussians.score(require_features(outputs)).numpy()


@dataclass(frozen=True)
class Neighbours(Score):
    """Distance to the k-th nearest training image in the input of the last layer."""

    name: ClassVar[str] = "knn"
    wants_features: ClassVar[bool] = True
    wants_training: ClassVar[bool] = True
    k: int = 50

    @property
    def about(self) -> str:
        return (
            f"minus the distance to the nearest training image but {self.k - 1}, between inputs of the last layer that "
            "are scaled to length 1 (Sun et al. 2022)"
        )

    def scorer(self, subject: Subject, train: Outputs | None) -> Callable[[Source, Outputs], Scores]:
        assert train is not None
        training_MD = require_features(train)
        return lambda source, outputs: nearest_neighbour(require_features(outputs), training_MD, self.k).numpy()
