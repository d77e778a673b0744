"""What every stage makes of one small fixed input, as a few numbers that move when its meaning does.

Numbers are means over rows of one kind, and some rows as they are, so that another processor's rounding stays
below the tolerance of the comparison, and a changed rule, mask, target, seed or default does not.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import recorded
from line_world import LineSpec, line_actor, record_line_demonstrations
from safetensors.torch import load_file

from vantage.algorithms.interleaved import Interleaved
from vantage.collect.operators import Demonstrate, DemonstrateStock, Rescue
from vantage.collect.pool import play_here
from vantage.core.self_bc import ConstantBC
from vantage.core.weights import AWR, HABC, HABCV, FilteredBC, ImitDAgger, ImitRecap, Rule
from vantage.data.v3.read import read_table
from vantage.disk.files import read_json
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet
from vantage.learn.critic.panel import load_panel
from vantage.learn.start import FromCheckpoint
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.build import build_policy
from vantage.policies.small.flow import FlowConfig
from vantage.practice.ppo import PPOFit
from vantage.practice.settings import Checks, Play, Practice
from vantage.practice.trainer import PracticeTask, Trainer
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
    for name, changes in (("one", {}), ("panel", {"folds": 2, "members": 2})):
        out = given.out / name
        settings = replace(recorded.IMPROVEMENT.critic, **changes)
        fit_critic(
            recorded.sources(given.run, 1),
            Round.of(given.run, 0).actor,
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
    critic = given.out / "critic"
    fit_critic(
        recorded.sources(given.run, 2),
        Round.of(given.run, 1).actor,
        critic,
        recorded.IMPROVEMENT.critic,
        t_max=recorded.T_MAX,
        seed=recorded.SEED,
        parent=recorded.IMPROVEMENT.parent,
    )
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
    """The first round's policy after eight steps."""
    out = given.out / "actor"
    fit = replace(recorded.IMPROVEMENT.fit, steps=8, log_every=1)
    sources, weights = recorded.sources(given.run, 1), Round.of(given.run, 1).weights
    fit_policy(sources, weights, FromCheckpoint(Round.of(given.run, 0).actor), out, fit, seed=5)
    return _curve(out, ("loss", "lr", "grad_norm")) | _parameters(out)


def fitted_together(given: Fixture) -> Values:
    """Eight updates of critic and policy, four of them after the warm-up."""
    run = recorded.copy_of_recordings(given.run, given.out / "run", 1)
    fit = replace(recorded.IMPROVEMENT.fit, steps=8, log_every=1)
    settings = recorded.improvement(schedule=Interleaved(warm_up=4), fit=fit)
    recorded.improver(run, 1, settings).learn()
    actor = Round.of(run, 1).actor
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
