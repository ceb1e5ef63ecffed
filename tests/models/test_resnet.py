"""ResNet against an independent reference, torchvision, and the published numbers of parameters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.models import ResNet
from cutmix.models.resnet import BasicBlock

State = dict[str, Tensor]


def randomised(network: torch.nn.Module) -> State:
    """Give every weight and running statistic a value of its own, so that no two layers can be exchanged unseen."""
    generator = torch.Generator().manual_seed(11)
    state = network.state_dict()
    for name, tensor in state.items():
        if tensor.ndim == 1:
            centre = 0.0 if name.endswith(("bias", "running_mean")) else 0.9  # so that no rectifier is always shut
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.6 - 0.3 + centre)
    return state


def _conv(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)


def _bn(state: State, name: str, x: Tensor) -> Tensor:
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *parts)


def reference(state: State, images: Tensor, blocks: int, bottleneck: bool) -> Tensor:
    """The official CIFAR ResNet, as a formula of its state dict."""
    x = F.relu(_bn(state, "bn1", _conv(state, "conv1", images)))
    for stage in (1, 2, 3):
        for index in range(blocks):
            name = f"layer{stage}.{index}"
            stride = 2 if stage > 1 and index == 0 else 1
            # The stride is in the 3x3 convolution: the first of a basic block, the second of a bottleneck.
            y = F.relu(_bn(state, f"{name}.bn1", _conv(state, f"{name}.conv1", x, 1 if bottleneck else stride)))
            y = _bn(state, f"{name}.bn2", _conv(state, f"{name}.conv2", y, stride if bottleneck else 1))
            if bottleneck:
                y = _bn(state, f"{name}.bn3", _conv(state, f"{name}.conv3", F.relu(y)))
            if f"{name}.downsample.0.weight" in state:
                x = _bn(state, f"{name}.downsample.1", _conv(state, f"{name}.downsample.0", x, stride))
            x = F.relu(x + y)
    return F.linear(F.avg_pool2d(x, 8).flatten(1), state["fc.weight"], state["fc.bias"])


@pytest.mark.parametrize(("depth", "bottleneck"), [(14, False), (20, True)])
def test_cifar_form_is_the_official_formula(depth: int, bottleneck: bool) -> None:
    torch.manual_seed(0)
    network = ResNet(depth, num_classes=7, bottleneck=bottleneck).eval()
    state = randomised(network)
    images = torch.randn(2, 3, 32, 32)
    logits = network(images)
    torch.testing.assert_close(logits, reference(state, images, 2, bottleneck), rtol=1e-5, atol=1e-5)
    assert (logits[0] - logits[1]).abs().max() > 0.01, "the rectifiers are shut: this test would see nothing"


def test_cifar_gradients_are_those_of_the_formula() -> None:
    torch.manual_seed(0)
    network = ResNet(11, num_classes=7).eval().double()
    randomised(network)
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    parameters = dict(network.named_parameters())
    gradients = torch.autograd.grad(network(images).square().sum(), list(parameters.values()))
    state = {**network.state_dict(), **parameters}
    expected = torch.autograd.grad(reference(state, images, 1, True).square().sum(), list(parameters.values()))
    for name, gradient, wanted in zip(parameters, gradients, expected):
        torch.testing.assert_close(gradient, wanted, msg=name)


@pytest.mark.parametrize("depth", [18, 50])
def test_imagenet_form_is_torchvision_s(depth: int) -> None:
    from torchvision.models import get_model

    torch.manual_seed(0)
    theirs = get_model(f"resnet{depth}", num_classes=9).eval()
    randomised(theirs)
    network = ResNet(depth, num_classes=9, stem="imagenet").eval()
    network.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        torch.testing.assert_close(network(images), theirs(images), rtol=1e-5, atol=1e-5)


def _parameters(**kwargs: Any) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in ResNet(**kwargs).parameters())


@pytest.mark.parametrize(
    ("expected", "kwargs"),
    [
        (1_170_868, {"depth": 110, "num_classes": 100}),
        (1_736_564, {"depth": 110, "num_classes": 100, "bottleneck": False}),
        (272_474, {"depth": 20, "num_classes": 10, "bottleneck": False}),
        (278_324, {"depth": 20, "num_classes": 100, "bottleneck": False}),
        (498_586, {"depth": 50, "num_classes": 10}),
        (11_689_512, {"depth": 18, "num_classes": 1000, "stem": "imagenet"}),
        (21_797_672, {"depth": 34, "num_classes": 1000, "stem": "imagenet"}),
        (25_557_032, {"depth": 50, "num_classes": 1000, "stem": "imagenet"}),
        (44_549_160, {"depth": 101, "num_classes": 1000, "stem": "imagenet"}),
        (60_192_808, {"depth": 152, "num_classes": 1000, "stem": "imagenet"}),
        (64_673_832, {"depth": 200, "num_classes": 1000, "stem": "imagenet"}),
    ],
)
def test_number_of_parameters(expected: int, kwargs: dict[str, Any]) -> None:
    assert _parameters(**kwargs) == expected


def test_resnet50_has_torchvision_s_320_names() -> None:
    from torchvision.models import resnet50

    with torch.device("meta"):
        names, theirs = ResNet(50, stem="imagenet").state_dict().keys(), resnet50().state_dict().keys()
    assert len(names) == 320
    assert list(names) == list(theirs)


def test_a_depth_between_two_forms_is_rounded_down_and_says_so() -> None:
    network = ResNet(32, num_classes=3)
    assert "depth=32 (29 layers)" in repr(network)
    assert [len(stage) for stage in (network.layer1, network.layer2, network.layer3)] == [3, 3, 3]
    assert "(" not in ResNet(29).extra_repr()


def test_the_depth_decides_the_blocks_on_imagenet() -> None:
    with torch.device("meta"):
        assert ResNet(18, bottleneck=True, stem="imagenet").fc.in_features == 512
        assert ResNet(50, bottleneck=False, stem="imagenet").fc.in_features == 2048


@pytest.mark.parametrize(("width", "stride"), [(16, 2), (12, 1), (16, 1)])
def test_the_shortcut_is_projected_where_the_shape_changes(width: int, stride: int) -> None:
    block = BasicBlock(16, width, stride)
    assert block(torch.randn(2, 16, 6, 8)).shape == (2, width, 6 // stride, 8 // stride)
    assert (block.downsample is None) == ((width, stride) == (16, 1))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"depth": 10}, "at least 11 with bottleneck blocks.*got 10"),
        ({"depth": 7, "bottleneck": False}, "at least 8 with basic blocks.*got 7"),
        ({"depth": 20, "stem": "imagenet"}, r"one of \[18, 34, 50, 101, 152, 200\]; got 20"),
        ({"stem": "imagnet"}, "'imagnet'. Did you mean 'imagenet'"),
    ],
)
def test_refusals(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ResNet(**kwargs)


@pytest.mark.parametrize(("stem", "depth", "side"), [("imagenet", 18, 64), ("cifar", 11, 16)])
def test_without_the_last_stride_maps_are_twice_as_large(stem, depth, side):
    plain, wide = (ResNet(depth, 5, stem=stem, last_stride=stride).eval() for stride in (2, 1))
    wide.load_state_dict(plain.state_dict())  # the same names and shapes
    images = torch.randn(1, 3, side, side)
    with torch.no_grad():
        small, large = plain.forward_features(images), wide.forward_features(images)
    assert [2 * length for length in small.shape[2:]] == list(large.shape[2:])
    assert (side // plain.total_stride, side // wide.total_stride) == (small.shape[2], large.shape[2])
    assert "last_stride=1" in repr(wide)
    assert "last_stride" not in repr(plain)


def test_other_last_strides_are_refused():
    with pytest.raises(UsageError, match="last_stride is 1 or 2"):
        ResNet(last_stride=3)
