"""Planning a comparison, by hand: what is run, under which names, and how each run is asked for."""

from __future__ import annotations

import shlex

import pytest

from cutmix.cli import make_parser
from cutmix.cli.train import read_recipe
from cutmix.cli.transfer import read_recipe as transfer_of
from cutmix.errors import UsageError
from cutmix.recipes.names import find_transfer
from cutmix.recipes.plan import LONGEST_NAME, Named, Variation, has_place, parse_seeds, parse_variation, plan, varied
from cutmix.recipes.recipe import Recipe

CUTMIX = Named("cut", "small.digits", Recipe(mixing="CutMix(alpha=1.0, prob=0.3)"))
PLAIN = Named("plain", "plain.json", Recipe(lr=0.05))


def names(*recipes: Named, seeds=(0,), vary=(), **changes) -> list[str]:
    variations = [parse_variation(text) for text in vary]
    return [run.name for run in plan(recipes, seeds=seeds, variations=variations, changes=changes)]


def test_seeds_come_one_after_another_each_for_all_recipes():
    assert names(PLAIN, CUTMIX, seeds=[3, 0]) == ["plain-s3", "cut-s3", "plain-s0", "cut-s0"]


def test_a_variation_takes_its_values_in_turn_and_leaves_alone_what_has_no_place_for_it():
    runs = plan([PLAIN, CUTMIX], seeds=[7], variations=[parse_variation("mixing.alpha=0.2,0.5")])
    assert [(run.name, run.group, run.recipe.mixing, run.recipe.seed) for run in runs] == [
        ("plain-s7", "plain", "NoMixing()", 7),
        ("cut-alpha=0.2-s7", "cut-alpha=0.2", "CutMix(alpha=0.2, prob=0.3)", 7),
        ("cut-alpha=0.5-s7", "cut-alpha=0.5", "CutMix(alpha=0.5, prob=0.3)", 7),
    ]


def test_several_variations_make_a_grid():
    assert names(CUTMIX, vary=["mixing.prob=0.1,0.9", "lr=0.05,0.2"]) == [
        "cut-prob=0.1-lr=0.05-s0", "cut-prob=0.1-lr=0.2-s0", "cut-prob=0.9-lr=0.05-s0", "cut-prob=0.9-lr=0.2-s0"
    ]  # fmt: skip


def test_every_setting_that_is_a_constructor_call_can_be_varied_inside_and_no_other_is_touched():
    calls = {"model": "ResNet(depth=20)", "mixing": "MixUp(alpha=0.4)", "regularizer": "ShakeDrop(last=0.5)",
             "schedule": "Cosine(warmup=1)", "augment": "CropFlip(padding=4)"}  # fmt: skip
    asked = Recipe(**calls)
    for setting, call in calls.items():
        argument, _, value = call.partition("(")[2].rstrip(")").partition("=")
        new = varied(asked, f"{setting}.{argument}", "8")
        assert new.as_dict() == {**asked.as_dict(), setting: call.replace(f"={value})", "=8)")}


def test_two_paths_that_end_alike_are_told_apart():
    schedule = Named("a", "a", Recipe(schedule="Cosine(warmup=1)", mixing="CutMix()"))
    assert names(schedule, vary=["schedule.warmup=2", "epochs=4"]) == ["a-warmup=2-epochs=4-s0"]
    both = Named("a", "a", Recipe(model="PyramidNet(depth=110, alpha=64)", mixing="CutMix()"))
    assert names(both, vary=["model.alpha=48", "mixing.alpha=0.3"]) == ["a-model.alpha=48-mixing.alpha=0.3-s0"]


def test_names_hold_nothing_that_a_shell_or_a_disk_would_mind():
    (name,) = names(PLAIN, vary=["mixing=CutMix(alpha=0.3, scope='per_sample')"])
    assert name == "plain-mixing=CutMix_alpha=0.3_scope=_per_sample-s0"
    long = [f"mixing=CutMix(alpha=0.{'3' * LONGEST_NAME}{n})" for n in (1, 2)]
    first, second = (names(PLAIN, vary=[text])[0] for text in long)
    assert first != second
    assert len(first) == LONGEST_NAME + len("-s0")


