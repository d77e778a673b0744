"""An operator of one's own is named on the command line as its file and class: its fields become settings, a
run folder never imports it, and whatever is wrong with it is one sentence."""

import itertools
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vantage.cli import main
from vantage.commands.names import own_classes
from vantage.config import to_json
from vantage.errors import VantageError
from vantage.recipes import STUDIES
from vantage.study.rows import Results

PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"

OPERATORS = '''
from dataclasses import dataclass, field

import numpy as np

from vantage import Count, Event, Phase, Whole


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


@dataclass(frozen=True)
class Careful:
    """Waits, then drives to the end."""

    patience: Count = 60
    """Control steps before it takes over."""
    extension: Whole = 7
    driver: Straight = Straight()

    def __call__(self, task, limit, rng):
        return Watching(self)


class Watching:
    def __init__(self, spec):
        self.spec = spec

    def watch(self, phase, t, state):
        return Event.TAKE_OVER if phase is Phase.AUTONOMOUS and t >= self.spec.patience else None

    def act(self, state):
        return self.spec.driver.act(state)


class NoData:
    extension = 0


@dataclass
class Loose:
    extension: int = 0


@dataclass(frozen=True)
class Mute:
    extension: int = 0


@dataclass(frozen=True)
class Short:
    def __call__(self, task, limit, rng):
        return Watching(self)


@dataclass(frozen=True)
class Base:
    extension: int = 0

    def __call__(self, task, limit, rng):
        return Watching(self)


@dataclass(frozen=True)
class Table(Base):
    table: np.ndarray | None = None


@dataclass(frozen=True)
class Unread(Base):
    table: "Nowhere" = None


@dataclass(frozen=True)
class Late(Base):
    table: int = field(default=0, init=False)


@dataclass(frozen=True)
class Bytes(Base):
    text: str = b"0.5"


@dataclass(frozen=True)
class Refuses(Base):
    def __post_init__(self):
        raise ValueError("not today")


@dataclass(frozen=True)
class Raises(Base):
    def __call__(self, task, limit, rng):
        return {}[task]


@dataclass(frozen=True)
class NoOperator(Base):
    def __call__(self, task, limit, rng):
        return 3


@dataclass(frozen=True)
class Backwards(Base):
    extension: int = -3


@dataclass(frozen=True)
class Broken(Base):
    how: str = ""

    def __call__(self, task, limit, rng):
        return BrokenWatching(self.how)


class BrokenWatching:
    def __init__(self, how):
        self.how = how

    def watch(self, phase, t, state):
        if self.how == "watch":
            return {}["nothing"]
        return "take_over" if self.how == "text" else Event.TAKE_OVER

    def act(self, state):
        return {"shape": np.zeros(3), "nan": np.full(4, np.nan), "none": None}[self.how]


def make():
    return 3
'''

RECIPE = '''
from dataclasses import replace

from vantage import RECIPES, Rollouts
from OPERATORS import Careful


def make():
    """With an operator of my own."""
    return replace(RECIPES["debug"](), rollouts=Rollouts(operator=Careful()))
'''


def line_of(code: str) -> int:
    """Where a piece of code stands in the file of operators."""
    return OPERATORS[: OPERATORS.index(code)].count("\n") + 1


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
def operators(tmp_path: Path) -> Iterator[Path]:
    """A file of operators, which this process forgets afterwards."""
    before, path = list(sys.path), tmp_path / f"own_{tmp_path.name.replace('-', '_')}.py"
    path.write_text(OPERATORS)
    yield path
    sys.path[:] = before
    for name in (path.stem, f"{path.stem}_recipe"):
        sys.modules.pop(name, None)


@pytest.fixture
def recipe(operators: Path) -> Path:
    """A recipe of one's own, beside them."""
    path = operators.with_name(f"{operators.stem}_recipe.py")
    path.write_text(RECIPE.replace("OPERATORS", operators.stem))
    return path


def forget(*files: Path) -> None:
    """As in a new process."""
    for file in files:
        sys.modules.pop(file.stem, None)


