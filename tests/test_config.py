"""Settings survive the file, and what does not fit is named."""

import dataclasses
import functools
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import pytest

from vantage.algorithms.finetune import FineTune
from vantage.algorithms.habc import HABCRun
from vantage.bounds import Bounds, Count, Share, check
from vantage.config import brief, classes_of, from_json, is_protocol, name_of, to_json
from vantage.core.weights import HABC
from vantage.disk.files import read_json
from vantage.recipes import RECIPES, STUDIES, Recipe
from vantage.stages.weigh import Weighing
from vantage.study.plan import Study
from vantage.types import VantageError
from vantage.worlds.gymnasium.lerobot import LeRobotEnv
from vantage.worlds.spec import MetaWorldSpec


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_comes_back_from_its_file(name: str) -> None:
    recipe = RECIPES[name]()
    assert from_json(type(recipe), json.loads(json.dumps(to_json(recipe)))) == recipe


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_comes_back_from_its_file(name: str) -> None:
    study = STUDIES[name]()
    assert from_json(Study, json.loads(json.dumps(to_json(study)))) == study


def test_what_was_chosen_does_not_mention_defaults() -> None:
    assert brief(Weighing()) == {"is": "Weighing"}
    assert brief(Weighing(stride=1)) == {"is": "Weighing", "stride": 1}
    assert brief(Weighing(rule=HABC(reweight_interventions=True)))["rule"] == {
        "is": "HABC",
        "reweight_interventions": True,
    }
    assert brief(RECIPES["debug"]())["worlds"] == [{"is": "MetaWorldSpec", "task": "push-v3", "limit": 120}]


def spoiled(path: str, value: object) -> object:
    data = to_json(RECIPES["quickstart"]())
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    parent: Any = data
    for step in way:
        parent = parent[step]
    parent[last] = value
    return data


def nested(depth: int) -> object:
    value: object = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("rounds", "two", "settings.rounds: expected int, found 'two'"),
        ("rounds", True, "settings.rounds: expected int, found True"),
        ("rounds", 1.0, r"settings.rounds: expected int, found 1\.0"),
        ("rounds", nested(500), r"settings.rounds: expected int, found \[\["),
        ("rounds", "x" * 10**6, "settings.rounds: expected int, found 'xxx.{0,80}$"),
        ("control", 1, "settings.control: expected bool"),
        ("improvement.fit.stepps", 5, "PolicyFit has no setting 'stepps'; it has batch"),
        (
            "improvement.fit.steps",
            -1,
            "settings.improvement.fit: PolicyFit.steps is -1; it must be at least 0",
        ),
        ("improvement.fit.optim.lr", 10**400, "is too large for a number"),
        ("improvement.fit.optim.lr", math.nan, "settings.improvement.fit.optim: OptimConfig.lr is nan"),
        (
            "improvement.fit.optim",
            {"is": "PolicyFit"},
            "settings.improvement.fit.optim: 'PolicyFit' is not OptimConfig",
        ),
        ("improvement.fit.optim", {}, "settings.improvement.fit.optim: None is not OptimConfig"),
        ("improvement.fit.optim", {"is": ["OptimConfig"]}, "is not OptimConfig"),
        (
            "improvement.weighing.rule",
            {"is": "Magic"},
            "settings.improvement.weighing.rule: 'Magic' is none of Uniform, FilteredBC",
        ),
        ("worlds", 3, "settings.worlds: expected a list"),
        (
            "worlds.0",
            {"is": "HeavySpec", "task": "reach-v3"},
            r"worlds\[0\]: 'HeavySpec' is none of MetaWorldSpec, Gymnasium",
        ),
        ("worlds.0", {"is": "MetaWorldSpec"}, r"worlds\[0\]: MetaWorldSpec needs 'task'"),
        ("rollouts.operator.reaction", [1], "reaction: expected a list of 2, found 1 values"),
        ("rollouts.operator.reaction", [1, 2, 3], "reaction: expected a list of 2, found 3 values"),
        ("improvement.critic", None, "expected the settings of CriticFit, found None"),
        ("improvement.critic", "CriticFit", "expected the settings of CriticFit, found 'CriticFit'"),
    ],
)
def test_what_does_not_fit_is_named(path: str, value: object, says: str) -> None:
    with pytest.raises(VantageError, match=says):
        from_json(HABCRun, spoiled(path, value))


