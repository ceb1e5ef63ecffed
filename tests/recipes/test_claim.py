"""The claims of the recipes against the paper's tables, typed here a second time."""

from __future__ import annotations

import pytest

from cutmix.recipes import names
from cutmix.recipes.claim import Claim, claim_of, claims, table_name
from cutmix.recipes.recipe import Recipe
from cutmix.recipes.table import recipe_rows

# Top-1 and top-5 error in %, arXiv 1905.04899v2; * stands in the paper for a number of another paper.
PAPER = {
    "3": """
        ResNet-152 21.69 5.94 *
        ResNet-101 + SE 20.94 5.50 *
        ResNet-101 + GE 20.74 5.29 *
        ResNet-50 + SE 22.12 5.99 *
        ResNet-50 + GE 21.88 5.80 *
        ResNet-50 (Baseline) 23.68 7.05
        ResNet-50 + Cutout 22.93 6.66
        ResNet-50 + StochDepth 22.46 6.27
        ResNet-50 + Mixup 22.58 6.40
        ResNet-50 + Manifold Mixup 22.50 6.21
        ResNet-50 + DropBlock 21.87 5.98 *
        ResNet-50 + Feature CutMix 21.80 6.06
        ResNet-50 + CutMix 21.40 5.92
    """,
    "4": """
        ResNet-101 (Baseline) 21.87 6.29
        ResNet-101 + Cutout 20.72 5.51
        ResNet-101 + Mixup 20.52 5.28
        ResNet-101 + CutMix 20.17 5.24
        ResNeXt-101 (Baseline) 21.18 5.57
        ResNeXt-101 + CutMix 19.47 5.03
    """,
    "5": """
        Baseline 16.45 3.69
        StochDepth 15.86 3.33
        Label smoothing 16.73 3.37
        Cutout 16.53 3.65
        Cutout + label smoothing 15.61 3.88
        DropBlock 15.73 3.26
        DropBlock + label smoothing 15.16 3.86
        Mixup (alpha 0.5) 15.78 4.04
        Mixup (alpha 1.0) 15.63 3.99
        Manifold Mixup (alpha 1.0) 16.14 4.07
        Cutout + Mixup (alpha 1.0) 15.46 3.42
        Cutout + Manifold Mixup (alpha 1.0) 15.09 3.35
        ShakeDrop 15.08 2.72
        CutMix 14.47 2.97
        CutMix + ShakeDrop 13.81 2.29
    """,
    "6": """
        PyramidNet-110 (alpha 64) 19.85 4.66
        PyramidNet-110 (alpha 64) + CutMix 17.97 3.83
        ResNet-110 23.14 5.95
        ResNet-110 + CutMix 20.11 4.43
    """,
    "7": """
        Baseline 3.85
        Cutout 3.10
        Mixup (alpha 1.0) 3.09
        Manifold Mixup (alpha 1.0) 3.15
        CutMix 2.88
    """,
    "8": """
        Baseline 16.45 3.69
        CutMix 14.47 2.97
        Center Gaussian CutMix 15.95 3.40
        Fixed-size CutMix 14.97 3.15
        One-hot CutMix 15.89 3.32
        Scheduled CutMix 14.72 3.17
        Complete-label CutMix 15.17 3.10
    """,
    "readme": """
        ResNet-50 + AutoAugment 22.40 *
        ResNet-152 + CutMix 19.20
    """,
}
RUNS = {"3": 0, "4": 0, "5": 3, "6": 3, "7": 3, "8": 3, "readme": 0}


def typed(table: str) -> dict[str, tuple[list[float], bool]]:
    """Row -> (its errors, whether they are copied), from the text above."""
    found = {}
    for line in PAPER[table].strip().splitlines():
        words = line.removesuffix("*").split()
        numbers = [word for word in words if word[0].isdigit() and "." in word and word[-1] != ")"]
        found[" ".join(words[: len(words) - len(numbers)])] = ([float(word) for word in numbers], line.endswith("*"))
    return found


@pytest.mark.parametrize("table", PAPER)
def test_every_row_of_the_papers_tables_is_there_with_the_papers_numbers(table):
    found = [row.claim for row in recipe_rows(table)]
    assert {claim.row: (list(claim.values.values()), claim.copied) for claim in found} == typed(table)
    assert len({claim.row for claim in found}) == len(found)
    for claim in found:
        assert tuple(claim.values) == ("top1", "top5")[: len(claim.values)]
        assert (claim.pick, claim.runs) == ("best", RUNS[table])


def test_figure_3_has_its_alphas_and_its_layers():
    rows = [row for row in recipe_rows("fig3") if row.name not in ("cifar100.pyramidnet200",)]
    mixings = {names.find_recipe(row.name).mixing: row.claim.values for row in rows}
    swept = {f"CutMix(alpha={alpha}, prob=0.5)": {} for alpha in (0.1, 0.25, 0.5, 2.0, 4.0)}
    layers = {f"Hidden(mixing=CutMix(alpha=1.0, prob=0.5), layers=({layer},))": {} for layer in (1, 2, 3, 4)}
    # Alpha 1 at the image, which is layer 0, is the row of table 5.
    assert mixings == {**swept, **layers, "CutMix(alpha=1.0, prob=0.5)": {"top1": 14.47, "top5": 2.97}}


