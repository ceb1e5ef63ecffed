"""ShakeDrop by hand, and its expectations over many draws."""

from __future__ import annotations

import math
import re

import pytest
import torch

from cutmix.errors import UsageError
from cutmix.models import PyramidNet, ShakeDrop, regularize
from cutmix.models.shakedrop import ShakeDropLayer

DRAWS = 4000


def layer(drop=0.3, alpha=(-1.0, 1.0), beta=(0.0, 1.0), level="per_sample") -> ShakeDropLayer:
    return ShakeDropLayer(drop, alpha, beta, level).train()


def factors(shaken: ShakeDropLayer, shape=(2, 3, 2, 2), draws=DRAWS) -> tuple[torch.Tensor, torch.Tensor]:
    """What the residual and its gradient were multiplied by, a row a draw."""
    torch.manual_seed(0)
    forward, backward = [], []
    for _ in range(draws):
        x = torch.full(shape, 2.0, requires_grad=True)
        out = shaken(x)
        out.backward(torch.full(shape, 3.0))
        forward.append(out.detach() / 2)
        backward.append(x.grad / 3)
    return torch.stack(forward), torch.stack(backward)


def test_the_drop_grows_linearly_with_depth():
    model = regularize(PyramidNet(29, 11), ShakeDrop(last=0.45))
    drops = [module.drop for module in model.modules() if isinstance(module, ShakeDropLayer)]
    assert drops == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45])


def test_the_paper_network_has_66_layers():
    with torch.device("meta"):
        model = PyramidNet(200, 240, 100)
    regularize(model, ShakeDrop())
    drops = [module.drop for module in model.modules() if isinstance(module, ShakeDropLayer)]
    assert (len(drops), drops[0], drops[-1]) == (66, pytest.approx(0.5 / 66), 0.5)


def test_one_gate_a_layer_and_noise_a_sample():
    forward, backward = factors(layer(drop=0.3))
    assert torch.equal(forward, forward[:, :, :1, :1, :1].expand_as(forward))  # one alpha a sample
    assert torch.equal(backward, backward[:, :, :1, :1, :1].expand_as(backward))
    alpha, beta = forward[:, :, 0, 0, 0], backward[:, :, 0, 0, 0]
    shaken = (alpha != 1).any(1)
    assert torch.equal(shaken, (alpha != 1).all(1))  # the samples share the gate
    assert torch.equal(shaken, (beta != 1).any(1))  # and so do both directions
    rate = shaken.double().mean().item()
    assert abs(rate - 0.3) < 5 * math.sqrt(0.3 * 0.7 / DRAWS)
    for noise, low, high in ((alpha[shaken], -1, 1), (beta[shaken], 0, 1)):
        assert low <= noise.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < noise.max() <= high
        deviation = (high - low) / math.sqrt(12)
        assert abs(noise.mean().item() - (low + high) / 2) < 5 * deviation / math.sqrt(noise.numel())
        assert abs(torch.corrcoef(noise.T)[0, 1].item()) < 5 / math.sqrt(len(noise))  # samples are independent
    together = torch.corrcoef(torch.stack([alpha[shaken].flatten(), beta[shaken].flatten()]))[0, 1].item()
    assert abs(together) < 5 / math.sqrt(2 * int(shaken.sum()))  # and the two directions


def test_the_gradient_is_beta_whatever_alpha_was():
    x = torch.tensor([[[[5.0, -2.0]]]], requires_grad=True)
    out = layer(drop=1.0, alpha=(-0.25, -0.25), beta=(0.75, 0.75))(x)
    (out * torch.tensor([10.0, 100.0])).sum().backward()
    assert out.tolist() == [[[[-1.25, 0.5]]]]
    assert x.grad.tolist() == [[[[7.5, 75.0]]]]


@pytest.mark.parametrize(("alpha", "expected"), [((-1.0, 1.0), 0.7), ((0.0, 1.0), 0.85), ((-0.5, 0.1), 0.64)])
def test_a_test_multiplies_by_the_expectation(alpha, expected):
    x = torch.tensor([[[[5.0, -2.0]]]])
    tested = layer(drop=0.3, alpha=alpha).eval()(x)
    torch.testing.assert_close(tested, x * expected)  # 1 - 0.3 + 0.3 * E[alpha]
    forward, _ = factors(layer(drop=0.3, alpha=alpha), shape=(1, 1, 1, 1))
    assert abs(forward.mean().item() - expected) < 5 * forward.std().item() / math.sqrt(DRAWS)


@pytest.mark.parametrize(
    ("level", "values"), [("per_batch", 1), ("per_sample", 2), ("per_channel", 6), ("per_pixel", 24)]
)
def test_levels(level, values):
    forward, backward = factors(layer(drop=1.0, level=level), draws=2)
    assert len(forward[0].unique()) == len(backward[0].unique()) == values


@pytest.mark.parametrize(
    "arguments",
    [
        {"last": 1.2},
        {"last": -0.1},
        {"alpha": (1.0, -1.0)},
        {"beta": 0.5},
        {"beta": (0.0, math.inf)},
        {"level": "image"},
    ],
)
def test_what_is_refused(arguments):
    with pytest.raises(UsageError, match=next(iter(arguments))):
        ShakeDrop(**arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"last": "0.5"}, "last='0.5' must be a number from 0 to 1."),
        ({"last": True}, "last=True must be a number from 0 to 1."),
        ({"last": math.nan}, "last=nan must be a number from 0 to 1."),
        ({"alpha": ("-1", "1")}, "alpha=('-1', '1') must be (low, high), a tuple of two finite numbers in this order."),
        ({"alpha": [-1.0, 1.0]}, "alpha=[-1.0, 1.0] must be (low, high), a tuple of two finite numbers in this order."),
        ({"beta": (False, 1)}, "beta=(False, 1) must be (low, high), a tuple of two finite numbers in this order."),
        ({"beta": (0, math.nan)}, "beta=(0, nan) must be (low, high), a tuple of two finite numbers in this order."),
        ({"level": 1}, "level=1 must be one of per_batch, per_sample, per_channel, per_pixel."),
    ],
)
def test_a_wrong_type_is_refused(arguments, said):
    with pytest.raises(UsageError, match=f"^{re.escape(said)}$"):
        ShakeDrop(**arguments)


def test_whole_numbers_serve_as_factors():
    assert ShakeDrop(last=1, alpha=(-1, 1), beta=(0, 1)) == ShakeDrop(last=1.0)
