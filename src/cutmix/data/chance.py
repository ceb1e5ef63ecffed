"""Where chance comes from: generators named by (seed, purpose, epoch, sample).

No state and no global generator: the same numbers give the same draws in any process and in any order, so an epoch is a
function of numbers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from cutmix.errors import UsageError

ORDER, CROP, PHOTO, SPLIT, SUBSET, POLICY, EVALUATION = range(7)


def generator(seed: int, purpose: int, *key: int) -> np.random.Generator:
    """The generator named by these numbers (all at least 0). Another purpose or key gives an independent one."""
    _require_seed(seed)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, *key)))


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order (count,) in which epoch ``epoch`` visits the images: a permutation drawn from (seed, epoch)."""
    return generator(seed, ORDER, epoch).permutation(count)


def stratified_split(labels_N: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a test part with about ``share`` of every class; returns the (train, test) indices, both sorted.

    How many of each class: ``quotas``.
    """
    test = [
        generator(seed, SPLIT, label).permutation(np.flatnonzero(labels_N == label))[:quota]
        for label, quota in enumerate(quotas(labels_N, share).tolist())
    ]
    return _both_sides(test, len(labels_N))


def split_by_name(labels_N: np.ndarray, names: Sequence[str], share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``stratified_split`` that hangs on the files' names instead of their places in a list.

    Of each class the files with the smallest hashes of (seed, name) are the test part. A file that comes or goes
    leaves every other one where it is, but for those whose places the changed quotas (``quotas``) give or take.
    """
    _require_seed(seed)
    hashes_N = [blake2b(b"%d/%s" % (seed, os.fsencode(name)), digest_size=16).digest() for name in names]
    test = [
        np.array(sorted(np.flatnonzero(labels_N == label).tolist(), key=hashes_N.__getitem__)[:quota], dtype=np.int64)
        for label, quota in enumerate(quotas(labels_N, share).tolist())
    ]
    return _both_sides(test, len(labels_N))


def even_subset(labels_N: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw ``count`` images, as evenly over the classes as they allow; returns their indices, sorted.

    A smaller subset is part of every larger one with the same seed.
    """
    order_N = generator(seed, SUBSET).permutation(len(labels_N))
    rank_N = np.empty(len(labels_N), dtype=np.int64)  # the how-manieth of its class each image is in that order
    for label in np.unique(labels_N):
        rows = order_N[labels_N[order_N] == label]
        rank_N[rows] = np.arange(len(rows))
    return np.sort(np.lexsort((labels_N, rank_N))[:count])


def quotas(labels_N: np.ndarray, share: float) -> np.ndarray:
    """How many images of each class (K,) are about ``share`` of it.

    Every class with two images or more keeps one on each side; a class with a single image keeps it for training.
    """
    counts_K = np.bincount(labels_N)
    exact_K = np.round(counts_K * share, 9)  # 0.2 is not quite a fifth
    quota_K = np.floor(exact_K).astype(np.int64)
    left_over = int(np.ceil(round(len(labels_N) * share, 9))) - int(quota_K.sum())
    quota_K[np.argsort(quota_K - exact_K, kind="stable")[:left_over]] += 1
    return np.clip(quota_K, np.minimum(1, counts_K // 2), np.maximum(counts_K - 1, 0))


def _both_sides(test: Sequence[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    test_rows = np.sort(np.concatenate(test))
    return np.setdiff1d(np.arange(count), test_rows), test_rows


def _require_seed(seed: int) -> None:
    if seed < 0:
        raise UsageError(f"seed is {seed}; a whole number of at least 0 is accepted.")
