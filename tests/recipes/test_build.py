"""From names to objects."""

from __future__ import annotations

import pytest
import torch

from cutmix.data import IMAGENET_MEAN, IMAGENET_STD, CropFlip, PhotoCrop, load_data
from cutmix.errors import CutmixError, UsageError
from cutmix.mixing import CutMix, NoMixing
from cutmix.models import DropBlock, ShakeDrop, StochasticDepth, Together
from cutmix.models.shakedrop import ShakeDropLayer
from cutmix.recipes.build import (
    build,
    make_augment,
    make_mixing,
    make_model,
    make_regularizer,
    model_call,
    pretrained_input,
    seeded_model,
    without_pretrained,
)
from cutmix.recipes.calls import parse_call
from cutmix.recipes.recipe import Recipe
from cutmix.training.schedules import Cosine


def test_mixings_are_found_whatever_their_case_and_by_none():
    assert make_mixing("CutMix(alpha=0.3, prob=0.5)") == CutMix(alpha=0.3, prob=0.5)
    assert make_mixing("cutmix") == CutMix()
    assert make_mixing("none") == NoMixing()


def test_augments():
    assert make_augment("CropFlip(padding=3)") == CropFlip(padding=3)
    assert make_augment("photocrop(size=96)") == PhotoCrop(size=96)


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("", 32, "ResNet(depth=20, bottleneck=False, num_classes=7, stem='cifar')"),
        ("", 224, "ResNet(depth=18, num_classes=7, stem='imagenet')"),
        ("ResNet(depth=50)", 224, "ResNet(depth=50, num_classes=7, stem='imagenet')"),
        ("resnet(depth=50, stem='cifar')", 224, "ResNet(depth=50, stem='cifar', num_classes=7)"),
        ("PyramidNet(110, 64)", 32, "PyramidNet(110, 64, num_classes=7, stem='cifar')"),
        ("PyramidNet(110, 64, 5)", 32, "PyramidNet(110, 64, 5, stem='cifar')"),
        ("torchvision.resnet18", 224, "torchvision.resnet18(num_classes=7)"),
        ("resnet18(weights=None)", 224, "resnet18(weights=None, num_classes=7)"),
        ("timm.resnet10t(num_classes=9)", 64, "timm.resnet10t(num_classes=9)"),
    ],
)
def test_what_the_data_decides_is_filled_in(text, size, expected):
    assert str(model_call(text, num_classes=7, image_size=size)) == expected


def test_a_filled_call_is_left_as_it_is():
    call = model_call("ResNet(depth=20)", num_classes=7, image_size=32)
    assert model_call(str(call), num_classes=9, image_size=224) == call


@pytest.mark.parametrize("text", ["torchvision.resnet18", "resnet18", "timm.resnet10t"])
def test_networks_of_libraries_are_made(text):
    model = make_model(model_call(text, num_classes=3, image_size=64))
    assert model.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("torchvision.resnet19", "Did you mean 'resnet18'"),
        ("timm.resnet50zz", "resnet50"),
        ("tensorflow.resnet50", "unknown network 'tensorflow.resnet50'"),
        ("PyramidNett", "Did you mean 'PyramidNet'"),
    ],
)
def test_unknown_networks_get_the_nearest_name(text, said):
    with pytest.raises(UsageError, match=said):
        make_model(model_call(text, num_classes=3, image_size=64))


