"""What every network of the folder keeps to. A new file is held without being listed here."""

from __future__ import annotations

import copy
import importlib
import inspect
import math
import pickle
import pkgutil
from typing import Any

import pytest
import torch
from torch import nn

import cutmix.models
from cutmix.errors import UsageError

CLASSES = 5
# Arguments that make a network small; one that is not listed is tested with its default arguments.
SMALL: dict[tuple[str, str], dict[str, Any]] = {
    ("ResNet", "cifar"): {"depth": 11},
    ("ResNet", "imagenet"): {"depth": 18},
    ("ResNeXt", "cifar"): {"depth": 50, "groups": 3, "width_per_group": 2},
    ("ResNeXt", "imagenet"): {"depth": 50, "groups": 3, "width_per_group": 2},
    ("PyramidNet", "cifar"): {"depth": 20, "alpha": 11},
    ("PyramidNet", "imagenet"): {"depth": 14, "alpha": 11},
}
SIZES = {"cifar": [(32, 32), (24, 40), (9, 13)], "imagenet": [(64, 64), (45, 33)]}


def _network_classes() -> list[type[nn.Module]]:
    return [
        member
        for info in pkgutil.iter_modules(cutmix.models.__path__)
        for member in vars(importlib.import_module(f"cutmix.models.{info.name}")).values()
        if inspect.isclass(member)
        and member.__module__ == f"cutmix.models.{info.name}"
        and hasattr(member, "forward_features")
        and not inspect.isabstract(member)
    ]


FORMS = [(cls, stem) for cls in _network_classes() for stem in SIZES]


@pytest.fixture(params=FORMS, ids=lambda form: f"{form[0].__name__}-{form[1]}", scope="module")
def form(request: pytest.FixtureRequest) -> tuple[type[nn.Module], dict[str, Any]]:
    cls, stem = request.param
    return cls, {"num_classes": CLASSES, "stem": stem, **SMALL.get((cls.__name__, stem), {})}


@pytest.fixture
def network(form: tuple[type[nn.Module], dict[str, Any]]) -> Any:
    cls, kwargs = form
    torch.manual_seed(3)
    return cls(**kwargs)


def _images(network: Any, batch: int = 2, size: int = 0) -> torch.Tensor:
    height, width = SIZES[network.stem][size]
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(5))


def test_the_networks_are_found() -> None:
    assert {"ResNet", "PyramidNet", "ResNeXt"} <= {cls.__name__ for cls in _network_classes()}


def test_every_network_is_exported() -> None:
    assert {cls.__name__ for cls in _network_classes()} <= set(cutmix.models.__all__)


@pytest.mark.parametrize("size", [0, 1, -1])
def test_logits_and_features_have_the_promised_shapes(network: Any, size: int) -> None:
    images = _images(network, size=size)
    stride = network.total_stride
    with torch.no_grad():
        features = network.forward_features(images)
        assert network(images).shape == (2, CLASSES)
    height, width = (math.ceil(side / stride) for side in images.shape[2:])
    assert features.shape == (2, network.fc.in_features, height, width)


def test_logits_are_the_linear_layer_of_the_mean_feature(network: Any) -> None:
    network.eval()
    images = _images(network, size=1)
    with torch.no_grad():
        features = network.forward_features(images)
        expected = features.flatten(2).mean(2) @ network.fc.weight.T + network.fc.bias
        torch.testing.assert_close(network(images), expected)


def test_the_same_seed_gives_the_same_weights(form: Any) -> None:
    cls, kwargs = form
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(cls(**kwargs).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["conv1.weight"], states[2]["conv1.weight"])


def test_initial_convolutions_have_the_fan_out_deviation(network: Any) -> None:
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            expected = math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels))
            # The deviation of a sample's deviation is about 1 / sqrt(2n) of it.
            tolerance = 5 / math.sqrt(2 * module.weight.numel())
            assert module.weight.std().item() == pytest.approx(expected, rel=tolerance), name
            assert module.bias is None
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.eq(1).all()
            assert module.bias.eq(0).all()


def test_gradient_reaches_every_parameter_and_the_images(network: Any) -> None:
    images = _images(network, batch=4).requires_grad_()
    network(images).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_the_gradient_is_that_of_finite_differences(network: Any) -> None:
    network.double().eval()
    images = _images(network, size=-1).double().requires_grad_()
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(network(images).sum(), images)
    step = 1e-6
    with torch.no_grad():
        difference = network(images + step * direction).sum() - network(images - step * direction).sum()
    torch.testing.assert_close((gradient * direction).sum(), difference / (2 * step), rtol=1e-4, atol=1e-6)


