"""Mixing while a ``DataLoader`` puts the batch together.

Legend: B = images of a batch, C = channels, H = height, W = width, K = classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import default_collate, get_worker_info

from cutmix.errors import UsageError
from cutmix.mixing.method import Mixing
from cutmix.mixing.targets import MixedTarget


class MixingCollate:
    """A ``collate_fn``: ``DataLoader(dataset, collate_fn=MixingCollate(CutMix(), seed=0, num_classes=100))``.

    What it promises: with the same ``seed`` and the same seed of the loader (its ``generator`` argument, or torch's
    global one, which give the workers theirs), the same number of workers draws the same mixes. Workers never share a
    stream, and no epoch repeats the draws of another, be the workers made anew or persistent.

    What it does not: another number of workers draws other mixes, and a loader that is made anew in the middle of an
    epoch starts its streams again. Call a :class:`Mixing` in the training loop for that.

    Args:
        mixing: what to do with each batch.
        seed: 0 or more.
        num_classes: give targets as (B, K) floats, which ``F.cross_entropy`` takes; None gives a ``MixedTarget``.
        collate: puts samples together into a new (images, labels). They are mixed in place.
    """

    def __init__(
        self,
        mixing: Mixing,
        seed: int,
        num_classes: int | None = None,
        collate: Callable[[list[Any]], Sequence[Any]] = default_collate,
    ) -> None:
        if seed < 0:
            raise UsageError(f"seed={seed!r} must be 0 or more.")
        if mixing.hidden_layers:
            raise UsageError(f"{mixing} mixes in a network, and a loader has none: use a Mixer in the training loop.")
        self.mixing, self.seed, self.num_classes, self.collate = mixing, seed, num_classes, collate
        self._worker_seed: int | None = None
        self._rng = np.random.default_rng(seed)

    def __call__(self, samples: list[Any]) -> tuple[Tensor, MixedTarget | Tensor]:
        images_BCHW, labels = self.collate(samples)
        images_BCHW, target = self.mixing(images_BCHW, labels, self._stream(), inplace=True)
        return images_BCHW, target if self.num_classes is None else target.soft(self.num_classes)

    def __repr__(self) -> str:
        return f"MixingCollate({self.mixing!r}, seed={self.seed}, num_classes={self.num_classes})"

    def _stream(self) -> np.random.Generator:
        worker = get_worker_info()
        if worker is not None and worker.seed != self._worker_seed:
            # The first batch of a worker, which was given a copy of the main process's stream.
            self._worker_seed, self._rng = worker.seed, np.random.default_rng([self.seed, worker.seed])
        return self._rng
