"""Every method of the paper on the same recorded round: only the rule, or the schedule, differs."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import improved, tiny

from vantage.algorithms.habc import HABCRun, experience_of, improve, improver
from vantage.algorithms.interleaved import Interleaved, _Learner
from vantage.collect.pool import play_here
from vantage.core.weights import AWR, HABC, HABCV, FilteredBC, ImitDAgger, ImitRecap, Rule
from vantage.disk.files import read_json
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet
from vantage.learn.critic.fit import CriticFit
from vantage.learn.parent import ParentFit
from vantage.learn.start import begin
from vantage.policies.build import build_policy
from vantage.policies.load import load_policy
from vantage.seeding import seed_for
from vantage.stages.weigh import Weighing
from vantage.types import VantageError


def one_round(finished: Path, run: Path, settings: HABCRun) -> Path:
    """Round 1 again, from the same checkpoint, episodes and labels."""
    shutil.copytree(finished / "round-00", run / "round-00")
    for name in ("1-episodes", "2-labels.parquet"):
        source = finished / "round-01" / name
        (run / "round-01").mkdir(exist_ok=True)
        shutil.copytree(source, run / "round-01" / name) if source.is_dir() else shutil.copy(source, run / "round-01" / name)
    improve(run, 1, settings, play_here)
    return run / "round-01"


def raw_by_route(here: Path) -> dict[str, np.ndarray]:
    rows = read_parquet(here / "4-weights.parquet", ("route", "raw_weight"))
    return {route: rows["raw_weight"][rows["route"] == route] for route in np.unique(rows["route"])}


@pytest.mark.parametrize(
    ("rule", "success", "failure", "intervention"),
    [
        (FilteredBC(), {1.0}, {0.0}, {1.0}),
        (ImitDAgger(), {0.0}, {0.0}, {1.0}),
        (HABC(), None, {0.0}, {1.0}),
        (HABCV(), None, {0.0}, {1.0}),
        (HABC(reweight_interventions=True), None, {0.0}, None),
    ],
)
def test_raw_weights_by_route(
    rule: Rule, success: set[float] | None, failure: set[float], intervention: set[float] | None, finished: Path, tmp_path: Path
) -> None:
    here = one_round(finished, tmp_path, improved(weighing=Weighing(rule=rule)))
    raw = raw_by_route(here)
    assert set(raw["demo"]) == {1.0} and set(raw["unlabelled"]) == {0.0}
    for route, wanted in (("rollout_success", success), ("rollout_failure", failure), ("intervention", intervention)):
        if route in raw and wanted is not None:
            assert set(raw[route]) == wanted, route
        elif route in raw:
            assert ((raw[route] > 0) & (raw[route] < 2)).all() and raw[route].std() > 0.01, route
    assert (here / "3-critic").exists() == rule.reads_critic, "no critic is trained for a rule that reads none"
    assert (here / "6-eval.parquet").exists()


@pytest.mark.parametrize("rule", [ImitRecap(), AWR()])
def test_the_parent_head_serves_those_who_read_it(rule: Rule, finished: Path, tmp_path: Path) -> None:
    here = one_round(finished, tmp_path, improved(weighing=Weighing(rule=rule), parent=ParentFit(steps=60)))
    rows = read_parquet(here / "4-weights.parquet")
    assert np.isfinite(rows["v_parent"]).all()
    human = read_parquet(here / "2-labels.parquet", ("controller",))["controller"] == "human"
    mine = rows["round"] == 1
    autonomous = np.flatnonzero(mine)[~human]
    known = np.isfinite(rows["a_parent"][autonomous])
    raw = rows["raw_weight"][autonomous][known]
    if isinstance(rule, ImitRecap):
        assert set(raw) == {0.0, 1.0} and 0.15 < raw.mean() < 0.35, "a quarter passes"
        assert set(rows["raw_weight"][np.flatnonzero(mine)[human]]) == {1.0}
        assert "unlabelled" not in set(rows["route"][mine]), "Imit-Recap credits whole episodes"
    else:
        assert (raw > 0).all() and raw.max() <= 20.0 and raw.std() > 0


def test_the_interleaved_schedule_writes_the_same_files(finished: Path, tmp_path: Path) -> None:
    settings = improved(schedule=Interleaved(warm_up=10), weighing=Weighing(stride=1))
    here = one_round(finished, tmp_path, settings)
    assert read_json(here / "3-critic" / "quality.json")["schedule"] == "interleaved"
    assert "for reading" in read_json(here / "round.json")["weights"]
    curve = [json.loads(line) for line in (here / "5-actor" / "metrics.jsonl").read_text().splitlines()]
    before = [row["mean_g"] for row in curve if row["step"] <= 10 and not np.isnan(row["mean_g"])]
    after = [row["mean_g"] for row in curve if row["step"] > 10 and not np.isnan(row["mean_g"])]
    assert set(before) <= {1.0}, "every g is 1 before N_wu"
    assert not after or any(g != 1.0 for g in after)
    rows = read_parquet(here / "4-weights.parquet", ("sampling", "weight"))
    assert rows["sampling"].sum() == pytest.approx(1) and np.isfinite(rows["weight"]).all()


def test_a_round_goes_on_from_the_last_policy_or_begins_anew(finished: Path, tmp_path: Path) -> None:
    here, settings = Round.of(finished, 1), tiny()
    replay = experience_of(here, settings)
    entering = load_policy(finished / "round-00" / "5-actor").state_dict()
    starts = (improver(here, improved(from_scratch=new)).start for new in (False, True))
    further, anew = (begin(start, replay).state_dict() for start in starts)
    first = build_policy(settings.policy, seed_for("initial weights", settings.seed))
    assert all(torch.equal(further[name], tensor) for name, tensor in entering.items())
    for name, parameter in first.named_parameters():
        assert torch.equal(anew[name], parameter), f"{name} begins where round 0 began"
    scales = set(first.state_dict()) - {name for name, _ in first.named_parameters()}
    assert any(not torch.equal(anew[name], entering[name]) for name in scales), "its scales come from the rollouts too"
    made = one_round(finished, tmp_path, improved(from_scratch=True))
    weights = (load_policy(made / "5-actor"), load_policy(finished / "round-01" / "5-actor"))
    assert not any(torch.equal(a, b) for a, b in zip(*(list(m.parameters()) for m in weights), strict=True))


def test_the_interleaved_schedule_draws_failures_and_nothing_unlabelled_or_stale(finished: Path) -> None:
    here, settings = Round.of(finished, 2), tiny()
    replay, actor = experience_of(here, settings), load_policy(finished / "round-01" / "5-actor")
    weighing, version = Weighing(stride=1, stale_after=30), settings.improvement.fit.steps

    def drawn(weighing: Weighing) -> np.ndarray:
        how = (replay, actor, Interleaved(), weighing, settings.improvement.fit, settings.improvement.critic)
        return _Learner(*how, t_max=settings.t_max, policy_version=version, seed=0).sampling > 0

    route = replay.labels.route
    assert not drawn(weighing)[route == "unlabelled"].any() and (route == "unlabelled").any()
    fresh = drawn(replace(weighing, stale_after=10_000))
    assert fresh[(route == "rollout_failure") & (replay.round == 1)].any(), "failures teach f_v"
    assert set(replay.round[drawn(weighing)]) == {0, 2}, "the first round is 30 updates old"


@pytest.mark.parametrize(
    ("weighing", "critic", "says"),
    [(Weighing(rule=AWR()), CriticFit(), "no parent head"), (Weighing(), CriticFit(folds=2), "trains one critic")],
)
def test_the_interleaved_schedule_says_what_it_lacks(
    weighing: Weighing, critic: CriticFit, says: str, finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(VantageError, match=says):
        one_round(finished, tmp_path, improved(schedule=Interleaved(), weighing=weighing, critic=critic))
    assert not (tmp_path / "round-01" / "5-actor").exists()
