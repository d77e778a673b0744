"""Every setting can be typed: numbers, choices, lists; what is not typed stays as it was, to the bit."""

import dataclasses
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
import torch
import tyro

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.algorithms.habc import HABCRun
from vantage.commands.drafts import Draft, Leaf, Several, build, draft
from vantage.commands.form import Form
from vantage.commands.runs import start
from vantage.commands.settings import change
from vantage.errors import VantageError
from vantage.learn.step import Compute
from vantage.recipes import RECIPES, STUDIES
from vantage.recipes.debug import debug, debug_ppo


@dataclass(frozen=True, slots=True, kw_only=True)
class Ear:
    """It hears."""

    low: float = 20.0
    high: float = 20_000.0


@dataclass(frozen=True, slots=True)
class Eye:
    """It sees."""

    colours: tuple[str, ...] = ("red", "green")
    """What it can tell apart."""
    field: tuple[float, float] = (-1.5, 1.5)
    low: float = 0.1


@dataclass(frozen=True, slots=True)
class Nose:
    """It must know how many."""

    cells: int
    mode: Literal["dry", "wet"] = "dry"


@dataclass(frozen=True, slots=True)
class Size:
    width: int = 3


@dataclass(frozen=True, slots=True)
class Robot:
    name: str
    sense: Ear | Eye | Nose = Ear()
    size: Size = Size(width=7)
    weight: float = 0.1 + 0.2
    kind: ClassVar[str] = "robot"


@dataclass(frozen=True, slots=True)
class Ship:
    name: str
    size: Size = Size()


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A toy with every kind of setting."""

    robots: tuple[Robot, ...] = (Robot("ada"), Robot("bob", Eye()))
    fleet: tuple[Robot | Ship, ...] = (Ship("titan"), Robot("cal"))
    robot: Robot = Robot("own", size=Size(width=9))
    thing: Robot | Ship = Ship("sea")
    helper: Ear | None = None
    folder: Path | None = None
    calm: bool = False
    limit: float | None = 2.5
    pairs: tuple[tuple[str, str], ...] = ()
    names: dict[str, str] = field(default_factory=dict[str, str])
    renames: dict[str, str] = field(default_factory=lambda: {"a": "b"})
    rates: tuple[Nose, ...] = ()
    crew: tuple[Robot, ...] = ()
    inner: Annotated[Size, tyro.conf.arg(name="")] = Size()

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 0:
            raise VantageError("World.limit is below 0")


def command(name: str, /, out: Path, names: tuple[str, ...] = (), settings: Any = None) -> None:
    """Do it.

    Args:
        out: Folder.
        names: Hides the setting of that name.
    """


def typed(*words: str, value: Any = None) -> Any:
    value = value if value is not None else World()
    changed, options = change(value, ["--out", "r", *words], command, prog="vantage toy", about="A toy.")
    assert options["out"] == Path("r")
    return changed


def test_nothing_typed_changes_nothing() -> None:
    assert typed() == World()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--calm", "true"], {"calm": True}),
        (["--calm"], {"calm": True}),
        (["--calm=false"], {"calm": False}),
        (["--limit", "None"], {"limit": None}),
        (["--limit=1e-3"], {"limit": 1e-3}),
        (["--folder", "a[red]b/[x]"], {"folder": Path("a[red]b/[x]")}),
        (["--helper", "ear", "--helper.low", "-5"], {"helper": Ear(low=-5.0)}),
        (["--pairs", "a", "b", "c", "d"], {"pairs": (("a", "b"), ("c", "d"))}),
        (["--renames", "x", "y", "u", "v"], {"renames": {"x": "y", "u": "v"}}),
        (
            ["--crew", "x", "y", "--crew.weight", "1"],
            {"crew": (Robot("x", weight=1.0), Robot("y", weight=1.0))},
        ),
        (["--width", "4"], {"inner": Size(4)}),
        (["--robot.size.width", "4"], {"robot": Robot("own", size=Size(4))}),
        (["--robot.sense", "eye"], {"robot": Robot("own", Eye(), Size(9))}),
        (["--robot.sense.colours", "--robot.sense", "Eye"], {"robot": Robot("own", Eye(()), Size(9))}),
        (
            ["--robot.sense=Eye", "--robot.sense.field", "-2", "3"],
            {"robot": Robot("own", Eye(field=(-2.0, 3.0)), Size(9))},
        ),
        (["--robot.sense", "nose", "--robot.sense.cells=3"], {"robot": Robot("own", Nose(3), Size(9))}),
        (["--thing", "robot", "--thing.name", "x"], {"thing": Robot("x", size=Size())}),
        (["--robots", "bob", "eve"], {"robots": (Robot("bob", Eye()), Robot("eve"))}),
        (
            ["--robots.size.width", "1"],
            {"robots": (Robot("ada", size=Size(1)), Robot("bob", Eye(), Size(1)))},
        ),
        (["--robots.bob.weight", "1"], {"robots": (Robot("ada"), Robot("bob", Eye(), weight=1.0))}),
        (
            ["--robots.weight", "2", "--robots.0.weight", "1"],
            {"robots": (Robot("ada", weight=1.0), Robot("bob", Eye(), weight=2.0))},
        ),
        (["--robots.1.sense", "Ear"], {"robots": (Robot("ada"), Robot("bob"))}),
        (["--fleet.titan.size.width", "1"], {"fleet": (Ship("titan", Size(1)), Robot("cal"))}),
    ],
)
def test_what_is_typed_is_changed_and_nothing_else(words: list[str], part: dict[str, Any]) -> None:
    assert typed(*words) == dataclasses.replace(World(), **part)


def test_groups_that_two_members_share_stay_and_numbers_do_not() -> None:
    """A robot's size survives when the ship takes its place; `low` of an ear says nothing about an eye."""
    value = World(thing=Robot("x", Ear(low=3.0), Size(5)))
    assert typed("--thing", "ship", "--thing.name", "y", value=value).thing == Ship("y", Size(5))
    assert typed("--thing.sense", "Eye", value=value).thing.sense == Eye()


