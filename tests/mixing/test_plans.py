"""What a drawn mix does, from plans that are built by hand: no seeds in here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cutmix.errors import UsageError
from cutmix.mixing import Blend, Box, Compose, CutMix, Cutout, Erase, Keep, MixUp, Paste, Plan, pixels

BOX = Box(top=1, left=2, bottom=3, right=5)  # 2x3, in a 4x6 image 6 of 24 pixels
SWAP = np.array([1, 0])
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8]


def numbered(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Images of which all pixels differ."""
    return torch.arange(np.prod(shape)).reshape(shape).to(dtype)


def random_plan(kind: str, scope: str, shape: tuple[int, ...], rng: np.random.Generator) -> Plan:
    batch_size, *_, height, width = shape
    each = (batch_size,) if scope == "per_sample" else ()
    tops, lefts = rng.integers(height + 1, size=(2, *each)), rng.integers(width + 1, size=(2, *each))
    edges = (tops.min(0), lefts.min(0), tops.max(0), lefts.max(0))
    box = Box(*(edge if each else int(edge) for edge in edges))
    partners = rng.integers(batch_size, size=batch_size)  # not even a permutation is needed
    if kind == "erase":
        return Erase(box, (height, width), fill=3.0)
    share = rng.random(each)
    return (
        Paste(box, partners, (height, width)) if kind == "paste" else Blend(share if each else float(share), partners)
    )


def expected_pixels(plan: Plan, images: torch.Tensor) -> torch.Tensor:
    """The slow way: image by image, in float64."""
    old = images.double()
    new = old.clone()
    for i in range(len(images)):
        if isinstance(plan, Blend):
            share = float(np.broadcast_to(plan.share, len(images))[i])
            new[i] = share * old[i] + (1 - share) * old[plan.partners[i]]
        else:
            top, left, bottom, right = (int(np.broadcast_to(edge, len(images))[i]) for edge in plan.box)
            pixels = old[plan.partners[i]] if isinstance(plan, Paste) else torch.full_like(old[i], plan.fill)
            new[i, ..., top:bottom, left:right] = pixels[..., top:bottom, left:right]
    return new


def test_paste_takes_the_partners_pixels_in_the_box_and_no_others() -> None:
    images = numbered(2, 1, 4, 6)
    mixed = Paste(BOX, SWAP, (4, 6)).apply(images)
    assert mixed[0, 0].tolist() == [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 32, 33, 34, 11],
        [12, 13, 38, 39, 40, 17],
        [18, 19, 20, 21, 22, 23],
    ]
    assert mixed[1, 0, 1].tolist() == [30, 31, 8, 9, 10, 35]


def test_paste_counts_the_pixels_that_are_kept() -> None:
    plan = Paste(BOX, SWAP, (4, 6))
    target = plan.targets(torch.tensor([3, 5]))
    assert plan.share == 18 / 24
    assert target.share.tolist() == [0.75, 0.75]
    assert target.labels.tolist() == [3, 5]
    assert target.partner_labels.tolist() == [5, 3]


def test_paste_with_a_box_an_image() -> None:
    boxes = Box.of([(0, 0, 1, 2), (3, 5, 4, 6), (2, 0, 2, 6)])
    plan = Paste(boxes, np.array([1, 2, 0]), (4, 6))
    images = numbered(3, 1, 4, 6)
    mixed = plan.apply(images)
    assert mixed[0, 0, 0].tolist() == [24, 25, 2, 3, 4, 5]
    assert mixed[1, 0, 3].tolist() == [42, 43, 44, 45, 46, 71]
    assert torch.equal(mixed[2], images[2])
    assert plan.targets(torch.tensor([7, 8, 9])).share.tolist() == pytest.approx([22 / 24, 23 / 24, 1.0])


def test_blend_weighs_the_image_itself_by_the_share() -> None:
    images = torch.tensor([10.0, 20.0])[:, None, None, None].expand(2, 1, 4, 6)
    plan = Blend(0.3, SWAP)
    assert plan.apply(images)[:, 0, 0, 0].tolist() == pytest.approx([17.0, 13.0])
    assert plan.targets(torch.tensor([3, 5])).share.tolist() == pytest.approx([0.3, 0.3])