def test_initial_weights_follow_from_the_seed_alone():
    call = parse_call("ResNet(depth=8, bottleneck=False)")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = seeded_model(call, 5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again, other = seeded_model(call, 5), seeded_model(call, 6)
    assert torch.equal(first.conv1.weight, again.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_a_recipe_becomes_parts_with_nothing_left_to_choose(tiny_arrays):
    recipe = Recipe(data=f"arrays:{tiny_arrays}", mixing="cutmix", schedule="cosine(warmup=2)")
    parts = build(recipe)
    assert parts.mixing == CutMix()
    assert parts.schedule == Cosine(warmup=2)
    assert parts.recipe.mixing == "CutMix(alpha=1.0, prob=1.0, scope='per_batch', geometry='paper')"
    assert parts.recipe.model == "ResNet(depth=20, bottleneck=False, num_classes=3, stem='cifar')"
    assert parts.recipe.augment == "CropFlip(padding=1, flip=True)"
    assert parts.recipe.image_size == 12
    assert build(parts.recipe).recipe == parts.recipe


def test_training_starts_from_given_weights(tiny_arrays, tmp_path):
    recipe = Recipe(data=f"arrays:{tiny_arrays}", model="ResNet(depth=8, bottleneck=False)", seed=4)
    source = build(recipe).model
    torch.save({"state_dict": {f"module.{k}": v for k, v in source.state_dict().items()}}, tmp_path / "w.pth.tar")
    other = build(recipe.but(seed=5, init=str(tmp_path / "w.pth.tar"))).model
    assert torch.equal(other.conv1.weight, source.conv1.weight)
    with pytest.raises(CutmixError, match="layer1.1"):
        build(recipe.but(model="ResNet(depth=14, bottleneck=False)", init=str(tmp_path / "w.pth.tar")))


def test_a_typing_error_is_found_before_the_data_is_read():
    with pytest.raises(UsageError, match="unknown mixing"):
        build(Recipe(data="folder:/nowhere", mixing="CutMax"))
    with pytest.raises(UsageError, match="unknown schedule"):
        build(Recipe(data="folder:/nowhere", schedule="Cosin"))
    with pytest.raises(UsageError, match="unknown network"):
        build(Recipe(data="folder:/nowhere", model="ResNext50"))


def test_the_regularizer_is_put_in_and_the_initial_weights_are_those_of_the_baseline(tiny_arrays):
    recipe = Recipe(data=f"arrays:{tiny_arrays}", model="ResNet(depth=8, bottleneck=False)", seed=4)
    plain, noisy = build(recipe).model, build(recipe.but(regularizer="shakedrop(last=0.3)"))
    assert noisy.recipe.regularizer == repr(ShakeDrop(last=0.3))
    assert [m.drop for m in noisy.model.modules() if isinstance(m, ShakeDropLayer)] == pytest.approx([0.1, 0.2, 0.3])
    for (name, ours), (other, theirs) in zip(plain.state_dict().items(), noisy.model.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(ours, theirs)


def test_several_regularizers_at_once():
    text = "Together(DropBlock(keep_prob=0.8), StochasticDepth())"
    assert make_regularizer(text) == Together(DropBlock(keep_prob=0.8), StochasticDepth())


def test_a_regularizer_that_does_not_fit_is_refused(tiny_arrays):
    recipe = Recipe(data="folder:/nowhere", regularizer="ShakeDorp()")
    with pytest.raises(UsageError, match=r"unknown regularizer.*Did you mean 'ShakeDrop'"):
        build(recipe)
    mobile = recipe.but(data=f"arrays:{tiny_arrays}", model="torchvision.squeezenet1_1", regularizer="ShakeDrop()")
    with pytest.raises(UsageError, match="no residual blocks"):
        build(mobile)


HALVES = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ResNet(depth=20)", None),
        ("torchvision.resnet18(num_classes=7)", None),
        ("resnet18(weights=None)", None),
        ("timm.vit_tiny_patch16_224(pretrained=False)", None),
        ("resnet18(weights='DEFAULT')", (IMAGENET_MEAN, IMAGENET_STD)),
        ("torchvision.efficientnet_v2_l(weights='DEFAULT', num_classes=7)", HALVES),
        ("efficientnet_v2_l(7, 'IMAGENET1K_V1')", HALVES),
        ("timm.vit_tiny_patch16_224(pretrained=True)", HALVES),
        ("timm.vit_tiny_patch16_224(7, True)", HALVES),
    ],
)
def test_trained_weights_bring_the_constants_of_their_images(text, expected):
    found = pretrained_input(parse_call(text))
    assert (found and found.normalisation) == expected


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("ResNet(depth=20, num_classes=7)", "ResNet(depth=20, num_classes=7)"),
        ("resnet18(weights=None)", "resnet18(weights=None)"),
        ("torchvision.resnet18(weights='DEFAULT', num_classes=7)", "torchvision.resnet18(num_classes=7)"),
        ("resnet18(7, 'DEFAULT')", "resnet18(7)"),
        ("vit_b_16(7, weights='IMAGENET1K_SWAG_E2E_V1')", "vit_b_16(7, image_size=384)"),
        ("googlenet(weights='DEFAULT')", "googlenet(transform_input=True)"),
        ("googlenet(weights='DEFAULT', transform_input=False)", "googlenet(transform_input=False)"),
        ("timm.resnet10t(pretrained=True, num_classes=7)", "timm.resnet10t(num_classes=7)"),
        ("timm.resnet10t(7, True, drop_rate=0.3)", "timm.resnet10t(7, drop_rate=0.3)"),
    ],
)
def test_a_network_without_its_trained_weights_keeps_its_shape(text, without):
    assert str(without_pretrained(parse_call(text))) == without


def test_a_recipe_with_trained_weights_normalises_as_they_were_trained(tiny_arrays, monkeypatch):
    from torchvision.models import _api, get_model

    torch.manual_seed(8)
    trained = get_model("mobilenet_v3_small").state_dict()
    monkeypatch.setattr(_api, "load_state_dict_from_url", lambda *_, **__: trained)
    recipe = Recipe(data=f"arrays:{tiny_arrays}", model="mobilenet_v3_small(weights='DEFAULT')")
    parts = build(recipe)
    assert torch.equal(parts.model.features[0][0].weight, trained["features.0.0.weight"])
    assert (parts.data.mean, parts.data.std) == (IMAGENET_MEAN, IMAGENET_STD)
    bare = build(recipe.but(model="mobilenet_v3_small"))
    assert bare.data.mean == load_data(f"arrays:{tiny_arrays}").mean != IMAGENET_MEAN


@pytest.mark.parametrize("noted", [True, False])
def test_a_checkpoint_to_start_from_brings_its_constants_where_it_notes_them(tiny_arrays, tmp_path, noted):
    recipe = Recipe(data=f"arrays:{tiny_arrays}", model="ResNet(depth=8, bottleneck=False)")
    plain = build(recipe)
    constants = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    about = {"cutmix": constants} if noted else {}
    torch.save({"state_dict": plain.model.state_dict(), **about}, tmp_path / "w.pth.tar")
    data = build(recipe.but(init=str(tmp_path / "w.pth.tar"))).data
    expected = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)) if noted else (plain.data.mean, plain.data.std)
    assert (data.mean, data.std) == expected