@pytest.mark.parametrize("name", [row.name for row in recipe_rows() if row.claim and row.name])
def test_a_docstring_says_the_claim_and_the_command(name):
    function = {**names.recipes(), **names.transfers()}[name]
    claim = claim_of(function)
    assert claim.sentence in function.__doc__
    verb = "transfer" if name in names.transfers() else "train"
    assert f"cutmix {verb} {name}\n" in function.__doc__
    for metric, value in claim.values.items():  # written down once: by the claim, not by hand
        written = f" {value:.2f} %" if metric in ("top1", "top5") else f"{metric} {value}"
        assert function.__doc__.count(written) == 1


def differing(one: str, other: str) -> set[str]:
    """The settings in which two recipes differ."""
    first, second = names.find_recipe(one).as_dict(), names.find_recipe(other).as_dict()
    return {key for key in first if first[key] != second[key]}


@pytest.mark.parametrize(
    ("table", "baseline", "several"),
    [
        # Copied rows: DropBlock's epochs are its paper's.
        ("3", "imagenet.resnet50", {"imagenet.resnet50_dropblock": {"regularizer", "epochs", "schedule"}}),
        (
            "5",
            "cifar100.pyramidnet200",
            {
                "cifar100.pyramidnet200_cutout_label_smoothing": {"mixing", "label_smoothing"},
                "cifar100.pyramidnet200_dropblock_label_smoothing": {"regularizer", "label_smoothing"},
                "cifar100.pyramidnet200_cutmix_shakedrop": {"mixing", "regularizer"},
            },
        ),
        ("7", "cifar10.pyramidnet200", {}),
        ("8", "cifar100.pyramidnet200", {}),
        ("fig3", "cifar100.pyramidnet200", {}),
    ],
)
def test_a_row_differs_from_its_baseline_in_what_it_is_called(table, baseline, several):
    for row in recipe_rows(table):
        if row.name and row.name != baseline:
            changed = differing(baseline, row.name)
            assert changed == several[row.name] if row.name in several else len(changed) == 1, (row.name, changed)


def test_light_networks_differ_from_their_baselines_in_cutmix_alone():
    for name in ("cifar100.pyramidnet110", "cifar100.resnet110", "imagenet.resnet101", "imagenet.resnext101"):
        assert differing(name, f"{name}_cutmix") == {"mixing"}


def test_the_papers_settings():
    """Paper sections 4.1.1 and 4.1.2 with the official code's defaults, and an author's word on ResNet-110."""
    cifar, imagenet = names.find_recipe("cifar100.pyramidnet200_cutmix"), names.find_recipe("imagenet.resnet50_cutmix")
    for recipe in (cifar, imagenet):
        assert (recipe.epochs, recipe.momentum, recipe.weight_decay, recipe.nesterov) == (300, 0.9, 1e-4, True)
        assert (recipe.label_smoothing, recipe.ema, recipe.amp, recipe.clip_norm) == (0, 0, "no", 0)
    assert (cifar.batch_size, cifar.lr, cifar.schedule) == (64, 0.25, "Steps()")
    assert (imagenet.batch_size, imagenet.lr, imagenet.schedule) == (256, 0.1, "Every(epochs=75)")
    resnet110 = names.find_recipe("cifar100.resnet110_cutmix")
    assert (resnet110.lr, resnet110.mixing) == (0.1, "CutMix(alpha=1.0, prob=1.0)")


# ----------------------------------------------------------------------------------------------------- claims by hand


@claims("9", "A1", row="R50 + Mix", pick="last", runs=4, loc=54.81, bleu=24.9)
def made_up() -> Recipe:
    """A recipe of a table with other metrics.

    More of it.
    """
    return Recipe()


def test_a_claim_has_any_metric_and_adds_itself_to_the_docstring():
    assert claim_of(made_up) == Claim(
        tables=("9", "A1"), row="R50 + Mix", values={"loc": 54.81, "bleu": 24.9}, pick="last", runs=4
    )
    assert claim_of(made_up).short == "loc 54.81 / bleu 24.9"
    many = Claim(tables=("A1",), row="X", values={"bleu1": 61.4, "cider": 71.2, "meteor": 22.8})
    assert many.short == "cider 71.2, ..."
    assert made_up.__doc__ == (
        "A recipe of a table with other metrics.\n\nMore of it.\n\n"
        "Table 9 and Table A1, R50 + Mix: loc 54.81, bleu 24.9 (last epoch, mean of 4 runs).\n\n"
        "    cutmix train test_claim.made_up\n"
    )


def test_copied_numbers_are_starred_and_curves_have_none():
    copied = Claim(tables=("3",), row="X", values={"top1": 21.9, "top5": 5.8}, copied=True)
    assert copied.short == "21.90 / 5.80*"
    assert "copied from the method's own paper" in copied.sentence
    drawn = Claim(tables=("fig3",), row="alpha 0.3", values={})
    assert (drawn.short, drawn.sentence) == ("-", "Figure 3, alpha 0.3: drawn as a curve, no number is printed.")


@pytest.mark.parametrize("wrong", [{"tables": ()}, {"pick": "median"}])
def test_claims_that_say_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=r"names no table|pick is 'median'"):
        Claim(**{"tables": ("3",), "row": "X", "values": {}, **wrong})


def test_tables_are_named_as_a_text_names_them():
    assert [table_name(table) for table in ("5", "A1", "fig3", "readme")] == [
        "Table 5",
        "Table A1",
        "Figure 3",
        "Official README",
    ]


def test_a_recipe_that_is_no_row_claims_nothing():
    assert claim_of(names.recipes()["small.digits"]) is None
