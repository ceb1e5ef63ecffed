"""What every mixing method keeps to. They are found by looking through the folder: a new file is held unlisted."""

from __future__ import annotations

import inspect
import pickle
import pkgutil
import random
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from importlib import import_module

import numpy as np
import pytest
import torch

import cutmix.mixing
from cutmix.errors import UsageError
from cutmix.mixing import Keep, MixedTarget, Mixing, Plan, RandomChoice, mixed_correct, mixed_cross_entropy

SHAPES = [(1, 3, 8, 8), (2, 1, 4, 6), (5, 3, 9, 7), (7, 2, 1, 13)]
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8]


def methods() -> Iterator[type[Mixing]]:
    """Every concrete class of the folder that is a mixing."""
    for module in pkgutil.iter_modules(cutmix.mixing.__path__, "cutmix.mixing."):
        for _, found in inspect.getmembers(import_module(module.name), inspect.isclass):
            if issubclass(found, Mixing) and not inspect.isabstract(found) and found.__module__ == module.name:
                yield found


def settings() -> list[Mixing]:
    """Each method as it is by default and, where it has them, with every scope, at a probability of 0.3 too.

    They are tested at one moment of a run (``now``) by ``mix``, which carries out what is done in a hidden layer too:
    on the images, as if they were its feature map.
    """
    found: list[Mixing] = []
    for method in methods():
        plain = method()
        names = {field.name for field in fields(plain)}
        scopes = [replace(plain, scope=s) for s in ("per_batch", "per_sample")] if "scope" in names else [plain]
        found += scopes
        found += [replace(mixing, prob=0.3) for mixing in scopes if "prob" in names]
    return found


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def now(mixing: Mixing) -> Mixing:
    return mixing.at(0.6)


def draw(mixing: Mixing, shape, rng) -> Plan:
    return now(mixing).draw(shape, rng).for_map(shape)


def mix(mixing: Mixing, images, labels, rng, *, inplace=False) -> tuple[torch.Tensor, MixedTarget]:
    plan = draw(mixing, images.shape, rng)
    return plan.apply(images, inplace=inplace), plan.targets(labels)


def with_scope(mixing: Mixing, scope: str) -> Mixing:
    """The method, or those that it is made of, with this scope where there is one."""
    changed: dict[str, object] = {}
    for field in fields(mixing):
        value = getattr(mixing, field.name)
        if field.name == "scope":
            changed["scope"] = scope
        elif isinstance(value, Mixing):
            changed[field.name] = with_scope(value, scope)
        elif field.name == "mixings":
            changed[field.name] = tuple(with_scope(part, scope) for part in value)
    return replace(mixing, **changed)


def rows(mixing: Mixing, images: int, seed: int) -> np.ndarray:
    """What each step does to each image: its share, how many cells change, around which row and column, is (6, 17) one.

    (images, 5 numbers a step). No two images are alike and none is 0, so a cell that shows another image, or nothing,
    has changed.
    """
    batch = torch.arange(1.0, images + 1)[:, None, None, None].repeat(1, 1, 20, 24)
    found = []
    for step in draw(mixing, batch.shape, rng(seed)).steps:
        changed = (step.apply(batch) != batch)[:, 0].double()
        cells = changed.sum((1, 2))
        row = (changed.sum(2) @ torch.arange(20.0).double()) / cells.clamp(min=1)
        column = (changed.sum(1) @ torch.arange(24.0).double()) / cells.clamp(min=1)
        found += [step.contents(torch.arange(images)).share.double(), cells, row, column, changed[:, 6, 17]]
    return torch.stack(found, 1).numpy()


def variety(values: np.ndarray) -> float:
    """The part of the values that are not the most common one."""
    return 1 - np.unique(values, return_counts=True)[1].max() / len(values)


every_setting = pytest.mark.parametrize("mixing", settings(), ids=repr)


