"""A world of one's own is named on the command line as its file and class, and those of the library by their
names: their fields become settings, a run folder never imports anything, and whatever is wrong is one
sentence."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from vantage.cli import main
from vantage.config import to_json
from vantage.recipes import STUDIES

PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"

WORLDS = '''
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from vantage import Count, Share, Whole, WorldInputs


class Point:
    """A point on a line, and a goal; `fault` is what is wrong with it."""

    task, prompt, fps, cameras = "line", "go", 10, ()
    action_low, action_high = -np.ones(1, np.float32), np.ones(1, np.float32)
    played = 0

    def __init__(self, fault=""):
        self.fault = fault
        if fault == "prompt":
            self.prompt = ""
        if fault == "fps":
            self.fps = 11
        if fault == "cameras":
            self.cameras = ("top",)
        if fault == "blind":
            self.cameras = None
        if fault == "limits":
            self.action_low = -np.ones(3, np.float32)
        if fault == "order":
            self.action_low = np.ones(1, np.float32)

    def reset(self, seed):
        self.x, self.goal = np.random.default_rng(seed).uniform(-1, 1, 2)
        self.played += 1
        if self.fault == "start":
            self.x += self.played
        if self.fault == "late" and self.played > 2:
            raise RuntimeError("no more")

    def step(self, action):
        self.x += 0.1 * float(action[0])
        if self.fault == "step":
            return {}["nothing"]
        return None if self.fault == "success" else bool(abs(self.x - self.goal) < 0.1)

    def proprioception(self):
        return np.array([self.x], np.float64 if self.fault == "type" else np.float32)

    def environment_state(self):
        return np.array([self.x, self.goal] * (2 if self.fault == "state" else 1), np.float32)

    def images(self):
        return {}

    def close(self):
        pass


class Line:
    limit, fps, robot, task = 60, 10, "point", "line"
    inputs = WorldInputs(cameras={}, state_dim=1, environment_dim=2, action_dim=1)

    def __call__(self):
        return Point()


@dataclass(frozen=True)
class Goal(Line):
    """A point goes to its goal."""

    limit: Whole = 60
    """Control steps of an episode."""
    side: Literal["left", "right"] = "left"
    speed: Share = 1.0
    """How fast it may go."""

    @property
    def task(self):
        return f"line-{self.side}"


@dataclass(frozen=True)
class Named(Line):
    name: str = "near"

    @property
    def task(self):
        return f"line-{self.name}"


@dataclass(frozen=True)
class Faulty(Line):
    fault: str = ""
    limit: Whole = 60

    def __call__(self):
        return Point(self.fault)


@dataclass(frozen=True)
class Fixed(Line):
    speed: float = 1.0


@dataclass(frozen=True)
class Slashed(Line):
    speed: float = 1.0
    task = "a/b"


@dataclass(frozen=True)
class Timeless(Line):
    limit: float = 0.5


@dataclass(frozen=True)
class Untold(Line):
    speed: float = 1.0
    inputs = {"state": 1}


@dataclass(frozen=True)
class Raises(Line):
    speed: float = 1.0

    @property
    def inputs(self):
        return {}["inputs"]


@dataclass(frozen=True)
class NoWorld(Line):
    speed: float = 1.0

    def __call__(self):
        return 3


@dataclass(frozen=True)
class Cannot(Line):
    speed: float = 1.0

    def __call__(self):
        raise OSError("no simulator here")


class NoData(Line):
    pass


@dataclass
class Loose(Line):
    speed: float = 1.0


@dataclass(frozen=True)
class Short:
    limit: int = 60
    fps: int = 10

    def __call__(self):
        return Point()


@dataclass(frozen=True)
class Table(Line):
    table: np.ndarray | None = None


@dataclass(frozen=True)
class Straight:
    """Who can do it."""

    speed: float = 1.0

    def __call__(self, rng):
        return self

    def act(self, state):
        return np.clip(10 * (state[1:] - state[:1]), -self.speed, self.speed).astype(np.float32)

    def progress(self, state):
        return -abs(float(state[1] - state[0]))


def make():
    return 3
'''
SIZES = "--policy.net.sight.dim 2 --policy.net.state-dim 1 --policy.net.action-dim 1"
TOY = "--rounds 1 --supervised.steps 2 --fit.steps 2 --critic.steps 2 --demonstrations.per-world 1"
TOY += " --rollouts.per-world 3 --evaluation.per-world 1 --workers 1"


def line_of(code: str) -> int:
    """Where a piece of code stands in the file of worlds."""
    return WORLDS[: WORLDS.index(code)].count("\n") + 1


Vantage = Callable[..., tuple[int, str]]


@pytest.fixture
def vantage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Vantage:
    """Run the command line in this process: (exit code, all that it said on one line)."""

    def call(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["vantage", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = capsys.readouterr()
        return code, " ".join((said.out + said.err).replace("│", " ").split())

    return call


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Path]:
    """A file of worlds, which this process forgets afterwards."""
    before, path = list(sys.path), tmp_path / f"worlds_{tmp_path.name.replace('-', '_')}.py"
    path.write_text(WORLDS)
    yield path
    sys.path[:] = before
    forget(path)


def forget(file: Path) -> None:
    """As in a new process."""
    sys.modules.pop(file.stem, None)


def played_by(file: Path, expert: str, others: str = "RescueWith") -> list[str]:
    """Options for an expert of one's own, who demonstrates and rescues."""
    demonstrations = (
        f"--demonstrations.operator DemonstrateWith --demonstrations.operator.expert {file}:{expert}"
    )
    rollouts = f"--rollouts.operator {others}"
    if others == "RescueWith":
        rollouts += f" --rollouts.operator.expert {file}:{expert}"
    return [*demonstrations.split(), *rollouts.split()]


