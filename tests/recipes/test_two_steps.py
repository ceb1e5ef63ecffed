"""Every recipe, found by looking, is trained for two steps, as ``cutmix train`` does it.

On noise that looks like its data: as many classes and channels, four images, at a smaller side where the network is
deep. Trained weights are left out, the learning rate is one that two images can bear, and nothing is written; all else
is what the recipe says.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cutmix.data import IMAGENET_MEAN, IMAGENET_STD, ArraySplit, Data, PhotoSplit
from cutmix.recipes import names
from cutmix.recipes.build import seeded_model, without_pretrained
from cutmix.recipes.calls import Call, parse_call
from cutmix.recipes.recipe import Recipe
from cutmix.recipes.start import train

RECIPES = names.recipes()
CLASSES = {
    "cifar10": 10,
    "cifar100": 100,
    "fashion_mnist": 10,
    "digits": 10,
    "imagenet": 1000,
    "folder": 3,
    "cub200": 200,
    "tiny_imagenet": 200,
}
SIDES = {"cifar10": 32, "cifar100": 32, "fashion_mnist": 28, "digits": 8, "tiny_imagenet": 64}
BATCH, STEPS = 2, 2
DEEP, DEEP_SIDE = "PyramidNet(depth=200", 8
PHOTO_SIDE = 64


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> tuple[Path, ...]:
    """Four pictures of 70x60."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    paths = tuple(folder / f"{number}.png" for number in range(BATCH * STEPS))
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (60, 70, 3), dtype=np.uint8)).save(path)
    return paths


def noise(kind: str, side: int, photos: tuple[Path, ...]) -> Data:
    """Data of this kind, of which the first two classes have images."""
    labels = np.arange(BATCH * STEPS) % 2
    classes = tuple(f"class {number}" for number in range(CLASSES[kind]))
    if kind in SIDES:
        pixels = np.random.default_rng(0).integers(0, 256, (len(labels), side, side, 3), dtype=np.uint8)
        split: ArraySplit | PhotoSplit = ArraySplit(pixels, labels)
    else:
        split = PhotoSplit(photos, labels)
    return Data(kind, classes, split, split.subset([0, 1]), IMAGENET_MEAN, IMAGENET_STD, side, flip=True)


def cheaper(recipe: Recipe) -> Recipe:
    """The recipe for four images: two a step, without trained weights, photos at a smaller side."""
    changes: dict[str, Any] = {"epochs": 1, "batch_size": BATCH, "lr": 1e-4, "train_images": 0}
    changes |= {"init": "", "new_head": False}
    if recipe.model:
        changes["model"] = str(without_pretrained(parse_call(recipe.model)))
    if recipe.image_size:
        changes["image_size"] = PHOTO_SIDE
    if recipe.augment.startswith(("PhotoCrop", "SquareCrop")):
        crop = parse_call(recipe.augment)
        smaller = {"size": PHOTO_SIDE, **({"resize": PHOTO_SIDE + 8} if crop.name == "SquareCrop" else {})}
        changes["augment"] = str(Call(crop.name, crop.args, {**crop.kwargs, **smaller}))
    return recipe.but(**changes)


@cache
def network(call: str, seed: int) -> Any:
    """Drawing the weights of a deep network takes longer than its two steps, and many recipes share one."""
    return seeded_model(parse_call(call), seed)


@dataclass
class Unwritten:
    """Stands where a run's folder does, and keeps what it is told in memory."""

    folder: Path
    recipe: dict[str, Any]
    data: Data
    rest: dict[str, Any] = field(default_factory=dict)

    def resume(self, state: Any, accelerator: Any) -> None: ...

    def first_batch(self, images_BCHW: Any, target: Any) -> None:
        assert images_BCHW.shape == (BATCH, 3, self.data.image_size, self.data.image_size)

    def save(self, state: Any, accelerator: Any) -> None: ...

    def how_to_go_on(self) -> str:
        return ""

    def close(self) -> None: ...

    def finish(self, state: Any, **about: Any) -> dict[str, Any]:
        return {"history": state.history, "recipe": self.recipe}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_for_two_steps(name, photos, tmp_path, monkeypatch):
    recipe = RECIPES[name]()
    kind = recipe.data.partition(":")[0]
    side = DEEP_SIDE if recipe.model.startswith(DEEP) else SIDES.get(kind, PHOTO_SIDE)
    monkeypatch.setattr("cutmix.data.load_data", lambda spec, root, **_: noise(spec.partition(":")[0], side, photos))
    monkeypatch.setattr("cutmix.recipes.build.seeded_model", lambda call, seed: copy.deepcopy(network(str(call), seed)))
    monkeypatch.setattr(
        "cutmix.training.run.Run", lambda folder, recipe, data, **rest: Unwritten(folder, recipe, data, rest)
    )
    result = train(cheaper(recipe), name="run", runs=tmp_path, cpu=True, workers=0)
    (epoch,) = result["history"]
    assert 0 < epoch["train_loss"] < 100
    assert math.isfinite(epoch["test_loss"])
    assert Recipe().but(**result["recipe"]).epochs == 1  # what a run would write down can be read back
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", RECIPES)
def test_drawn_images_are_as_many_of_each_class(name):
    recipe = RECIPES[name]()
    assert recipe.train_images % CLASSES[recipe.data.partition(":")[0]] == 0