def a_batch(
    shape: tuple[int, ...] = (5, 3, 9, 7), dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return (200 * torch.rand(shape, generator=rng)).to(dtype), torch.randint(10, shape[:1], generator=rng)


def test_the_methods_are_found() -> None:
    assert {"CutMix", "MixUp", "Cutout", "NoMixing"} <= {method.__name__ for method in methods()}


def test_every_public_name_exists() -> None:
    assert cutmix.mixing.__all__ == sorted(cutmix.mixing.__all__)
    for name in cutmix.mixing.__all__:
        assert inspect.getdoc(getattr(cutmix.mixing, name)) or name in ("Geometry", "Rng", "Scope")
    for method in methods():
        assert getattr(cutmix.mixing, method.__name__) is method


@every_setting
def test_repr_is_the_call_that_makes_it(mixing: Mixing) -> None:
    assert is_dataclass(mixing)
    assert eval(repr(mixing), {method.__name__: method for method in methods()}) == mixing
    assert hash(mixing) == hash(replace(mixing))
    assert pickle.loads(pickle.dumps(mixing)) == mixing
    for field in fields(mixing):
        with pytest.raises(AttributeError):
            setattr(mixing, field.name, getattr(mixing, field.name))


@every_setting
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_images_keep_their_type_and_layout_and_are_left_alone(mixing: Mixing, shape, layout) -> None:
    for dtype in DTYPES:
        images, labels = a_batch(shape, dtype)
        images = images.contiguous(memory_format=layout)
        before, labels_before = images.clone(), labels.clone()
        for seed in range(5):
            mixed, target = mix(mixing, images, labels, rng(seed))
            assert torch.equal(images, before)
            assert torch.equal(labels, labels_before)
            assert (mixed.shape, mixed.dtype, mixed.device) == (images.shape, dtype, images.device)
            assert mixed.is_contiguous(memory_format=layout)
            assert len(target) == len(images)


@every_setting
@pytest.mark.parametrize("dtype", DTYPES)
def test_in_place_writes_the_same_into_the_callers_memory(mixing: Mixing, dtype) -> None:
    for seed in range(5):
        images, labels = a_batch(dtype=dtype)
        mixed, target = mix(mixing, images, labels, rng(seed))
        written, written_target = mix(mixing, images, labels, rng(seed), inplace=True)
        assert written.data_ptr() == images.data_ptr()
        assert torch.equal(images, mixed)
        assert torch.equal(target.soft(10), written_target.soft(10))


@every_setting
def test_the_layout_does_not_change_the_result(mixing: Mixing) -> None:
    for seed in range(5):
        images, labels = a_batch()
        rows, _ = mix(mixing, images, labels, rng(seed))
        pixels, _ = mix(mixing, images.contiguous(memory_format=torch.channels_last), labels, rng(seed))
        assert torch.equal(rows, pixels)


@every_setting
def test_the_contents_are_what_the_picture_shows(mixing: Mixing) -> None:
    """Image i is 1 in channel i and 0 elsewhere, so the means of a mixed image's channels are what it is made of.

    Each step of a plan on its own: a hole that is pasted elsewhere belongs to the image that it was made in.
    """
    labels = torch.tensor([0, 1, 2, 3, 4])
    images = torch.eye(5)[:, :, None, None].repeat(1, 1, 24, 30)
    for seed in range(20):
        for step in draw(mixing, images.shape, rng(seed)).steps:
            shown = step.apply(images).mean((2, 3))
            assert torch.allclose(shown / shown.sum(1, keepdim=True), step.contents(labels).soft(5), atol=1e-5)


@every_setting
def test_a_plan_carries_out_its_steps_and_is_called_by_the_one_that_mixes_labels(mixing: Mixing) -> None:
    images, labels = a_batch()
    for seed in range(5):
        plan = draw(mixing, images.shape, rng(seed))
        mixed, naming = images, [step for step in plan.steps if step.mixes_labels]
        for step in plan.steps:
            mixed = step.apply(mixed)
        assert torch.equal(plan.apply(images), mixed)
        assert len(naming) <= 1
        assert plan.mixes_labels == bool(naming) <= mixing.mixes_labels
        wanted = naming[0].targets(labels).soft(10) if naming else torch.eye(10)[labels]
        assert torch.equal(plan.targets(labels).soft(10), wanted)


@every_setting
def test_the_target_says_what_the_picture_shows_or_has_a_weight_of_its_own(mixing: Mixing) -> None:
    images, labels = a_batch()
    for seed in range(20):
        plan = draw(mixing, images.shape, rng(seed))
        shown, target = plan.contents(labels), plan.targets(labels)
        assert torch.equal(target.labels, shown.labels)
        assert torch.equal(target.partner_labels, shown.partner_labels)
        wanted = shown.share if plan.weight is None else torch.as_tensor(plan.weight).float().expand(5)
        assert torch.equal(target.share, wanted)


@every_setting
def test_something_happens(mixing: Mixing) -> None:
    images, _ = a_batch()
    plans = [draw(mixing, images.shape, rng(seed)) for seed in range(20)]
    happened = [not torch.equal(plan.apply(images), images) for plan in plans]
    assert any(happened) or all(isinstance(plan, Keep) for plan in plans)


@every_setting
def test_the_first_label_is_the_images_own_and_the_share_is_one(mixing: Mixing) -> None:
    labels = torch.tensor([30, 31, 32, 33, 34])
    for seed in range(5):
        _, target = mix(mixing, a_batch()[0], labels, rng(seed))
        assert torch.equal(target.labels, labels)
        assert set(target.partner_labels.tolist()) <= set(labels.tolist())
        assert target.labels.dtype == target.partner_labels.dtype == torch.int64
        assert target.share.dtype == torch.float32
        assert target.share.shape == (5,)
        assert ((target.share >= 0) & (target.share <= 1)).all()


@every_setting
def test_distributions_are_mixed_as_labels_are(mixing: Mixing) -> None:
    images, labels = a_batch()
    one_hot_BK = torch.eye(10)[labels]
    logits_BK = torch.randn(5, 10, generator=torch.Generator().manual_seed(0))
    for seed in range(5):
        _, target = mix(mixing, images, labels, rng(seed))
        _, soft_target = mix(mixing, images, one_hot_BK, rng(seed))
        assert torch.allclose(target.soft(10), soft_target.soft(10))
        for measure in (mixed_cross_entropy, mixed_correct):
            assert torch.allclose(measure(logits_BK, target), measure(logits_BK, soft_target))


@every_setting
@pytest.mark.parametrize("make", [rng, np.random.RandomState, lambda seed: torch.Generator().manual_seed(seed)])
def test_all_chance_is_that_of_the_generator(mixing: Mixing, make) -> None:
    images, labels = a_batch((16, 3, 9, 7))
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    first, second = (torch.stack([mix(mixing, images, labels, g)[0] for _ in range(6)]) for g in (make(7), make(7)))
    assert torch.equal(first, second)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


@every_setting
def test_it_refuses_to_draw_without_a_generator(mixing: Mixing) -> None:
    images, labels = a_batch()
    with pytest.raises(TypeError, match="rng"):
        mixing(images, labels)  # type: ignore[call-arg]
    if "prob" in {field.name for field in fields(mixing)} or mixing.parts:
        with pytest.raises(UsageError, match="rng is None"):
            now(mixing).draw(images.shape, None)
        with pytest.raises(UsageError, match="rng is 0"):
            now(mixing).draw(images.shape, 0)  # type: ignore[arg-type]


@every_setting
def test_plans_pickle(mixing: Mixing) -> None:
    images, labels = a_batch()
    for seed in range(3):
        plan = draw(mixing, images.shape, rng(seed))
        copy = pickle.loads(pickle.dumps(plan))
        assert torch.equal(copy.apply(images), plan.apply(images))
        assert torch.equal(copy.targets(labels).soft(10), plan.targets(labels).soft(10))


@pytest.mark.parametrize("mixing", [m for m in settings() if getattr(m, "prob", None) == 1], ids=repr)
def test_prob_is_how_often_anything_happens(mixing: Mixing) -> None:
    images, labels = torch.arange(1.0, 9.0)[:, None, None, None].repeat(1, 1, 8, 8), torch.arange(8)

    gates = 256
    batches = gates // 8 if mixing.scope == "per_sample" else gates

    def rate(prob: float) -> float:
        source, method = rng(1), replace(mixing, prob=prob)
        mixed = torch.stack([mix(method, images, labels, source)[0] for _ in range(batches)])
        return (mixed != images).any((2, 3, 4)).float().mean().item()

    assert rate(0.0) == 0
    # An image may be its own partner, and a box may be empty: hence a ratio, to four deviations.
    assert abs(rate(0.3) / rate(1.0) - 0.3) < 4 * np.sqrt(0.3 * 0.7 / gates) + 0.01


def settings_with_scope(scope: str) -> list[Mixing]:
    return list(dict.fromkeys(with_scope(mixing, scope) for mixing in settings()))


@pytest.mark.parametrize("mixing", settings_with_scope("per_sample"), ids=repr)
def test_images_are_independent_of_each_other(mixing: Mixing) -> None:
    """What differs from batch to batch differs as much from image to image, and not in step with the image before."""
    between = np.stack([rows(mixing, 40, seed)[7] for seed in range(150)])
    within = rows(mixing, 600, seed=3)
    for one, many in zip(within.T, between.T):
        if not isinstance(mixing, RandomChoice):  # which differs from batch to batch in its method too
            assert variety(one) == pytest.approx(variety(many), abs=0.15)
        if one.std() > 0:
            assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 4.5 / np.sqrt(len(one))


@pytest.mark.parametrize("mixing", settings_with_scope("per_batch"), ids=repr)
def test_images_are_all_treated_alike(mixing: Mixing) -> None:
    for seed in range(10):
        found = rows(mixing, 40, seed)
        for share, *changes in found.reshape(len(found), -1, 5).transpose(1, 2, 0):
            assert variety(share) == 0
            changed = changes[0] > 0  # not those that are their own partner
            assert not changed.any() or changed.sum() > 30
            assert len(np.unique(np.stack(changes)[:, changed], axis=1).T) <= 1
