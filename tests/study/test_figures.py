"""Figures of stored rows: the published ones, again, and what they say of few seeds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vantage.study.arms import describe
from vantage.study.figures.curves import keep_apart, viable_starts
from vantage.study.figures.differences import kind_of
from vantage.study.figures.forest import round_ticks
from vantage.study.figures.groups import (
    ArmGroup,
    by_family,
    by_training,
    further_arms,
    habc_chain,
    ordered_arms,
    shared_arms,
)
from vantage.study.figures.success import steps_by_method
from vantage.study.rows import Results
from vantage.study.tables import stop_arm

ROOT = Path(__file__).parent.parent.parent
DRAW = """
import sys
from pathlib import Path
from vantage.study.page import write_study
write_study(Path("docs/results/study-screen"), Path(sys.argv[1]))
print(*(name for name in ("mujoco", "metaworld", "gymnasium", "lerobot", "torch") if name in sys.modules))
"""


@pytest.fixture(scope="module", params=["state", "pixels", "screen"])
def stored(request: pytest.FixtureRequest) -> Results:
    return Results.read(ROOT / f"docs/results/study-{request.param}")


def test_published_figures_are_drawn_again_byte_for_byte_without_a_simulator(tmp_path: Path) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", DRAW, str(tmp_path / str(number))],
            cwd=ROOT,
            # One thread each: two that wait for each other on a busy machine once took minutes.
            env=os.environ | {"PYTHONHASHSEED": str(number), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in (1, 2)
    ]
    for process in running:
        said, problems = process.communicate()
        assert process.returncode == 0, problems
        # vantage.types, and the settings that a plan is made of, still import torch; nothing that draws needs
        # it.
        assert said.split() in ([], ["torch"]), "stored rows are drawn without a simulator"

    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "2").iterdir()) and "study.html" in names
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name
    for name in names:
        if name.endswith(".svg"):
            published = ROOT / f"docs/figures/study-screen-{name}"
            assert published.read_bytes() == (tmp_path / "1" / name).read_bytes(), (
                f"{name} is not what its command draws"
            )


def test_groups_hold_every_arm_once(stored: Results) -> None:
    for arms, groups in (
        (ordered_arms(stored), by_family(stored.study, ordered_arms(stored))),
        (further_arms(stored), by_training(stored.study, further_arms(stored))),
    ):
        assert sorted(arms) == sorted(name for group in groups for name in group.arms)
        for group in groups:
            labels = [describe(stored.study, name) for name in group.arms]
            rows = [label.name for label in labels]
            assert len(set(rows)) == len(rows), "rows of a group are told apart by their names"


def test_arms_are_found_by_what_they_are(stored: Results) -> None:
    assert habc_chain(stored.study)[0] == "habc"
    assert stop_arm(stored) in {"vantage-scratch", "cross-fitted"}
    if shared_arms(stored):
        assert habc_chain(stored.study) == ["habc", "habc+ir", "habc+ir-2", "habc+ir-3"]
        assert "shared-habc" in shared_arms(stored) and "shared" not in shared_arms(stored)


def test_what_a_comparison_is_about() -> None:
    results = Results.read(ROOT / "docs/results/study-state")

    def kind(ours: str, theirs: str) -> str:
        return kind_of(results.study, ours, theirs)

    assert kind("habc", "filtered-bc") == "methods, all else alike"
    assert kind("vantage-scratch-zero-noise", "habc-scratch-zero-noise") == "methods, all else alike"
    assert kind("shared-habc", "shared-habc-v") == "one update on the same rollouts"
    assert kind("habc-zero-noise", "habc") == "zero-noise inference, the same checkpoint"
    assert (
        kind("habc-scratch-zero-noise", "habc-long-zero-noise")
        == "training from scratch each round, the same method"
    )
    assert kind("vantage-scratch-zero-noise", "filtered-bc") == "several at once"


def test_the_steps_of_one_seed_have_no_bar(stored: Results) -> None:
    trials = stored.tables["trials"]
    first = {name: column[trials["seed"] == trials["seed"].min()] for name, column in trials.items()}
    one = Results(stored.folder, stored.study, stored.tables | {"trials": first})
    drawn = [steps_by_method(results, [ArmGroup(heading="", arms=("habc",))]) for results in (stored, one)]
    bars = [len(re.findall(r"stroke: #0b62a9; stroke-width: 2;", figure)) for figure in drawn]
    assert bars == [len(stored.study.tasks), 0], "Student's t asks for two seeds"
    assert "n = 1 seed ×" in drawn[1]


def test_viable_starts_stand_on_seeds() -> None:
    results = Results.read(ROOT / "docs/results/study-pixels")
    starts, drawn = results.tables["starts"], viable_starts(results)
    shares = [
        np.mean(
            [
                (starts["p_v"][rows] > 0.6).mean()
                for task in np.unique(starts["task"])
                if (rows := cell(starts, seed, task)).any()
            ]
        )
        for seed in (0, 1, 2)
    ]
    half = 4.302653 * np.std(shares, ddof=1) / 3**0.5
    words = (
        f"round 1: {np.mean(shares):.2f} [{np.mean(shares) - half:.2f}, {np.mean(shares) + half:.2f}], n = 3<"
    )
    assert words in drawn, "the mean of three seeds with Student's t"


def cell(starts: dict[str, np.ndarray], seed: int, task: str) -> np.ndarray:
    return (
        (starts["arm"] == "habc")
        & (starts["round"] == 1)
        & (starts["seed"] == seed)
        & (starts["task"] == task)
    )


def test_ticks_are_round_and_inside() -> None:
    assert round_ticks(0.4, 1.0, 4) == [0.4, 0.6, 0.8, 1.0]
    assert round_ticks(0, 97, 4) == [0, 25, 50, 75]
    assert round_ticks(-0.1, 0.5, 6) == [-0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert round_ticks(3, 3, 4) == [3]


def test_names_of_lines_keepkeep_apart() -> None:
    assert keep_apart([100.0, 104.0], 16) == [94.0, 110.0]
    assert keep_apart([100.0, 40.0], 16) == [100.0, 40.0]