@pytest.mark.parametrize(
    ("recipe", "path", "value", "changed"),
    [
        (CUTMIX.recipe, "mixing.alpha", "0.2", {"mixing": "CutMix(alpha=0.2, prob=0.3)"}),
        (CUTMIX.recipe, "mixing.scope", "per_sample", {"mixing": "CutMix(alpha=1.0, prob=0.3, scope='per_sample')"}),
        (Recipe(mixing="CutMix(0.4, prob=0.3)"), "mixing.alpha", "0.2", {"mixing": "CutMix(0.2, prob=0.3)"}),
        (Recipe(mixing="cutmix"), "mixing.prob", "1", {"mixing": "cutmix(prob=1)"}),
        (Recipe(), "schedule.at", "(0.3, 0.6)", {"schedule": "Steps(at=(0.3, 0.6))"}),
        (Recipe(model="ResNet(depth=20)"), "model.depth", "56", {"model": "ResNet(depth=56)"}),
        (Recipe(model="torchvision.resnet18"), "model.zero_init_residual", "True",
         {"model": "torchvision.resnet18(zero_init_residual=True)"}),
        (Recipe(), "lr", "1", {"lr": 1.0}),
        (Recipe(), "epochs", "7", {"epochs": 7}),
        (Recipe(), "nesterov", "false", {"nesterov": False}),
        (Recipe(), "mixing", "MixUp(0.2)", {"mixing": "MixUp(0.2)"}),
    ],
)  # fmt: skip
def test_a_value_goes_where_the_path_points(recipe, path, value, changed):
    assert has_place(recipe, path)
    assert varied(recipe, path, value) == recipe.but(**changed)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("mixing.alhpa", r"takes no 'alhpa'. Did you mean 'alpha'\? It takes: alpha,"),
        ("mxing.alpha", "no setting 'mxing'. Did you mean 'mixing'.* Settings: epochs, batch_size"),
        ("lr.x", "lr has no arguments, so there is no lr.x; settings that have: model, mixing"),
        ("model.depth", "model is chosen to fit the data. Say which by --model"),
        ("mixing.alpha.x", "alpha of mixing CutMix.* is no constructor call"),
    ],
)  # fmt: skip
def test_a_path_that_no_recipe_has_is_answered_by_what_there_is(path, words):
    with pytest.raises(UsageError, match=words):
        names(CUTMIX, vary=[f"{path}=0.2"])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("lr=0.05, 0.1", ("0.05", "0.1")),
        ("mixing=CutMix(alpha=1.0, prob=0.5),MixUp", ("CutMix(alpha=1.0, prob=0.5)", "MixUp")),
        ("schedule.at=(0.3, 0.6),(0.5,)", ("(0.3, 0.6)", "(0.5,)")),
        ("data=arrays:'a,b',digits", ("arrays:'a,b'", "digits")),
    ],
)
def test_commas_within_brackets_and_quotes_part_no_values(text, values):
    assert parse_variation(text) == Variation(text.partition("=")[0], values)


@pytest.mark.parametrize(
    "text", ["lr", "=3", "lr=", "lr=0.1,,0.2", "lr=0.1,0.1", "mixing=CutMix(", "data='a", "lr=0.1)"]
)
def test_a_variation_that_cannot_be_read_is_refused(text):
    with pytest.raises(UsageError, match="variation is PATH|empty or there twice|not closed"):
        parse_variation(text)


@pytest.mark.parametrize("vary", ["lr=fast", "epochs=2.5", "nesterov=yes", "lr=-1", "mixing.alpha=0.2 0.3"])
def test_a_value_of_another_kind_is_refused(vary):
    with pytest.raises(UsageError):
        names(CUTMIX, vary=[vary])


def test_seeds_are_a_number_or_a_list():
    assert [parse_seeds(text) for text in ("3", "0,3,7", "4,")] == [[0, 1, 2], [0, 3, 7], [4]]
    for text in ("0", "", ",", "-1", "1.5", "a,b"):
        with pytest.raises(UsageError, match="seeds are how many"):
            parse_seeds(text)


def test_what_would_count_twice_is_refused():
    with pytest.raises(UsageError, match="two recipes would be run under the name cut"):
        names(CUTMIX, Named("cut", "other", Recipe()))
    with pytest.raises(UsageError, match="cut and again are the same recipe"):
        names(CUTMIX, Named("again", "again", CUTMIX.recipe.but(seed=3)))
    with pytest.raises(UsageError, match="the seed 2 was given twice"):
        names(CUTMIX, seeds=[2, 0, 2])
    with pytest.raises(UsageError, match="at least one recipe"):
        names()


def test_the_words_make_the_same_recipe_on_the_command_line():
    asked = Named("digits", "small.digits", read_recipe(make_parser()[0].parse_args(["train", "small.digits"])))
    variations = [parse_variation("mixing=NoMixing(),CutMix(alpha=0.3, prob=1.0)"), parse_variation("nesterov=False")]
    for run in plan([asked], seeds=[0, 4], variations=variations, changes={"epochs": 3, "compile": True}):
        line = shlex.join(["train", *run.words])
        assert read_recipe(make_parser()[0].parse_args(shlex.split(line))) == run.recipe
        assert run.words[0] == "small.digits"
    assert "--compile" in run.words
    assert "--no-nesterov" in run.words
    assert "--lr" not in run.words  # which the recipe says already


def test_transfers_are_planned_by_their_own_settings_and_said_in_their_own_words():
    asked = Named("boxes", "detection.small_ssd", find_transfer("detection.small_ssd"))
    variations = [parse_variation("backbone=runs/cut-s0,timm.tf_efficientnet_lite0"), parse_variation("task.size=96")]
    runs = plan([asked], seeds=[2], variations=variations, changes={"data": "voc:cells", "epochs": 3})
    assert [run.name for run in runs] == [
        "boxes-backbone=runs_cut-s0-size=96-s2",
        "boxes-backbone=timm.tf_efficientnet_lite0-size=96-s2",
    ]
    assert runs[0].recipe.task == "SSD(size=96, norm='trained', expand=1.5, load_side=320)"
    for run in runs:
        line = make_parser()[0].parse_args(["transfer", *run.words])
        assert transfer_of(line) == run.recipe
    assert runs[0].words[0] == "detection.small_ssd"
    assert "--backbone" not in runs[1].words  # which the recipe says already


def test_a_classifier_and_a_transfer_have_no_settings_of_each_other():
    boxes = Named("boxes", "detection.small_ssd", find_transfer("detection.small_ssd"))
    with pytest.raises(UsageError, match="^detection.small_ssd: a recipe has no setting 'mixing'"):
        names(boxes, mixing="CutMix()")
    with pytest.raises(UsageError, match="a recipe has no setting 'backbone'"):
        names(PLAIN, backbone="a.pth.tar")
    with pytest.raises(UsageError, match="SSD.* takes no 'sise'. Did you mean 'size'"):
        names(boxes, vary=["task.sise=9"])