def test_it_runs_goes_on_and_is_never_imported_by_its_run_folder(
    vantage: Vantage, operators: Path, tmp_path: Path
) -> None:
    """The operator of docs/simulator.md, cut out of the page."""
    [_, _, program] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    operators.write_text(program)
    run, named = tmp_path / "run", ("--rollouts.operator", f"{operators}:Careful")
    toy = "--worlds reach-v3 --worlds.limit 60 --rounds 1 --supervised.steps 2 --fit.steps 2 --critic.steps 2"
    toy += " --demonstrations.per-world 1 --rollouts.per-world 3 --evaluation.per-world 1 --rescues half"
    chosen = "--rollouts.operator.patience 20 --rollouts.operator.still 0.5 --rollouts.operator.hold 9"
    code, said = vantage("run", "debug", "--out", run, "--workers", 1, *toy.split(), *named, *chosen.split())
    assert code == 0, said
    recipe = json.loads((run / "recipe.json").read_text())
    assert recipe["settings"]["rollouts"]["operator"] == {
        "is": f"{operators.stem}:Careful",
        "patience": 20,
        "still": 0.5,
        "hold": 9,
        "extension": 120,
    }
    frames = pq.read_table(run / "round-01" / "1-episodes" / "data")
    human = np.array(frames["intervention"].to_pylist()).ravel().tolist()
    drives = zip(frames["episode_index"].to_pylist(), human, strict=True)
    stretches = [(*key, len(list(steps))) for key, steps in itertools.groupby(drives)]
    handed_over = [
        (human, steps)
        for (episode, human, steps), (after, *_) in itertools.pairwise(stretches)
        if episode == after
    ]
    assert (False, 20) in handed_over, "it takes over when its patience ends"
    assert {steps for human, steps in handed_over if human} == {9}, "and hands back"
    assert min(steps for human, steps in handed_over if not human) >= 20

    # Without the operator it is refused, and its file is not imported.
    forget(operators)
    code, said = vantage("run", "debug", "--out", run, *toy.split())
    assert code == 2
    assert f"to go on, name {operators.stem}:Careful behind its setting again (FILE.py:CLASS); else" in said
    code, said = vantage("run", run / "recipe.json", "--out", run)
    assert code == 2 and "a file of settings brings no code; name it behind its setting" in said
    (run / "round-01" / "6-eval.parquet").unlink()
    code, said = vantage("evaluate", run / "round-01", "--workers", 1)
    assert code == 2 and "name the Python file that made it with --recipe" in said
    assert operators.stem not in sys.modules and not (run / "round-01" / "6-eval.parquet").exists()

    # Where it is named, the run folder goes on, and finds everything done.
    code, said = vantage("evaluate", run / "round-01", "--workers", 1, "--recipe", f"{operators}:Careful")
    assert code == 0 and (run / "round-01" / "6-eval.parquet").is_file(), said
    forget(operators)
    done = {path: path.stat().st_mtime_ns for path in (run / "round-01").iterdir()}
    code, said = vantage("run", run / "recipe.json", "--out", run, "--workers", 1, *named)
    assert code == 0, said
    assert done == {path: path.stat().st_mtime_ns for path in (run / "round-01").iterdir()}


def test_settings_in_a_file_take_it_where_it_is_named_again(
    vantage: Vantage, operators: Path, tmp_path: Path
) -> None:
    named = ("--rollouts.operator", f"{operators}:Careful")
    code, text = vantage("recipes", "debug", *named, "--rollouts.operator.patience", 5)
    (mine := tmp_path / "mine.json").write_text(text)
    forget(operators)

    code, said = vantage("recipes", mine)
    assert code == 2 and f"{mine} holds the class '{operators.stem}:Careful'" in said
    assert operators.stem not in sys.modules
    code, again = vantage("recipes", mine, *named)
    assert code == 0 and json.loads(again) == json.loads(text), "its fields are those of the file"
    code, other = vantage("recipes", mine, *named, "--rollouts.operator.driver.speed", 0.5)
    assert json.loads(other)["rollouts"]["operator"]["driver"]["speed"] == 0.5


