"""Where chance comes from: a generator that is handed in. Everything is drawn on the host.

Legend: B = images of a batch, H = height, W = width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from cutmix.errors import UsageError

Rng: TypeAlias = np.random.Generator | np.random.RandomState | torch.Generator

_ACCEPTED = "a numpy.random.Generator, a numpy.random.RandomState or a torch.Generator on the CPU"


class Draws:
    """What a mixing needs to know of chance. Whatever is ``given`` is not drawn.

    A ``shape`` is () for one draw that all images share, or (B,) for a draw an image, and so are the results. A
    ``torch.Generator`` gives one integer, which seeds a numpy generator for all the rest.

    Args:
        rng: the generator. None serves those who give every value: the first draw raises.

    Raises:
        UsageError: ``rng`` is something else, or lives on a device (reading it would make the host wait).
    """

    def __init__(self, rng: Rng | None) -> None:
        self._rng = _host_generator(rng)

    def gate(self, prob: float, shape: tuple[int, ...], given: ArrayLike | None = None) -> NDArray[np.bool_]:
        """True with probability ``prob``. Drawn even if that is 1, as in the official code."""
        return np.asarray(self._source.random(shape) < prob if given is None else given, dtype=bool)

    def share(self, alpha: float, shape: tuple[int, ...], given: ArrayLike | None = None) -> NDArray[np.float64]:
        """Lambda, in [0, 1], from Beta(alpha, alpha). One given number serves any ``shape``, (B,) keep theirs."""
        if given is None:
            return np.asarray(self._source.beta(alpha, alpha, shape))
        share = np.asarray(given, dtype=np.float64)
        if share.ndim > 1 or not np.all((share >= 0) & (share <= 1)):
            raise UsageError(f"A share (lambda) is a number from 0 to 1, or (B,) of them, not {given!r}.")
        return share if share.ndim else np.full(shape, share)

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Evenly from ``low`` to ``high``."""
        return np.asarray(self._source.uniform(low, high, shape))

    def pixel(self, size_HW: tuple[int, int], shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns, uniformly over the image. The rows are drawn first."""
        rng = self._source
        integers = rng.integers if isinstance(rng, np.random.Generator) else rng.randint
        rows, columns = (np.asarray(integers(length, size=shape)) for length in size_HW)
        return rows, columns

    def gaussian_pixel(
        self, size_HW: tuple[int, int], shape: tuple[int, ...], sigma: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns from a Gaussian around the middle, ``sigma`` sides wide, clipped to the image."""
        rows, columns = (
            np.clip(np.floor(length * (0.5 + sigma * self.normal(shape))), 0, length - 1).astype(np.int64)
            for length in size_HW
        )
        return rows, columns

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """From the Gaussian of mean 0 and deviation 1."""
        return np.asarray(self._source.standard_normal(shape))

    def choice(self, weights: Sequence[float]) -> int:
        """Which of several, with a probability in proportion to its weight."""
        bounds = np.cumsum(weights)
        return int(np.searchsorted(bounds[:-1], bounds[-1] * self._source.random(), side="right"))

    def seed(self) -> int:
        """Where another generator starts, for what is drawn later."""
        return int(self._source.bytes(8).hex(), 16)

    def partners(self, batch_size: int, given: ArrayLike | None = None) -> NDArray[np.int64]:
        """The partner of each image, (B,): a permutation of the batch."""
        if given is None:
            return self._source.permutation(batch_size)
        partners = np.asarray(given)
        if partners.shape != (batch_size,) or partners.dtype.kind not in "iu":
            raise UsageError(f"Partners are {batch_size} whole numbers, one for each image, not {given!r}.")
        return partners.astype(np.int64)

    @property
    def _source(self) -> np.random.Generator | np.random.RandomState:
        if self._rng is None:
            raise UsageError(f"Something must be drawn and rng is None. Hand in {_ACCEPTED}.")
        return self._rng


def _host_generator(rng: Rng | None) -> np.random.Generator | np.random.RandomState | None:
    if rng is None or isinstance(rng, np.random.Generator | np.random.RandomState):
        return rng
    if not isinstance(rng, torch.Generator):
        hint = " From a seed: numpy.random.default_rng(seed), made once, before the loop." * isinstance(rng, int)
        raise UsageError(f"rng is {rng!r}, and must be {_ACCEPTED}.{hint}")
    if rng.device.type != "cpu":
        raise UsageError(f"rng is on {rng.device}, and reading it makes the host wait. Hand in {_ACCEPTED}.")
    return np.random.default_rng(int(torch.empty((), dtype=torch.int64).random_(generator=rng)))
