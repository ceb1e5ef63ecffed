"""What every layer regularizer of the folder keeps to. A new file is held without being listed here."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

from cutmix.errors import UsageError
from cutmix.models import (
    DropBlock,
    NoRegularizer,
    PyramidNet,
    ResNet,
    ShakeDrop,
    StochasticDepth,
    Together,
    regularize,
    set_progress,
    timm_model,
    torchvision_model,
)
from cutmix.models.regularizer import NoiseLayer
from cutmix.recipes import names
from cutmix.recipes.build import make_regularizer

# Arguments that make sure of noise in a small network; any other regularizer is tested as it is by default.
STRONG = {
    "ShakeDrop": ShakeDrop(last=1.0),
    "StochasticDepth": StochasticDepth(last=0.9, scope="per_sample"),
    "DropBlock": DropBlock(block_size=3, keep_prob=0.5),
    "Together": Together(DropBlock(block_size=2, keep_prob=0.5, after="blocks"), ShakeDrop(last=1.0)),
}
OFF = {
    "ShakeDrop": ShakeDrop(last=0.0),
    "StochasticDepth": StochasticDepth(last=0.0),
    "DropBlock": DropBlock(keep_prob=1.0),
    "Together": Together(ShakeDrop(last=0.0), DropBlock(keep_prob=1.0)),
}
FOUND = {cls.__name__: cls for cls in names.regularizers().values()}
NETWORKS = {
    "ResNet": lambda: ResNet(8, 5, bottleneck=False),
    "PyramidNet": lambda: PyramidNet(11, 7, 5),
    "torchvision": lambda: torchvision_model("resnet18", 5),
    "timm": lambda: timm_model("resnet18", 5),
}
noisy = pytest.mark.parametrize("name", sorted(set(FOUND) - {"NoRegularizer"}))
networks = pytest.mark.parametrize("network", NETWORKS)


def built(network: str, name: str = "NoRegularizer") -> nn.Module:
    torch.manual_seed(3)
    model = NETWORKS[network]()
    for module in model.modules():  # the libraries may start with residuals of zero
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return regularize(model, STRONG[name] if name in STRONG else FOUND[name]())


def images(network: str, batch: int = 4) -> torch.Tensor:
    side = 64 if "i" in network[:5] else 16
    return torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(5))


def run(model: nn.Module, x: torch.Tensor, seed: int = 1) -> torch.Tensor:
    """Logits under a seed, with batch norm's running statistics left as they are."""
    state = copy.deepcopy(model.state_dict())
    torch.manual_seed(seed)
    logits = model(x)
    with torch.no_grad():
        for buffer, before in ((value, state[key]) for key, value in model.named_buffers() if key in state):
            buffer.copy_(before)
    return logits


def test_they_are_found():
    assert {"NoRegularizer", "ShakeDrop", "StochasticDepth", "DropBlock", "Together"} <= set(FOUND)
    assert make_regularizer("none") == NoRegularizer()


@pytest.mark.parametrize("name", FOUND)
def test_the_repr_makes_it_again(name):
    for regularizer in (FOUND[name](), STRONG.get(name, FOUND[name]())):
        assert make_regularizer(repr(regularizer)) == regularizer


@networks
@pytest.mark.parametrize("name", FOUND)
def test_keys_and_weights_stay_as_they_are(network, name):
    plain, model = built(network), built(network, name)
    assert list(model.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), plain.state_dict().values()))
    model.load_state_dict(plain.state_dict(), strict=True)
    assert [n for n, _ in model.named_parameters()] == [n for n, _ in plain.named_parameters()]


