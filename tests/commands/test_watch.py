"""`vantage watch` says when it would have called; `vantage export` writes a LeRobot policy."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from generators import dispatch

from vantage.algorithms.watch import features_of, read_watch, watch
from vantage.batch import Observation
from vantage.core.weights import sigmoid
from vantage.data.v3.read import read_table
from vantage.disk.files import read_json
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet
from vantage.policies.load import load_policy
from vantage.types import VantageError


@pytest.fixture
def run(recorded: Path, tmp_path: Path) -> Path:
    """The recorded run, to be written into."""
    shutil.copytree(recorded, tmp_path / "run")
    return tmp_path / "run"


def words(run: Path, number: int, critic: int, *more: str) -> list[str]:
    """A watch of round `number` by the critic of another."""
    here = Round.of(run, number)
    csv = here.folder / "outcomes.csv"
    outcomes = ["--outcomes", str(csv)] if csv.exists() else []
    return ["watch", str(here.episodes), "--critic", str(Round.of(run, critic).critic), *outcomes, *more]


def test_p_v_is_asked_where_the_policy_predicts_and_is_that_of_the_ledger(recorded: Path) -> None:
    here = Round.of(recorded, 1)
    found = watch(
        here.episodes,
        here.critic,
        features_of=features_of(here.critic),
        outcomes=here.folder / "outcomes.csv",
        price=1.0,
    )
    ledger = read_parquet(here.weights)
    own = ledger["round"] == 1
    table = read_table(here.episodes)
    assert found.execute == 4 and found.seen == 15 and found.fps == 20
    for watched in found.past:
        start = table.starts[watched.episode]
        np.testing.assert_allclose(watched.p_v, ledger["p_v"][own][start + watched.at], atol=1e-6)
    solved = {watched.episode: watched.solved for watched in found.past}
    assert [solved[episode] for episode in (0, 4, 7, 10, 13, 14)] == [True, False, False, False, None, False]
    assert [watched.steps for watched in found.past[7:9]] == [12, 10], "until a person took over"


def test_episodes_that_the_critic_never_saw_are_looked_at_by_its_policy(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dispatch(words(run, 2, 1))
    told = capsys.readouterr().out
    assert "episode 3: failed after 1.9 s" in told and "was trained on" not in told
    assert "successes lost" in told and "> " in told and "it calls when p_v stays below" in told

    record = read_json(run / "round-01" / "watch.json")
    assert record["episodes_the_critic_was_trained_on"] == 0 and record["features_of"].endswith(
        "round-00/5-actor"
    )
    alarm, limits, names = read_watch(run / "round-01" / "watch.json")
    assert alarm.threshold == record["threshold"] and len(names) == len(limits.low) == 3
    action = read_table(Round.of(run, 2).episodes).action
    assert (action > limits.low).all() and (action < limits.high).all()


def test_a_cross_fitted_critic_judges_by_the_critics_that_did_not_see(run: Path) -> None:
    from dataclasses import replace

    from recorded import IMPROVEMENT, improver

    here = Round.of(run, 1)
    shutil.rmtree(here.critic)
    (here.folder / ".made.json").unlink()  # which stands for what was made of the critic that was
    improver(run, 1, replace(IMPROVEMENT, critic=replace(IMPROVEMENT.critic, folds=3, steps=10))).fit_critic()
    found = watch(
        here.episodes,
        here.critic,
        features_of=features_of(here.critic),
        outcomes=here.folder / "outcomes.csv",
    )
    assert found.seen == 0


def test_what_is_asked_for_is_printed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dispatch(words(run, 1, 1, "--episodes", "0,4-5", "--lost", "0.5"))
    told = capsys.readouterr().out
    assert [line.split(":")[0] for line in told.splitlines() if line.startswith("episode ")] == [
        "episode 0",
        "episode 4",
        "episode 5",
    ]
    assert "the critic was trained on 15 of these 15 episodes" in told

    dispatch(words(run, 1, 1, "--json"))
    record = json.loads(capsys.readouterr().out)
    assert record["calls"].keys() == {str(number) for number in range(15)}
    assert {offer["price"] for offer in record["offers"]} == {0.0, 0.02, 0.05, 0.1, 0.2}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--lost", "2"], "--lost is 2 and must be a share"),
        (["--out", "guarded"], "is no LeRobot checkpoint; make it one first: `vantage export"),
        (["--features-of", "nowhere"], "nowhere holds no checkpoint"),
    ],
)
def test_what_cannot_be_is_said(
    run: Path, more: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run)
    with pytest.raises(VantageError, match=sentence):
        dispatch(words(run, 1, 1, *more))
    assert not (run / "guarded").exists()
    with pytest.raises(VantageError, match="holds no critic"):
        dispatch(["watch", str(Round.of(run, 1).episodes), "--critic", str(run / "round-00")])


def test_a_run_or_a_round_names_its_critic(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `vantage outcomes --critic` takes them: the last round that has one."""
    monkeypatch.chdir(run)
    said = []
    for critic in (Round.of(run, 2).critic, Round.of(run, 2).folder, run):
        dispatch([*words(run, 1, 1)[:2], "--critic", str(critic), *words(run, 1, 1)[4:]])
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2] and f"kept in {Round.of(run, 2).folder / 'watch.json'}" in said[0]


def test_an_exported_policy_acts_the_same_and_can_be_watched(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tmp_path / "small"
    dispatch(["export", str(Round.of(run, 1).actor), "--out", str(small)])
    ours, theirs = load_policy(Round.of(run, 1).actor), load_policy(small)
    seen = Observation(
        images={}, state=torch.randn(2, 4), environment_state=torch.randn(2, 7), prompts=("go", "push")
    )
    chunks = [policy.act(seen, torch.Generator().manual_seed(3)) for policy in (ours, theirs)]
    torch.testing.assert_close(*chunks, rtol=0, atol=0)

    dispatch(words(run, 1, 1, "--policy", str(small), "--out", str(tmp_path / "guarded")))
    assert "lerobot-rollout --policy.path=" in capsys.readouterr().out
    config = read_json(tmp_path / "guarded" / "config.json")
    assert config["type"] == "vantage_watch" and config["policy_path"] == str(small)
    assert config["input_features"] == read_json(small / "config.json")["input_features"]
    with pytest.raises(VantageError, match="is there already"):
        dispatch(["export", str(Round.of(run, 1).actor), "--out", str(small)])


def test_p_v_is_a_probability_of_the_mean_logit(recorded: Path) -> None:
    from vantage.algorithms.watch import viability
    from vantage.learn.critic.panel import load_panel

    panel = load_panel(Round.of(recorded, 1).critic)
    features = np.random.default_rng(0).standard_normal((5, 32)).astype(np.float32)
    z_v = panel.values(torch.from_numpy(features), np.zeros(5, np.int64)).z_v
    np.testing.assert_allclose(viability(panel, features), sigmoid(z_v.astype(np.float64)))