def test_blend_with_a_share_an_image() -> None:
    images = torch.tensor([10.0, 20.0])[:, None, None, None].expand(2, 1, 4, 6)
    plan = Blend(np.array([0.3, 0.9]), SWAP)
    assert plan.apply(images)[:, 0, 0, 0].tolist() == pytest.approx([17.0, 19.0])


def test_blend_of_bytes_is_rounded_to_nearest() -> None:
    images = torch.tensor([100, 203], dtype=torch.uint8)[:, None, None, None].expand(2, 1, 4, 6)
    # 0.3 * 100 + 0.7 * 203 = 172.1 and 0.3 * 203 + 0.7 * 100 = 130.9
    assert Blend(0.3, SWAP).apply(images)[:, 0, 0, 0].tolist() == [172, 131]
    halves = torch.tensor([1, 2], dtype=torch.uint8)[:, None, None, None].expand(2, 1, 4, 6)
    assert Blend(0.5, SWAP).apply(halves)[:, 0, 0, 0].tolist() == [2, 2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("share", [0.3, np.array([0.3, 0.3])])
def test_blend_of_half_precision_is_rounded_only_once(dtype, share) -> None:
    images = torch.randn(2, 1, 4, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = (0.3 * images.double() + 0.7 * images.double().flip(0)).to(dtype)
    assert torch.equal(Blend(share, SWAP).apply(images), expected)


def test_erase_fills_the_box_and_leaves_the_label_whole() -> None:
    plan = Erase(BOX, (4, 6))
    mixed = plan.apply(torch.ones(2, 1, 4, 6))
    assert mixed.sum().item() == 36
    assert not mixed[..., 1:3, 2:5].any()
    target = plan.targets(torch.tensor([3, 5]))
    assert target.share.tolist() == [1, 1]
    assert target.partner_labels.tolist() == [3, 5]


def test_erase_with_another_fill() -> None:
    assert Erase(BOX, (4, 6), fill=0.5).apply(torch.zeros(2, 1, 4, 6)).sum().item() == 6.0


def test_keep_returns_what_came() -> None:
    images, labels = numbered(2, 1, 4, 6), torch.tensor([3, 5])
    assert Keep().apply(images) is images
    target = Keep().targets(labels)
    assert target.share.tolist() == [1, 1]
    assert target.partner_labels.tolist() == [3, 5]


@given(
    kind=st.sampled_from(["paste", "blend", "erase"]),
    scope=st.sampled_from(["per_batch", "per_sample"]),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    seed=st.integers(0, 10**6),
)
def test_any_plan_on_any_batch(kind, scope, shape, dtype, layout, seed) -> None:
    rng = np.random.default_rng(seed)
    plan = random_plan(kind, scope, shape, rng)
    images = torch.from_numpy(rng.integers(0, 200, shape)).to(dtype).contiguous(memory_format=layout)
    before = images.clone()

    mixed = plan.apply(images)
    assert torch.equal(images, before)
    assert mixed.data_ptr() != images.data_ptr()
    assert mixed.dtype == dtype
    assert mixed.is_contiguous(memory_format=layout)
    expected = expected_pixels(plan, before)
    if kind == "blend":
        tolerance = {torch.uint8: 0.501, torch.bfloat16: 0.5, torch.float16: 0.07}.get(dtype, 1e-4)
        assert (mixed.double() - expected).abs().max() <= tolerance
    else:
        assert torch.equal(mixed.double(), expected)

    written = plan.apply(images, inplace=True)
    assert written is images
    assert torch.equal(written, mixed)


@given(
    scope=st.sampled_from(["per_batch", "per_sample"]),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 10**6),
)
def test_the_share_is_that_of_the_pixels_that_are_kept(scope, shape, seed) -> None:
    batch_size, height, width = shape
    plan = random_plan("paste", scope, (batch_size, 1, height, width), np.random.default_rng(seed))
    numbers = torch.arange(batch_size)[:, None, None]
    mixed = plan.apply(numbers.repeat(1, height, width))  # (B, H, W): a mask of whole numbers
    target = plan.targets(torch.arange(batch_size))
    for i in range(batch_size):
        pasted = (mixed[i] != i).float().mean()
        own_partner = plan.partners[i] == i
        assert own_partner or torch.isclose(target.share[i], 1 - pasted, atol=1e-6)
        assert target.partner_labels[i] == plan.partners[i]


@pytest.mark.parametrize("scope", ["per_batch", "per_sample"])
def test_the_same_plan_mixes_images_and_their_masks_alike(scope) -> None:
    rng = np.random.default_rng(4)
    masks = torch.from_numpy(rng.integers(0, 9, (5, 7, 6)))
    images = masks[:, None].float().repeat(1, 3, 1, 1)
    videos = images[:, :, None].repeat(1, 1, 2, 1, 1)
    for kind in ("paste", "erase"):
        plan = random_plan(kind, scope, images.shape, rng)
        assert torch.equal(plan.apply(images)[:, 1], plan.apply(masks).float())
        assert torch.equal(plan.apply(videos)[:, 1, 1], plan.apply(masks).float())
        assert torch.equal(plan.apply(masks == 3), plan.apply((masks == 3).float()).bool())


def test_blend_serves_a_hidden_layer_without_height_and_width() -> None:
    hidden = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    for inplace in (False, True):
        mixed = Blend(np.array([0.3, 1.0]), SWAP).apply(hidden.clone(), inplace=inplace)
        assert torch.allclose(mixed, torch.tensor([[2.4, 4.8], [3.0, 6.0]]))


@pytest.mark.parametrize("kind", ["paste", "blend", "erase"])
@pytest.mark.parametrize("scope", ["per_batch", "per_sample"])
@pytest.mark.parametrize("band", [1, 2**19])
def test_gradients_flow_to_the_images_that_the_pixels_came_from(kind, scope, band, monkeypatch) -> None:
    monkeypatch.setattr(pixels, "_BAND", band)
    plan = random_plan(kind, scope, (4, 2, 5, 7), np.random.default_rng(1))
    images = torch.randn(4, 2, 5, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(plan.apply, images)


def test_only_leaves_the_other_images_out() -> None:
    on_B, labels, images = np.array([True, False, True]), torch.tensor([7, 8, 9]), torch.rand(3, 1, 4, 6)
    partners = np.array([1, 2, 0])
    for plan in (Paste(BOX, partners, (4, 6)), Blend(0.3, partners), Erase(BOX, (4, 6))):
        some = plan.only(on_B)
        mixed, all_mixed = some.apply(images), plan.apply(images)
        assert torch.equal(mixed[1], images[1])
        assert torch.equal(mixed[::2], all_mixed[::2])
        target, all_targets = some.targets(labels), plan.targets(labels)
        assert target.share[1] == 1
        assert target.partner_labels[1] == 8
        assert torch.equal(target.share[::2], all_targets.share[::2])
        assert torch.equal(target.partner_labels[::2], all_targets.partner_labels[::2])
        assert plan.only(np.asarray(True)) is plan
    assert Keep().only(on_B) == Keep()


def test_labels_may_be_distributions() -> None:
    labels = torch.tensor([[0.2, 0.8], [1.0, 0.0]])
    target = Paste(BOX, SWAP, (4, 6)).targets(labels)
    assert torch.equal(target.partner_labels, labels.flip(0))


@pytest.mark.parametrize("shape", [(3, 1, 4, 6), (2, 1, 6, 4), (2, 1, 4, 5)])
def test_a_plan_for_another_batch_is_refused(shape) -> None:
    plan = Paste(BOX, SWAP, (4, 6))
    with pytest.raises(UsageError, match=r"for 2 images of 4x6, not for \("):
        plan.apply(torch.zeros(shape))
    if shape[0] == 3:
        with pytest.raises(UsageError, match=r"for 2 images, not for \(3, 1, 4, 6\)"):
            Blend(0.3, SWAP).apply(torch.zeros(shape))
        with pytest.raises(UsageError, match="There are 3 labels for 2 images"):
            plan.targets(torch.zeros(3, dtype=torch.int64))
        with pytest.raises(UsageError, match="for 2 images of 4x6"):
            Erase(Box.of([BOX, BOX]), (4, 6)).apply(torch.zeros(shape))


@pytest.mark.parametrize("partners", [np.array([0, 2]), np.array([-1, 0]), np.array([], int)])
def test_partners_outside_the_batch_are_refused(partners) -> None:
    with pytest.raises(UsageError, match="A partner must be in the batch"):
        Paste(BOX, partners, (4, 6))
    with pytest.raises(UsageError, match="A partner must be in the batch"):
        Blend(0.3, partners)


def test_boxes_shares_and_partners_must_be_as_many() -> None:
    with pytest.raises(UsageError, match="There are 3 boxes or shares for 2 images"):
        Paste(Box.of([BOX] * 3), SWAP, (4, 6))
    with pytest.raises(UsageError, match="There are 3 boxes or shares for 2 images"):
        Blend(np.array([0.1, 0.2, 0.3]), SWAP)


@pytest.mark.parametrize("share", [1.2, -0.1, np.array([0.5, 1.1]), float("nan")])
def test_a_share_outside_0_and_1_is_refused(share) -> None:
    with pytest.raises(UsageError, match="from 0 to 1"):
        Blend(share, SWAP)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_whole_numbers_cannot_be_blended(dtype) -> None:
    with pytest.raises(UsageError, match=f"Images of {dtype} cannot be blended"):
        Blend(0.3, SWAP).apply(torch.zeros(2, 1, 4, 6, dtype=dtype))


def test_masks_of_whole_numbers_follow_what_is_pasted() -> None:
    masks = torch.tensor([3, 255])[:, None, None].repeat(1, 4, 6)
    images = torch.randn(2, 3, 4, 6)
    handed_in = {"box": (1, 2, 3, 5), "partners": [1, 0]}
    mixed, mixed_masks = CutMix().with_masks(images, masks, np.random.default_rng(0), **handed_in)
    expected = masks.clone()
    expected[0, 1:3, 2:5], expected[1, 1:3, 2:5] = 255, 3
    assert torch.equal(mixed_masks, expected)
    assert torch.equal(mixed[0, :, 1:3, 2:5], images[1, :, 1:3, 2:5])
    assert masks.unique().tolist() == [3, 255]
    assert (masks[0] == 3).all()


def test_masks_are_blended_by_parts_and_not_by_numbers() -> None:
    images, masks = torch.randn(2, 3, 4, 6), torch.tensor([0, 2])[:, None, None].repeat(1, 4, 6)
    for whole in (masks, masks.to(torch.uint8), masks.bool()):
        before = images.clone()
        with pytest.raises(UsageError, match=r"cannot be blended: give each class a part"):
            MixUp().with_masks(images, whole, np.random.default_rng(0), inplace=True)
        assert torch.equal(images, before)  # nothing half done
    parts = torch.nn.functional.one_hot(masks, 3).permute(0, 3, 1, 2).float()
    _, mixed = MixUp().with_masks(images, parts, np.random.default_rng(0), lam=0.3, partners=[1, 0])
    assert mixed[0, :, 1, 2].tolist() == pytest.approx([0.3, 0, 0.7])


def test_what_is_erased_keeps_its_mask() -> None:
    images, masks = torch.ones(2, 3, 4, 6), torch.ones(2, 4, 6, dtype=torch.int64)
    mixed, kept = Cutout(size=2).with_masks(images, masks, np.random.default_rng(0))
    assert torch.equal(kept, masks)
    assert (mixed == 0).any()
    both = Compose((Cutout(size=2), CutMix())).draw(images.shape, np.random.default_rng(0))
    assert torch.equal(both.apply_to_masks(masks), masks)


@pytest.mark.parametrize("shape", [(2, 4), (3, 4, 6), (2, 6, 4), (2, 5, 4, 7)])
def test_masks_of_another_size_are_refused(shape) -> None:
    with pytest.raises(UsageError, match="Masks must be"):
        CutMix().with_masks(torch.ones(2, 3, 4, 6), torch.ones(shape), np.random.default_rng(0))
