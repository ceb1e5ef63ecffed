"""How pixels are moved: every path gives the same bits, and none makes the host wait for a device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cutmix.mixing import Blend, Box, Erase, Paste, Plan, mixed_correct, mixed_cross_entropy, pixels
from cutmix.mixing.fmix import Stencil

PARTNERS = np.array([2, 0, 1, 1])
BOXES = Box.of([(0, 0, 3, 2), (1, 4, 5, 6), (2, 2, 2, 5), (0, 0, 5, 6)])
PLANS = [
    Paste(BOXES, PARTNERS, (5, 6)),
    Paste(Box(1, 2, 4, 6), PARTNERS, (5, 6)),
    Blend(0.3, PARTNERS),
    Blend(np.array([0.3, 0.9, 1.0, 0.0]), PARTNERS),
    Erase(BOXES, (5, 6), fill=0.7),
    Erase(Box(1, 2, 4, 6), (5, 6)),
]
WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::is_nonzero"}


class OnADevice(TorchDispatchMode):
    """Notes what would make the host wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        index_by_mask = func is torch.ops.aten.index.Tensor and any(
            i.dtype == torch.bool for i in args[1] if i is not None
        )
        if func._schema.name in WAITS or index_by_mask:
            self.waits.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.fixture
def device_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the paths that other devices than the CPU take."""
    monkeypatch.setattr(pixels, "_in_host_memory", lambda images: False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.uint8])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("plan", PLANS[::4])
def test_the_paths_of_host_and_device_give_the_same_bits(plan, dtype, layout, inplace, monkeypatch) -> None:
    images = (torch.rand(4, 3, 5, 6) * 200).to(dtype).contiguous(memory_format=layout)
    on_host = plan.apply(images.clone(), inplace=inplace)
    monkeypatch.setattr(pixels, "_in_host_memory", lambda images: False)
    on_device = plan.apply(images.clone(), inplace=inplace)
    assert torch.equal(on_host, on_device)
    assert on_device.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("band", "bands"), [(1, 5), (150, 3), (10**6, 1)])
@pytest.mark.parametrize("plan", PLANS)
def test_bands_of_any_height_give_the_same_bits(plan, band, bands, layout, monkeypatch) -> None:
    images = torch.randn(4, 3, 5, 6).contiguous(memory_format=layout)
    expected = plan.apply(images)
    monkeypatch.setattr(pixels, "_BAND", band)
    assert len(list(pixels._bands(images))) == bands
    assert torch.equal(plan.apply(images.clone(), inplace=True), expected)
    assert torch.equal(plan.apply(images), expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("plan", PLANS)
def test_large_images_are_taken_otherwise_and_give_the_same_bits(plan, layout, monkeypatch) -> None:
    images = torch.randn(4, 3, 5, 6).contiguous(memory_format=layout)
    expected = plan.apply(images)
    monkeypatch.setattr(pixels, "_GRAIN", 1)
    mixed = plan.apply(images)
    assert torch.equal(mixed, expected)
    assert mixed.is_contiguous(memory_format=layout)
    assert torch.equal(plan.apply(images.clone(), inplace=True), expected)


def test_a_large_batch_is_taken_in_bands() -> None:
    images = torch.arange(2 * 1024.0)[:, None].expand(-1, 1024).reshape(2, 1, 1024, 1024).clone()
    assert len(list(pixels._bands(images))) == 2
    expected = images.clone()
    expected[:, :, 3:1000, 7:] = images.flip(0)[:, :, 3:1000, 7:]
    plan = Paste(Box(3, 7, 1000, 1024), np.array([1, 0]), (1024, 1024))
    assert torch.equal(plan.apply(images, inplace=True), expected)


@pytest.mark.usefixtures("device_paths")
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("plan", PLANS)
def test_nothing_waits_for_a_device(plan: Plan, inplace: bool) -> None:
    images, labels, logits = torch.rand(4, 3, 5, 6), torch.tensor([3, 1, 0, 2]), torch.randn(4, 7)
    with OnADevice() as seen:
        plan.apply(images, inplace=inplace)
        target = plan.targets(labels)
        target.soft(7)
        mixed_cross_entropy(logits, target, label_smoothing=0.1)
        mixed_correct(logits, target)
    assert seen.waits == []


def test_the_waiting_that_is_looked_for_is_seen() -> None:
    with OnADevice() as seen:
        torch.ones(3).sum().item()
        torch.ones(3)[torch.tensor([True, False, True])]
    assert len(seen.waits) == 2


def test_an_image_is_read_before_it_is_overwritten() -> None:
    """Each image's partner is the one before it: written one after the other, the first would run through the batch."""
    images = torch.arange(4.0)[:, None, None, None].expand(4, 3, 5, 6)
    chain = np.array([3, 0, 1, 2])
    for plan in (
        Paste(Box(0, 0, 5, 6), chain, (5, 6)),
        Paste(Box.of([(0, 0, 5, 6)] * 4), chain, (5, 6)),
        Blend(0.0, chain),
    ):
        assert plan.apply(images.contiguous(), inplace=True)[:, 0, 0, 0].tolist() == [3, 0, 1, 2]