def test_forward_leaves_the_images_alone(network: Any) -> None:
    images = _images(network)
    before = images.clone()
    network(images).sum().backward()
    assert torch.equal(images, before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_any_floating_type(network: Any, dtype: torch.dtype) -> None:
    images = _images(network)
    with torch.no_grad():
        expected = network.eval()(images)
        logits = network.to(dtype)(images.to(dtype))
    assert logits.dtype == dtype
    tolerance = 1e-4 if dtype == torch.float64 else 0.1 * expected.abs().max().item()
    torch.testing.assert_close(logits.float(), expected, rtol=0, atol=tolerance)


def test_autocast(network: Any) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(_images(network))
    logits.float().sum().backward()
    assert logits.dtype == torch.bfloat16
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_channels_last_gives_the_same_and_is_kept(network: Any) -> None:
    network.eval()
    images = _images(network, size=1)
    with torch.no_grad():
        expected = network(images)
        network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
        features = network.forward_features(images)
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)
    assert features.is_contiguous(memory_format=torch.channels_last)
    assert not features.is_contiguous()


def test_state_dict_round_trip(form: Any, network: Any) -> None:
    cls, kwargs = form
    network.train()(_images(network))  # so that the running statistics are not the initial ones
    other = cls(**kwargs)
    other.load_state_dict(network.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(other.eval()(_images(network)), network.eval()(_images(network)))


def test_evaluation_is_deterministic_and_per_image(network: Any) -> None:
    network.eval()
    images = _images(network, batch=3)
    with torch.no_grad():
        logits = network(images)
        assert torch.equal(network(images), logits)
        torch.testing.assert_close(network(images[1:2]), logits[1:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_a_copy_is_equal_and_independent(network: Any, duplicate: Any) -> None:
    other = duplicate(network)
    with torch.no_grad():
        expected = network.eval()(_images(network))
        assert torch.equal(other.eval()(_images(network)), expected)
        other.fc.bias += 1
        assert torch.equal(network(_images(network)), expected)


def test_compiles_without_graph_breaks(network: Any) -> None:
    torch._dynamo.reset()
    images = _images(network, size=-1)
    compiled = torch.compile(network.eval(), fullgraph=True, backend="eager")
    logits = compiled(images)
    torch.testing.assert_close(logits, network(images))
    gradient = torch.autograd.grad(logits.square().sum(), network.conv1.weight)
    expected = torch.autograd.grad(network(images).square().sum(), network.conv1.weight)
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-3)


def test_blocks_are_the_sum_of_two_branches(network: Any) -> None:
    from cutmix.models.residual import ResidualBlock

    network.eval()
    x_BCHW = torch.randn(2, network.conv1.out_channels, 8, 8)
    before = x_BCHW.clone()
    with torch.no_grad():
        for name, block in network.named_modules():
            if isinstance(block, ResidualBlock):
                expected = block(x_BCHW)
                assert torch.equal(x_BCHW, before), name
                assert torch.equal(block.join(block.residual(x_BCHW), block.shortcut(x_BCHW)), expected), name
                x_BCHW, before = expected, expected.clone()
    assert x_BCHW.shape[1] == network.fc.in_features


def test_the_repr_names_the_arguments(form: Any, network: Any) -> None:
    first_line = repr(network).splitlines()[1]
    for name, value in form[1].items():
        assert f"{name}={value!r}" in first_line


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 1, 64, 64), r"got \(2, 1, 64, 64\)"),
        (torch.zeros(3, 64, 64), r"got \(3, 64, 64\)"),
        (torch.zeros(2, 64, 64, 3), r"\(batch, 3, height, width\)"),
        (torch.zeros(2, 3, 64, 64, dtype=torch.uint8), "floating-point.*uint8"),
        (torch.zeros(2, 3, 64, 3), "64x3 pixels are too small"),
        (torch.zeros(2, 3, 3, 64), "3x64 pixels are too small"),
    ],
)
def test_images_it_cannot_take_are_refused(network: Any, images: torch.Tensor, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        network(images)


@pytest.mark.parametrize(("name", "value"), [("stem", "cifar10"), ("num_classes", 0), ("depth", 1), ("depth", 0)])
def test_arguments_that_there_are_not_are_refused(form: Any, name: str, value: Any) -> None:
    cls, kwargs = form
    with pytest.raises(UsageError, match=name):
        cls(**{**kwargs, name: value})