@networks
@noisy
def test_noise_in_training_follows_from_the_seed_and_there_is_none_in_evaluation(network, name):
    model, x = built(network, name), images(network)
    first, again, other = (run(model, x, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    if name in STRONG:
        assert not torch.equal(first, run(built(network), x))
    model.eval()
    before = torch.get_rng_state()
    assert torch.equal(model(x), model(x))
    assert torch.equal(torch.get_rng_state(), before)


@networks
@pytest.mark.parametrize("name", OFF)
def test_at_nothing_the_network_is_as_without(network, name):
    plain, model, x = built(network), built(network), images(network)
    regularize(model, OFF[name])
    before = torch.get_rng_state()
    assert torch.equal(model(x), plain(x))
    assert torch.equal(torch.get_rng_state(), before)  # nothing is drawn either
    assert torch.equal(model.eval()(x), plain.eval()(x))


@noisy
def test_gradients_reach_the_images_and_no_input_is_written_into(name):
    model, x = built("PyramidNet", name), images("PyramidNet")
    for layer in (module for module in model.modules() if isinstance(module, NoiseLayer)):
        y = torch.randn(3, 2, 4, 4)
        before = y.clone()
        layer(y)
        assert torch.equal(y, before)
    model(x.requires_grad_()).square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@noisy
def test_channels_last_gives_the_same_and_is_kept(name):
    model = built("ResNet", name)
    for layer in (module for module in model.modules() if isinstance(module, NoiseLayer)):
        y = torch.randn(3, 5, 6, 4)
        results = []
        for memory_format in (torch.contiguous_format, torch.channels_last):
            torch.manual_seed(2)
            results.append(layer(y.contiguous(memory_format=memory_format)))
        assert torch.equal(*results)
        assert results[1].is_contiguous(memory_format=torch.channels_last)


@noisy
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_any_floating_type_is_kept(name, dtype):
    for layer in (module for module in built("ResNet", name).modules() if isinstance(module, NoiseLayer)):
        assert layer(torch.ones(2, 3, 4, 4, dtype=dtype)).dtype == dtype
        assert layer.eval()(torch.ones(2, 3, 4, 4, dtype=dtype)).dtype == dtype


@noisy
def test_autocast_and_a_batch_of_one(name):
    model = built("PyramidNet", name)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images("PyramidNet", batch=1))
    logits.float().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@networks
@noisy
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_is_equal_and_has_layers_of_its_own(network, name, duplicate):
    model = built(network, name)
    other, x = duplicate(model), images(network, 2)
    assert torch.equal(run(model, x), run(other, x))
    mine, theirs = ([id(m) for m in net.modules() if isinstance(m, NoiseLayer)] for net in (model, other))
    assert len(mine) == len(theirs)
    assert not set(mine) & set(theirs)
    for layer in (module for module in model.modules() if isinstance(module, NoiseLayer)):
        layer.eval()
    assert not torch.equal(run(model, x), run(other, x)) or name not in STRONG


@noisy
def test_compiles_without_graph_breaks_and_once_for_all_steps(name):
    torch._dynamo.reset()
    model, x = built("PyramidNet", name), images("PyramidNet")
    other = copy.deepcopy(model)
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph

    compiled = torch.compile(other, fullgraph=True, backend=count)
    for progress in (0.0, 0.3, 0.7):
        for net in (model, other):
            set_progress(net, progress)
        logits = []
        gradients = []
        for net, called in ((model, model), (other, compiled)):
            torch.manual_seed(4)
            logits.append(called(x))
            gradients.append(torch.autograd.grad(logits[-1].square().sum(), net.conv1.weight)[0])
        torch.testing.assert_close(*logits)
        torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3)
    assert len(graphs) <= 1


@noisy
def test_gradient_checkpointing_repeats_the_noise(name):
    model = built("ResNet", name)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    x, gradients = images("ResNet"), []
    for through in (model, lambda x: checkpoint(model, x, use_reentrant=False)):
        torch.manual_seed(3)
        gradients.append(torch.autograd.grad(through(x).square().sum(), model.conv1.weight)[0])
    assert torch.equal(*gradients)


def test_a_moving_average_takes_the_layers_along():
    model = built("ResNet", "ShakeDrop")
    average = AveragedModel(model, use_buffers=True)
    average.update_parameters(model)
    x = images("ResNet")
    assert torch.equal(average.eval()(x), model.eval()(x))


def test_progress_reaches_the_layers_that_hang_on_it_and_is_not_saved():
    model = regularize(ResNet(8, bottleneck=False), Together(ShakeDrop(), DropBlock()))
    set_progress(model, 0.25)
    told = [module.progress for module in model.modules() if isinstance(module, NoiseLayer)]
    assert {None if value is None else float(value) for value in told} == {None, 0.25}
    assert not [key for key in model.state_dict() if "noise" in key]
    for wrong in (-0.1, 1.1, float("nan"), "0.25", True):
        with pytest.raises(UsageError, match=f"progress={wrong!r} must be a number from 0 to 1"):
            set_progress(model, wrong)


def test_the_layers_follow_the_device():
    model = regularize(ResNet(8, bottleneck=False), DropBlock()).to("meta")
    assert all(buffer.is_meta for buffer in model.buffers())


def test_a_network_is_not_regularized_twice():
    model = regularize(ResNet(8, bottleneck=False), ShakeDrop())
    with pytest.raises(UsageError, match=r"already.*Together"):
        regularize(model, DropBlock())


@noisy
def test_a_network_without_residuals_is_refused(name):
    plain = nn.Sequential(nn.Conv2d(3, 4, 3))
    regularize(plain, NoRegularizer())
    if name in STRONG:
        with pytest.raises(UsageError, match="no residual blocks"):
            regularize(plain, STRONG[name])


@noisy
def test_named_ends_serve_any_network(name):
    class Mine(nn.Module):
        def __init__(self):
            super().__init__()
            self.stages = nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)), nn.Sequential(nn.Conv2d(3, 3, 1)))

        def forward(self, x):
            for stage in self.stages:
                x = x + stage(x)
            return x

    model = regularize(Mine(), DropBlock(stages=(1,)) if name == "DropBlock" else ShakeDrop(1.0), ends=["stages.0.0"])
    x = torch.randn(2, 3, 8, 8)
    assert not torch.equal(run(model, x, 1), run(model, x, 2))
