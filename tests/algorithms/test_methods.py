"""Every method of the paper on the same recorded round: only the rule, or the schedule, differs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recorded import (
    IMPROVEMENT,
    SEED,
    SPEC,
    STEPS,
    T_MAX,
    copy_of_recordings,
    experience,
    improvement,
    improver,
)
from safetensors.torch import load_file, save_file

from vantage.algorithms.improvement import Improvement
from vantage.algorithms.interleaved import Interleaved, Together
from vantage.core.sampling import PoolShares
from vantage.core.weights import (
    AWR,
    HABC,
    HABCV,
    ExponentialWeights,
    FilteredBC,
    ImitDAgger,
    ImitRecap,
    RejectionTargets,
    Rule,
    tempered,
)
from vantage.data.experience import load_experience
from vantage.disk.files import read_json
from vantage.disk.record import write_record
from vantage.disk.tables import read_parquet
from vantage.learn.critic.chunks import ChunkCriticFit
from vantage.learn.critic.extraction import JUDGED, load_judged
from vantage.learn.critic.fit import CriticFit
from vantage.learn.optim import OptimConfig
from vantage.learn.parent import ParentFit
from vantage.learn.start import begin
from vantage.learn.step import Compute
from vantage.policies.build import build_policy
from vantage.policies.load import load_policy
from vantage.seeding import seed_for
from vantage.stages.fit_policy import PolicyFit, fit_policy
from vantage.stages.weigh import Weighing
from vantage.types import VantageError

CHUNKS = ChunkCriticFit(critic=replace(IMPROVEMENT.critic, folds=2, steps=10))


def one_round(recorded: Path, run: Path, settings: Improvement, compute: Compute = Compute()) -> Path:
    """Round 1 again, from the same checkpoint, episodes and labels."""
    copy_of_recordings(recorded, run, 1)
    replace(improver(run, 1, settings), compute=compute).learn()
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
    rule: Rule,
    success: set[float] | None,
    failure: set[float],
    intervention: set[float] | None,
    recorded: Path,
    tmp_path: Path,
) -> None:
    here = one_round(recorded, tmp_path, improvement(weighing=Weighing(rule=rule)))
    assert not (here / "3-critic" / "parent.safetensors").exists(), "nobody reads a parent head"
    raw = raw_by_route(here)
    assert set(raw["demo"]) == {1.0} and set(raw["unlabelled"]) == {0.0}
    for route, wanted in (
        ("rollout_success", success),
        ("rollout_failure", failure),
        ("intervention", intervention),
    ):
        if wanted is not None:
            assert set(raw[route]) == wanted, route
        else:
            assert ((raw[route] > 0) & (raw[route] < 2)).all() and raw[route].std() > 0.01, route
    assert (here / "3-critic").exists() == rule.reads_critic, (
        "no critic is trained for a rule that reads none"
    )


@pytest.mark.parametrize("rule", [ImitRecap(), AWR()])
def test_the_parent_head_serves_those_who_read_it(rule: Rule, recorded: Path, tmp_path: Path) -> None:
    here = one_round(
        recorded, tmp_path, improvement(weighing=Weighing(rule=rule), parent=ParentFit(steps=60))
    )
    ledger, labels = read_parquet(here / "4-weights.parquet"), read_parquet(here / "2-labels.parquet")
    assert np.isfinite(ledger["v_parent"]).all()

    rows = {name: column[ledger["round"] == 1] for name, column in ledger.items()}
    assert rows["route"].tolist() == labels["route_whole"].tolist(), (
        "an episode's outcome, whoever took over in between"
    )
    human, known = labels["controller"] == "human", ~np.isnan(labels["outcome"])
    advantage = np.isfinite(rows["a_parent"])
    assert set(rows["raw_weight"][human]) == {1.0}
    assert set(rows["raw_weight"][~human & ~known]) == {0.0}

    raw = rows["raw_weight"][~human & known & advantage]
    before_rescue = ~human & known & advantage & (labels["route"] == "unlabelled")
    assert before_rescue.any() and rows["raw_weight"][before_rescue].max() > 0
    if isinstance(rule, ImitRecap):
        assert set(raw) == {0.0, 1.0} and 0.15 < raw.mean() < 0.35, "a quarter passes"
    else:
        wanted = np.minimum(np.exp(rows["a_parent"]), 20.0)[~human & known & advantage]
        np.testing.assert_allclose(raw, wanted, rtol=1e-6)


@pytest.mark.parametrize("rule", [ExponentialWeights(count=3), RejectionTargets(count=3)])
def test_chunks_are_judged_for_those_who_weigh_or_choose_them(
    rule: Rule, recorded: Path, tmp_path: Path
) -> None:
    here = one_round(recorded, tmp_path, improvement(weighing=Weighing(rule=rule), chunk_critic=CHUNKS))
    assert not (here / "3-critic").exists(), "the critic of states is read by neither"
    learned = experience(tmp_path, 1)
    verdict, labelled = load_judged(here / "3-chunk-critic", learned), learned.labels.viability_mask
    np.testing.assert_array_equal(verdict.target >= 0, labelled)
    np.testing.assert_array_equal(np.isfinite(verdict.advantage), labelled)

    raw = read_parquet(here / "4-weights.parquet", ("raw_weight",))["raw_weight"]
    route = learned.labels.route
    assert set(raw[route == "unlabelled"]) == {0.0}
    assert set(raw[(route == "demo") | (route == "intervention")]) == {1.0}
    wanted = np.ones(labelled.sum())
    if isinstance(rule, ExponentialWeights):
        wanted, _ = tempered(verdict.advantage[labelled], rule.effective)
        assert raw[route == "rollout_failure"].max() > 0 and wanted.std() > 0.01
    np.testing.assert_allclose(raw[labelled], wanted)

    chosen, by_hand = load_policy(here / "5-actor"), improver(tmp_path, 1, improvement())
    fit_policy(
        by_hand.sources,
        here / "4-weights.parquet",
        by_hand.start,
        tmp_path / "executed",
        IMPROVEMENT.fit,
        seed=by_hand.train_seed,
    )
    executed = load_policy(tmp_path / "executed").state_dict()
    same = all(torch.equal(executed[name], tensor) for name, tensor in chosen.state_dict().items())
    assert same == isinstance(rule, ExponentialWeights), "targets are exchanged where chunks are chosen"


def test_the_chosen_chunks_are_what_the_policy_imitates(recorded: Path, tmp_path: Path) -> None:
    """Nothing is drawn but what rollouts did, and every target is one chunk: it is what is acted then."""
    only = Weighing(rule=RejectionTargets(count=1), shares=PoolShares(demo=0, intervention=0, rollout=1))
    fit = PolicyFit(steps=150, batch=64, optim=OptimConfig(lr=3e-3))
    settings = improvement(weighing=only, chunk_critic=CHUNKS, fit=fit)
    copy_of_recordings(recorded, tmp_path, 1)
    learning = improver(tmp_path, 1, settings)
    learning.fit_chunk_critic()
    learning.weigh()
    path = learning.current.chunk_critic / JUDGED
    kept = load_file(path)
    kept["best"] = torch.full_like(kept["best"], 0.6)
    save_file(kept, path)

    out = tmp_path / "actor"
    fit_policy(
        learning.sources,
        learning.current.weights,
        learning.start,
        out,
        fit,
        seed=0,
        chunk_critic=learning.current.chunk_critic,
    )
    policy = load_policy(out).with_noise(0.0)
    replay = load_experience(learning.sources)
    rows = np.flatnonzero(replay.labels.viability_mask)[::7]
    acted = policy.act(replay.loader(policy.chunk, {}).observe(rows), torch.Generator().manual_seed(0))
    assert (acted - 0.6).abs().mean() < 0.15
    was = load_policy(learning.entering).with_noise(0.0)
    before = was.act(replay.loader(policy.chunk, {}).observe(rows), torch.Generator().manual_seed(0))
    assert (before - 0.6).abs().mean() > 0.3


def test_the_interleaved_schedule_writes_the_same_files(recorded: Path, tmp_path: Path) -> None:
    settings = improvement(schedule=Interleaved(warm_up=10), weighing=Weighing(stride=1))
    here = one_round(recorded, tmp_path, settings)
    assert read_json(here / "3-critic" / "quality.json")["schedule"] == "interleaved"
    write_record(here, SEED)
    assert "for reading" in read_json(here / "round.json")["weights"]
    curve = [json.loads(line) for line in (here / "5-actor" / "metrics.jsonl").read_text().splitlines()]
    before = [row["mean_g"] for row in curve if row["step"] <= 10 and not np.isnan(row["mean_g"])]
    after = [row["mean_g"] for row in curve if row["step"] > 10 and not np.isnan(row["mean_g"])]
    assert set(before) == {1.0}, "every g is 1 before N_wu"
    assert all(g != 1.0 for g in after) and len(after) >= 2
    rows = read_parquet(here / "4-weights.parquet", ("sampling", "weight"))
    assert rows["sampling"].sum() == pytest.approx(1) and np.isfinite(rows["weight"]).all()


def test_a_round_goes_on_from_the_last_policy_or_begins_anew(recorded: Path, tmp_path: Path) -> None:
    replay = experience(recorded, 1)
    entering = load_policy(recorded / "round-00" / "5-actor").state_dict()
    starts = (improver(recorded, 1, improvement(from_scratch=new)).start for new in (False, True))
    further, scratch = (begin(start, replay).state_dict() for start in starts)
    first = build_policy(SPEC, seed_for("initial weights", SEED))
    assert all(torch.equal(further[name], tensor) for name, tensor in entering.items())
    for name, parameter in first.named_parameters():
        assert torch.equal(scratch[name], parameter), f"{name} begins where round 0 began"
    scales = set(first.state_dict()) - {name for name, _ in first.named_parameters()}
    assert any(not torch.equal(scratch[name], entering[name]) for name in scales), (
        "its scales come from the rollouts too"
    )
    made = one_round(recorded, tmp_path, improvement(from_scratch=True))
    weights = (load_policy(made / "5-actor"), load_policy(recorded / "round-01" / "5-actor"))
    assert not any(torch.equal(a, b) for a, b in zip(*(list(m.parameters()) for m in weights), strict=True))


def test_the_interleaved_schedule_draws_failures_and_nothing_unlabelled_or_stale(recorded: Path) -> None:
    replay, actor = experience(recorded), load_policy(recorded / "round-01" / "5-actor")
    weighing = Weighing(stride=1, stale_after=STEPS)

    def drawn(weighing: Weighing) -> np.ndarray:
        how = (replay, actor, Interleaved(), weighing, IMPROVEMENT.fit, IMPROVEMENT.critic)
        return Together(*how, t_max=T_MAX, policy_version=STEPS, seed=0).sampling > 0

    route = replay.labels.route
    assert not drawn(weighing)[route == "unlabelled"].any() and (route == "unlabelled").any()
    fresh = drawn(replace(weighing, stale_after=10_000))
    assert fresh[(route == "rollout_failure") & (replay.round == 1)].any(), "failures teach f_v"
    assert set(replay.round[drawn(weighing)]) == {0, 2}, "the first round is 30 updates old"


@pytest.mark.parametrize(
    ("weighing", "critic", "compute", "says"),
    [
        (Weighing(rule=AWR()), CriticFit(), Compute(), "no parent head"),
        (Weighing(rule=RejectionTargets()), CriticFit(), Compute(), "no critic of chunks"),
        (Weighing(), CriticFit(folds=2), Compute(), "trains one critic"),
        (Weighing(), CriticFit(), Compute(accumulate=2), "weighs every batch as a whole"),
    ],
)
def test_the_interleaved_schedule_says_what_it_lacks(
    weighing: Weighing, critic: CriticFit, compute: Compute, says: str, recorded: Path, tmp_path: Path
) -> None:
    settings = improvement(schedule=Interleaved(), weighing=weighing, critic=critic)
    with pytest.raises(VantageError, match=says):
        one_round(recorded, tmp_path, settings, compute)
    assert not (tmp_path / "round-01" / "5-actor").exists()
