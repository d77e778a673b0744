"""Settings survive the file, and what does not fit is named."""

import json

import pytest

from vantage.algorithms.habc import HABCRun
from vantage.config import from_json, to_json
from vantage.recipes import RECIPES
from vantage.types import VantageError


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_comes_back_from_its_file(name: str) -> None:
    recipe = RECIPES[name]()
    assert from_json(HABCRun, json.loads(json.dumps(to_json(recipe)))) == recipe


def spoiled(path: str, value: object) -> object:
    data = to_json(RECIPES["quickstart"]())
    *way, last = path.split(".")
    place = data
    for step in way:
        place = place[step]
    place[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("rounds", "two", "settings.rounds: expected int, found 'two'"),
        ("control", 1, "settings.control: expected bool"),
        ("fit.stepps", 5, "ActorFit has no setting 'stepps'; it has batch"),
        ("weighing.rule", {"is": "Magic"}, "settings.weighing.rule: 'Magic' is none of Uniform, FilteredBC"),
        ("worlds", 3, "settings.worlds: expected a list"),
        ("critic", None, "expected the settings of CriticFit"),
    ],
)
def test_what_does_not_fit_is_named(path: str, value: object, says: str) -> None:
    with pytest.raises(VantageError, match=says):
        from_json(HABCRun, spoiled(path, value))