def test_an_operator_of_a_recipe_of_ones_own_gives_way(
    vantage: Vantage, operators: Path, recipe: Path
) -> None:
    code, said = vantage("recipes", f"{recipe}:make", "--rollouts.operator", "NoOne")
    assert code == 0 and json.loads(said)["rollouts"]["operator"] == {"is": "NoOne"}
    code, said = vantage("recipes", f"{recipe}:make", "--rollouts.operator", f"{operators.name}:Careful")
    assert code == 0 and json.loads(said)["rollouts"]["operator"]["patience"] == 60


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("patience 0", "Careful.patience is 0; it must be at least 1"),
        ("driver.speed nan", "Straight.speed is nan; it must be a finite number"),
    ],
)
def test_settings_of_a_class_that_no_word_named_are_checked_too(
    words: str, says: str, vantage: Vantage, recipe: Path
) -> None:
    option, value = words.split()
    code, said = vantage("recipes", f"{recipe}:make", f"--rollouts.operator.{option}", value)
    assert code == 2 and says in said, said


def test_classes_are_brought_by_functions_and_by_themselves(operators: Path, recipe: Path) -> None:
    both = {f"{operators.stem}:Careful", f"{operators.stem}:Straight"}
    assert {name for name in own_classes([f"{recipe}:make"]) if ":" in name} == both
    assert own_classes([f"{operators}:Careful"]).keys() == both, "its driver is one of its defaults"
    assert own_classes([f"{operators}:Straight", f"{operators}:Base"]).keys() == {
        f"{operators.stem}:Straight",
        f"{operators.stem}:Base",
    }
    for name, says in (
        ("Careful", "name it as FILE.py:NAME"),
        (str(operators), r"what of .*\.py\? Name the function or class"),
        (f"{operators}:Loose", "Loose is no frozen dataclass"),
    ):
        with pytest.raises(VantageError, match=says):
            own_classes([name])


def test_an_expert_is_named_in_the_same_way(vantage: Vantage, operators: Path) -> None:
    chosen = ("--rollouts.operator", "RescueWith", "--rollouts.operator.expert")
    code, said = vantage(
        "recipes", "debug", *chosen, f"{operators}:Straight", "--rollouts.operator.expert.speed", 0.3
    )
    assert code == 0, said
    operator = json.loads(said)["rollouts"]["operator"]
    assert operator["is"] == "RescueWith" and operator["extension"] == 120
    assert operator["expert"] == {"is": f"{operators.stem}:Straight", "speed": 0.3}

    code, said = vantage("recipes", "debug", *chosen[:-1])
    assert code == 2 and "--rollouts.operator.expert FILE.py:CLASS" in said
    code, said = vantage("recipes", "debug", *chosen, "Expert")
    assert code == 2 and "--rollouts.operator.expert" in said


def test_a_study_takes_it_and_its_rows_are_read_where_it_is_named(
    vantage: Vantage, operators: Path, tmp_path: Path
) -> None:
    named = ("--base.rollouts.operator", f"{operators}:Careful")
    (plan := tmp_path / "study.json").write_text(json.dumps(to_json(STUDIES["debug"]())))
    code, text = vantage("recipes", plan, *named, "--base.rollouts.operator.patience", 3)
    assert code == 0, text
    assert json.loads(text)["base"]["rollouts"]["operator"]["patience"] == 3
    plan.write_text(text)
    rows = tmp_path / "rows"

    code, said = vantage("study-merge", plan, rows, "--results", tmp_path / "more")
    assert code == 2 and "name the Python file that made it with --recipe" in said
    (rows / "study.json").parent.mkdir()
    (rows / "study.json").write_text(text)
    brought = ("--recipe", f"{operators}:Careful")
    code, said = vantage("study-merge", plan, rows, "--results", tmp_path / "more", *brought)
    assert code == 0 and "0 cells" in said
    stored = json.loads((tmp_path / "more" / "study.json").read_text())
    assert stored["base"]["rollouts"]["operator"]["is"] == f"{operators.stem}:Careful"
    assert Results.read(rows, own_classes(brought[1:])).study.base is not None


