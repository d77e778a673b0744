"""What every stage makes of one small fixed input, as a few numbers that move when its meaning does.

What a stage reads is not made by the stages before it, save labels, which all of them read: a changed critic
moves the values of `fit critic` alone, and a changed label those of most.

Numbers are means over rows of one kind, and some rows as they are, so that another processor's rounding stays
below the tolerance of the comparison, and a changed rule, mask, target, seed or default does not.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import recorded
import torch
from line_world import LineSpec, line_actor, record_line_demonstrations
from safetensors.torch import load_file, save_file

from vantage.algorithms.interleaved import Interleaved, fit_interleaved
from vantage.collect.operators import Demonstrate, DemonstrateStock, Rescue
from vantage.collect.pool import play_here
from vantage.core.self_bc import ConstantBC
from vantage.core.weights import AWR, HABC, HABCV, FilteredBC, ImitDAgger, ImitRecap, Rule
from vantage.data.v3.read import read_table
from vantage.disk.files import read_json
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet, write_parquet
from vantage.learn.critic.panel import Panel, load_panel, save_panel
from vantage.learn.parent import save_parent
from vantage.learn.start import FromCheckpoint, FromScratch, begin
from vantage.nets.critic import DualCritic, ParentHead
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.build import build_policy
from vantage.policies.small.flow import FlowConfig
from vantage.practice.ppo import PPOFit
from vantage.practice.settings import Checks, Play, Practice
from vantage.practice.trainer import PracticeTask, Trainer
from vantage.seeding import global_generator_kept
from vantage.stages.collect import Demonstrations, Rollouts, collect_demonstrations, collect_rollouts
from vantage.stages.evaluate import Evaluation, evaluate
from vantage.stages.fit_critic import fit_critic
from vantage.stages.fit_policy import fit_policy
from vantage.stages.label import Labelling, label
from vantage.stages.weigh import Weighing, weigh
from vantage.worlds.spec import MetaWorldSpec

Values = dict[str, list[float]]
"""Name -> numbers."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """What the stages are given."""

    run: Path
    """The recorded run (`recorded.py`); only read."""
    line: Round
    """Round 0 in the world of the line, with its policy; only read."""
    out: Path
    """An empty folder."""


def write_line(folder: Path) -> Round:
    """Demonstrations on the line, and a policy that creeps."""
    here = Round.of(folder, 0)
    record_line_demonstrations(here, 5)
    line_actor(here.actor)
    return here


def collected(given: Fixture) -> Values:
    """One demonstration of MetaWorld's reach-v3, and two rollouts of an untrained policy that is rescued."""
    world = MetaWorldSpec("reach-v3", limit=60)
    net = NetConfig(sight=TrueState(), chunk=8, execute=4, width=16)
    policy = given.out / "policy"
    build_policy(FlowConfig(net=net), seed=4).save(policy)
    rescue = Rescue(permission=1.0, stuck_after=8, late_at=0.6, hand_back=0.5, extension=30)

    first, second = Round.of(given.out, 0), Round.of(given.out, 1)
    demonstrations = Demonstrations(per_world=1, operator=Demonstrate())
    collect_demonstrations(first, (world,), demonstrations, seed=2, cameras={}, pool=play_here)
    rollouts = Rollouts(per_world=2, operator=rescue)
    collect_rollouts(
        second, (world,), rollouts, policy=policy, policy_version=7, seed=2, cameras={}, pool=play_here
    )
    return {
        f"{name}, {column}": numbers
        for name, here in (("demonstrations", first), ("rollouts", second))
        for column, numbers in _recording(here.episodes).items()
    }


