"""Mixing in a loader: streams of the workers, what comes out, what can be sent to another process."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, default_collate

from cutmix.errors import UsageError
from cutmix.mixing import CutMix, MixedTarget, MixingCollate, MixUp, NoMixing

IMAGES = torch.arange(24.0)[:, None, None, None].repeat(1, 1, 8, 8)
LABELS = torch.arange(24) % 3
DATASET = TensorDataset(IMAGES, LABELS)


def shares(loader: DataLoader) -> list[float]:
    """The share of the first image of each batch: real numbers that no two draws have in common."""
    return [target.share[0].item() for _, target in loader]


def loader(seed: int = 5, loader_seed: int = 7, workers: int = 0, **settings) -> DataLoader:
    collate = MixingCollate(MixUp(), seed)
    rng = torch.Generator().manual_seed(loader_seed)
    return DataLoader(DATASET, batch_size=4, collate_fn=collate, num_workers=workers, generator=rng, **settings)


def test_batches_are_mixed_and_the_dataset_is_not() -> None:
    before = IMAGES.clone()
    for images_BCHW, target in DataLoader(DATASET, batch_size=5, collate_fn=MixingCollate(CutMix(), seed=0)):
        assert isinstance(target, MixedTarget)
        assert len(images_BCHW) == len(target) in (5, 4)
    assert torch.equal(IMAGES, before)


def test_soft_targets_are_plain_tensors() -> None:
    collate = MixingCollate(MixUp(), seed=0, num_classes=3)
    images_BCHW, soft_BK = collate([DATASET[i] for i in range(5)])
    assert type(soft_BK) is torch.Tensor
    assert soft_BK.shape == (5, 3)
    assert F.cross_entropy(torch.zeros(5, 3), soft_BK).item() == pytest.approx(1.0986, abs=1e-4)
    assert images_BCHW.shape == (5, 1, 8, 8)


def test_without_mixing_it_is_the_default_collate() -> None:
    samples = [DATASET[i] for i in (3, 1)]
    images_BCHW, soft_BK = MixingCollate(NoMixing(), seed=0, num_classes=3)(samples)
    expected = default_collate(samples)
    assert torch.equal(images_BCHW, expected[0])
    assert soft_BK.argmax(1).equal(expected[1])


def test_another_collate_may_come_first() -> None:
    collate = MixingCollate(NoMixing(), seed=0, collate=lambda samples: (torch.zeros(2, 1, 2, 2), torch.tensor([1, 2])))
    assert collate([])[1].labels.tolist() == [1, 2]


def test_in_the_main_process_draws_follow_from_the_seed_and_go_on_from_epoch_to_epoch() -> None:
    batches = loader()
    first, second = shares(batches), shares(batches)
    assert len({*first, *second}) == 12
    again = loader(loader_seed=8)
    assert shares(again) + shares(again) == first + second
    assert not {*shares(loader(seed=6))} & {*first}


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_never_share_draws_and_epochs_differ(persistent: bool) -> None:
    settings = {"workers": 2, "persistent_workers": persistent, "multiprocessing_context": "fork"}
    batches = loader(**settings)
    first, second = shares(batches), shares(batches)
    assert len({*first, *second}) == 12
    again = loader(**settings)
    assert shares(again) + shares(again) == first + second
    assert not {*shares(loader(loader_seed=8, **settings))} & {*first}
    assert not {*shares(loader(seed=6, **settings))} & {*first}


def test_a_collate_that_was_used_here_starts_anew_in_the_workers() -> None:
    collate = MixingCollate(MixUp(), 5)
    for _ in range(3):
        collate([DATASET[0], DATASET[1]])
    rng = torch.Generator().manual_seed(7)
    settings = {"num_workers": 2, "generator": rng, "multiprocessing_context": "fork"}
    used = DataLoader(DATASET, batch_size=4, collate_fn=collate, **settings)
    assert shares(used) == shares(loader(workers=2, multiprocessing_context="fork"))


def test_spawned_workers_draw_what_forked_ones_draw() -> None:
    spawned, forked = (loader(workers=2, multiprocessing_context=context) for context in ("spawn", "fork"))
    assert shares(spawned) == shares(forked)


def test_pickling_keeps_the_stream() -> None:
    collate = MixingCollate(CutMix(prob=0.3), seed=3, num_classes=10)
    collate([DATASET[0], DATASET[1]])
    copy = pickle.loads(pickle.dumps(collate))
    samples = [DATASET[i] for i in range(8)]
    for (images, soft), (copied, copied_soft) in zip(
        [collate(samples) for _ in range(5)], [copy(samples) for _ in range(5)]
    ):
        assert torch.equal(images, copied)
        assert torch.equal(soft, copied_soft)


def test_repr_says_what_it_does() -> None:
    collate = MixingCollate(MixUp(), seed=3, num_classes=10)
    assert repr(collate) == f"MixingCollate({MixUp()!r}, seed=3, num_classes=10)"


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="seed=-1 must be 0 or more"):
        MixingCollate(MixUp(), seed=-1)
