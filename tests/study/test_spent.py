"""What rollouts have cost, counted by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from vantage.commands.studies import find_study
from vantage.study.plan import Acting, Online, StudyTask, Supervised
from vantage.study.rows import Results
from vantage.study.spent import RolloutTime, rollout_time
from vantage.worlds.spec import MetaWorldSpec


def test_rollouts_and_minutes_along_the_ancestry_by_hand() -> None:
    tasks = tuple(StudyTask(world=MetaWorldSpec(task), demonstrations=1) for task in ("push-v3", "reach-v3"))
    arms = (
        Supervised(),
        Online(name="habc", rounds=2),
        Online(name="further", after="habc", rounds=1),
        Acting(name="zero-noise", after="further"),
        Online(name="unplayed"),
    )
    plan = replace(find_study("debug"), tasks=tasks, arms=arms, order=(), contrasts=(), answers=())
    rows = [  # task, arm, seed, episodes, robot_steps, human_steps
        ("push-v3", "sft", 0, 7, 9999, 9999),  # demonstrations
        ("push-v3", "habc", 0, 10, 4800, 0),
        ("push-v3", "habc", 0, 10, 9600, 2400),
        ("push-v3", "further", 0, 10, 4800, 0),
        ("push-v3", "habc", 1, 10, 4800, 4800),  # its further round is missing
        ("reach-v3", "habc", 0, 10, 0, 0),
        ("reach-v3", "habc", 0, 10, 4800, 0),
        ("reach-v3", "further", 0, 20, 4800, 4800),
    ]
    names = ("task", "arm", "seed", "episodes", "robot_steps", "human_steps")
    table = {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    results = Results(Path("nowhere"), plan, {"rounds": table})

    # 80 control steps a second: 4,800 a minute. Means over the two tasks, of the seeds that are whole.
    both = RolloutTime(rollouts=(30 + 40) / 2, robot_minutes=(4 + 2) / 2, human_minutes=(0.5 + 1) / 2)
    assert rollout_time(results, "further") == rollout_time(results, "zero-noise") == both
    assert rollout_time(results, "habc") == RolloutTime(
        rollouts=(15 + 20) / 2, robot_minutes=(2 + 1) / 2, human_minutes=(0.75 + 0) / 2
    )
    assert rollout_time(results, "sft") is None and rollout_time(results, "unplayed") is None
