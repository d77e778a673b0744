"""What a study will take: counted by hand from invented speeds, and measured on the smallest study."""

from dataclasses import replace
from typing import cast

import pytest

from vantage.recipes.study import study_debug, study_state
from vantage.recipes.study_bimanual import study_bimanual
from vantage.study.estimate import ENDS_EARLY, LONGER, OVERHEAD, Speeds, cell_seconds, measure_speeds
from vantage.study.plan import StudyTask
from vantage.worlds.bimanual.spec import BimanualSpec

INVENTED = Speeds(demonstration=3.0, rollout=5.0, trial=2.0, step=0.1)


def test_every_kind_of_cell_by_hand():
    study = study_state()
    trials, rollouts, update = 150 * 2 * ENDS_EARLY, 100 * 5 * ENDS_EARLY, 800 * 0.1 + OVERHEAD
    by_hand = {
        "sft": 10 * 3 + 1500 * 0.1 + trials,
        "sft-more": 3 * 800 * 0.1 + trials,
        "habc": 3 * (rollouts + update) + trials,
        "habc+ir": rollouts + update + trials,
        "shared": 150 * 5 * ENDS_EARLY,
        "shared-habc": update + trials,
        "habc-zero-noise": trials,
    }
    for name, seconds in by_hand.items():
        assert cell_seconds(study, study.arm(name), INVENTED) == pytest.approx(LONGER * seconds), name


def test_speeds_are_measured_on_the_study_itself():
    study = study_debug()
    found = measure_speeds(study, study.shared, episodes=1, steps=2)
    assert 0 < found.step < 1 and 0 < found.trial < 10
    assert found.rollout > 0.3 * found.trial and found.demonstration > 0, (
        "both play; the operator's share of the work is small"
    )


def test_speeds_of_tasks_whose_policies_have_sizes_of_their_own():
    study = study_bimanual()
    tasks = [task for task in study.tasks if isinstance(task, StudyTask)]
    worlds = [replace(cast(BimanualSpec, task.world), limit=8) for task in tasks]
    assert len({world.environment_dim for world in worlds}) == 3, "no policy of one task fits another"
    short = replace(
        study, tasks=tuple(replace(task, world=world) for task, world in zip(tasks, worlds, strict=True))
    )
    found = measure_speeds(short, short.shared, episodes=1, steps=1)
    assert 0 < found.trial < 10 and 0 < found.step < 10
