"""Settings survive the file, and what does not fit is named."""

import json

import pytest

from vantage.algorithms.habc import HABCRun
from vantage.config import brief, from_json, to_json
from vantage.core.weights import HABC
from vantage.recipes import RECIPES
from vantage.stages.weigh import Weighing
from vantage.types import VantageError


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_comes_back_from_its_file(name: str) -> None:
    recipe = RECIPES[name]()
    assert from_json(type(recipe), json.loads(json.dumps(to_json(recipe)))) == recipe


def test_what_was_chosen_does_not_mention_defaults() -> None:
    assert brief(Weighing()) == {"is": "Weighing"}
    assert brief(Weighing(stride=1)) == {"is": "Weighing", "stride": 1}
    assert brief(Weighing(rule=HABC(reweight_interventions=True)))["rule"] == {"is": "HABC", "reweight_interventions": True}
    assert brief(RECIPES["debug"]())["worlds"] == [{"is": "MetaWorldSpec", "task": "push-v3", "limit": 120}]


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