def test_help_tells_its_fields(vantage: Vantage, operators: Path) -> None:
    code, said = vantage("run", "debug", "--rollouts.operator", f"{operators}:Careful", "--help")
    assert code == 0
    for piece in (
        f"RescueByHand, {operators.name}:Careful}}|FILE.py:CLASS",
        "Waits, then drives to the end.",
        "--rollouts.operator.patience INT Control steps before it takes over. (default: 60; at least 1)",
        "--rollouts.operator.driver.speed FLOAT",
    ):
        assert re.sub(r"\s", "", piece) in re.sub(r"\s", "", said), piece


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.py:Careful", "nowhere.py does not exist"),
        ("{file}", r"which class of .*\.py\? Name it: .*\.py:CLASS"),
        ("{file}:Carefull", "has no 'Carefull'; did you mean 'Careful'?"),
        ("{file}:make", ":make is of type function; name a class, a frozen dataclass"),
        ("{file}:NoData", ":NoData is no frozen dataclass; write @dataclass(frozen=True) above the class"),
        ("{file}:Loose", ":Loose is no frozen dataclass"),
        ("{file}:Mute", ":Mute cannot be called; give it the method __call__(self, task, limit, rng)"),
        ("{file}:Short", ":Short has no extension; it needs extension and a call"),
        ("{file}:Table", ":Table.table is of type numpy.ndarray | None, which no file of settings can hold"),
        ("{file}:Unread", "cannot be read (NameError: name 'Nowhere' is not defined)"),
        ("{file}:Late", ":Late.table is a field that is not given (init=False); make it a property"),
        ("{file}:Bytes", ":Bytes holds what no file of settings can (Object of type bytes"),
        ("{file}:Refuses", f".py, line {line_of('raise ValueError')} raised ValueError: not today"),
        ("{file}:Raises", f".py, line {line_of('{}[task]')} raised KeyError: 'push-v3'"),
        ("{file}:NoOperator", "NoOperator, when it was called, returned 3, which has no watch and no act"),
        ("{file}:Backwards", "Backwards.extension is -3; it must be a whole number of control steps, or 0"),
        ("{file}:Careful --rollouts.operator.patience 0", "Careful.patience is 0; it must be at least 1"),
        ("{file}:Careful --rollouts.operator.patience x", "--rollouts.operator.patience"),
        ("{file}:Careful --rollouts.operator.patiens 3", "Perhaps you meant: --rollouts.operator.patience"),
        ("Carefull", "invalid choice 'Carefull'"),
    ],
)
def test_what_is_wrong_with_it_is_said_before_anything_is_made(
    name: str, says: str, vantage: Vantage, operators: Path, tmp_path: Path
) -> None:
    words = name.format(file=operators).split()
    code, said = vantage("run", "debug", "--out", tmp_path / "run", "--rollouts.operator", *words)
    assert code == 2
    assert re.search(says if "\\" in says else re.escape(says), said), said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("watch", f".py, line {line_of('nothing')} raised KeyError: 'nothing'"),
        ("text", "the operator of Broken noticed 'take_over' at control step 0; return one of Event.TROUBLE"),
        ("shape", "acts with array([0., 0., 0.]); return an array of 4 finite numbers"),
        ("nan", "acts with array([nan, nan, nan, nan]); return an array of 4 finite numbers"),
        ("none", "acts with None; return an array of 4 finite numbers"),
        ("act", f".py, line {line_of('np.zeros(3)')} raised KeyError: 'act'"),
    ],
)
def test_what_goes_wrong_in_an_episode_is_one_sentence(
    how: str, says: str, vantage: Vantage, operators: Path, tmp_path: Path
) -> None:
    words = ("--demonstrations.operator", f"{operators}:Broken", "--demonstrations.operator.how", how)
    code, said = vantage("run", "debug", "--out", tmp_path / "run", "--workers", 1, *words)
    assert code == 2 and says in said, said
