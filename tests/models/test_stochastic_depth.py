"""Stochastic depth by hand, over many draws, and beside torchvision's."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torchvision.ops import stochastic_depth

from cutmix.errors import UsageError
from cutmix.models import PyramidNet, ShakeDrop, StochasticDepth, regularize
from cutmix.models.shakedrop import ShakeDropLayer
from cutmix.models.stochastic_depth import StochasticDepthLayer

DRAWS = 2000


@pytest.mark.parametrize(("mode", "drops"), [("linear", [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]), ("constant", [0.3] * 6)])
def test_drops(mode, drops):
    model = regularize(PyramidNet(20, 11), StochasticDepth(last=0.3, mode=mode))
    assert [m.drop for m in model.modules() if isinstance(m, StochasticDepthLayer)] == pytest.approx(drops)


@pytest.mark.parametrize("scope", ["per_batch", "per_sample"])
def test_a_branch_is_there_or_not(scope):
    layer = StochasticDepthLayer(0.3, scope).train()
    torch.manual_seed(0)
    out = torch.stack([layer(torch.full((3, 2, 2, 2), 7.0)) for _ in range(DRAWS)])
    assert set(out.unique().tolist()) == {0.0, 7.0}
    assert torch.equal(out, out[:, :, :1, :1, :1].expand_as(out))
    kept = out[:, :, 0, 0, 0] / 7
    assert (kept == kept[:, :1]).all() == (scope == "per_batch")
    draws = DRAWS * (1 if scope == "per_batch" else 3)
    assert abs(kept.mean().item() - 0.7) < 5 * math.sqrt(0.3 * 0.7 / draws)
    torch.testing.assert_close(layer.eval()(torch.tensor([[[[10.0, -2.0]]]])), torch.tensor([[[[7.0, -1.4]]]]))


@pytest.mark.parametrize(("scope", "mode"), [("per_batch", "batch"), ("per_sample", "row")])
def test_torchvisions_divides_by_what_ours_multiplies_by(scope, mode):
    """In training theirs is ours / (1 - p); in tests ours is theirs * (1 - p): the same network, scaled."""
    layer, x = StochasticDepthLayer(0.3, scope).train(), torch.full((500, 1, 1, 1), 2.0)
    torch.manual_seed(0)
    ours = torch.stack([layer(x) for _ in range(200)])
    theirs = torch.stack([stochastic_depth(x, 0.3, mode) for _ in range(200)]) * 0.7
    assert sorted(ours.unique().tolist()) == pytest.approx(sorted(theirs.unique().tolist()))
    deviation = math.sqrt(0.3 * 0.7 / (200 if scope == "per_batch" else 100_000))
    assert abs(ours.mean().item() - theirs.mean().item()) < 5 * 2 * deviation * math.sqrt(2)
    torch.testing.assert_close(layer.eval()(x), stochastic_depth(x, 0.3, mode, training=False) * 0.7)


def test_it_is_shakedrop_whose_noise_is_nothing():
    x = torch.randn(3, 2, 4, 4, requires_grad=True)
    for seed in range(20):
        results = []
        for layer in (StochasticDepthLayer(0.3, "per_batch"), ShakeDropLayer(0.3, (0.0, 0.0), (0.0, 0.0), "per_batch")):
            torch.manual_seed(seed)
            out = layer.train()(x)
            results += [out, torch.autograd.grad(out.square().sum(), x)[0], layer.eval()(x)]
        for ours, other in zip(results[:3], results[3:]):
            assert torch.equal(ours, other)
    assert StochasticDepth(0.3) != ShakeDrop(0.3)


@pytest.mark.parametrize("arguments", [{"last": 1.5}, {"mode": "cubic"}, {"scope": "sample"}])
def test_what_is_refused(arguments):
    with pytest.raises(UsageError, match=next(iter(arguments))):
        StochasticDepth(**arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"last": "0.25"}, "last='0.25' must be a number from 0 to 1."),
        ({"last": False}, "last=False must be a number from 0 to 1."),
        ({"last": math.nan}, "last=nan must be a number from 0 to 1."),
        ({"last": (0.25,)}, "last=(0.25,) must be a number from 0 to 1."),
        ({"mode": True}, "mode=True must be one of linear, constant."),
        ({"scope": None}, "scope=None must be one of per_batch, per_sample."),
    ],
)
def test_a_wrong_type_is_refused(arguments, said):
    with pytest.raises(UsageError, match=f"^{re.escape(said)}"):
        StochasticDepth(**arguments)
