"""Errors worked out by hand."""

import pytest
import torch
from torch import nn

from cutmix.data import Batch
from cutmix.mixing import MixedTarget
from cutmix.training.loop import make_accelerator
from cutmix.training.measure import mixed_hits, test_errors, top_hits
from cutmix.training.settings import Settings

test_errors.__test__ = False  # type: ignore[attr-defined]

# Seven classes; the guesses are 6 5 4 3 2 | 0 6 5 4 3 for the two rows.
LOGITS = torch.tensor([[0.0, 1, 2, 3, 4, 5, 6], [9.0, 1, 2, 3, 4, 5, 6]])


def test_top_hits():
    assert top_hits(LOGITS, torch.tensor([6, 0])).tolist() == [[1, 1], [1, 1]]
    assert top_hits(LOGITS, torch.tensor([2, 3])).tolist() == [[0, 1], [0, 1]]
    assert top_hits(LOGITS, torch.tensor([1, 2])).tolist() == [[0, 0], [0, 0]]


def test_few_classes_are_all_among_the_first_five():
    assert top_hits(torch.tensor([[0.1, 0.9, 0.3]]), torch.tensor([0])).tolist() == [[0, 1]]


def test_mixed_hits_weigh_both_labels_by_their_share():
    target = MixedTarget(torch.tensor([6, 1]), torch.tensor([2, 0]), torch.tensor([0.3, 0.25]))
    expected = [[0.3, 1.0], [0.75, 0.75]]  # 6 is first, 2 among five; 1 is missed, 0 is first
    torch.testing.assert_close(mixed_hits(LOGITS, target), torch.tensor(expected))


def test_each_image_counts_once_also_in_a_short_last_batch():
    model = nn.Identity()
    batches = [Batch(LOGITS, torch.tensor([6, 1]), 2), Batch(LOGITS[:1], torch.tensor([5]), 1)]
    seen = []
    errors = test_errors(
        model, batches, make_accelerator(Settings(), cpu=True), lambda step, sums: seen.append((step, float(sums[3])))
    )
    assert errors.images == 3
    assert errors.top1 == pytest.approx(100 * 2 / 3, abs=1e-4)
    assert errors.top5 == pytest.approx(100 * 1 / 3, abs=1e-4)
    losses = [-LOGITS[0].log_softmax(0)[6], -LOGITS[1].log_softmax(0)[1], -LOGITS[0].log_softmax(0)[5]]
    assert errors.loss == pytest.approx(float(sum(losses)) / 3, rel=1e-5)
    assert seen == [(0, 2), (1, 1)]


def test_the_model_is_left_in_its_mode():
    model = nn.Identity().train()
    test_errors(model, [Batch(LOGITS, torch.tensor([6, 1]), 2)], make_accelerator(Settings(), cpu=True))
    assert model.training