def test_the_top_is_what_it_says() -> None:
    with pytest.raises(VantageError, match="settings: 'ChunkedPPORun' is not HABCRun"):
        from_json(HABCRun, to_json(RECIPES["debug-ppo"]()))


class Mood(StrEnum):
    GOOD = "good"


@dataclass(frozen=True)
class Plain:
    """Every kind of field that is no dataclass."""

    pair: tuple[int, float] = (1, 0.5)
    mode: Literal["a", "b"] = "a"
    mood: Mood = Mood.GOOD
    names: Mapping[str, int] = field(default_factory=lambda: {"x": 1})
    folder: Path | None = None
    either: int | str | None = None
    shares: tuple[Share, ...] = ()


@pytest.mark.parametrize(
    "value",
    [
        Plain(),
        Plain(pair=(2, 3.0), mode="b", names={}, folder=Path("a/b"), either="x", shares=(0.5, 1.0)),
        Plain(either=3),
    ],
)
def test_every_kind_of_field_comes_back(value: Plain) -> None:
    back = from_json(Plain, json.loads(json.dumps(to_json(value))), own={})
    assert back == value


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("mode", "c", "'c' is none of a, b"),
        ("mood", "bad", "'bad' is none of good"),
        ("names", {"x": "one"}, r"names\.x: expected int"),
        ("names", [], "expected an object"),
        ("folder", 3, "expected Path, found 3"),
        ("either", [], r"expected str, found \[\]"),
    ],
)
def test_other_fields_are_named_too(name: str, value: object, says: str) -> None:
    with pytest.raises(VantageError, match=says):
        from_json(Plain, to_json(Plain()) | {name: value})


# Classes of one's own.


class AnyWorld(Protocol):
    limit: int


@dataclass(frozen=True)
class HeavySpec:
    """A world of somebody's own whose fields are some of MetaWorldSpec's."""

    task: str = "reach-v3"
    limit: int = 120


@dataclass(frozen=True)
class Held:
    world: AnyWorld = HeavySpec()


@dataclass(frozen=True)
class Strict:
    world: MetaWorldSpec = MetaWorldSpec("reach-v3")


def test_a_class_of_ones_own_is_written_with_its_module_and_found_only_where_it_is_brought() -> None:
    assert name_of(HeavySpec) == f"{__name__}:HeavySpec" and name_of(MetaWorldSpec) == "MetaWorldSpec"
    held = Held(HeavySpec(limit=7))
    assert classes_of(held).keys() == {name_of(Held), name_of(HeavySpec)}
    assert from_json(Held, to_json(held), own=classes_of(held)) == held
    with pytest.raises(
        VantageError, match="is not AnyWorld; name the Python file that made it with --recipe"
    ):
        from_json(Held, to_json(held))


def test_another_world_never_takes_the_place_of_one_that_is_expected() -> None:
    """A world of one's own was once read as MetaWorld's task of the same name."""
    data = to_json(Strict()) | {"world": to_json(HeavySpec())}
    for own in ({}, classes_of(HeavySpec())):
        with pytest.raises(VantageError, match="HeavySpec' is not MetaWorldSpec"):
            from_json(Strict, data, own=own)


def places() -> list[tuple[str, Any, set[str]]]:
    """Every field of every settings class that holds settings: its name, its type, and the classes that may
    stand there."""
    found: list[tuple[str, Any, set[str]]] = []
    for kind in settings_classes():
        for name, hint in typing.get_type_hints(kind, include_extras=True).items():
            held = {name_of(member) for member in members_of(hint)}
            if held:
                found.append((f"{kind.__name__}.{name}", hint, held))
    return found