def test_it_runs_goes_on_and_is_never_imported_by_its_run_folder(
    vantage: Vantage, worlds: Path, tmp_path: Path
) -> None:
    """The world of docs/simulator.md, cut out of the page, in a recipe for two arms."""
    [_, program, _] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(program.splitlines()) < 80
    worlds.write_text(program)
    run, named = tmp_path / "run", ["--worlds", f"{worlds}:Drawer", *played_by(worlds, "Pull")]
    sizes = "--policy.net.sight.dim 4 --policy.net.state-dim 2 --policy.net.action-dim 2 --policy.relative"
    chosen = f"--worlds.limit 40 --worlds.stiffness 0.5 {sizes} {TOY}"
    code, said = vantage("run", "bimanual-bag", "--out", run, *named, *chosen.split())
    assert code == 0, said
    recipe = json.loads((run / "recipe.json").read_text())
    assert recipe["settings"]["worlds"] == [{"is": f"{worlds.stem}:Drawer", "limit": 40, "stiffness": 0.5}]
    [*trials] = pq.read_table(run / "round-01" / "6-eval.parquet").to_pylist()
    assert {trial["task"] for trial in trials} == {"drawer"} and {trial["limit"] for trial in trials} == {40}
    demonstrations = pq.read_table(run / "round-00" / "1-episodes" / "data")
    assert demonstrations["next.success"].to_numpy().sum() == 1, "its expert opens the drawer"

    # Without the world it is refused, and its file is not imported.
    forget(worlds)
    code, said = vantage("run", run / "recipe.json", "--out", run)
    assert code == 2 and "or --worlds FILE.py:CLASS" in said
    (run / "round-01" / "6-eval.parquet").unlink()
    code, said = vantage("evaluate", run / "round-01", "--workers", 1)
    assert code == 2 and f"'{worlds.stem}:Drawer' is none of MetaWorldSpec" in said
    code, said = vantage("run", "bimanual-bag", "--out", run)
    assert code == 2 and f"to go on, name {worlds.stem}:Drawer behind its setting again" in said
    assert worlds.stem not in sys.modules and not (run / "round-01" / "6-eval.parquet").exists()

    # Where it is named, the run folder goes on, and finds everything done.
    brought = ("--recipe", f"{worlds}:Drawer", "--recipe", f"{worlds}:Pull")
    code, said = vantage("evaluate", run / "round-01", "--workers", 1, *brought)
    assert code == 0 and (run / "round-01" / "6-eval.parquet").is_file(), said
    forget(worlds)
    done = {path: path.stat().st_mtime_ns for path in (run / "round-01").iterdir()}
    code, said = vantage("run", run / "recipe.json", "--out", run, "--workers", 1, *named)
    assert code == 0, said
    assert done == {path: path.stat().st_mtime_ns for path in (run / "round-01").iterdir()}


