"""A step with a network: what is mixed where, that targets follow the cells, and that nothing else is touched."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from cutmix.errors import UsageError
from cutmix.mixing import (
    Compose,
    CutMix,
    Cutout,
    FeatureCutMix,
    FMix,
    Hidden,
    ManifoldMixup,
    MixedTarget,
    Mixer,
    Mixing,
    MixingCollate,
    MixUp,
    RandomChoice,
    ResizeMix,
    mixed_cross_entropy,
)
from cutmix.mixing.mixer import _is_channels_last, layer_path
from cutmix.models import PyramidNet, ResNet


class Staged(nn.Module):
    """A network with the usual names: 3 channels of 8x8, then 4 of 8x8, 4x4 and 2x2."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.layer1 = nn.Sequential(nn.Conv2d(4, 4, 2, 2), nn.ReLU(inplace=True))
            self.layer2 = nn.Conv2d(4, 4, 2, 2)
            self.fc = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer1(F.relu_(self.bn1(self.conv1(x)))))

    def head(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer2(x).flatten(1))


IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def step(mixer: Mixer, model: nn.Module, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss and the gradient of one step."""
    model.zero_grad()
    with mixer.mix(IMAGES, LABELS, rng(seed)) as mixed:
        loss = mixed_cross_entropy(model(mixed.images), mixed.target)
        loss.backward()
    return loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])


MIXINGS = [
    ManifoldMixup(layers=(2,)),
    ManifoldMixup(layers=(2,), scope="per_sample"),
    FeatureCutMix(layers=(1,), geometry="exact"),
    FeatureCutMix(layers=("layer1",), scope="per_sample", geometry="exact"),
]


@pytest.mark.parametrize("mixing", MIXINGS, ids=repr)
def test_it_is_the_plan_drawn_for_the_map_and_written_into_the_network_by_hand(mixing) -> None:
    model = Staged()
    with Mixer(mixing, model) as mixer:
        loss, gradient = step(mixer, model)
    plan, by_hand = mixing.draw(IMAGES.shape, rng()), Staged()
    first = by_hand.bn1(by_hand.conv1(IMAGES))
    if mixing.layers == (1,):
        drawn = plan.for_map((6, 4, 8, 8))
        logits = by_hand.head(by_hand.layer1(F.relu(drawn.apply(first))))
    else:
        drawn = plan.for_map((6, 4, 4, 4))
        logits = by_hand.head(drawn.apply(by_hand.layer1(F.relu(first))))
    target = drawn.targets(LABELS)
    assert (target.share < 1).any()
    expected = mixed_cross_entropy(logits, target)
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(gradient, torch.cat([p.grad.flatten() for p in by_hand.parameters()]))


def test_the_share_counts_the_cells_of_the_map() -> None:
    """At 4x4 cells a share is a number of sixteenths, which a box of 8x8 pixels need not be."""
    model = Staged()
    with Mixer(FeatureCutMix(layers=("layer1",)), model) as mixer:
        shares = set()
        for seed in range(20):
            with mixer.mix(IMAGES, LABELS, rng(seed)) as mixed:
                model(mixed.images)
                shares.add(float(mixed.target.share[0]) * 16)
    assert all(share == round(share) for share in shares)
    assert len(shares) > 3


@pytest.mark.parametrize("inner", [CutMix(geometry="exact"), FMix(), ResizeMix(0.5, 1.0), Cutout(size=2)], ids=repr)
def test_maps_that_are_not_square_have_boxes_in_their_rows_and_columns(inner) -> None:
    model = nn.Sequential()
    model.add_module("layer1", nn.Conv2d(3, 4, 2, 2))
    images = torch.randn(6, 3, 8, 12)
    shares = set()
    with Mixer(Hidden(inner, layers=("layer1",)), model) as mixer:
        for seed in range(10):
            with mixer.mix(images, LABELS, rng(seed)) as mixed:
                cells = model(mixed.images)
                shares.add(24 * float(mixed.target.share[0]))
            plain = nn.functional.conv2d(images, model.layer1.weight, model.layer1.bias, 2)
            drawn = Hidden(inner, layers=("layer1",)).draw(images.shape, rng(seed)).for_map((6, 4, 4, 6))
            assert torch.equal(cells, drawn.apply(plain))
    assert all(share == pytest.approx(round(share), abs=1e-5) for share in shares)
    assert len(shares) > 2 or not inner.mixes_labels


def test_layers_are_drawn_uniformly_and_zero_is_the_images() -> None:
    mixing = ManifoldMixup(layers=(0, "layer1", 3))
    source, counts = rng(), {0: 0, "layer1": 0, 3: 0}
    for _ in range(1500):
        plan = mixing.draw((6, 3, 8, 8), source)
        counts[0 if plan.layer is None else plan.layer] += 1
    assert all(abs(n - 500) < 4 * np.sqrt(1500 * 2 / 9) for n in counts.values())
    model = Staged()
    with Mixer(Hidden(CutMix(), layers=(0,)), model) as mixer, mixer.mix(IMAGES, LABELS, rng()) as mixed:
        assert mixed.target.share[0] < 1
        assert not torch.equal(mixed.images, IMAGES)
    assert not any(module._forward_hooks for module in model.modules())


def test_all_processes_have_the_same_layer_or_each_its_own() -> None:
    def layers(same_layer: bool) -> list[list[object]]:
        mixing = FeatureCutMix(same_layer=same_layer)
        return [[mixing.at(0.5, rng(step)).draw(IMAGES.shape, rng(9 * step + rank)).layer for step in range(30)]
                for rank in (1, 2)]  # fmt: skip

    first, second = layers(True)
    assert first == second
    assert set(first) == {1, 2, 3, 4}
    first, second = layers(False)
    assert first != second


@pytest.mark.parametrize("mixing", MIXINGS, ids=repr)
@pytest.mark.parametrize("reentrant", [True, False])
def test_maps_that_are_computed_again_are_mixed_as_they_were(mixing, reentrant) -> None:
    class Checkpointed(Staged):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv1(x)  # its output needs gradients, without which the reentrant form gives none
            x = checkpoint(lambda y: self.layer1(F.relu(self.bn1(y))), x, use_reentrant=reentrant)
            return self.head(x)

    plain, saving = Staged().eval(), Checkpointed().eval()
    plain.training = saving.training = True  # but not the norm, whose statistics would see the maps twice
    results = []
    for model in (plain, saving):
        with Mixer(mixing, model) as mixer:
            results.append(step(mixer, model))
    torch.testing.assert_close(results[0], results[1])


def test_nothing_happens_outside_of_the_step_or_in_evaluation() -> None:
    model, untouched = Staged(), Staged()
    mixer = Mixer(FeatureCutMix(layers=(1, 2)), model)
    average = copy.deepcopy(model)
    step(mixer, model)
    model.load_state_dict(untouched.state_dict())
    model.eval(), untouched.eval()
    assert torch.equal(model(IMAGES), untouched(IMAGES))
    with mixer.mix(IMAGES, LABELS, rng()) as mixed:
        assert torch.equal(model(mixed.images), untouched(IMAGES))
        assert (mixed.target.share == 1).all()
    model.train(), average.train()
    with mixer.mix(IMAGES, LABELS, rng()) as mixed:
        torch.testing.assert_close(average(mixed.images), Staged()(IMAGES))  # a copy has hooks that do nothing
        model(mixed.images)
        assert mixed.target is not None
    mixer.remove()
    assert not any(module._forward_hooks for module in model.modules())


def test_one_part_in_the_images_and_one_in_a_layer() -> None:
    model = Staged()
    mixing = Compose((Cutout(size=4), ManifoldMixup(layers=("layer1",))))
    with Mixer(mixing, model) as mixer, mixer.mix(IMAGES, LABELS, rng()) as mixed:
        plain = rng()
        hole = Cutout(size=4).draw(IMAGES.shape, plain)
        assert torch.equal(mixed.images, hole.apply(IMAGES))
        model(mixed.images)
        drawn = ManifoldMixup(layers=("layer1",)).draw(IMAGES.shape, plain).for_map((6, 4, 4, 4))
        assert mixed.target.share[0] == np.float32(drawn.share)
    other_way = Compose((CutMix(), Hidden(Cutout(size=2), layers=(2,))))
    with Mixer(other_way, model) as mixer, mixer.mix(IMAGES, LABELS, rng()) as mixed:
        model(mixed.images)
        assert torch.equal(mixed.target.soft(10), CutMix().draw(IMAGES.shape, rng()).targets(LABELS).soft(10))


def test_parts_of_a_batch_are_mixed_for_themselves_in_a_layer() -> None:
    model = Staged()
    with Mixer(ManifoldMixup(layers=(2,)), model) as mixer:
        parts = mixer.split(IMAGES, LABELS, rng(), parts=2)
        shares = []
        for number, part in enumerate(parts):
            with part:
                model(part.images)
                target = part.target
            assert part.images.shape[0] == 3
            assert set(target.partner_labels.tolist()) == {3 * number, 3 * number + 1, 3 * number + 2}
            shares.append(float(target.share[0]))
    assert shares[0] != shares[1]
    whole = Mixer(MixUp(), model).split(IMAGES, LABELS, rng(), parts=2)
    expected, target = MixUp()(IMAGES, LABELS, rng())
    assert torch.equal(torch.cat([part.images for part in whole]), expected)
    assert torch.equal(torch.cat([part.target.soft(10) for part in whole]), target.soft(10))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mixing", MIXINGS, ids=repr)
def test_mixed_precision(mixing, dtype) -> None:
    model = Staged()
    with Mixer(mixing, model) as mixer, mixer.mix(IMAGES, LABELS, rng()) as mixed:
        with torch.autocast("cpu", dtype):
            logits = model(mixed.images)
        loss = mixed_cross_entropy(logits, mixed.target)
        loss.backward()
    assert logits.dtype == dtype
    assert loss.isfinite()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's own, as it compiles
def test_a_compiled_network_is_not_compiled_again_for_each_step() -> None:
    from torch._dynamo.testing import CompileCounter

    model, counter, plain = Staged(), CompileCounter(), Staged()
    mixing = RandomChoice((CutMix(), FeatureCutMix(layers=(1, 2)), ManifoldMixup(layers=(0, 2))))
    with Mixer(mixing, model) as mixer, Mixer(mixing, plain) as plain_mixer:
        model.compile(backend=counter)
        step(mixer, model)
        compiled = counter.frame_count
        for seed in range(6):
            torch.testing.assert_close(step(mixer, model, seed), step(plain_mixer, plain, seed))
            plain.load_state_dict(model.state_dict())
        assert counter.frame_count == compiled > 0
    torch._dynamo.reset()


def test_layers_of_our_networks_and_other_libraries() -> None:
    import timm
    import torchvision

    ours = [ResNet(depth=8, bottleneck=False, num_classes=3), PyramidNet(depth=20, alpha=9, bottleneck=False)]
    cases = [
        *((network, (1, 2, 3, 4), 32) for network in ours),
        (torchvision.models.mobilenet_v3_small(num_classes=3), ("features.4", "features"), 32),
        (timm.create_model("resnet10t", num_classes=3), (2, 5, "layer3.0.conv2"), 32),
        (timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=32, depth=2), ("blocks.0",), 32),
    ]
    for model, layers, side in cases:
        images, labels = torch.randn(4, 3, side, side), torch.tensor([0, 1, 2, 0])
        for layer in layers:
            is_vit = layer == "blocks.0"
            mixing = ManifoldMixup(layers=(layer,)) if is_vit else FeatureCutMix(layers=(layer,))
            with Mixer(mixing, model) as mixer, mixer.mix(images, labels, rng()) as mixed:
                mixed_cross_entropy(model(mixed.images), mixed.target).backward()


def test_a_layer_that_is_not_there_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"no layer 'layer7' \(number 8 of the paper\).*: conv1, bn1"):
        Mixer(FeatureCutMix(layers=(1, 8)), Staged())
    with pytest.raises(UsageError, match=r"no layer 'layr1'\. Did you mean 'layer1'\?"):
        Mixer(Hidden(layers="layr1"), Staged())
    assert [layer_path(Staged(), layer) for layer in (1, 2, 3, "layer1.0")] == ["bn1", "layer1", "layer2", "layer1.0"]


class Odd(nn.Module):
    def __init__(self, forward) -> None:
        super().__init__()
        self.act, self.pair, self.flat = nn.ReLU(), nn.RNN(2, 2), nn.Flatten()
        self.way = forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.way(self, x)


@pytest.mark.parametrize(
    ("layer", "way", "message"),
    [
        ("act", lambda net, x: net.act(net.act(x)), "'act' is called more than once"),
        ("act", lambda net, x: x, "Nothing has come through layer 'act'"),
        ("pair", lambda net, x: net.pair(x[:, 0, :2, :2])[0], "Layer 'pair' must give a batch of maps.*not tuple"),
        ("flat", lambda net, x: net.flat(x), r"Layer 'flat' gives \(6, 192\)\. A box needs images"),
    ],
)
def test_a_layer_that_cannot_be_mixed_is_refused(layer, way, message) -> None:
    model = Odd(way)

    def target(forward: bool) -> None:
        with mixer.mix(IMAGES, LABELS, rng()) as mixed:
            if forward:
                model(mixed.images)
            assert mixed.target

    with Mixer(FeatureCutMix(layers=(layer,)), model) as mixer:
        with pytest.raises(UsageError, match=message):
            target(forward=True)
        with pytest.raises(UsageError, match="after the forward pass"):
            target(forward=False)


@pytest.mark.parametrize(
    ("shape", "images_HW", "channels_last"),
    [
        ((4, 96, 8, 8), (32, 32), False),
        ((4, 8, 8, 96), (32, 32), True),
        ((4, 8, 8, 8), (32, 32), False),  # not known: taken for the usual one
        ((4, 8, 6, 4), (48, 32), False),
        ((4, 6, 4, 8), (48, 32), True),
        ((4, 64, 109, 77), (224, 160), False),  # a stem without a border
        ((4, 5, 7, 3), (32, 32), False),  # neither
        ((4, 64, 1, 1), (32, 32), False),
        ((4, 17, 192), (32, 32), False),
    ],
)
def test_whether_channels_come_last_is_told_by_the_proportion_of_the_images(shape, images_HW, channels_last) -> None:
    assert _is_channels_last(torch.Size(shape), images_HW) is channels_last


def test_boxes_in_maps_with_their_channels_last_are_refused_and_weights_are_not() -> None:
    from torchvision.models.swin_transformer import SwinTransformer

    swin = SwinTransformer([4, 4], embed_dim=12, depths=[1, 1], num_heads=[2, 2], window_size=[2, 2], num_classes=3)
    images, labels = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 0])

    def forward(mixing: Mixing) -> MixedTarget:
        with Mixer(mixing, swin) as mixer, mixer.mix(images, labels, rng()) as mixed:
            swin(mixed.images)
            return mixed.target

    for layer, shape in (("features.1", r"\(4, 8, 8, 12\)"), ("features", r"\(4, 4, 4, 24\)")):
        for inner in (CutMix(), FMix(), Cutout(size=2)):
            with pytest.raises(UsageError, match=rf"Layer '{layer}' gives {shape}\..* boxes need \(B, C, H, W\)"):
                forward(Hidden(inner, layers=(layer,)))
        assert (forward(ManifoldMixup(layers=(layer,))).share < 1).all()
    assert (forward(FeatureCutMix(layers=("permute",))).share < 1).all()


def test_a_batch_alone_cannot_be_mixed_in_a_layer() -> None:
    for mixing in (ManifoldMixup(), RandomChoice((CutMix(), FeatureCutMix()))):
        with pytest.raises(UsageError, match="needs one: Mixer"):
            mixing(IMAGES, LABELS, rng())
        with pytest.raises(UsageError, match="a loader has none"):
            MixingCollate(mixing, seed=0)
        with pytest.raises(UsageError, match="masks of its images cannot follow"):
            mixing.with_masks(IMAGES, torch.zeros(6, 8, 8), rng())


@pytest.mark.parametrize("layers", [(), (-1,), (1.5,), (True,)])
def test_layers_that_are_none_are_refused(layers) -> None:
    with pytest.raises(UsageError, match="layers="):
        ManifoldMixup(layers=layers)
