"""PyramidNet against an independent reference, the published widths and numbers of parameters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.models import PyramidNet

State = dict[str, Tensor]


def _randomise(network: torch.nn.Module) -> State:
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


def _block(state: State, name: str, x: Tensor, stride: int, bottleneck: bool) -> Tensor:
    y = _conv(state, f"{name}.conv1", _bn(state, f"{name}.bn1", x), 1 if bottleneck else stride)
    y = _conv(state, f"{name}.conv2", F.relu(_bn(state, f"{name}.bn2", y)), stride if bottleneck else 1)
    y = _bn(state, f"{name}.bn3", y)
    if bottleneck:
        y = _bn(state, f"{name}.bn4", _conv(state, f"{name}.conv3", F.relu(y)))
    if stride == 2:
        x = F.avg_pool2d(x, 2, 2, ceil_mode=True)
    zeros = torch.zeros(x.shape[0], y.shape[1] - x.shape[1], *x.shape[2:], dtype=x.dtype)
    return y + torch.cat([x, zeros], 1)


def reference(state: State, images: Tensor, blocks: list[int], bottleneck: bool) -> Tensor:
    """The official PyramidNet, as a formula of its state dict; four stages mean ImageNet."""
    imagenet = len(blocks) == 4
    x = _bn(state, "bn1", _conv(state, "conv1", images, 2 if imagenet else 1))
    if imagenet:
        x = F.max_pool2d(F.relu(x), 3, 2, 1)
    for stage, count in enumerate(blocks, 1):
        for index in range(count):
            x = _block(state, f"layer{stage}.{index}", x, 2 if stage > 1 and index == 0 else 1, bottleneck)
    x = F.relu(_bn(state, "bn_final", x))
    return F.linear(x.mean((2, 3)), state["fc.weight"], state["fc.bias"])


FORMS = [
    ({"depth": 20, "alpha": 13}, [2, 2, 2], True, 32),
    ({"depth": 14, "alpha": 13, "bottleneck": False}, [2, 2, 2], False, 33),
    ({"depth": 14, "alpha": 9, "stem": "imagenet"}, [1, 1, 1, 1], True, 66),
    ({"depth": 18, "alpha": 9, "stem": "imagenet"}, [2, 2, 2, 2], False, 66),
]


@pytest.mark.parametrize(("kwargs", "blocks", "bottleneck", "side"), FORMS)
def test_is_the_official_formula(kwargs: dict[str, Any], blocks: list[int], bottleneck: bool, side: int) -> None:
    torch.manual_seed(0)
    network = PyramidNet(num_classes=7, **kwargs).eval()
    state = _randomise(network)
    images = torch.randn(2, 3, side, side - 5)
    expected = reference(state, images, blocks, bottleneck)
    torch.testing.assert_close(network(images), expected, rtol=1e-5, atol=1e-5)
    assert (expected[0] - expected[1]).abs().max() > 0.01, "the rectifiers are shut: this test would see nothing"
    with torch.no_grad():  # the addition goes another way without gradients
        logits = network(images)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kwargs", "blocks", "bottleneck", "side"), FORMS[:2])
def test_gradients_are_those_of_the_formula(
    kwargs: dict[str, Any], blocks: list[int], bottleneck: bool, side: int
) -> None:
    torch.manual_seed(0)
    network = PyramidNet(num_classes=7, **kwargs).eval().double()
    _randomise(network)
    images = torch.randn(2, 3, side, side, dtype=torch.float64)
    parameters = dict(network.named_parameters())
    gradients = torch.autograd.grad(network(images).square().sum(), list(parameters.values()))
    state = {**network.state_dict(), **parameters}
    expected = torch.autograd.grad(reference(state, images, blocks, bottleneck).square().sum(), [*parameters.values()])
    for name, gradient, wanted in zip(parameters, gradients, expected):
        torch.testing.assert_close(gradient, wanted, msg=name)


def test_the_compiled_addition_is_the_same() -> None:
    torch.manual_seed(0)
    block = PyramidNet(11, 13).layer1[0]
    residual, shortcut = torch.randn(2, 80, 3, 5), torch.randn(2, 64, 3, 5)
    expected = residual + torch.cat([shortcut, torch.zeros(2, 16, 3, 5)], 1)
    torch._dynamo.reset()
    compiled = torch.compile(block.join, fullgraph=True, backend="eager")
    assert torch.equal(compiled(residual.clone(), shortcut), expected)
    assert torch.equal(block.join(residual.clone(), shortcut), expected)


def _planes(network: PyramidNet) -> list[list[int]]:
    return [[block.conv1.out_channels for block in stage] for stage in (network.layer1, network.layer2, network.layer3)]


def test_widths_of_the_two_networks_of_the_paper() -> None:
    with torch.device("meta"):
        large, small = PyramidNet(200, 240), PyramidNet(110, 64)
    first, second, third = _planes(large)
    assert first == [20, 23, 27, 31, 34, 38, 41, 45, 49, 52, 56, 60, 63, 67, 71, 74, 78, 81, 85, 89, 92, 96]
    assert (second[0], second[-1], third[0], third[-1]) == (100, 176, 180, 256)
    assert large.fc.in_features == 1024
    assert _planes(small) == [
        [18, 20, 21, 23, 25, 27, 28, 30, 32, 34, 36, 37],
        [39, 41, 43, 44, 46, 48, 50, 52, 53, 55, 57, 59],
        [60, 62, 64, 66, 68, 69, 71, 73, 75, 76, 78, 80],
    ]
    assert small.fc.in_features == 320


@pytest.mark.parametrize(
    ("expected", "kwargs"),
    [
        (26_844_952, {"depth": 200, "alpha": 240, "num_classes": 100}),
        (26_752_702, {"depth": 200, "alpha": 240, "num_classes": 10}),
        (1_725_300, {"depth": 110, "alpha": 64, "num_classes": 100}),
        (2_623_666, {"depth": 110, "alpha": 64, "num_classes": 100, "bottleneck": False}),
        (1_696_410, {"depth": 110, "alpha": 64, "num_classes": 10}),
        (42_455_070, {"depth": 101, "alpha": 360, "num_classes": 1000, "stem": "imagenet"}),
        (62_368_168, {"depth": 200, "alpha": 300, "num_classes": 1000, "stem": "imagenet"}),
    ],
)
def test_number_of_parameters(expected: int, kwargs: dict[str, Any]) -> None:
    with torch.device("meta"):
        network = PyramidNet(**kwargs)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def test_names_are_the_official_ones() -> None:
    with torch.device("meta"):
        names = list(PyramidNet(200, 240).state_dict())
    assert len(names) == 1531
    assert names[:8] == [
        "conv1.weight",
        "bn1.weight",
        "bn1.bias",
        "bn1.running_mean",
        "bn1.running_var",
        "bn1.num_batches_tracked",
        "layer1.0.bn1.weight",
        "layer1.0.bn1.bias",
    ]
    assert "layer3.21.bn4.running_var" in names
    assert {name.split(".")[0] for name in names} == {"conv1", "bn1", "layer1", "layer2", "layer3", "bn_final", "fc"}


def test_other_depths_are_rounded_down_and_say_so() -> None:
    assert "depth=32 (29 layers)" in repr(PyramidNet(32, 7.5))
    with torch.device("meta"):
        assert "depth=32 (26 layers)" in repr(PyramidNet(32, 300, stem="imagenet"))
        assert "depth=32 (26 layers)" in repr(PyramidNet(32, 300, stem="imagenet", bottleneck=False))


def test_no_widening_at_all() -> None:
    network = PyramidNet(14, 0, bottleneck=False, num_classes=3)
    assert network.fc.in_features == 16
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"alpha": -1}, "alpha.*at least 0; got -1"),
        ({"alpha": float("nan")}, "alpha.*got nan"),
        ({"depth": 8}, "at least 11 with bottleneck blocks.*got 8"),
        ({"depth": 13, "stem": "imagenet"}, "at least 14 with stem='imagenet'; got 13"),
    ],
)
def test_refusals(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PyramidNet(**kwargs)
