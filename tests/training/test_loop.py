"""The loop against a loop written out by hand, and at its edges."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cutmix.data import CropFlip, load_data, test_batches, train_batches
from cutmix.errors import CutmixError, UsageError
from cutmix.mixing import CutMix, ManifoldMixup, NoMixing, Scheduled, Until, mixed_cross_entropy
from cutmix.models.regularizer import NoiseLayer
from cutmix.training.display import Silent, StepInfo
from cutmix.training.loop import fit
from cutmix.training.schedules import Constant, Steps
from cutmix.training.settings import Settings
from cutmix.training.streams import Purpose, stream


def linear(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))


@pytest.fixture
def data(tiny_arrays):
    return load_data(f"arrays:{tiny_arrays}")


def settings(**changes) -> Settings:
    return Settings(**{"epochs": 2, "batch_size": 10, "lr": 0.1, "channels_last": False, **changes})


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_equals_a_plain_loop_with_the_two_term_loss(data):
    """The paper's training step, written out: lambda * CE(a) + (1 - lambda) * CE(b), SGD with Nesterov momentum."""
    plain = linear()
    optimizer = torch.optim.SGD(plain.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    batches = train_batches(data, batch_size=10, seed=0, augment=CropFlip(padding=1))
    for epoch in range(2):
        for step, (images, labels, _) in enumerate(batches.epoch(epoch)):
            optimizer.param_groups[0]["lr"] = 0.1 if epoch == 0 else 0.01
            images, target = CutMix(prob=0.7)(images, labels, stream(0, Purpose.MIXING, epoch, step, 0))
            logits, lam = plain(images), float(target.share[0])
            loss = lam * F.cross_entropy(logits, labels) + (1 - lam) * F.cross_entropy(logits, target.partner_labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model = linear()
    state = fit(
        model, data, mixing=CutMix(prob=0.7), schedule=Steps(), settings=settings(), augment=CropFlip(padding=1)
    )
    torch.testing.assert_close(weights(model), weights(plain), rtol=1e-5, atol=1e-6)
    assert [record["lr"] for record in state.history] == pytest.approx([0.1, 0.01])


@pytest.mark.parametrize("accumulation", [1, 3])
def test_hidden_layers_are_mixed_as_in_a_loop_written_out(data, accumulation):
    mixing, plain = ManifoldMixup(layers=("0", "1")), linear()
    optimizer = torch.optim.SGD(plain.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    for step, (images, labels, _) in enumerate(train_batches(data, batch_size=10, seed=0).epoch(0)):
        (layer,) = mixing.at(0.0, stream(0, Purpose.MIXING, 0, step)).layers
        here = ManifoldMixup(layers=(layer,)).draw(images.shape, stream(0, Purpose.MIXING, 0, step, 0))
        optimizer.zero_grad()
        for number, (part, own) in enumerate(zip(images.chunk(accumulation), labels.chunk(accumulation))):
            before, after = plain[: int(layer) + 1], plain[int(layer) + 1 :]
            maps = before(part)
            drawn = here.for_map(maps.shape, number)
            loss = mixed_cross_entropy(after(drawn.apply(maps)), drawn.targets(own))
            (loss * len(part) / len(images)).backward()
        optimizer.step()
    model = linear()
    one = settings(epochs=1, accumulation=accumulation)
    fit(model, data, mixing=mixing, schedule=Constant(), settings=one)
    torch.testing.assert_close(weights(model), weights(plain), rtol=1e-5, atol=1e-6)
    assert not any(module._forward_hooks for module in model.modules())


def test_the_run_tells_how_much_of_it_is_done(data):
    models = [linear() for _ in range(4)]
    always = Scheduled(CutMix(), start=1.0, end=1.0)
    mixings = [Until(until=0.5), always, CutMix(), Until(until=1.0)]
    for model, mixing in zip(models, mixings):
        fit(model, data, mixing=mixing, schedule=Constant(), settings=settings())
    until, always, plain, to_the_end = map(weights, models)
    assert torch.equal(always, plain)
    assert torch.equal(to_the_end, plain)
    assert not torch.equal(until, plain)
    first, half = linear(), linear()
    fit(first, data, mixing=Until(CutMix(), until=0.5), schedule=Constant(), settings=settings(epochs=1))
    fit(half, data, mixing=CutMix(), schedule=Constant(), settings=settings(epochs=1))
    assert not torch.equal(weights(first), weights(half))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(data):
    runs = []
    for seed in (3, 3, 4):
        model = linear()
        fit(model, data, mixing=CutMix(prob=0.5), schedule=Constant(), settings=settings(seed=seed))
        runs.append(weights(model))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_the_callers_random_state_is_left_alone(data):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit(linear(), data, mixing=NoMixing(), schedule=Constant(), settings=settings(epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_layer_noise_follows_from_the_seed(data):
    def dropped(global_seed: int) -> torch.Tensor:
        model = nn.Sequential(*linear(), nn.Dropout(0.5))
        torch.manual_seed(global_seed)
        fit(model, data, mixing=NoMixing(), schedule=Constant(), settings=settings())
        return weights(model)

    assert torch.equal(dropped(1), dropped(2))


def test_accumulation_changes_nothing_but_memory(data):
    """Without batch norm, three parts of a batch add up to the whole; the last batch of 8 splits unevenly."""
    models = [linear(), linear()]
    for model, parts in zip(models, (1, 3)):
        fit(model, data, mixing=CutMix(), schedule=Constant(), settings=settings(accumulation=parts))
    torch.testing.assert_close(weights(models[0]), weights(models[1]), rtol=1e-4, atol=1e-6)


def test_the_moving_average_is_tested_and_lags_behind(data):
    model = linear()
    state = fit(model, data, mixing=NoMixing(), schedule=Constant(), settings=settings(ema=0.5, epochs=1))
    assert state.ema is not None
    expected = copy.deepcopy(linear())
    averages = None
    optimizer = torch.optim.SGD(expected.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    for images, labels, _ in train_batches(data, batch_size=10, seed=0).epoch(0):
        optimizer.zero_grad()
        F.cross_entropy(expected(images), labels).backward()
        optimizer.step()
        now = weights(expected)
        averages = now if averages is None else 0.5 * averages + 0.5 * now
    torch.testing.assert_close(weights(state.ema.module), averages, rtol=1e-4, atol=1e-6)


def test_clipping_bounds_the_step(data):
    model, before = linear(), weights(linear())
    one = settings(epochs=1, batch_size=48, clip_norm=0.01, momentum=0.0, nesterov=False, weight_decay=0.0, lr=1.0)
    fit(model, data, mixing=NoMixing(), schedule=Constant(), settings=one)
    assert float((weights(model) - before).norm()) == pytest.approx(0.01, rel=1e-3)


def test_label_smoothing_is_in_the_loss_once(data):
    smooth, plain = linear(), linear()
    one = settings(epochs=1, batch_size=48, momentum=0.0, nesterov=False, weight_decay=0.0, label_smoothing=0.3)
    state = fit(smooth, data, mixing=NoMixing(), schedule=Constant(), settings=one)
    images, labels, _ = next(train_batches(data, batch_size=48, seed=0).epoch(0))
    loss = F.cross_entropy(plain(images), labels, label_smoothing=0.3)
    assert state.history[0]["train_loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
    loss.backward()
    with torch.no_grad():
        for p in plain.parameters():
            p -= 0.1 * p.grad
    torch.testing.assert_close(weights(smooth), weights(plain), rtol=1e-5, atol=1e-6)


def test_the_test_loss_is_the_mean_over_the_test_images(data):
    model = linear()
    state = fit(model, data, mixing=NoMixing(), schedule=Constant(), settings=settings(epochs=1))
    images, labels, _ = next(iter(test_batches(data, batch_size=18)))
    with torch.no_grad():
        logits = model(images)
    assert state.history[0]["test_loss"] == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
    wrong = (logits.argmax(1) != labels).float().mean()
    assert state.history[0]["test_error_top1"] == pytest.approx(100 * float(wrong), abs=1e-4)


@pytest.mark.parametrize("channels_last", [True, False])
def test_images_and_weights_are_in_the_layout_asked_for(data, channels_last):
    wanted = torch.channels_last if channels_last else torch.contiguous_format
    seen = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = linear()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images.is_contiguous(memory_format=wanted))
            return self.net(images)

    model = Watched()
    fit(model, data, mixing=CutMix(), schedule=Constant(), settings=settings(epochs=1, channels_last=channels_last))
    assert len(seen) == 7  # five steps and two test batches
    assert all(seen)
    assert model.net[0].weight.is_contiguous(memory_format=wanted)


class Kept:
    """A keeper that remembers."""

    def __init__(self) -> None:
        self.saved = []

    def resume(self, state, accelerator) -> None:
        pass

    def first_batch(self, images_BCHW, target) -> None:
        pass

    def save(self, state, accelerator) -> None:
        self.saved.append((state.epoch, state.step))

    def how_to_go_on(self) -> str:
        return "go on"


class TooLongAStep(nn.Module):
    """Its loss is finite, and its gradient infinite, at the third step."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.calls = linear(), 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        logits = self.net(images)
        if self.training and self.calls == 3:
            logits.register_hook(lambda gradient: gradient * float("inf"))
        return logits


def test_weights_that_are_no_numbers_are_never_kept(data):
    keeper, way = Kept(), {"mixing": NoMixing(), "schedule": Constant(), "settings": settings()}
    with pytest.raises(CutmixError, match=r"a weight after step 3 of epoch 1 is nan.*go on"):
        fit(TooLongAStep(), data, **way, keeper=keeper, checkpoint_steps=1)
    assert keeper.saved == [(0, 1), (0, 2)]


class Poisoned(nn.Module):
    """Gives infinite logits from its third training step on."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.calls = linear(), 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        return self.net(images) * (float("inf") if self.training and self.calls >= 8 else 1.0)


def test_a_loss_that_is_no_number_stops_the_run_and_says_where(data):
    with pytest.raises(CutmixError, match=r"training loss at step 3 of epoch 2 is nan \(learning rate 0\.1\)"):
        fit(Poisoned(), data, mixing=NoMixing(), schedule=Constant(), settings=settings())


def test_a_batch_of_one_with_batch_norm_is_explained(data):
    model = nn.Sequential(nn.Conv2d(3, 4, 12), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(UsageError, match="batch of 1"):
        fit(model, data, mixing=NoMixing(), schedule=Constant(), settings=settings(batch_size=1))


def test_training_errors_are_weighted_by_both_labels(data):
    """A network that always says class 0, and boxes of a known share: the error is the share of the other labels."""

    class AlwaysZero(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.tensor([50.0, 0.0, 0.0]))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.bias.expand(len(images), 3)

    plans = []

    class Watched(CutMix):
        def weigh(self, plan):
            plans.append(plan)
            return plan

    state = fit(AlwaysZero(), data, mixing=Watched(), schedule=Constant(), settings=settings(epochs=1, lr=1e-9))
    shares = []
    for plan, (_, labels, _) in zip(plans, train_batches(data, batch_size=10, seed=0).epoch(0), strict=True):
        target = plan.targets(labels)
        right = target.share * (target.labels == 0) + (1 - target.share) * (target.partner_labels == 0)
        shares.extend(right.tolist())
    assert state.history[0]["train_error"] == pytest.approx(100 * (1 - np.mean(shares)), abs=1e-4)
    assert state.history[0]["test_error_top1"] == pytest.approx(100 * 2 / 3, abs=1e-4)


def test_every_step_is_shown_where_the_display_wants_it(data):
    seen: list[StepInfo] = []

    class Watch(Silent):
        def wants_step(self, step: int, steps: int) -> bool:
            return True

        def step(self, info: StepInfo) -> None:
            seen.append(info)

    fit(linear(), data, mixing=NoMixing(), schedule=Constant(), settings=settings(), display=Watch())
    assert [(info.epoch, info.step, info.images) for info in seen] == [
        (epoch, step, 10 if step < 4 else 8) for epoch in range(2) for step in range(5)
    ]


@pytest.mark.parametrize("changes", [{"compile": True}, {"channels_last": True}, {"amp": "bf16"}])
def test_other_ways_to_compute_train_as_well(data, changes, monkeypatch):
    compiled = []
    compile = nn.Module.compile
    # The real backend builds C++ for half a minute; that it is asked for, and that the run works on, is the point here.
    monkeypatch.setattr(nn.Module, "compile", lambda self: (compiled.append(self), compile(self, backend="eager")))
    state = fit(linear(), data, mixing=CutMix(), schedule=Constant(), settings=settings(epochs=6, lr=0.02, **changes))
    losses = [record["test_loss"] for record in state.history]
    assert losses[-1] < losses[0]
    assert len(compiled) == int(changes.get("compile", False))


def test_every_third_epoch_and_the_last_are_tested(data):
    """Epochs 3 and 5 of 5; what is trained does not depend on it, and the best is one that was tested."""
    models = [linear(), linear()]
    states = [
        fit(model, data, mixing=NoMixing(), schedule=Constant(), settings=settings(epochs=5, test_every=every))
        for model, every in zip(models, (1, 3))
    ]
    assert torch.equal(weights(models[0]), weights(models[1]))
    often, seldom = (state.history for state in states)
    tested = [record["epoch"] for record in seldom if "test_error_top1" in record]
    assert tested == [3, 5]
    assert [seldom[k]["test_error_top1"] for k in (2, 4)] == [often[k]["test_error_top1"] for k in (2, 4)]
    assert states[1].best["epoch"] in (3, 5)


def test_the_layers_are_told_before_each_step_how_far_the_training_is(data):
    class Told(NoiseLayer):
        def __init__(self):
            super().__init__(scheduled=True)
            self.seen = []

        def forward(self, x_BCHW):
            if self.training:
                self.seen.append(float(self.progress))
            return x_BCHW

    layer = Told()
    fit(nn.Sequential(layer, *linear()), data, mixing=NoMixing(), schedule=Constant(), settings=settings(batch_size=24))
    assert layer.seen == [0.0, 0.25, 0.5, 0.75]  # two epochs of two steps
