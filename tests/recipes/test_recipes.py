"""Every recipe, found by looking: its names are names, its network can be made, its docstring says what it is."""

from __future__ import annotations

import pytest
import torch

from cutmix.recipes import names
from cutmix.recipes.build import make_augment, make_mixing, make_model, model_call, without_pretrained
from cutmix.recipes.calls import construct, parse_call
from cutmix.recipes.listing import first_line, rows

RECIPES = names.recipes()
SIZES = {
    "cifar10": (10, 32),
    "cifar100": (100, 32),
    "imagenet": (1000, 224),
    "digits": (10, 8),
    "fashion_mnist": (10, 28),
    "folder": (3, 224),
    "cub200": (200, 224),
    "tiny_imagenet": (200, 64),
}


def test_recipes_are_found():
    assert {"small.digits", "cifar100.pyramidnet200_cutmix", "imagenet.resnet50_cutmix", "own.photos"} <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_every_part_of_every_recipe_can_be_made(name):
    recipe = RECIPES[name]()
    classes, size = SIZES[recipe.data.partition(":")[0]]
    with torch.device("meta"):
        network = make_model(without_pretrained(model_call(recipe.model, num_classes=classes, image_size=size)))
    assert sum(p.numel() for p in network.parameters()) > 10_000
    assert make_mixing(recipe.mixing)
    assert construct(parse_call(recipe.schedule), names.schedules(), "schedule")
    assert recipe.augment == "" or make_augment(recipe.augment)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_what_it_is(name):
    assert 20 < len(first_line(RECIPES[name])) < 160
    assert first_line(RECIPES[name])[-1] in ".:)"
    assert "``" not in first_line(RECIPES[name])  # it is printed as it stands


def test_the_papers_networks_have_the_papers_sizes():
    counts = {}
    for name in ("cifar100.pyramidnet200_cutmix", "imagenet.resnet50_cutmix"):
        recipe = RECIPES[name]()
        classes, size = SIZES[recipe.data]
        with torch.device("meta"):
            network = make_model(model_call(recipe.model, num_classes=classes, image_size=size))
        counts[name] = sum(p.numel() for p in network.parameters())
    assert counts == {"cifar100.pyramidnet200_cutmix": 26_844_952, "imagenet.resnet50_cutmix": 25_557_032}


def test_every_list_has_rows_with_a_name_and_a_line():
    for what in ("recipes", "methods", "models", "data"):
        found = rows(what)
        assert found
        assert all(name and about for name, about in found), what
