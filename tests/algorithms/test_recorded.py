"""The recorded run holds everything that credit, weights and sampling can meet; tests that use it are not
vacuous."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recorded import copy_of_recordings, experience, improvement, improver

from vantage.algorithms.improvement import Staged
from vantage.algorithms.interleaved import Interleaved
from vantage.core.returns import ParentReward
from vantage.core.windows import valid_anchors
from vantage.data.v3.read import read_table
from vantage.disk.tables import read_parquet
from vantage.learn.critic.problem import deal_folds
from vantage.types import Route, VantageError


@pytest.mark.parametrize("number", [1, 2])
def test_every_route_occurs_often_enough(recorded: Path, number: int) -> None:
    labels = read_parquet(recorded / f"round-{number:02d}" / "2-labels.parquet")
    share = {route: float((labels["route"] == route).mean()) for route in Route}
    assert share[Route.ROLLOUT_SUCCESS] >= 0.2
    assert min(share[route] for route in (Route.ROLLOUT_FAILURE, Route.INTERVENTION, Route.UNLABELLED)) >= 0.1
    assert (labels["route"] != labels["route_whole"]).mean() > 0.1, "the two ways of crediting differ"


def test_every_kind_of_episode_occurs(recorded: Path) -> None:
    kinds: set[tuple[bool, bool, str]] = set()
    for number in (1, 2):
        table = read_table(recorded / f"round-{number:02d}" / "1-episodes")
        labels = read_parquet(recorded / f"round-{number:02d}" / "2-labels.parquet")
        for rows in table.slices:
            human = table.intervention[rows]
            outcome = str(labels["outcome"][rows][0])
            kinds.add((bool(human.any()), bool(human[-1]), outcome))
    autonomous, rescued, in_human_hands = (False, False), (True, False), (True, True)
    assert {kind for kind in kinds if kind[2] != "nan"} == {
        (*drove, outcome) for drove in (autonomous, rescued, in_human_hands) for outcome in ("0.0", "1.0")
    }
    assert {(*autonomous, "nan"), (*rescued, "nan")} <= kinds, "episodes without an outcome"


def test_time_is_cut_in_every_kind_of_stretch(recorded: Path) -> None:
    frames = experience(recorded).frames
    cut = np.flatnonzero(frames.cut)
    driven = {
        ("demo" if frames.demo[row] else "HP"[not frames.intervention[row]], float(frames.outcome[row]))
        for row in cut
    }
    assert {("demo", 1.0), ("H", 1.0), ("P", 1.0), ("P", 0.0)} <= driven


def test_demonstrations_succeed_fail_and_are_not_judged(recorded: Path) -> None:
    labels = read_parquet(recorded / "round-00" / "2-labels.parquet")
    said = set(zip(labels["outcome"].tolist(), labels["outcome_source"].tolist(), strict=True))
    assert said == {(1.0, "csv"), (0.0, "csv"), (1.0, "demo")}
    assert set(read_parquet(recorded / "round-02" / "2-labels.parquet")["outcome_source"]) == {"next.success"}


def test_several_tasks_rounds_versions_and_folds_occur(recorded: Path) -> None:
    replay = experience(recorded)
    assert len(replay.prompts) == 2 and set(replay.round) == {0, 1, 2}
    assert set(replay.frames.policy_version) == {-1, 0, 30}
    fold = deal_folds(replay, 3, seed=0)
    for number in range(3):
        outcomes = replay.labels.viability_target[(fold == number) & replay.labels.viability_mask]
        assert set(outcomes) == {0.0, 1.0}, "every fold sees both outcomes"


def test_every_rule_of_windows_occurs(recorded: Path) -> None:
    replay = experience(recorded)
    valid = valid_anchors(replay.segment_end, replay.labels.route, 8)
    human = replay.labels.route == Route.INTERVENTION
    assert (human & ~valid).any() and (human & valid).any(), (
        "interventions too short for a window, and long enough"
    )
    short = replay.segment_end - np.arange(len(replay)) < 7
    assert all((short & (replay.labels.route == route)).any() for route in Route), (
        "padded windows on every route"
    )


def test_weights_of_successes_differ(recorded: Path) -> None:
    for number in (1, 2):
        ledger = read_parquet(recorded / f"round-{number:02d}" / "4-weights.parquet")
        success = ledger["route"] == Route.ROLLOUT_SUCCESS
        raw = ledger["raw_weight"][success]
        assert ((raw > 0) & (raw < 2)).all() and raw.std() > 0.05
        drawn = ledger["sampling"] * (ledger["route"] != Route.DEMO)
        assert abs(drawn @ ledger["raw_weight"] / drawn.sum() - 1) > 0.01, "Eq. 8 has something to do"
        assert np.isnan(ledger["g"]).any(), "frames before cuts have no advantage"


def test_a_failed_demonstration_is_a_failure_to_everybody(recorded: Path) -> None:
    """To replay, to the success frames that V_e looks ahead to, and to the parent head's rewards."""
    replay = experience(recorded, 0)
    assert [trace.outcome for trace in replay.traces] == [True, True, True, False, True]
    last = np.flatnonzero(replay.frames.last)
    assert replay.frames.success[last].tolist() == [True, True, True, False, True]
    assert ParentReward(failure_penalty=50.0)(replay.frames)[last].tolist() == [0.0, 0.0, 0.0, -50.0, 0.0]


@pytest.mark.parametrize("schedule", [Staged(), Interleaved()], ids=["staged", "interleaved"])
def test_learning_leaves_the_global_generator_where_it_was(
    recorded: Path, tmp_path: Path, schedule: Staged | Interleaved
) -> None:
    run = copy_of_recordings(recorded, tmp_path / "run", rounds=1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    improver(run, 1, improvement(schedule=schedule)).learn()
    assert torch.equal(torch.get_rng_state(), before)


def test_what_no_person_commanded_teaches_nothing_where_a_person_drove(recorded: Path) -> None:
    frames = experience(recorded)
    loader = frames.loader(8, {}, human_actions=("0", "2"))
    human, policy = (int(np.flatnonzero(frames.frames.intervention == who)[0]) for who in (True, False))
    mask = loader.batch(np.array([human, policy])).mask
    assert mask[0, 0].tolist() == [True, False, True] and mask[1, 0].tolist() == [True, True, True]
    with pytest.raises(VantageError, match=r"the actions have no dimension 'wrist'; name some of .*0 to 2"):
        frames.loader(8, {}, human_actions=("wrist",))


@pytest.mark.parametrize("schedule", [Staged(), Interleaved()], ids=["staged", "interleaved"])
def test_the_dimensions_that_a_person_commands_reach_the_policys_training(
    recorded: Path, tmp_path: Path, schedule: Staged | Interleaved
) -> None:
    losses = []
    for number, names in enumerate(((), ("0", "2"))):
        run = copy_of_recordings(recorded, tmp_path / str(number), rounds=1)
        fit = replace(improvement().fit, steps=1, human_actions=names)
        improver(run, 1, improvement(schedule=schedule, fit=fit)).learn()
        line = (run / "round-01" / "5-actor" / "metrics.jsonl").read_text().splitlines()[0]
        losses.append(json.loads(line)["loss"])
    assert losses[0] != pytest.approx(losses[1], rel=1e-4)
