"""The target of a mixed batch, its loss and its accuracy."""

from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from cutmix.errors import UsageError
from cutmix.mixing import MixedTarget, mixed_correct, mixed_cross_entropy


def a_target(batch_size: int = 5, num_classes: int = 7, seed: int = 0) -> MixedTarget:
    rng = torch.Generator().manual_seed(seed)
    first, second = torch.randint(num_classes, (2, batch_size), generator=rng)
    return MixedTarget(first, second, torch.rand(batch_size, generator=rng))


def test_soft_gives_the_first_label_the_share() -> None:
    target = MixedTarget(torch.tensor([2, 0, 1]), torch.tensor([0, 0, 2]), torch.tensor([0.75, 0.3, 1.0]))
    assert target.soft(3).tolist() == [[0.25, 0.0, 0.75], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_soft_of_distributions() -> None:
    labels = torch.tensor([[0.2, 0.8], [1.0, 0.0]], dtype=torch.float64)
    target = MixedTarget(labels, labels.flip(0), torch.tensor([0.75, 0.5]))
    assert target.soft(2).dtype == torch.float32
    assert torch.allclose(target.soft(2), torch.tensor([[0.4, 0.6], [0.6, 0.4]]))


@given(batch_size=st.integers(1, 6), num_classes=st.integers(1, 9), seed=st.integers(0, 999))
def test_soft_labels_sum_to_one(batch_size, num_classes, seed) -> None:
    soft_BK = a_target(batch_size, num_classes, seed).soft(num_classes)
    assert soft_BK.shape == (batch_size, num_classes)
    assert torch.allclose(soft_BK.sum(1), torch.ones(batch_size))
    assert (soft_BK >= 0).all()


@given(
    batch_size=st.integers(1, 6),
    num_classes=st.integers(1, 9),
    seed=st.integers(0, 999),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
)
def test_loss_is_that_of_the_soft_labels(batch_size, num_classes, seed, smoothing, reduction) -> None:
    target = a_target(batch_size, num_classes, seed)
    logits_BK = 3 * torch.randn(batch_size, num_classes, generator=torch.Generator().manual_seed(seed))
    soft_BK = target.soft(num_classes)
    expected = F.cross_entropy(logits_BK, soft_BK, label_smoothing=smoothing, reduction=reduction)
    arguments = {"label_smoothing": smoothing, "reduction": reduction}
    for form in (target, soft_BK, MixedTarget(soft_BK, soft_BK, target.share)):
        assert torch.allclose(mixed_cross_entropy(logits_BK, form, **arguments), expected, rtol=1e-5, atol=1e-6)
    plain = mixed_cross_entropy(logits_BK, target.labels, **arguments)
    assert torch.allclose(plain, F.cross_entropy(logits_BK, target.labels, **arguments), rtol=1e-5, atol=1e-6)


def test_loss_has_the_two_terms_of_the_official_code() -> None:
    logits_BK = torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    target = a_target()
    share = 0.3
    target = MixedTarget(target.labels, target.partner_labels, torch.full((5,), share))
    two_terms = share * F.cross_entropy(logits_BK, target.labels) + (1 - share) * F.cross_entropy(
        logits_BK, target.partner_labels
    )
    assert mixed_cross_entropy(logits_BK, target).item() == pytest.approx(two_terms.item(), rel=1e-6)


def test_loss_worked_out_by_hand() -> None:
    logits_BK = torch.tensor([[0.6, 0.3, 0.1]]).log()
    target = MixedTarget(torch.tensor([0]), torch.tensor([2]), torch.tensor([0.75]))
    expected = -(0.75 * torch.tensor(0.6).log() + 0.25 * torch.tensor(0.1).log())
    assert mixed_cross_entropy(logits_BK, target).item() == pytest.approx(expected.item())


def test_gradient_of_the_loss() -> None:
    target = a_target()
    logits_BK = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    mixed_cross_entropy(logits_BK, target, label_smoothing=0.1).backward()
    soft_BK = 0.9 * target.soft(7) + 0.1 / 7
    assert torch.allclose(logits_BK.grad, (logits_BK.softmax(1) - soft_BK) / 5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_logits_are_computed_in_float32(dtype) -> None:
    logits_BK = (10 * torch.randn(5, 7)).to(dtype).requires_grad_()
    loss = mixed_cross_entropy(logits_BK, a_target())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(mixed_cross_entropy(logits_BK.float(), a_target()).item(), rel=1e-6)
    loss.backward()
    assert logits_BK.grad.dtype == dtype


def test_float64_logits_stay_float64() -> None:
    assert mixed_cross_entropy(torch.randn(5, 7, dtype=torch.float64), a_target()).dtype == torch.float64


def test_no_target_of_all_classes_is_made_for_whole_labels() -> None:
    class Made(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            made = func(*args, **(kwargs or {}))
            names.extend([str(func)] * (getattr(made, "shape", None) == (5, 7)))
            return made

    names: list[str] = []
    target, logits_BK = a_target(), torch.randn(5, 7)
    with Made():
        mixed_cross_entropy(logits_BK, target, label_smoothing=0.1)
    assert names == ["aten._log_softmax.default"]


def test_correct_counts_the_share_of_the_label_that_is_named() -> None:
    logits_BK = torch.eye(3)[[0, 2, 1, 1]]
    target = MixedTarget(torch.tensor([0, 0, 0, 1]), torch.tensor([2, 2, 2, 1]), torch.tensor([0.75, 0.75, 0.75, 0.3]))
    assert mixed_correct(logits_BK, target).tolist() == pytest.approx([0.75, 0.25, 0.0, 1.0])


def test_correct_of_plain_labels_and_of_distributions() -> None:
    logits_BK = torch.tensor([[0.1, 3.0, 0.2], [5.0, 1.0, 1.0]])
    assert mixed_correct(logits_BK, torch.tensor([1, 2])).tolist() == [1, 0]
    soft = torch.tensor([[0.7, 0.3, 0.0], [0.2, 0.4, 0.4]])
    assert mixed_correct(logits_BK, soft).tolist() == pytest.approx([0.3, 0.2])
    assert mixed_correct(logits_BK.half().requires_grad_(), soft).requires_grad is False


def test_moving_chunking_and_counting() -> None:
    target = a_target(7)
    assert len(target) == 7
    assert target.to("meta").share.device.type == "meta"
    assert target.to("cpu", non_blocking=True).soft(7).equal(target.soft(7))
    for chunks in (1, 2, 3, 7, 9):
        parts = target.chunk(chunks)
        assert [len(part) for part in parts] == [len(part) for part in torch.zeros(7, 2).chunk(chunks)]
        assert torch.cat([part.soft(7) for part in parts]).equal(target.soft(7))


def test_pin_memory_pins_every_part(monkeypatch) -> None:
    from torch.utils.data._utils.pin_memory import pin_memory

    pinned: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self)
    target = a_target()
    assert isinstance(pin_memory(target), MixedTarget)
    assert [id(tensor) for tensor in pinned] == [
        id(part) for part in (target.labels, target.partner_labels, target.share)
    ]


def test_pickling() -> None:
    target = a_target()
    assert pickle.loads(pickle.dumps(target)).soft(7).equal(target.soft(7))


@pytest.mark.parametrize("wrong", [7, -1])
def test_a_label_out_of_range_is_named(wrong: int) -> None:
    labels = torch.tensor([3, wrong])
    found = f"Labels must be from 0 to 6, not from {min(3, wrong)} to {max(3, wrong)}"
    logits_BK, right = torch.randn(2, 7), torch.tensor([0, 1])
    for target in (MixedTarget(labels, right, torch.ones(2)), MixedTarget(right, labels, torch.ones(2))):
        for use in (target.soft, lambda _, t=target: mixed_cross_entropy(logits_BK, t)):
            with pytest.raises(UsageError, match=found):
                use(7)
    with pytest.raises(UsageError, match=found):
        mixed_cross_entropy(logits_BK, labels)
    with pytest.raises(UsageError, match=found):
        mixed_correct(logits_BK, labels)


def test_what_torch_says_about_other_things_is_left_to_it() -> None:
    with pytest.raises(RuntimeError, match="device"):
        mixed_cross_entropy(torch.randn(2, 7, device="meta"), MixedTarget(*torch.zeros(2, 2).long(), torch.ones(2)))


@pytest.mark.parametrize("width", [1, 6, 8])
def test_distributions_over_other_classes_are_refused(width: int) -> None:
    labels = torch.rand(2, width)
    target = MixedTarget(labels, labels, torch.ones(2))
    for use in (target.soft, lambda _: mixed_cross_entropy(torch.randn(2, 7), target)):
        with pytest.raises(UsageError, match=f"over {width} classes, not over 7"):
            use(7)


def test_batches_of_different_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="5 targets for the logits of 1 images"):
        mixed_cross_entropy(torch.randn(1, 7), a_target())
    with pytest.raises(UsageError, match="5 labels for 4 images"):
        mixed_correct(torch.randn(4, 7), a_target().labels)
    with pytest.raises(UsageError, match=r"must be \(B, K\), not \(5, 7, 2\)"):
        mixed_cross_entropy(torch.randn(5, 7, 2), a_target())


@pytest.mark.parametrize(
    ("argument", "value"), [("label_smoothing", 1.1), ("label_smoothing", -0.1), ("reduction", "max")]
)
def test_wrong_settings_of_the_loss_are_refused(argument, value) -> None:
    with pytest.raises(UsageError, match=f"{argument}={value!r} must be"):
        mixed_cross_entropy(torch.randn(5, 7), a_target(), **{argument: value})