def members_of(hint: Any) -> list[Any]:
    """The dataclasses in a type."""
    inner = [member for part in typing.get_args(hint) for member in members_of(part)]
    return [hint, *inner] if dataclasses.is_dataclass(hint) and isinstance(hint, type) else inner


@functools.cache
def place_for(hint: Any) -> type[Any]:
    """A class with one field of this type."""
    return dataclasses.make_dataclass("Place", [("held", hint)], frozen=True)


def read_in(hint: Any, value: object, where: str, own: Mapping[str, type[Any]] | None = None) -> Any:
    """What a file's `value` is where `hint` is expected."""
    place = place_for(hint)
    return from_json(place, {"is": name_of(place), "held": value}, where, own).held


def shaped_as(hint: Any, value: object) -> object:
    """`value` as a file has it where `hint` is expected: in a list where a list is."""
    if typing.get_origin(hint) is tuple:
        return [value]
    return value


ODD: list[object] = [{}, {"is": None}, {"is": 3}, {"is": ["HABC"]}, {"is": {"is": "HABC"}}, {"is": ""}]
ODD += [{"is": "object"}, {"is": "vantage.core.weights:HABC"}, {"is": "builtins:object"}, 3, "HABC", True]


def test_what_is_not_expected_is_refused_in_every_place_of_every_class() -> None:
    """Each class of settings in each place that holds settings of other classes, and what is no class."""
    names = [name_of(kind) for kind in settings_classes()]
    places_of = places()
    assert len(places_of) > 60 and len(names) > 80
    for where, hint, held in places_of:
        odd = [{"is": name} for name in names if name not in held]
        for value in (*odd, *ODD, *({"is": f" {name}"} for name in held), *({"is": f"{n}x"} for n in held)):
            if isinstance(value, str | int) and not is_settings_alone(hint):
                continue  # a text or a number may stand there too
            with pytest.raises(VantageError, match=re.escape(where)):
                read_in(hint, shaped_as(hint, value), where)


def is_settings_alone(hint: Any) -> bool:
    """Whether nothing but settings, or None, may stand in a place."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return is_settings_alone(inner[0])
    if origin in (typing.Union, types.UnionType):
        return all(part is types.NoneType or is_settings_alone(part) for part in inner)
    return dataclasses.is_dataclass(hint) or is_protocol(hint)


@dataclass(frozen=True, kw_only=True)
class Softer(HABC):
    """A rule of somebody's own that can stand where HABC's does."""


@dataclass(frozen=True)
class OwnRule:
    """A function of somebody's own that says nothing of what a rule has to say."""

    def __call__(self, evidence: object) -> object:
        """Every frame alike."""
        return evidence


CALLED = ("ParentFit.projection", "Practice.self_bc", "BufferRule.admission")
CALLED += ("Gymnasium.success", "LeRobotEnv.success", "DemonstrateWith.expert", "RescueWith.expert")
"""Places of which nothing is known but that it is called."""


def test_a_class_of_ones_own_is_refused_where_it_cannot_stand() -> None:
    """A world in the place of a rule, a rule in that of a world, though both are the caller's own."""
    own = classes_of(HeavySpec()) | classes_of(OwnRule())
    for where, hint, _ in places():
        refused = [HeavySpec()] if where in CALLED else [HeavySpec(), OwnRule()]
        for wrong in refused:
            with pytest.raises(VantageError, match=re.escape(where)):
                read_in(hint, shaped_as(hint, to_json(wrong)), where, own)
    softer = Weighing(rule=Softer())
    assert from_json(Weighing, to_json(softer), own=classes_of(softer)) == softer


# Bounds.