def test_images_that_are_a_view_are_mixed_in_place_in_the_tensor_they_look_at() -> None:
    whole = torch.zeros(4, 3, 10, 12)
    view = whole[:, :, ::2, ::2]
    for plan in (Erase(BOXES, (5, 6), fill=1.0), Erase(Box(1, 2, 4, 6), (5, 6), fill=1.0)):
        assert torch.equal(plan.apply(view.clone()), plan.apply(view, inplace=True))
        assert whole[:, :, ::2, ::2].sum() == whole.sum() > 0
        whole.zero_()


def test_compiled_plans_do_the_same() -> None:
    images = torch.rand(4, 3, 5, 6)
    for plan in (PLANS[1], PLANS[3]):
        torch._dynamo.reset()
        assert torch.equal(torch.compile(plan.apply, backend="eager")(images), plan.apply(images))


@pytest.mark.parametrize(
    "partners",
    [
        [0],
        [1, 0],
        [1, 2, 0, 3],  # a cycle, and one that is its own partner
        [2, 0, 1, 1],  # a cycle, and a second reader of one of its images
        [0, 0, 1, 2, 2],  # a chain and a branch that end in one that is its own partner
        [3, 3, 3, 4, 3],  # all of a cycle of two
    ],
)
def test_no_image_is_overwritten_before_all_have_read_it(partners) -> None:
    """Followed step by step: what an image reads has not been overwritten, or has been kept."""
    free, cycles = pixels._reading_order(partners)
    overwritten: set[int] = set()
    for image in free:
        assert partners[image] not in overwritten
        overwritten.add(image)
    for cycle in cycles:
        assert [partners[image] for image in cycle] == cycle[1:] + cycle[:1]
        assert not overwritten & set(cycle)
        overwritten |= set(cycle)
    touched = free + [image for cycle in cycles for image in cycle]
    assert sorted(touched) == [image for image, partner in enumerate(partners) if image != partner]


@pytest.mark.parametrize("seed", range(20))
def test_any_partners_give_the_bits_of_the_mask(seed) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 12))
    partners = rng.permutation(size) if seed % 2 else rng.integers(0, size, size)
    rows, columns = np.sort(rng.integers(0, 6, (2, size)), 0), np.sort(rng.integers(0, 8, (2, size)), 0)
    box = Box(rows[0], columns[0], rows[1], columns[1])
    images = torch.from_numpy(rng.random((size, 2, 5, 7)))
    expected = pixels._paste_by_mask(images, box, partners, False)
    assert torch.equal(pixels._paste_by_views(images, box, partners, False), expected)
    assert pixels._paste_by_views(images, box, partners, True) is images
    assert torch.equal(images, expected)


SHIFT = np.array([2, 0, 1, 3])  # not its own inverse
DIFFERENTIABLE = [
    Paste(Box(1, 2, 4, 6), SHIFT, (5, 6)),
    Blend(0.3, SHIFT),
    Stencil(np.arange(30).reshape(5, 6) % 7 > 2, SHIFT),
    *PLANS,
]


@pytest.mark.parametrize("plan", DIFFERENTIABLE)
def test_gradients_are_those_of_finite_differences(plan) -> None:
    images = torch.randn(4, 1, 5, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(plan.apply, images)
    assert torch.autograd.gradgradcheck(plan.apply, images)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("plan", DIFFERENTIABLE[:3])
def test_gradients_of_a_permutation_are_mixed_back_and_nothing_is_held_for_them(plan, layout, monkeypatch) -> None:
    images = torch.randn(4, 3, 5, 6).contiguous(memory_format=layout).requires_grad_()
    weights = torch.randn(4, 3, 5, 6).contiguous(memory_format=layout)
    held: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: held.append(tensor) or tensor, lambda tensor: tensor):
        mixed = plan.apply(images)
    assert mixed.is_contiguous(memory_format=layout)
    (gradient,) = torch.autograd.grad(mixed, images, weights)
    assert not held
    assert gradient.is_contiguous(memory_format=layout)
    monkeypatch.setattr(pixels, "_alike", lambda images, partners, mix: mix(images, partners))
    (by_autograd,) = torch.autograd.grad(plan.apply(images), images, weights)
    torch.testing.assert_close(gradient, by_autograd)
