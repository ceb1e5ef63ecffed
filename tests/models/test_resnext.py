"""ResNeXt against torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cutmix.errors import UsageError
from cutmix.models import ResNeXt


def test_is_torchvision_s_with_the_same_weights() -> None:
    from torchvision.models import resnext50_32x4d

    torch.manual_seed(0)
    theirs = resnext50_32x4d(num_classes=9).eval()
    for name, tensor in theirs.state_dict().items():
        if tensor.ndim == 1 and "num_batches" not in name:
            tensor.copy_(torch.rand(tensor.shape) * 0.6 - (0.3 if name.endswith(("bias", "mean")) else -0.6))
    network = ResNeXt(depth=50, num_classes=9).eval()
    network.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        torch.testing.assert_close(network(images), theirs(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("resnext50_32x4d", {"depth": 50}),
        ("resnext101_32x8d", {"depth": 101, "width_per_group": 8}),
        ("resnext101_64x4d", {"groups": 64}),
        ("wide_resnet50_2", {"depth": 50, "groups": 1, "width_per_group": 128}),
    ],
)
def test_names_and_shapes_are_torchvision_s(name: str, kwargs: dict[str, Any]) -> None:
    from torchvision.models import get_model

    with torch.device("meta"):
        theirs, ours = get_model(name).state_dict(), ResNeXt(**kwargs).state_dict()
    assert [(key, value.shape) for key, value in ours.items()] == [(key, value.shape) for key, value in theirs.items()]


def test_the_default_is_the_paper_s_network() -> None:
    """ResNeXt-101 32x4d; 44,177,704 parameters, counted from its shapes (timm's resnext101_32x4d has as many)."""
    with torch.device("meta"):
        network = ResNeXt()
    assert sum(parameter.numel() for parameter in network.parameters()) == 44_177_704
    assert network.layer1[0].conv2.groups == 32


def test_small_images_keep_four_times_the_resolution() -> None:
    network = ResNeXt(depth=50, num_classes=3, groups=1, width_per_group=1, stem="cifar").eval()
    with torch.no_grad():
        assert network.forward_features(torch.zeros(1, 3, 32, 16)).shape == (1, 2048, 4, 2)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"depth": 18}, r"one of \[50, 101, 152, 200\]; got 18"),
        ({"groups": 0}, "at least 1; got 0 and 4"),
        ({"width_per_group": -4}, "at least 1; got 32 and -4"),
    ],
)
def test_refusals(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ResNeXt(**kwargs)