@dataclass(frozen=True)
class Bounded:
    count: Count = 1
    ratio: Annotated[float, Bounds(above=0, below=1)] = 0.5
    maybe: Share | None = None
    pair: tuple[Count, Count] = (1, 2)
    free: float = 0.0

    def __post_init__(self) -> None:
        check(self)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("count", 0, "Bounded.count is 0; it must be at least 1"),
        ("count", 1.0, r"Bounded.count is 1.0; it must be a whole number"),
        ("count", True, "Bounded.count is True; it must be a whole number"),
        ("count", "3", "Bounded.count is '3'; it must be a whole number"),
        ("ratio", 0.0, r"Bounded.ratio is 0.0; it must be above 0 and below 1"),
        ("ratio", 1, "above 0 and below 1"),
        ("ratio", math.nan, "Bounded.ratio is nan; it must be a finite number, above 0 and below 1"),
        ("maybe", 1.5, "at least 0 and at most 1"),
        ("pair", (1, 0), "Bounded.pair is 0; it must be at least 1"),
        ("free", math.inf, "Bounded.free is inf; it must be a finite number$"),
    ],
)
def test_numbers_out_of_bounds_are_refused(name: str, value: object, says: str) -> None:
    with pytest.raises(VantageError, match=says):
        Bounded(**{name: value})  # pyright: ignore[reportArgumentType]


def settings_classes() -> list[type[Any]]:
    """Every dataclass that a recipe or a study may hold."""
    found: list[type[Any]] = []

    def walk(hint: Any) -> None:
        if dataclasses.is_dataclass(hint) and isinstance(hint, type) and hint not in found:
            found.append(hint)
            for inner in typing.get_type_hints(hint).values():
                walk(inner)
        for inner in typing.get_args(hint):
            walk(inner)

    walk(Recipe)
    walk(Study)
    walk(FineTune)
    return found


def needed(each: dataclasses.Field[Any]) -> bool:
    return each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING


@pytest.mark.parametrize("kind", settings_classes())
def test_every_number_of_every_settings_class_is_checked(kind: type[Any]) -> None:
    """No number may be NaN, or out of the bounds beside it, wherever it stands."""
    hints = typing.get_type_hints(kind)
    required = {
        f.name: {str: "x", int: 1, float: 1.0}.get(hints[f.name])
        for f in dataclasses.fields(kind)
        if needed(f)
    }
    if kind is LeRobotEnv:  # with less said it would ask LeRobot what the type means
        required |= {"task": "x", "limit": 1, "fps": 1}
    if None in required.values():
        pytest.skip("needs more than words and numbers; its parts are checked alone")
    good = kind(**required)
    notes = typing.get_type_hints(kind, include_extras=True)
    for each in dataclasses.fields(kind):
        wrong = {int: -(10**9), float: math.nan, float | None: math.nan}.get(hints[each.name])
        if wrong is not None and (hints[each.name] is not int or notes[each.name] is not int):
            with pytest.raises(
                VantageError, match=rf"{kind.__name__}\.{each.name} is (nan|-1000000000)|shares are \(.*nan"
            ):
                replace(good, **{each.name: wrong})


def test_settings_that_need_more_than_numbers_are_checked() -> None:
    for recipe in (RECIPES["debug"](), RECIPES["debug-ppo"]()):
        with pytest.raises(VantageError, match="seed is -1; it must be at least 0"):
            replace(recipe, seed=-1)
    with pytest.raises(VantageError, match="limit is -1"):
        MetaWorldSpec("push-v3", limit=-1)


# Files.


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not valid JSON"),
        (b"\xff\xfe", "is not valid JSON"),
        (b"[" * 200_000, "nested too deep"),
        (b'{"a": ' * 200_000, "nested too deep"),
        (b"1" * 5000, "is not valid JSON"),
    ],
)
def test_damaged_json_is_one_sentence(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(VantageError, match=says):
        read_json(tmp_path / "x.json")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(10**10)
    with pytest.raises(VantageError, match="10,000,000,000 bytes, more than any JSON of ours"):
        read_json(tmp_path / "x.json")
    with pytest.raises(VantageError, match="does not exist"):
        read_json(tmp_path)