def test_settings_in_a_file_take_it_where_it_is_named_again(
    vantage: Vantage, worlds: Path, tmp_path: Path
) -> None:
    both = ("--worlds", f"{worlds}:Goal", f"{worlds}:Goal")
    code, text = vantage("recipes", "debug", *both, "--worlds.1.side", "right", "--worlds.limit", 9)
    assert code == 0, text
    (mine := tmp_path / "mine.json").write_text(text)
    forget(worlds)

    code, said = vantage("recipes", mine)
    assert code == 2 and f"{mine} holds the class '{worlds.stem}:Goal'" in said
    assert worlds.stem not in sys.modules
    for named in (both, both[:2]):
        code, again = vantage("recipes", mine, *named)
        assert code == 0 and json.loads(again) == json.loads(text), "its fields are those of the file"
    code, other = vantage("recipes", mine, *both, "--worlds.0.speed", 0.5)
    assert [world["speed"] for world in json.loads(other)["worlds"]] == [0.5, 1.0]


META = {"is": "MetaWorldSpec", "alike": False, "half_open": False, "limit": 120, "image_size": 96}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("reach-v3 push-v3", [META | {"task": "reach-v3"}, META | {"task": "push-v3"}]),
        ("MetaWorldSpec", [META | {"task": "push-v3"}]),
        ("MetaWorldSpec push-v3", [META | {"task": "push-v3"}]),
        ("MetaWorldSpec reach-v3 --worlds.limit 9", [META | {"task": "reach-v3", "limit": 9}]),
        (
            "BimanualSpec bag-bottle sack-draw --worlds.sack-draw.limit 600",
            [
                {"is": "BimanualSpec", "task": "bag-bottle", "limit": 400, "image_size": 96},
                {"is": "BimanualSpec", "task": "sack-draw", "limit": 600, "image_size": 96},
            ],
        ),
        (
            "bimanual-spec --worlds.task pouch-zip",
            [{"is": "BimanualSpec", "task": "pouch-zip", "limit": 400, "image_size": 96}],
        ),
        (
            "{file}:Goal --worlds.side right --worlds.limit 7",
            [{"is": "{stem}:Goal", "limit": 7, "side": "right", "speed": 1.0}],
        ),
        ("{file}:Named --worlds.0.name far", [{"is": "{stem}:Named", "name": "far"}]),
        ("{file}:Named far off", [{"is": "{stem}:Named", "name": name} for name in ("far", "off")]),
        (
            "push-v3 {file}:Fixed --worlds.0.limit 5 --worlds.1.speed 2",
            [META | {"task": "push-v3", "limit": 5}, {"is": "{stem}:Fixed", "speed": 2.0}],
        ),
    ],
)
def test_worlds_of_every_kind_are_named(
    words: str, expected: list[dict[str, Any]], vantage: Vantage, worlds: Path
) -> None:
    code, said = vantage("recipes", "debug", "--worlds", *words.replace("{file}", str(worlds)).split())
    assert code == 0, said
    assert json.dumps(json.loads(said)["worlds"], sort_keys=True) == json.dumps(
        expected, sort_keys=True
    ).replace("{stem}", worlds.stem)


