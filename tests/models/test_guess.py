"""Which network a state dict belongs to."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cutmix.models import PyramidNet, ResNet, ResNeXt, guess_model

NETWORKS = {"PyramidNet": PyramidNet, "ResNet": ResNet, "ResNeXt": ResNeXt}


@pytest.mark.parametrize(
    "call",
    [
        "PyramidNet(depth=200, alpha=240, num_classes=100)",
        "PyramidNet(depth=110, alpha=64, num_classes=10)",
        "PyramidNet(depth=110, alpha=64, num_classes=100, bottleneck=False)",
        "PyramidNet(depth=101, alpha=360, num_classes=1000, stem='imagenet')",
        "PyramidNet(depth=18, alpha=48, num_classes=7, bottleneck=False, stem='imagenet')",
        "PyramidNet(depth=38, alpha=48, num_classes=7, stem='imagenet')",
        "ResNet(depth=110, num_classes=100)",
        "ResNet(depth=20, num_classes=10, bottleneck=False)",
        "ResNet(depth=18, num_classes=1000, bottleneck=False, stem='imagenet')",
        "ResNet(depth=152, num_classes=1000, stem='imagenet')",
        "ResNeXt(depth=101, num_classes=1000)",
        "ResNeXt(depth=50, num_classes=9, groups=8, width_per_group=16)",
        "ResNeXt(depth=50, num_classes=9, stem='cifar')",
    ],
)
def test_the_call_comes_back_from_the_weights(call: str) -> None:
    with torch.device("meta"):
        state_dict = eval(call, NETWORKS).state_dict()
    assert guess_model(state_dict) == call
    older = {name: tensor for name, tensor in state_dict.items() if "num_batches_tracked" not in name}
    assert guess_model(older) == call


@pytest.mark.parametrize(
    ("theirs", "call"),
    [
        ("resnet34", "ResNet(depth=34, num_classes=1000, bottleneck=False, stem='imagenet')"),
        ("resnet101", "ResNet(depth=101, num_classes=1000, stem='imagenet')"),
        ("resnext50_32x4d", "ResNeXt(depth=50, num_classes=1000)"),
        ("wide_resnet50_2", "ResNeXt(depth=50, num_classes=1000, groups=1, width_per_group=128)"),
        ("resnet18_with_other_names", None),
        ("vgg11", None),
    ],
)
def test_torchvision_s_weights(theirs: str, call: str | None) -> None:
    from torchvision.models import get_model

    with torch.device("meta"):
        state_dict = get_model(theirs.partition("_with")[0]).state_dict()
    if call is None:
        state_dict.pop("fc.bias", None)
    assert guess_model(state_dict) == call


def test_a_rounded_depth_comes_back_as_the_depth_that_was_built() -> None:
    assert guess_model(ResNet(32).state_dict()) == "ResNet(depth=29, num_classes=10)"


def test_whatever_else_is_none() -> None:
    state_dict = ResNet(11).state_dict()
    for name in ("conv1.weight", "fc.weight", "layer1.0.conv2.weight"):
        assert guess_model({**state_dict, name: torch.zeros(())}) is None
        assert guess_model({**state_dict, name: torch.zeros(2, 2)}) is None
        assert guess_model({key: value for key, value in state_dict.items() if key != name}) is None
    assert guess_model({**state_dict, "extra": torch.zeros(1)}) is None
    assert guess_model(nn.Linear(2, 3).state_dict()) is None
    assert guess_model({}) is None


def test_guessing_draws_no_random_number() -> None:
    state_dict = PyramidNet(20, 5).state_dict()
    before = torch.get_rng_state()
    assert guess_model(state_dict) == "PyramidNet(depth=20, alpha=5, num_classes=10)"
    assert torch.equal(torch.get_rng_state(), before)
