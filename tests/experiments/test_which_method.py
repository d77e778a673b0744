"""The page on which method for which evening is what its command makes of the stored rows."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments import which_method
from vantage.recipes.study import study_alone
from vantage.study.rows import Results

ROOT = Path(__file__).parent.parent.parent


def test_the_page_is_drawn_from_the_stored_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    which_method.main()
    assert (tmp_path / which_method.PAGE).read_text() == (ROOT / which_method.PAGE).read_text()


def test_an_hour_is_worth_by_hand(tmp_path: Path) -> None:
    """A tenth more success than supervised training after half an hour of the robot's: 20 points an hour."""
    study, starts = study_alone(), 10
    arms, solved = ("sft-more", "habc"), (4, 5)
    trials = {
        "task": np.full(2 * starts, "hammer-v3"),
        "world": np.full(2 * starts, "hammer-v3"),
        "arm": np.repeat(arms, starts),
        "seed": np.zeros(2 * starts, np.int64),
        "trial": np.tile(np.arange(starts), 2),
        "success": np.concatenate([np.arange(starts) < count for count in solved]),
        "steps": np.full(2 * starts, 50),
        "limit": np.full(2 * starts, 160),
    }
    minute = 60 * study.task("hammer-v3").worlds[0].fps
    rounds = {
        "task": np.array(["hammer-v3"]),
        "arm": np.array(["habc"]),
        "seed": np.array([0]),
        "episodes": np.array([300]),
        "robot_steps": np.array([30 * minute]),
        "human_steps": np.array([0]),
    }
    results = Results(tmp_path, study, {"trials": trials, "rounds": rounds})
    drawn = which_method.table("alone", results)
    assert "| HABC | 0.500 [0.237, 0.763] | 1 | +0.100 [" in drawn
    assert "] | 50 | 30 | 0.0 | +20 | – |" in drawn
    assert drawn.endswith("6 tasks, 1 seed, 300 rollouts; intervals are over starts alone.")
