"""docs/simulator.md: its file, cut out of the page, runs from the environment to the report; its experts."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vantage.algorithms.habc import HABCRun
from vantage.collect.handover import Event, Phase
from vantage.collect.operators import DemonstrateWith, RescueWith
from vantage.commands.names import find
from vantage.commands.runs import start
from vantage.commands.settings import change
from vantage.config import classes_of, from_json, to_json
from vantage.errors import VantageError
from vantage.stages.collect import Rollouts

PAGE = Path(__file__).parent.parent.parent / "docs" / "simulator.md"


@dataclass(frozen=True)
class Steady:
    """Its state is [progress]; it acts by adding its speed."""

    speed: float = 0.5

    def __call__(self, rng: np.random.Generator) -> "Steady":
        return self

    def act(self, state: np.ndarray) -> np.ndarray:
        return np.array([self.speed], np.float32)

    def progress(self, state: np.ndarray) -> float:
        return float(state[0])


def at(progress: float) -> np.ndarray:
    return np.array([progress], np.float32)


def test_an_expert_of_ones_own_demonstrates() -> None:
    operator = DemonstrateWith(Steady(0.25))("toy", 10, np.random.default_rng(0))
    assert operator.watch(Phase.AUTONOMOUS, 0, at(0)) is Event.TAKE_OVER
    assert operator.watch(Phase.CORRECTING, 1, at(0)) is None
    assert operator.act(at(0)) == 0.25 and DemonstrateWith(Steady()).extension == 0


def test_an_expert_of_ones_own_rescues_and_hands_back_at_the_next_stage() -> None:
    spec = RescueWith(
        expert=Steady(), permission=1.0, stuck_after=3, reaction=(1, 1), hand_back=1.0, hold=2, late_at=1.0
    )
    operator = spec("toy", 100, np.random.default_rng(0))
    watched = [operator.watch(Phase.AUTONOMOUS, t, at(0.5)) for t in range(4)]
    assert watched == [None, None, None, Event.TROUBLE]
    assert operator.watch(Phase.REACTING, 4, at(0.5)) is Event.TAKE_OVER
    assert operator.act(at(0.5)) == 0.5
    assert operator.watch(Phase.CORRECTING, 5, at(0.9)) is None
    assert operator.watch(Phase.CORRECTING, 6, at(1.1)) is Event.HAND_BACK
    never = RescueWith(expert=Steady(), permission=0.0)("toy", 100, np.random.default_rng(0))
    assert never.watch(Phase.AUTONOMOUS, 99, at(0)) is None


def test_an_expert_is_written_down_and_read_where_it_is_brought() -> None:
    spec = RescueWith(expert=Steady(0.1))
    written = to_json(Rollouts(operator=spec))
    assert from_json(Rollouts, written, own=classes_of(spec)).operator == spec
    with pytest.raises(VantageError, match="name the Python file that made it"):
        from_json(Rollouts, written)


def test_the_file_of_the_page_runs_from_the_environment_to_the_report(tmp_path: Path) -> None:
    [program, _, _] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(program.splitlines()) < 60
    path, run = tmp_path / "reach_page.py", tmp_path / "run"
    path.write_text(program)
    recipe = find(f"{path}:make", {}, (HABCRun,), "recipe").value
    words = "--rounds 1 --supervised.steps 5 --fit.steps 5 --critic.steps 5 --demonstrations.per-world 2"
    words += " --control false --rollouts.per-world 4 --evaluation.per-world 3 --control false"

    def command(*, settings: object = None) -> None: ...

    small, _ = change(recipe, words.split(), command, prog="", about="")
    start(f"{path}:make", run, workers=1, settings=small)
    assert (run / "report.html").stat().st_size > 10_000
    trials = pq.read_table(run / "round-01" / "6-eval.parquet")
    assert trials["task"].to_pylist() == ["FetchReach-v4"] * 3 and set(trials["limit"].to_pylist()) == {50}
    demonstrations = pq.read_table(run / "round-00" / "1-episodes" / "data")
    assert demonstrations["next.success"].to_numpy().sum() == 2