def test_environments_of_gymnasium_and_lerobot_are_named(vantage: Vantage) -> None:
    chosen = "--worlds.fps 25 --worlds.0.limit 50 --worlds.1.limit 60 --worlds.success RewardAtLeast"
    chosen += " --worlds.success.reward 0.5 --worlds.1.state observation[0:3]"
    names = ("Gymnasium", "FetchReach-v4", "FetchPush-v4", "--worlds.package", "gymnasium_robotics")
    code, said = vantage("recipes", "debug", "--worlds", *names, *chosen.split())
    assert code == 0, said
    reach, push = json.loads(said)["worlds"]
    assert (reach["id"], reach["limit"], reach["state"]) == ("FetchReach-v4", 50, [])
    assert (push["id"], push["limit"], push["state"]) == ("FetchPush-v4", 60, ["observation[0:3]"])
    assert reach["success"] == push["success"] == {"is": "RewardAtLeast", "reward": 0.5}

    told = ("--worlds.kwargs", "obs_type", "pixels_agent_pos", "size", "[64, 3.5]", "dense", "true")
    code, said = vantage(
        "recipes", "debug", "--worlds", *names[:2], "--worlds.limit", 5, "--worlds.fps", 5, *told
    )
    assert code == 0, said
    kwargs = {"obs_type": "pixels_agent_pos", "size": [64, 3.5], "dense": True}
    assert json.loads(said)["worlds"][0]["kwargs"] == kwargs

    own = ("--worlds.task", "PushT-v0", "--worlds.limit", 30, "--worlds.fps", 10)
    code, said = vantage("recipes", "debug", "--worlds", "LeRobotEnv", "pusht", *own)
    assert code == 0 and json.loads(said)["worlds"][0]["type"] == "pusht", said


