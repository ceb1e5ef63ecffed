"""DropBlock: the share that is dropped is the one that was asked for, counted over every outcome."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
import torch

from cutmix.errors import UsageError
from cutmix.models import DropBlock, PyramidNet, regularize, set_progress, torchvision_model
from cutmix.models.dropblock import DropBlockLayer, seed_rate, spread


def layer(block_size=4, keep_prob=0.9, schedule="constant", shared=False) -> DropBlockLayer:
    return DropBlockLayer(block_size, keep_prob, schedule, shared).train()


def rate(size_HW, block_hw, keep_prob) -> float:
    return float(seed_rate(size_HW, block_hw, np.array([keep_prob]))[0])


def test_a_seed_is_the_first_cell_of_its_block():
    seeds = torch.zeros(1, 2, 3, 4, dtype=torch.bool)  # places of a 2x3 block in a 4x6 map
    seeds[0, 0, 1, 2] = seeds[0, 1, 0, 0] = seeds[0, 1, 2, 3] = True
    first, second = spread(seeds, (2, 3))[0].int().tolist()
    assert first == [[0] * 6, [0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 1, 0], [0] * 6]
    assert second == [[1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]]


@pytest.mark.parametrize("block_hw", [(1, 1), (2, 5), (7, 3), (8, 8)])
def test_blocks_of_any_sides(block_hw):
    size = 9
    seeds = torch.zeros(1, 1, size - block_hw[0] + 1, size - block_hw[1] + 1, dtype=torch.bool)
    for top, left in itertools.product(*map(range, seeds.shape[2:])):
        one = seeds.clone()
        one[0, 0, top, left] = True
        expected = torch.zeros(size, size, dtype=torch.bool)
        expected[top : top + block_hw[0], left : left + block_hw[1]] = True
        assert torch.equal(spread(one, block_hw)[0, 0], expected)


@pytest.mark.parametrize(
    ("size_HW", "block_hw"),
    [((8, 8), (7, 7)), ((4, 4), (4, 4)), ((4, 4), (2, 2)), ((3, 5), (2, 2)), ((4, 6), (2, 4)), ((5, 4), (3, 2))],
)
@pytest.mark.parametrize("keep_prob", [0.9, 0.3])
def test_the_expected_share_over_every_outcome(size_HW, block_hw, keep_prob):
    places = [length - block + 1 for length, block in zip(size_HW, block_hw)]
    outcomes = torch.tensor(list(itertools.product([False, True], repeat=math.prod(places))))
    p = rate(size_HW, block_hw, keep_prob)
    chance = torch.where(outcomes, p, 1 - p).double().prod(1)
    dropped = spread(outcomes.view(-1, 1, *places), block_hw).flatten(1).double().mean(1)
    assert float(chance.sum()) == pytest.approx(1)
    assert float(chance @ dropped) == pytest.approx(1 - keep_prob, abs=1e-6)


def test_rates_by_hand():
    assert rate((4, 4), (4, 4), 0.9) == pytest.approx(0.1)  # one place: the whole map
    assert rate((5, 7), (1, 1), 0.7) == pytest.approx(0.3)  # dropout
    # 2 places in a row of 3: the middle cell is under both. (2q + q^2) / 3 = 0.75 has q = (sqrt(13) - 2) / 2 ...
    assert rate((1, 3), (1, 2), 0.75) == pytest.approx(1 - (math.sqrt(1 + 3 * 0.75) - 1))


@pytest.mark.parametrize("size_HW", [(4, 4), (7, 7), (8, 8), (9, 6), (14, 14), (32, 32), (2, 3), (1, 1)])
@pytest.mark.parametrize("block_size", [3, 4, 7])
def test_the_layer_drops_the_share_that_was_asked_for(size_HW, block_size):
    torch.manual_seed(block_size)
    maps = 4000 if max(size_HW) < 10 else 600
    zero = layer(block_size, keep_prob=0.8)(torch.ones(maps, 1, *size_HW)) == 0
    shares = zero.double().mean((1, 2, 3))
    assert abs(shares.mean().item() - 0.2) < 5 * shares.std().item() / math.sqrt(maps)


def test_what_is_kept_is_scaled_by_the_count_over_the_batch():
    torch.manual_seed(1)
    x = torch.randn(6, 3, 8, 8, requires_grad=True)
    out = layer(3, 0.7)(x)
    kept = out != 0
    assert 0 < kept.sum() < kept.numel()
    scale = kept.numel() / kept.sum()
    torch.testing.assert_close(out, torch.where(kept, x * scale, 0))
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient, torch.where(kept, scale, 0))


def test_everything_dropped_is_zero_and_not_a_number_less():
    torch.manual_seed(0)
    out = [layer(4, 0.01)(torch.ones(1, 1, 2, 2)) for _ in range(20)]
    assert any((o == 0).all() for o in out)
    assert all(o.isfinite().all() for o in out)


def test_a_batch_of_more_cells_than_half_precision_can_count_is_zero_too():
    out = layer(4, 1e-9)(torch.ones(1, 20_000, 2, 2, dtype=torch.float16))  # 80000 / 1 would be infinite, times 0 NaN
    assert torch.equal(out, torch.zeros_like(out))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_draw_is_a_number_a_place_with_the_channels_last_whatever_the_input_has(shared, memory_format):
    x = torch.randn(2, 5, 6, 7).contiguous(memory_format=memory_format)
    torch.manual_seed(11)
    out = layer(3, 0.6, shared=shared)(x)
    after = torch.rand(1)
    torch.manual_seed(11)
    drawn_BhwC = torch.rand(2, 4, 5, 1 if shared else 5)  # 4 x 5 places of a 3x3 block
    assert torch.equal(torch.rand(1), after)  # and nothing else is drawn
    seeds = torch.stack([drawn_BhwC[..., c] for c in range(drawn_BhwC.shape[3])], 1) < rate((6, 7), (3, 3), 0.6)
    assert torch.equal(out == 0, spread(seeds, (3, 3)).expand_as(x))
    assert out.is_contiguous(memory_format=memory_format)


def test_blocks_of_channels_last_seeds_lie_in_memory_as_these():
    seeds = torch.rand(2, 4, 5, 3).permute(0, 3, 1, 2) < 0.2
    blocks = spread(seeds, (3, 2))
    assert blocks.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(blocks, spread(seeds.contiguous(), (3, 2)))


def test_masks_for_each_channel_or_shared():
    torch.manual_seed(0)
    x = torch.ones(4, 8, 6, 6)
    shared, own = (layer(2, 0.7, shared=shared)(x) for shared in (True, False))
    assert torch.equal(shared, shared[:, :1].expand_as(shared))
    assert not torch.equal(own, own[:, :1].expand_as(own))
    assert not torch.equal(shared[0], shared[1])


@pytest.mark.parametrize("progress", [0.0, 0.25, 0.4983, 1.0])
def test_the_linear_schedule(progress):
    scheduled = layer(3, 0.6, schedule="linear")
    set_progress(scheduled, progress)
    torch.manual_seed(0)
    zero = scheduled(torch.ones(3000, 1, 6, 5)) == 0
    shares = zero.double().mean((1, 2, 3))
    assert abs(shares.mean().item() - 0.4 * progress) <= 5 * shares.std().item() / math.sqrt(3000)


def test_between_its_points_the_schedule_is_exact_enough():
    from cutmix.models.dropblock import _at, seed_rates

    device = torch.device("cpu")
    rates = seed_rates((8, 8), (3, 3), 0.5, 257, device)
    for progress in (0.1, 0.5137, 0.999):
        exact = rate((8, 8), (3, 3), 1 - 0.5 * progress)
        assert float(_at(rates, torch.tensor(progress))) == pytest.approx(exact, rel=1e-4)
    assert float(_at(rates, torch.tensor(1.0))) == pytest.approx(rate((8, 8), (3, 3), 0.5), rel=1e-6)


def test_a_network_that_is_never_told_drops_all_that_was_asked_for():
    torch.manual_seed(0)
    share = (layer(1, 0.6, schedule="linear")(torch.ones(200, 1, 10, 10)) == 0).double().mean().item()
    assert abs(share - 0.4) < 5 * math.sqrt(0.24 / 20_000)


def places(model: torch.nn.Module) -> list[str]:
    return [path.rpartition(".noise")[0] for path, m in model.named_modules() if isinstance(m, DropBlockLayer)]


def test_places():
    pyramid = PyramidNet(20, 11)
    found = places(regularize(pyramid, DropBlock()))
    assert found == [f"layer{s}.{i}.bn{n}" for s in (2, 3) for i in (0, 1) for n in (2, 3, 4)]
    resnet = regularize(torchvision_model("resnet18"), DropBlock(after="residuals", stages=(3, -1)))
    assert places(resnet) == ["layer3.0.bn2", "layer3.1.bn2", "layer4.0.bn2", "layer4.1.bn2"]
    resnet = regularize(torchvision_model("resnet18"), DropBlock(after="blocks", stages=(1,)))
    assert places(resnet) == ["layer1.0", "layer1.1"]


@pytest.mark.parametrize(
    "arguments",
    [{"block_size": 0}, {"block_size": 2.5}, {"keep_prob": 0.0}, {"keep_prob": 1.1}, {"stages": ()}, {"stages": 3},
     {"after": "relu"}, {"schedule": "cosine"}],
)  # fmt: skip
def test_what_is_refused(arguments):
    with pytest.raises(UsageError, match=next(iter(arguments))):
        DropBlock(**arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"block_size": 4.0}, "block_size=4.0 must be a whole number (an int), 1 or more."),
        ({"block_size": math.nan}, "block_size=nan must be a whole number (an int), 1 or more."),
        ({"block_size": "4"}, "block_size='4' must be a whole number (an int), 1 or more."),
        ({"block_size": True}, "block_size=True must be a whole number (an int), 1 or more."),
        ({"keep_prob": "0.9"}, "keep_prob='0.9' must be a number above 0 and at most 1."),
        ({"keep_prob": True}, "keep_prob=True must be a number above 0 and at most 1."),
        ({"keep_prob": math.nan}, "keep_prob=nan must be a number above 0 and at most 1."),
        ({"keep_prob": None}, "keep_prob=None must be a number above 0 and at most 1."),
        ({"stages": (3, True)}, "stages=(3, True) must be whole numbers such as (3, 4) or (-2, -1)."),
        ({"stages": (3.0,)}, "stages=(3.0,) must be whole numbers such as (3, 4) or (-2, -1)."),
        ({"shared": "no"}, "shared='no' must be True or False."),
        ({"shared": 1}, "shared=1 must be True or False."),
        ({"after": 2}, "after=2 must be one of convolutions, residuals, blocks."),
    ],
)
def test_a_wrong_type_is_refused(arguments, said):
    with pytest.raises(UsageError, match=f"^{re.escape(said)}$"):
        DropBlock(**arguments)


def test_a_whole_number_serves_as_a_share():
    assert DropBlock(keep_prob=1).keep_prob == 1


@pytest.mark.parametrize("stages", [(4,), (0,), (-4,)])
def test_a_stage_that_there_is_not_is_refused(stages):
    with pytest.raises(UsageError, match="the network has 3, 1 to 3 or -3 to -1"):
        regularize(PyramidNet(20, 11), DropBlock(stages=stages))


def test_what_is_no_feature_map_is_refused():
    with pytest.raises(UsageError, match=r"\(2, 5, 7\)"):
        layer()(torch.ones(2, 5, 7))
