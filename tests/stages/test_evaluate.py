"""Evaluation: the same starts for everybody, alone, and videos that can be watched."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from vantage.collect.pool import play_here
from vantage.data.v3.schema import EVAL_COLUMNS
from vantage.disk.tables import read_parquet
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.build import build_policy
from vantage.policies.small.flow import FlowConfig
from vantage.stages.evaluate import Evaluation, evaluate
from vantage.worlds.spec import MetaWorldSpec

WORLDS = (MetaWorldSpec("reach-v3", limit=40), MetaWorldSpec("push-v3", limit=30))


def tried(folder: Path, seed: int, settings: Evaluation) -> dict[str, np.ndarray]:
    actor = build_policy(FlowConfig(net=NetConfig(sight=TrueState(), width=32)), seed)
    actor.save(folder / f"actor-{seed}")
    evaluate(
        folder / f"actor-{seed}", folder / f"eval-{seed}" / "6-eval.parquet", WORLDS, settings, pool=play_here
    )
    return read_parquet(folder / f"eval-{seed}" / "6-eval.parquet", EVAL_COLUMNS)


def test_two_policies_meet_the_same_starts(tmp_path: Path) -> None:
    settings = Evaluation(per_world=4)
    one, other = tried(tmp_path, 0, settings), tried(tmp_path, 1, settings)
    assert list(one["task"]) == ["reach-v3"] * 4 + ["push-v3"] * 4
    assert np.array_equal(one["seed"], other["seed"]) and len(set(one["seed"])) == 8
    assert ((one["steps"] <= one["limit"]) & (one["success"] | (one["steps"] == one["limit"]))).all()


def test_a_trial_has_its_start_wherever_its_task_stands(tmp_path: Path) -> None:
    actor = build_policy(FlowConfig(net=NetConfig(sight=TrueState(), width=32)), 0)
    actor.save(tmp_path / "actor")
    for name, worlds in (("here", WORLDS), ("there", WORLDS[::-1])):
        evaluate(
            tmp_path / "actor", tmp_path / f"{name}.parquet", worlds, Evaluation(per_world=2), pool=play_here
        )
    here, there = (read_parquet(tmp_path / f"{name}.parquet", EVAL_COLUMNS) for name in ("here", "there"))
    for task in ("reach-v3", "push-v3"):
        for name in ("seed", "success", "steps"):
            assert here[name][here["task"] == task].tolist() == there[name][there["task"] == task].tolist()


def test_other_suites_have_other_starts(tmp_path: Path) -> None:
    development = tried(tmp_path, 0, Evaluation(per_world=2, suite="development"))
    reporting = tried(tmp_path, 1, Evaluation(per_world=2))
    assert not set(development["seed"]) & set(reporting["seed"])


def test_videos_on_request_change_no_result(tmp_path: Path) -> None:
    plain = tried(tmp_path / "plain", 0, Evaluation(per_world=2))
    filmed = tried(tmp_path / "filmed", 0, replace(Evaluation(per_world=2), videos=1))
    assert all(np.array_equal(plain[name], filmed[name]) for name in EVAL_COLUMNS)
    films = sorted((tmp_path / "filmed" / "eval-0" / "videos").glob("*.mp4"))
    assert len(films) == 2
    for film in films:
        with av.open(str(film)) as container:
            count = sum(1 for _ in container.decode(video=0))
        task = film.name.split("-v3")[0] + "-v3"
        assert count == plain["steps"][plain["task"] == task][0]
    assert not list((tmp_path / "filmed" / "eval-0").glob(".trials*"))