def test_a_package_of_environments_is_named_again(
    vantage: Vantage, worlds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may not have a module imported; the command line may."""
    monkeypatch.syspath_prepend(tmp_path)
    chosen = "--worlds.limit 9 --worlds.fps 10 --worlds.success Terminated"
    named = ("--worlds.package", worlds.stem, *chosen.split())
    code, text = vantage("recipes", "debug", "--worlds", "Gymnasium", "CartPole-v1", *named)
    assert code == 0, text
    (mine := tmp_path / "mine.json").write_text(text)
    (run := tmp_path / "run").mkdir()
    (run / "recipe.json").write_text(json.dumps({"recipe": "debug", "settings": json.loads(text)}))
    (run / "round-00").mkdir()

    code, said = vantage("recipes", mine)
    assert code == 2 and f"a file may not have the module '{worlds.stem}' imported; name it behind" in said
    code, said = vantage("weigh", run / "round-00")
    assert code == 2 and f"a file may not have the module '{worlds.stem}' imported; name it behind" in said
    assert worlds.stem not in sys.modules
    code, again = vantage("recipes", mine, "--worlds.package", worlds.stem)
    assert code == 0 and again == text and worlds.stem in sys.modules
    forget(worlds)
    code, said = vantage("weigh", run / "round-00", "--recipe", worlds.stem)
    assert code == 2 and "may not have" not in said and worlds.stem in sys.modules, said


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("Gymnasium", "--worlds.id --worlds.limit --worlds.fps"),
        ("Gymnasium --worlds.0.id A", "--worlds.0.limit --worlds.0.fps"),
        ("Gymnasium A B --worlds.limit 3 --worlds.A.fps 3", "--worlds.1.fps"),
        ("Gymnasium Gymnasium --worlds.limit 3 --worlds.fps 3", "--worlds.0.id --worlds.1.id"),
    ],
)
def test_what_a_world_must_be_given_is_asked_for(words: str, missing: str, vantage: Vantage) -> None:
    code, said = vantage("recipes", "debug", "--worlds", *words.split())
    assert code == 2 and re.findall(r"--worlds\S+", said) == missing.split(), said


def test_a_study_takes_it(vantage: Vantage, worlds: Path, tmp_path: Path) -> None:
    named = ("--tasks.0.world", f"{worlds}:Goal")
    (plan := tmp_path / "study.json").write_text(json.dumps(to_json(STUDIES["debug"]())))
    code, text = vantage("recipes", plan, *named, "--tasks.0.world.limit", 30)
    assert code == 0, text
    assert json.loads(text)["tasks"][0]["world"]["limit"] == 30
    plan.write_text(text)
    code, said = vantage("study", plan, "--results", tmp_path / "rows")
    assert code == 2 and f"{plan} holds the class '{worlds.stem}:Goal'" in said
    code, said = vantage("study", plan, "--results", tmp_path / "rows", *named)
    assert code == 2 and "and line-left has 2, 1 and 1; for a policy on the small network give" in said
    assert not (tmp_path / "rows").exists()


def test_help_tells_its_fields(vantage: Vantage, worlds: Path) -> None:
    code, said = vantage("run", "debug", "--worlds", f"{worlds}:Goal", "--help")
    assert code == 0
    for piece in (
        "--worlds NAME|{MetaWorldSpec,Gymnasium,LeRobotEnv,BimanualSpec}|FILE.py:CLASS",
        f"(default: {worlds.name}:Goal)",
        "A point goes to its goal.",
        "--worlds.limit INT Control steps of an episode. (default: 60; at least 0)",
        "--worlds.side {left,right}",
        "--worlds.speed FLOAT How fast it may go. (default: 1.0; at least 0 and at most 1)",
    ):
        assert re.sub(r"\s", "", piece) in re.sub(r"\s", "", said), piece


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.py:Goal", "nowhere.py does not exist"),
        ("{file}", r"which class of .*\.py\? Name it: .*\.py:CLASS"),
        ("{file}:Gaol", "has no 'Gaol'; did you mean 'Goal'?"),
        ("{file}:make", ":make is of type function; name a class, a frozen dataclass"),
        ("{file}:NoData", ":NoData is no frozen dataclass; write @dataclass(frozen=True) above the class"),
        ("{file}:Loose", ":Loose is no frozen dataclass"),
        ("{file}:Short", ":Short has no inputs and no robot and no task; it needs fps and inputs"),
        ("{file}:Straight", ":Straight has no fps and no inputs"),
        ("{file}:Table", ":Table.table is of type numpy.ndarray | None, which no file of settings can hold"),
        ("{file}:Goal --worlds.speed 2", "Goal.speed is 2.0; it must be at least 0 and at most 1"),
        ("{file}:Goal --worlds.speed x", "--worlds.speed"),
        ("{file}:Goal --worlds.side up", "--worlds.side"),
        ("{file}:Goal --worlds.spede 1", "Perhaps you meant: --worlds.speed"),
        ("{file}:Goal left", "'left': a Goal has no name that could be typed; name MetaWorldSpec, Gymnasium"),
        ("{file}:Goal {file}:Goal", "line-left stands twice among the worlds"),
        (
            "{file}:Goal {file}:Goal --worlds.0.speed 0.5",
            "two worlds of the run are called 'line-left', whose trials could not be told apart",
        ),
        ("{file}:Goal {file}:Faulty push-v3", "line-left and push-v3 differ in robot (point, sawyer)"),
        ("{file}:Goal --worlds.limit 0", "an episode of line-left may last 0 control steps"),
        ("{file}:Slashed", "Slashed.task is 'a/b'; it must be a name that is fit for a file"),
        ("{file}:Timeless", "Timeless.limit is 0.5; it must be a whole number, at least 0"),
        ("{file}:Untold", "Untold.inputs is {'state': 1}; make it a WorldInputs"),
        (
            "{file}:Raises",
            f".py, line {line_of('{}[' + repr('inputs').replace(chr(39), chr(34)))} raised KeyError",
        ),
        ("{file}:NoWorld", "NoWorld, when it was called, returned 3, which has no action_high and no"),
        ("{file}:Cannot", f".py, line {line_of('raise OSError')} raised OSError: no simulator here"),
        ("{file}:Faulty --worlds.fault prompt", "the prompt of the world of Faulty is ''; say what a person"),
        ("{file}:Faulty --worlds.fault fps", "Faulty.fps is 10, and its world has 11; make them one"),
        ("{file}:Faulty --worlds.fault cameras", "names the cameras (), and its world has ('top',)"),
        (
            "{file}:Faulty --worlds.fault blind",
            "a first try of the world of Faulty raised TypeError: 'NoneType' object is not iterable",
        ),
        ("{file}:Faulty --worlds.fault limits", "action_low of the world of Faulty is array([-1., -1., -1.]"),
        ("{file}:Faulty --worlds.fault order", "has an action_low that is not below action_high"),
        ("{file}:Faulty --worlds.fault start", "line begins in another state when it is reset to the same"),
        ("{file}:Faulty --worlds.fault success", "step of the world of Faulty returned None; return True"),
        ("{file}:Faulty --worlds.fault step", f", line {line_of('nothing')} raised KeyError: 'nothing'"),
        ("{file}:Faulty --worlds.fault type", "proprioception of the world of Faulty is of type float64"),
        (
            "{file}:Faulty --worlds.fault state",
            "of 2 finite numbers, as many as Faulty.inputs.environment_dim",
        ),
    ],
)
def test_what_is_wrong_with_it_is_said_before_anything_is_made(
    name: str, says: str, vantage: Vantage, worlds: Path, tmp_path: Path
) -> None:
    words = name.replace("{file}", str(worlds)).split()
    code, said = vantage("run", "debug", "--out", tmp_path / "run", "--worlds", *words)
    assert code == 2
    assert re.search(says if "\\" in says else re.escape(says), said), said
    assert not (tmp_path / "run").exists()


def test_what_it_raises_in_an_episode_is_one_sentence(vantage: Vantage, worlds: Path, tmp_path: Path) -> None:
    words = ["--worlds", f"{worlds}:Faulty", "--worlds.fault", "late", *SIZES.split(), *TOY.split()]
    words += [*played_by(worlds, "Straight", "NoOne"), "--demonstrations.per-world", "4"]
    code, said = vantage("run", "debug", "--out", tmp_path / "run", *words)
    assert code == 2 and f".py, line {line_of('raise RuntimeError')} raised RuntimeError: no more" in said


@pytest.mark.parametrize("recipe", ["debug", "bimanual-bag", "debug-ppo"])
def test_the_options_that_a_policy_needs_are_said(
    recipe: str, vantage: Vantage, worlds: Path, tmp_path: Path
) -> None:
    """Whoever gives what the sentences say has a run."""
    named = ("run", recipe, "--out", tmp_path / "run", "--worlds", f"{worlds}:Goal")
    code, said = vantage(*named)
    assert code == 2
    options = said.partition("small network give ")[2].replace(" (with no number behind it)", "")
    wanted = f"{SIZES} --policy.relative" if recipe == "bimanual-bag" else SIZES
    assert options == wanted, said

    code, said = vantage(*named, *options.split())
    assert code == 2 and "nobody of Vantage's can do line-left, a world of your own; an expert of" in said
    assert "--demonstrations.operator DemonstrateWith --demonstrations.operator.expert FILE.py:CLASS" in said
    assert not (tmp_path / "run").exists()


def test_a_policy_from_pictures_is_told_what_the_world_shows(vantage: Vantage, worlds: Path) -> None:
    code, said = vantage(
        "run", "quickstart", "--out", "r", "--worlds", f"{worlds}:Goal", "--policy.net.sight", "Pixels"
    )
    assert code == 2 and "shows no camera; give --policy.net.sight TrueState --policy.net.sight.dim 2" in said


def test_practice_sets_its_limit(vantage: Vantage, worlds: Path, tmp_path: Path) -> None:
    named = ("run", "debug-ppo", "--out", tmp_path / "run", "--workers", 1, *SIZES.split())
    experts = played_by(worlds, "Straight")[:4]
    code, said = vantage(*named, *experts, "--worlds", f"{worlds}:Fixed")
    assert code == 2 and "chunked PPO sets the limit of episodes, and Fixed has no field limit" in said

    small = "--supervised.steps 2 --practice.steps 300 --practice.play.episodes 4 --practice.play.limit 20"
    small += " --demonstrations.per-world 1"
    code, said = vantage(*named, *experts, "--worlds", f"{worlds}:Goal", *small.split(), "--limit", 30)
    assert code == 0, said