def _recording(episodes: Path) -> Values:
    table = read_table(episodes)
    return {
        "lengths": [float(rows.stop - rows.start) for rows in table.slices],
        "human frames": [float(table.intervention[rows].sum()) for rows in table.slices],
        "policy version": _some(table.policy_version),
        "state": table.state.mean(axis=0).tolist(),
        "action": [*table.action.mean(axis=0).tolist(), *table.action[len(table.action) // 2].tolist()],
    }


def labelled(given: Fixture) -> Values:
    """Every column of the labels of two rounds and of the demonstrations."""
    values: Values = {}
    for number in (0, 1, 2):
        here = Round.of(given.run, number)
        out = given.out / f"{number}.parquet"
        csv = here.folder / "outcomes.csv"
        settings = Labelling(demo_viability=number == 0, demo_efficiency=number == 0)
        outcomes = csv if csv.exists() else None
        label(here.episodes, out, outcomes=outcomes, demos=number == 0, settings=settings)
        for name, column in read_parquet(out).items():
            if name.startswith("route"):
                kinds, counts = np.unique(column.astype(str), return_counts=True)
                values |= {
                    f"{number} {name} {kind}": [float(n)] for kind, n in zip(kinds, counts, strict=True)
                }
            elif column.dtype.kind in "fb":
                # Rows count by their place, so that values which change places are seen.
                place = np.arange(len(column)) / len(column)
                known = np.nan_to_num(column.astype(np.float64))
                values[f"{number} {name}"] = [float(known.sum()), float((known * place).sum())]
    return values


def criticised(given: Fixture) -> Values:
    """Both heads and the parent head on the first round; two folds of two members as well."""
    values: Values = {}
    entering = _entering(given)
    for name, changes in (("one", {}), ("panel", {"folds": 2, "members": 2})):
        out = given.out / name
        settings = replace(recorded.IMPROVEMENT.critic, **changes)
        fit_critic(
            recorded.sources(given.run, 1),
            entering,
            out,
            settings,
            t_max=recorded.T_MAX,
            seed=recorded.SEED,
            parent=recorded.IMPROVEMENT.parent if name == "one" else None,
        )
        kept = load_file(out / "features.safetensors")
        said = load_panel(out).values(kept["features"], kept["fold"].numpy())
        quality = read_json(out / "quality.json")
        values |= {
            f"{name}, features": _some(kept["features"].numpy().mean(axis=1)),
            f"{name}, z_v": _some(said.z_v),
            f"{name}, V_e": _some(said.v_e),
            f"{name}, quality": [float(quality[key]) for key in ("bce", "auc")],
        }
    parent = load_file(given.out / "one" / "parent.safetensors")
    return values | {"parent head": [float(tensor.float().mean()) for tensor in parent.values()]}


RULES: Mapping[str, Rule] = {
    "HABC": HABC(),
    "HABC+IR": HABC(reweight_interventions=True),
    "HABC-V": HABCV(),
    "filtered BC": FilteredBC(),
    "Imit-DAgger": ImitDAgger(),
    "Imit-Recap": ImitRecap(),
    "AWR": AWR(),
}


def weighed(given: Fixture) -> Values:
    """Weights of every rule on the second round, by route, and some rows of them."""
    here, values = Round.of(given.run, 2), Values()
    critic = _critic(given, here.number)
    for name, rule in RULES.items():
        out = given.out / f"{name}.parquet"
        weigh(
            recorded.sources(given.run, here.number),
            critic,
            out,
            Weighing(stride=4, rule=rule),
            horizon=recorded.CHUNK,
            policy_version=recorded.STEPS,
            parent=recorded.IMPROVEMENT.parent,
        )
        ledger = read_parquet(out)
        for route in np.unique(ledger["route"].astype(str)):
            own = ledger["route"].astype(str) == route
            columns = ("raw_weight", "weight", "sampling")
            values[f"{name}, {route}"] = [float(ledger[column][own].mean()) for column in columns]
        values[f"{name}, rows"] = _some(ledger["raw_weight"])
        if name == "HABC":
            values |= {column: _some(np.nan_to_num(ledger[column])) for column in ("a_v", "a_e", "g")}
    return values


def fitted(given: Fixture) -> Values:
    """A policy after eight steps on the first round, with weights that nobody's rule has made."""
    out = given.out / "actor"
    fit = replace(recorded.IMPROVEMENT.fit, steps=8, log_every=1)
    fit_policy(
        recorded.sources(given.run, 1),
        _weights(given, 1),
        FromCheckpoint(_entering(given)),
        out,
        fit,
        seed=5,
    )
    return _curve(out, ("loss", "lr", "grad_norm")) | _parameters(out)


def fitted_together(given: Fixture) -> Values:
    """Eight updates of critic and policy, four of them after the warm-up."""
    actor = given.out / "actor"
    fit_interleaved(
        recorded.sources(given.run, 1),
        FromCheckpoint(_entering(given)),
        given.out / "critic",
        actor,
        Interleaved(warm_up=4),
        recorded.IMPROVEMENT.weighing,
        replace(recorded.IMPROVEMENT.fit, steps=8, log_every=1),
        recorded.IMPROVEMENT.critic,
        t_max=recorded.T_MAX,
        policy_version=0,
        seed=5,
    )
    names = ("loss", "mean_g", "loss_viability", "loss_efficiency")
    return _curve(actor, names) | _parameters(actor)


def evaluated(given: Fixture) -> Values:
    """Six trials of each suite on the line."""
    values: Values = {}
    for suite in ("development", "evaluation"):
        out = given.out / f"{suite}.parquet"
        settings = Evaluation(per_world=6, suite=suite)
        evaluate(given.line.actor, out, (LineSpec(task="line", limit=30),), settings, pool=play_here)
        rows = read_parquet(out)
        values |= {f"{suite}, {name}": _floats(rows[name]) for name in ("seed", "success", "steps", "limit")}
    return values


def practised(given: Fixture) -> Values:
    """Two iterations of PPO on the line, the second of which teaches the policy, and a check."""
    practice = Practice(
        steps=400,
        play=Play(episodes=8, limit=30, side_by_side=4),
        fit=PPOFit(warm_up=1, epochs=2, batch=64, bc_batch=16),
        self_bc=ConstantBC(),
        checks=Checks(every=150, per_world=6, limit=40),
    )
    task = PracticeTask(
        worlds=(LineSpec(task="line", limit=30),),
        policy=given.line.actor,
        sources=[recorded.Source(0, given.line.episodes, given.line.labels, None)],
        demonstrator=DemonstrateStock(),
        practice=practice,
        seed=7,
    )
    trainer = Trainer.begin(task, given.out / ".practice")
    lines = [trainer.iterate(play_here) for _ in range(2)]
    check = trainer.check(play_here)
    names = ("steps", "success", "value", "reward", "value_loss", "own_share", "beta")
    taught = ("policy_loss", "bc_loss", "kl", "policy_steps", "gradient_ratio", "lr", "std")
    return {
        **{name: [float(line[name]) for line in lines] for name in names},
        **{name: [float(lines[1][name])] for name in taught},
        **{f"check, {name}": [float(check[name])] for name in ("success", "cost")},
    }


STAGES: Mapping[str, Callable[[Fixture], Values]] = {
    "collect": collected,
    "label": labelled,
    "fit critic": criticised,
    "weigh": weighed,
    "fit policy": fitted,
    "evaluate": evaluated,
    "interleaved": fitted_together,
    "practice": practised,
}
"""Names of `vantage.algorithms.made.meanings`."""


def _entering(given: Fixture) -> Path:
    """A policy that no stage has trained."""
    folder = given.out / "entering"
    begin(FromScratch(recorded.SPEC, 4), recorded.experience(given.run, 1)).save(folder)
    return folder


def _critic(given: Fixture, number: int) -> Path:
    """A critic and a parent head that no stage has trained, on the true state as features."""
    folder, replay = given.out / "critic", recorded.experience(given.run, number)
    folder.mkdir()
    truth = replay.environment_state
    assert truth is not None
    features, settings = torch.from_numpy(truth), recorded.IMPROVEMENT
    with global_generator_kept(11):
        critic = DualCritic(truth.shape[1], recorded.T_MAX, settings.critic.width)
        parent = ParentHead(truth.shape[1], settings.parent.bins.count, settings.parent.width)
    critic.standardise.fit(features)
    parent.standardise.fit(features)
    with torch.no_grad():  # values that differ by more than an untrained head's
        for head in (critic.viability, critic.efficiency, parent.value):
            head[-1].weight.mul_(8.0)

    save_panel(folder, Panel(((critic,),)), settings.critic, recorded.T_MAX)
    save_parent(folder, parent)
    kept = {"features": features, "fold": torch.zeros(len(replay), dtype=torch.int64)}
    save_file(kept | {"fingerprint": torch.from_numpy(replay.fingerprint)}, folder / "features.safetensors")
    return folder


def _weights(given: Fixture, number: int) -> Path:
    """A ledger whose weights and sampling are a pattern over the frames."""
    path, ledger = given.out / "weights.parquet", read_parquet(Round.of(given.run, number).weights)
    place = np.arange(len(ledger["weight"]))
    ledger["weight"] = (0.25 + (place % 7) / 4).astype(ledger["weight"].dtype)
    ledger["sampling"] = (1.0 + place % 3) / (1.0 + place % 3).sum()
    write_parquet(path, ledger, nullable=[name for name in ledger if ledger[name].dtype.kind == "f"])
    return path


def _floats(column: np.ndarray) -> list[float]:
    return [float(number) for number in column]


def _some(column: np.ndarray) -> list[float]:
    """The mean, and eight rows that lie evenly."""
    rows = np.linspace(0, len(column) - 1, 8).astype(int)
    return [float(column.mean()), *_floats(column[rows])]


def _curve(folder: Path, names: tuple[str, ...]) -> Values:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {name: [float(np.nan_to_num(row[name], nan=-1.0)) for row in rows] for name in names}


def _parameters(folder: Path) -> Values:
    """Size of every tensor of a checkpoint, all in one."""
    tensors = load_file(folder / "model.safetensors")
    return {"parameters": [float(tensors[name].float().abs().mean()) for name in sorted(tensors)]}
