"""The optimizer's groups, against one that is written out."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from cutmix.data import CropFlip, load_data, train_batches
from cutmix.errors import UsageError
from cutmix.mixing import NoMixing
from cutmix.models import ResNet
from cutmix.training.loop import fit
from cutmix.training.optim import make_optimizer, set_lr
from cutmix.training.schedules import Steps
from cutmix.training.settings import Settings


def network() -> ResNet:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return ResNet(depth=8, num_classes=3, bottleneck=False)


def test_one_group_unless_the_head_has_a_rate_of_its_own():
    (group,) = make_optimizer(network(), Settings()).param_groups
    assert len(group["params"]) == len(list(network().parameters()))
    assert "lr_scale" not in group  # as in checkpoints from before there was one


def test_the_head_learns_at_a_multiple_of_every_rate():
    model = network()
    optimizer = make_optimizer(model, Settings(head_lr=10.0))
    old, new = optimizer.param_groups
    assert [id(p) for p in new["params"]] == [id(model.fc.weight), id(model.fc.bias)]
    assert len(old["params"]) + 2 == len(list(model.parameters()))
    set_lr(optimizer, 0.03)
    assert (old["lr"], new["lr"]) == (0.03, pytest.approx(0.3))
    assert all(group["weight_decay"] == 1e-4 and group["momentum"] == 0.9 for group in (old, new))


def test_training_is_that_of_a_plain_loop_with_two_rates(tiny_arrays):
    data = load_data(f"arrays:{tiny_arrays}")
    settings = Settings(epochs=2, batch_size=16, lr=0.02, head_lr=10.0, channels_last=False)
    model, plain = network(), network()
    body = [p for name, p in plain.named_parameters() if not name.startswith("fc.")]
    options = {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}
    optimizer = torch.optim.SGD([{"params": body}, {"params": plain.fc.parameters()}], 1.0, **options)
    batches = train_batches(data, batch_size=16, seed=0, augment=CropFlip(padding=1))
    for epoch, lr in enumerate((0.02, 0.002)):
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = lr, 10 * lr
        for images, labels, _ in batches.epoch(epoch):
            optimizer.zero_grad()
            F.cross_entropy(plain(images), labels).backward()
            optimizer.step()
    before = copy.deepcopy(model.fc.weight.data)
    fit(model, data, mixing=NoMixing(), schedule=Steps(), settings=settings, augment=CropFlip(padding=1))
    for ours, theirs in zip(model.parameters(), plain.parameters()):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not torch.equal(before, model.fc.weight)


@pytest.mark.parametrize("head_lr", [0.0, -1.0, float("inf"), float("nan")])
def test_rates_that_make_no_sense_are_refused(head_lr):
    with pytest.raises(UsageError, match="head_lr"):
        Settings(head_lr=head_lr)
