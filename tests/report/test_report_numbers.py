"""The report's numbers, worked out by hand on tables small enough to read."""

from pathlib import Path

import numpy as np
import pytest

from vantage.data.v3.schema import LABEL_COLUMNS, WEIGHT_COLUMNS
from vantage.report.folder import RoundFiles, Run, Trials, read_run
from vantage.report.numbers import (
    Kind,
    collected,
    common_starts,
    compare,
    episodes_of,
    start_viability,
    values_of,
    weight_statistics,
)
from vantage.types import Route, VantageError


def trials(seeds, success, steps=None, task="push"):
    n = len(seeds)
    return Trials(
        task=np.array([task] * n),
        prompt=np.array(["push it"] * n),
        seed=np.array(seeds),
        success=np.array(success, bool),
        steps=np.array([50] * n if steps is None else steps),
    )


def round_files(number, **parts):
    nothing = {
        "labels": None,
        "weights": None,
        "quality": {},
        "critic_curve": [],
        "actor_curve": [],
        "checks": [],
        "trials": None,
        "record": {},
        "catalogue": None,
    }
    return RoundFiles(number=number, **(nothing | parts))


def run_of(*rounds, control=None, recipe=None):
    return Run(folder=Path("run"), recipe=recipe or {}, rounds=rounds, control=control)


def labels(*episodes):
    """Each episode is a list of (controller, route, efficiency_mask, outcome of the episode)."""
    rows = [(e, f, *frame) for e, frames in enumerate(episodes) for f, frame in enumerate(frames)]
    columns = {name: np.zeros(len(rows)) for name in LABEL_COLUMNS}
    columns |= {
        "index": np.arange(len(rows)),
        "episode_index": np.array([r[0] for r in rows]),
        "frame_index": np.array([r[1] for r in rows]),
    }
    columns |= {"controller": np.array([r[2] for r in rows]), "route": np.array([r[3] for r in rows])}
    columns |= {"efficiency_mask": np.array([r[4] for r in rows], bool)}
    return columns | {"outcome": np.array([r[5] for r in rows], np.float32)}


P, H = "policy", "human"
DEMO = [(H, "demo", False, 1)] * 2
ALONE = [(P, "rollout_success", True, 1)] * 3
RESCUED = [(P, "unlabelled", False, 1), (H, "intervention", True, 1), (P, "rollout_success", True, 1)]
IN_HUMAN_HANDS = [(P, "unlabelled", False, 1), (H, "intervention", True, 1)]
FAILED = [(P, "rollout_failure", False, 0)] * 4
HELPED_IN_VAIN = [
    (P, "unlabelled", False, 0),
    (H, "intervention", False, 0),
    (P, "rollout_failure", False, 0),
]
UNKNOWN = [(P, "unlabelled", False, float("nan"))] * 2


def test_how_episodes_went():
    facts = episodes_of(labels(DEMO, ALONE, RESCUED, IN_HUMAN_HANDS, FAILED, HELPED_IN_VAIN, UNKNOWN))
    assert [f.kind for f in facts] == [
        Kind.DEMO,
        Kind.ALONE,
        Kind.RESCUED,
        Kind.RESCUED,
        Kind.FAILED,
        Kind.FAILED,
        Kind.UNKNOWN,
    ]
    assert [f.rows for f in facts][:3] == [slice(0, 2), slice(2, 5), slice(5, 8)]
    assert facts[2].human_share == pytest.approx(1 / 3)


def test_a_table_out_of_order_is_refused():
    table = labels(ALONE, FAILED)
    with pytest.raises(VantageError, match="not in order"):
        episodes_of({name: column[::-1] for name, column in table.items()})


def test_what_was_collected():
    (one,) = collected(run_of(round_files(1, labels=labels(ALONE, RESCUED, FAILED))))
    assert (one.episodes[Kind.ALONE], one.episodes[Kind.RESCUED], one.episodes[Kind.FAILED]) == (1, 1, 1)
    assert one.frames == {
        Route.DEMO: 0,
        Route.ROLLOUT_SUCCESS: 4,
        Route.INTERVENTION: 1,
        Route.ROLLOUT_FAILURE: 4,
        Route.UNLABELLED: 1,
    }
    assert one.human_share == pytest.approx(0.1)


def test_arms_are_cut_to_the_starts_that_all_share_and_put_in_one_order():
    supervised = trials([3, 1, 2], [True, False, False])
    learned = trials([1, 2, 3, 4], [True, True, False, True])
    control = trials([2, 3, 1], [False, True, True])
    arms = common_starts(
        run_of(
            round_files(0, trials=supervised), round_files(1), round_files(2, trials=learned), control=control
        )
    )
    assert [arm.short for arm in arms] == ["supervised", "round 2", "control"]
    assert [arm.trials.seed.tolist() for arm in arms] == [[1, 2, 3]] * 3
    assert [arm.trials.success.tolist() for arm in arms] == [
        [False, False, True],
        [True, True, False],
        [True, False, True],
    ]


def test_arms_without_a_common_start_are_refused():
    with pytest.raises(VantageError, match="share no start"):
        common_starts(
            run_of(round_files(0, trials=trials([1], [True])), round_files(1, trials=trials([2], [True])))
        )


