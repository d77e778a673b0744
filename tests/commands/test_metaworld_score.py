from pathlib import Path

import numpy as np
import pytest

from vantage.collect.pool import play_here
from vantage.commands.metaworld_score import (
    CAP,
    SUITES,
    play_suite,
    score,
    score_table,
    starts_hash,
    worlds_of,
)
from vantage.data.v3.schema import EVAL_COLUMNS
from vantage.disk.tables import write_parquet
from vantage.seeding import seed_for
from vantage.stages.evaluate import Evaluation
from vantage.types import VantageError
from vantage.worlds.spec import MetaWorldSpec, place_of


def trials(limit: int = CAP) -> dict:
    return {
        "task": np.array(["a", "a", "b", "b"]),
        "success": np.array([True, True, True, False]),
        "steps": np.array([40, 120, 100, limit]),
        "limit": np.full(4, limit),
    }


def test_scores_by_hand():
    whole = score(trials(), 500)
    assert whole.success.estimate == 0.75 and whole.success.n == 4
    assert whole.steps == pytest.approx((80 + 100) / 2)
    assert whole.cost == pytest.approx((40 + 120 + 100 + 500) / 4)
    hundred = score(trials(), 100)
    assert hundred.success.estimate == 0.5, "100 steps is within a cap of 100, 120 is not"
    assert hundred.steps == pytest.approx((40 + 100) / 2)
    assert hundred.cost == pytest.approx((40 + 100 + 100 + 100) / 4)


def test_nobody_knows_what_was_not_played():
    with pytest.raises(VantageError, match="stopped after 150 steps"):
        score(trials(limit=150), 200)


def test_nothing_solved_has_no_steps():
    failed = trials() | {"success": np.zeros(4, bool)}
    assert np.isnan(score(failed, 500).steps) and score(failed, 500).cost == 500


def test_the_suites():
    assert (
        len(worlds_of("MT10")) == 10
        and len(worlds_of("MT50")) == 50
        and set(SUITES["MT10"]) < set(SUITES["MT50"])
    )
    assert {world.limit for world in worlds_of("MT10")} == {500}
    prompts = [world().prompt for world in worlds_of("MT10")]
    assert len(set(prompts)) == 10
    with pytest.raises(VantageError, match="no suite 'MT5'; there are MT10 and MT50"):
        worlds_of("MT5")


def test_trials_of_other_starts_are_not_counted_as_these(tmp_path: Path):
    worlds, settings = worlds_of("MT10"), Evaluation(per_world=1)
    seeds = np.array([seed_for(settings.suite, place_of(world), 0) for world in worlds])
    names = np.array([world.task for world in worlds])
    rows = {
        "task": names,
        "prompt": names,
        "seed": seeds,
        "success": np.ones(10, bool),
        "steps": np.full(10, 40),
        "limit": np.full(10, CAP),
    }
    out = tmp_path / "trials.parquet"
    write_parquet(out, {name: rows[name] for name in EVAL_COLUMNS})
    assert play_suite(tmp_path, "MT10", out, settings, pool=play_here)["success"].all(), (
        "there already: only counted again"
    )
    for other in (Evaluation(per_world=2), Evaluation(per_world=1, suite="development")):
        with pytest.raises(VantageError, match=r"holds trials of another suite.*--out"):
            play_suite(tmp_path, "MT10", out, other, pool=play_here)


def test_the_hash_names_the_starts():
    worlds = (MetaWorldSpec("reach-v3"), MetaWorldSpec("push-v3"))
    two = starts_hash(worlds, Evaluation(per_world=2))
    assert two == starts_hash(worlds, Evaluation(per_world=2))
    assert (
        len(
            {
                two,
                starts_hash(worlds, Evaluation(per_world=3)),
                starts_hash(worlds, Evaluation(per_world=2, suite="development")),
            }
        )
        == 3
    )


def test_the_table_has_a_row_for_everybody():
    assert score_table(trials()).row_count == 6 + 2
