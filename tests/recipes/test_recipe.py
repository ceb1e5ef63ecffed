import json

import pytest

from cutmix.errors import UsageError
from cutmix.recipes.recipe import Recipe


def test_a_recipe_is_written_and_read_back(tmp_path):
    recipe = Recipe(data="cifar10", lr=0.25, epochs=3, mixing="CutMix(alpha=0.3)", nesterov=False)
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.as_dict()))
    assert Recipe.read(tmp_path / "recipe.json") == recipe
    assert Recipe.read(tmp_path) == recipe  # a run's folder


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"leaning_rate": 0.1}, r"a recipe has no setting 'leaning_rate'"),
        ({"momentun": 0.1}, r"Did you mean 'momentum'\?"),
        ({"epochs": 1.5}, r"epochs must be a int, got 1\.5"),
        ({"epochs": True}, "epochs must be a int, got True"),
        ({"data": 3}, "data must be a str"),
        ({"compile": 1}, "compile must be a bool"),
        ({"lr": "fast"}, "lr must be a float"),
        ({"image_size": -1}, "image_size must not be negative"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(changes, said):
    with pytest.raises(UsageError, match=said):
        Recipe().but(**changes)


def test_a_whole_number_may_stand_for_a_float():
    assert Recipe().but(lr=1).lr == 1.0
    assert type(Recipe().but(lr=1).lr) is float


@pytest.mark.parametrize(
    ("content", "said"),
    [("no json", "is not a recipe"), ("[1]", "a JSON object was expected"), ('{"x": 1}', "no setting 'x'")],
)
def test_files_that_are_no_recipe_are_named(tmp_path, content, said):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=said):
        Recipe.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="cannot read the recipe"):
        Recipe.read(tmp_path / "nowhere.json")


def test_every_setting_is_plain_json():
    assert json.loads(json.dumps(Recipe().as_dict())) == Recipe().as_dict()