def test_a_comparison_by_hand():
    theirs = trials(range(8), [1, 1, 1, 0, 0, 0, 0, 0], [40, 60, 50, 99, 99, 99, 99, 99])
    ours = trials(range(8), [1, 1, 0, 1, 1, 1, 0, 0], [30, 40, 99, 20, 20, 20, 99, 99])
    arms = common_starts(run_of(round_files(0, trials=theirs), round_files(1, trials=ours)))
    found = compare(arms[1], arms[0])
    assert (found.both, found.only_ours, found.only_theirs) == (2, 3, 1)
    assert found.difference.estimate == pytest.approx(5 / 8 - 3 / 8)
    assert found.difference.n == 8
    assert found.difference.low < 0.25 < found.difference.high
    assert (found.steps_ours, found.steps_theirs) == (35, 50)
    assert found.steps_difference.estimate == -15  # (-10 - 20) / 2
    assert arms[1].trials.mean_steps == (30 + 40 + 20 + 20 + 20) / 5  # over all of its own successes
    assert arms[0].trials.rate().estimate == 3 / 8


def test_nothing_in_common_has_no_mean():
    arms = common_starts(
        run_of(round_files(0, trials=trials([1, 2], [1, 0])), round_files(1, trials=trials([1, 2], [0, 1])))
    )
    found = compare(arms[1], arms[0])
    assert found.both == 0
    assert np.isnan([found.steps_ours, found.steps_theirs, found.steps_difference.estimate]).all()


def weights(rows):
    """Rows of (round, index, route, p_v, g, weight, sampling); the raw weight is the weight."""
    columns = {name: np.full(len(rows), np.nan) for name in WEIGHT_COLUMNS}
    for place, name in enumerate(("round", "index", "route", "p_v", "g", "weight", "sampling")):
        columns[name] = np.array([row[place] for row in rows])
    return columns | {"raw_weight": columns["weight"]}


def test_weight_statistics_by_hand():
    nan = np.nan
    table = weights(
        [
            (0, 0, "demo", nan, nan, 1.0, 0.5),
            (1, 0, "rollout_success", 0.5, 0.5, 0.5, 0.1),
            (1, 1, "rollout_success", 0.5, 1.5, 1.5, 0.1),
            (1, 2, "rollout_success", 0.5, nan, 1.0, 0.1),
            (1, 3, "rollout_failure", 0.5, 0.2, 0.0, 0.0),
            (1, 4, "intervention", 0.5, 1.2, 1.0, 0.2),
            (1, 5, "unlabelled", 0.5, 0.9, 0.0, 0.0),
        ]
    )
    found = weight_statistics(round_files(1, weights=table))
    success, intervention, failure = found.routes
    assert (success.frames, success.mean_g, success.share_above_one) == (3, 1.0, 0.5)
    assert success.mean_weight == pytest.approx(1.0)
    assert success.drawn == pytest.approx(0.3)
    assert (intervention.mean_g, failure.mean_g) == (1.2, 0.2)
    assert failure.mean_weight == 0
    assert (success.gated, intervention.gated, failure.gated) == (True, False, False)
    assert found.drawable == 4
    contributions = np.array([0.05, 0.15, 0.1, 0.2])
    assert found.effective == pytest.approx(contributions.sum() ** 2 / (contributions**2).sum())
    assert found.passing == 3 / 4  # of three successes and one failure


def test_supervised_rounds_have_no_weight_statistics():
    assert weight_statistics(round_files(0)) is None
    assert (
        weight_statistics(round_files(0, weights=weights([(0, 0, "demo", np.nan, np.nan, 1.0, 1.0)]))) is None
    )


def test_values_are_the_rounds_own_in_the_order_of_the_labels():
    table = weights(
        [
            (0, 1, "demo", 0.9, 1, 1, 0.1),
            (1, 1, "rollout_success", 0.2, 1, 1, 0.1),
            (1, 0, "rollout_success", 0.1, 1, 1, 0.1),
        ]
    )
    found = values_of(round_files(1, labels=labels(ALONE), weights=table))
    assert found["p_v"].tolist()[:2] == [0.1, 0.2]
    assert np.isnan(found["p_v"][2])
    assert values_of(round_files(2, labels=labels(ALONE), weights=table)) is None


def test_starts_above_the_papers_threshold():
    table = weights(
        [(1, i, "x", p, 1, 1, 0.1) for i, p in enumerate([0.7, 0.1, 0.1, 0.5, 0.9, 0.9, 0.9, 0.61])]
    )
    (one,) = start_viability(
        run_of(round_files(1, labels=labels(ALONE, FAILED, [(P, "rollout_success", True, 1)]), weights=table))
    )
    assert one.p_v.tolist() == [0.7, 0.5, 0.61]
    assert one.kind == [Kind.ALONE, Kind.FAILED, Kind.ALONE]
    assert one.viable == pytest.approx(2 / 3)


def test_the_method_is_named_by_the_recipe():
    assert run_of(recipe={"is": "Recipe", "learn": [{"rule": {"is": "HABCV"}}]}).method == "HABC-V"
    assert run_of(recipe={"rule": {"is": "HABC", "reweight_interventions": True}}).method == "HABC+IR"
    assert run_of().method == "HABC"


def test_a_folder_without_rounds_is_one_sentence(tmp_path):
    with pytest.raises(VantageError, match="holds no round-00"):
        read_run(tmp_path)


def test_the_toy_run_is_read_whole(toy_run):
    run = read_run(toy_run)
    assert [each.number for each in run.rounds] == [0, 1, 2]
    assert run.method == "HABC"
    assert len(run.control) == 60
    assert list(run.rounds[1].catalogue.info.cameras) == ["corner", "wrist"]
    assert [row["step"] for row in run.rounds[2].actor_curve][:2] == [10, 20]
