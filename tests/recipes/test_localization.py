"""Table 9: the paper's numbers and settings, and a run by its protocol on photos made up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from cutmix.errors import UsageError
from cutmix.models import ResNet
from cutmix.recipes import localization
from cutmix.recipes.build import build
from cutmix.recipes.claim import claim_of
from cutmix.recipes.names import recipes_of
from cutmix.recipes.recipe import Recipe
from cutmix.recipes.start import train
from cutmix.recipes.trained import as_trained, load_trained

TABLE_9 = {  # plain, Mixup, Cutout, CutMix
    "cub_resnet50": (49.41, 49.30, 52.78, 54.81),
    "cub_vgg_gap": (37.12, 41.73, 44.83, 52.53),
    "imagenet_resnet50": (46.30, 45.84, 46.69, 47.25),
    "imagenet_vgg_gap": (42.73, 42.54, 43.13, 43.45),
}


def test_the_papers_numbers():
    found = recipes_of(localization)
    for row, values in TABLE_9.items():
        for method, value in zip(("", "_mixup", "_cutout", "_cutmix"), values):
            claim = claim_of(found.pop(f"localization.{row}{method}"))
            assert claim is not None
            assert claim.values == {"top1_loc": value}
    assert not found


def test_the_papers_settings():
    def rates(recipe: Recipe) -> tuple:
        return recipe.lr, recipe.lr * recipe.head_lr, recipe.epochs, recipe.batch_size, recipe.schedule

    assert rates(localization.cub_resnet50_cutmix()) == (0.001, 0.01, 600, 32, "Every(epochs=150)")
    assert rates(localization.cub_vgg_gap_mixup()) == (0.0001, 0.001, 600, 32, "Every(epochs=150)")
    assert rates(localization.imagenet_resnet50()) == (0.01, 0.1, 20, 256, "Every(epochs=6)")
    assert rates(localization.imagenet_vgg_gap_cutout()) == (0.01, 0.1, 20, 256, "Every(epochs=6)")


@pytest.fixture
def photos(tmp_path):
    """Two classes of photos that are not square."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("val", 2)):
        for label, name in enumerate(("dark", "light")):
            for number in range(count):
                path = tmp_path / "photos" / part / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = rng.integers(100 * label, 100 * label + 100, (70, 90, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


@pytest.fixture
def wanted(photos, tmp_path) -> Recipe:
    """The protocol, on a network small enough, from a checkpoint of other classes."""
    torch.manual_seed(1)
    trained = ResNet(depth=18, num_classes=7, stem="imagenet")
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "other.pth")
    return localization.cub_resnet50_cutmix().but(
        data=f"folder:{photos}",
        model="ResNet(depth=18, stem='imagenet', last_stride=1)",
        init=str(tmp_path / "other.pth"),
        augment="SquareCrop(resize=80, size=72)",
        image_size=72,
        epochs=1,
        batch_size=4,
    )


def test_the_protocol_starts_from_trained_weights_with_a_new_head(wanted, tmp_path):
    parts = build(wanted)
    trained = torch.load(tmp_path / "other.pth", weights_only=True)["state_dict"]
    assert torch.equal(parts.model.layer4[1].conv2.weight, trained["layer4.1.conv2.weight"])
    assert parts.model.fc.weight.shape == (2, 512)
    assert (parts.data.squared, parts.data.image_size) == (80, 72)
    assert parts.model.forward_features(torch.zeros(1, 3, 72, 72)).shape[2:] == (5, 5)


def test_a_run_is_tested_later_in_the_views_of_its_training(wanted, tmp_path):
    train(wanted, name="run", runs=tmp_path, cpu=True, workers=0)
    trained = load_trained(str(tmp_path / "run"))
    assert trained.squared == 80
    plain = build(wanted.but(augment="", init="", new_head=False)).data
    assert plain.squared == 0
    assert as_trained(trained, plain).squared == 80


def test_a_librarys_weights_are_named_as_a_call(wanted, monkeypatch):
    from cutmix.models import library

    def made(name, num_classes=None, weights=None, **kwargs):
        assert (name, weights) == ("resnet18", "IMAGENET1K_V1")
        return ResNet(depth=18, num_classes=1000, stem="imagenet")

    monkeypatch.setattr(library, "torchvision_model", made)
    parts = build(wanted.but(init="torchvision.resnet18(weights='IMAGENET1K_V1')"))
    assert parts.data.mean == (0.485, 0.456, 0.406)
    with pytest.raises(UsageError, match="untrained network"):
        build(wanted.but(init="torchvision.resnet18()"))


def test_a_new_head_needs_weights_to_start_from():
    with pytest.raises(UsageError, match="there is no init"):
        Recipe(new_head=True)