def test_a_parameter_of_the_command_hides_the_setting() -> None:
    changed, options = change(
        World(), ["--out", "r", "--names", "a", "b"], command, prog="vantage toy", about=""
    )
    assert options["names"] == ("a", "b") and changed.names == {}


def test_settings_check_themselves() -> None:
    with pytest.raises(VantageError, match=r"World\.limit is below 0"):
        typed("--limit", "-1")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--clam"], "Unrecognized options: --clam"),
        (["--robot.sense", "tail"], "invalid choice 'tail'"),
        (["--robot.sense.colours", "a"], "--robot.sense.colours"),
        (["--robot.sense", "nose"], "--robot.sense.cells"),
        (["--robot.size.width", "wide"], "--robot.size.width"),
        (["--calm", "perhaps"], "say true or false, not 'perhaps'"),
    ],
)
def test_slips_of_the_pen_end_with_two(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        typed(*words)
    assert stop.value.code == 2
    assert says in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_help_shows_choices_defaults_and_what_the_source_says(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        typed("--robot.sense", "Eye", "--help")
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert stop.value.code == 0
    for piece in (
        "A toy.",
        "--out PATH Folder. (required)",
        "--robot.sense {Ear,Eye,Nose} (default: Eye)",
        "--robot.sense.colours [STR [STR ...]] What it can tell apart. (default: red green)",
        "--helper {Ear,None} (default: None)",
        "--robots [STR [STR ...]] (default: ada bob)",
        "It sees.",
    ):
        assert piece in text, piece


def unreachable(node: Any, form: Form, name: str) -> list[str]:
    """Settings in a draft that the form offers no option for."""
    offered = {id(leaf) for leaf in leaves_of(form)}
    match node:
        case Leaf():
            return [] if id(node) in offered else [name]
        case Several():
            return [
                inner
                for number, item in enumerate(node.items)
                for inner in unreachable(item, form, f"{name}.{number}")
            ]
        case Draft():
            return [
                inner
                for key, part in node.parts.items()
                for inner in unreachable(part, form, f"{name}.{key}")
            ]
    raise AssertionError


def leaves_of(form: Form) -> list[Leaf]:
    own = [leaf for _, leaves in form._leaves.values() for leaf in leaves]
    return own + [leaf for group in form._groups.values() for leaf in leaves_of(group)]


def words_for(node: Any, name: str) -> list[str]:
    """One option of every part of every list, which makes all of its settings options."""
    match node:
        case Several():
            inner = [word for i, item in enumerate(node.items) for word in words_for(item, f"{name}{i}.")]
            return [*(f"{name}{i}.x" for i in range(len(node.items))), *inner]
        case Draft():
            return [
                word
                for key, part in node.parts.items()
                for word in words_for(part, f"{name}{key.replace('_', '-')}.")
            ]
        case _:
            return []


@pytest.mark.parametrize("make", [*RECIPES.values(), STUDIES["debug"], STUDIES["pixels"]])
def test_every_setting_of_every_recipe_and_study_is_an_option(make: Any) -> None:
    root = draft(type(make()), make())
    assert isinstance(root, Draft)
    form = Form("", [root], words_for(root, ""))
    assert unreachable(root, form, "") == []
    assert build(root) == make()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("recipe", [debug(), debug_ppo()], ids=["habc", "ppo"])
def test_a_device_that_is_missing_is_said_before_anything_is_made(
    recipe: HABCRun | ChunkedPPORun, tmp_path: Path
) -> None:
    away = replace(recipe, compute=Compute(device="cuda"))
    with pytest.raises(
        VantageError, match=r"compute\.device is cuda, which torch does not see here; set it to cpu"
    ):
        start("debug", tmp_path / "run", workers=1, settings=away)
    assert not (tmp_path / "run").exists()
