"""The paper's numbers: for the paper's settings, asked as the paper asked, and for no others."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from types import SimpleNamespace

import numpy as np
import pytest

from cutmix.data import IMAGENET_MEAN, IMAGENET_STD, ArraySplit, Data, PhotoSplit, default_augment
from cutmix.evaluation.accuracy import Accuracy
from cutmix.evaluation.fgsm import FGSM
from cutmix.evaluation.localization import Localization
from cutmix.evaluation.ood import OutOfDistribution
from cutmix.recipes.build import make_augment, make_mixing, make_regularizer, make_schedule, model_call
from cutmix.recipes.names import find_recipe, recipes
from cutmix.recipes.published import FGSM_ACCURACY, OUT_COLUMNS, OUT_SETS, Published, published

QUESTIONS = (Accuracy(), FGSM(), OutOfDistribution(out_sets=("uniform",)), Localization())
SMALL = ArraySplit(np.zeros((2, 32, 32, 3), np.uint8), np.array([0, 1]))
PHOTOS = PhotoSplit(("a.jpg", "b.jpg"), np.array([0, 1]))


def data_for(name: str) -> Data:
    """A set of that kind and size; published() looks at no image."""
    split, size = (SMALL, 32) if name.startswith("cifar") else (PHOTOS, 224)
    return Data(name, ("a", "b"), split, split, IMAGENET_MEAN, IMAGENET_STD, size, flip=True)


def written(name: str, **changes) -> dict:
    """The recipe as a run leaves it: with nothing left to choose."""
    recipe = find_recipe(name).but(**changes)
    data = data_for(recipe.data)
    return recipe.but(
        mixing=repr(make_mixing(recipe.mixing)),
        regularizer=repr(make_regularizer(recipe.regularizer)),
        schedule=repr(make_schedule(recipe.schedule)),
        augment=repr(make_augment(recipe.augment) if recipe.augment else default_augment(data)),
        model=str(model_call(recipe.model, num_classes=data.num_classes, image_size=data.image_size)),
        image_size=data.image_size,
        seed=3,
    ).as_dict()


def found(recipe, questions=QUESTIONS, **data):
    name = recipe["data"]
    return published(recipe, name, replace(data_for(name), **data), questions)


def test_the_papers_own_recipe_has_the_papers_numbers():
    numbers = found(written("cifar100.pyramidnet200_cutmix"))
    assert numbers["accuracy/top1"] == Published(85.53, "Table 5, best epoch")
    assert numbers["accuracy/top5"] == Published(97.03, "Table 5, best epoch")
    assert numbers["ood/LSUN/msp/auroc"] == Published(90.3, "Appendix table 2")
    assert numbers["ood/uniform/msp/detection"] == Published(99.7, "Appendix table 2")
    assert found(written("cifar100.pyramidnet200"))["accuracy/top1"].value == 83.55
    assert found(written("cifar100.pyramidnet200_mixup"))["ood/uniform/msp/auroc"].value == 0.8
    assert found(written("imagenet.resnet50_cutmix"))["fgsm/accuracy"] == Published(31.0, "Table 11")
    assert found(written("localization.cub_resnet50_cutmix")) == {"localization/top1": Published(54.81, "Table 9")}


def test_what_a_recipe_claims_is_what_is_found():
    """Every row that the paper trained itself, with the numbers that an evaluation has a name for."""
    for name, function in recipes().items():
        claim = function.__dict__.get("claim")
        if claim is None or claim.copied or "top1" not in claim.values:
            continue
        assert found(written(name))["accuracy/top1"].value == round(100 - claim.values["top1"], 2), name


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 30}, {"data": "cifar10", "model": "ResNet(depth=20)"}, {"mixing": "CutMix(alpha=0.7)"}, {"lr": 0.1},
     {"model": "PyramidNet(depth=200, alpha=200)"}, {"mixing": "Mixup(alpha=0.7)"}, {"label_smoothing": 0.1},
     {"regularizer": "DropBlock(block_size=3, keep_prob=0.9)"}, {"train_images": 200}, {"augment": "NoAugment()"},
     {"mixing": "CutMix(alpha=1.0, prob=1.0)"}, {"schedule": "Cosine()"}],
)  # fmt: skip
def test_another_setting_has_none(changes):
    assert found(written("cifar100.pyramidnet200_cutmix", **changes)) == {}


def test_layer_noise_beside_the_mixing_is_another_row():
    both = found(written("cifar100.pyramidnet200_cutmix", regularizer="ShakeDrop(last=0.5)"))
    assert both == {
        "accuracy/top1": Published(86.19, "Table 5, best epoch"),
        "accuracy/top5": Published(97.71, "Table 5, best epoch"),
    }


def test_another_network_of_that_name_has_none():
    assert found(written("imagenet.resnet50", model="ResNet(depth=50, stem='imagenet', last_stride=1)")) == {}


def test_a_recipe_of_another_version_has_none():
    recipe = written("cifar100.pyramidnet200")
    assert found({**recipe, "mixing": "Something()"}) == found({**recipe, "model": "PyramidNet(deepness=200)"}) == {}


def test_other_data_than_it_was_trained_on_has_none():
    recipe = written("cifar100.pyramidnet200")
    assert published(recipe, "arrays:elsewhere", data_for("cifar100"), QUESTIONS) == {}


def test_photos_of_another_size_have_none():
    assert found(written("imagenet.resnet50"))
    assert found({**written("imagenet.resnet50"), "augment": "PhotoCrop(size=160)"}, image_size=160) == {}


def test_a_question_that_the_paper_asked_otherwise_has_none():
    recipe = written("imagenet.resnet50_cutmix")
    assert "fgsm/accuracy" not in found(recipe, [FGSM(eps=2 / 255)])
    assert found(recipe, [FGSM()]) == {"fgsm/accuracy": Published(31.0, "Table 11")}
    cub = written("localization.cub_resnet50")
    assert found(cub, [Localization(threshold=0.2)]) == {}
    assert found(cub, [SimpleNamespace(name="other")]) == {}


def test_a_network_whose_training_is_not_known_has_none():
    assert published(None, "cifar100", data_for("cifar100"), QUESTIONS) == {}


def test_the_tables_name_recipes():
    assert set(FGSM_ACCURACY) | set(OUT_SETS) <= set(recipes())


def test_table_12_is_the_mean_of_appendix_table_2():
    """The paper prints both; the plain means of one are the other."""
    table_12 = {"": (26.3, 87.3, 82.0), "_mixup": (11.8, 49.3, 60.9), "_cutout": (18.8, 68.7, 71.3),
                "_cutmix": (69.0, 94.4, 89.1)}  # fmt: skip
    for method, printed in table_12.items():
        rows = OUT_SETS[f"cifar100.pyramidnet200{method}"].values()
        means = [fmean(row[column] for row in rows) for column in range(len(OUT_COLUMNS))]
        assert means == pytest.approx(printed, abs=0.051)
