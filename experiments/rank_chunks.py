"""How well does a critic of states and chunks rank chunks from the same state?

    python -m experiments.rank_chunks runs/rank-chunks      docs/results/rank-chunks.parquet, and the table

Extraction needs just this: best-of-N, rejection-sampled targets and exponential weights all compare what
could be done in one state. A supervised policy plays 300 rollouts that nobody rescues; the critic learns from
their outcomes. Then the policy plays development starts. At one of its decisions, drawn at random, the
episode is begun again and replayed up to there, once for each of eight chunks of the policy and each of four
continuations. A chunk is worth the share of its continuations that succeed.

Beside the critic stand two others who rank. One takes no critic: chunks near to the one of zero noise come
first. The other is another four continuations of each chunk, which say how well anybody could rank who has
tried.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32

from vantage.algorithms.habc import (
    HABCRun,
    before,
    collect_round,
    experience_of,
    label_round,
    supervise_round,
)
from vantage.collect.observe import observe
from vantage.collect.pool import play_here
from vantage.core.stats import Interval, auc, bootstrap_mean, kendall_tau
from vantage.core.weights import sigmoid
from vantage.data.experience import Experience
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet, write_parquet
from vantage.learn.critic.chunks import ChunkCritic, ChunkCriticFit, train_chunk_critic
from vantage.learn.critic.panel import TrainedPanel
from vantage.learn.features import compute_features
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy
from vantage.progress import silence
from vantage.recipes.study import study_alone
from vantage.seeding import seed_for
from vantage.stages.collect import Rollouts
from vantage.threads import one_thread
from vantage.worlds.protocol import World
from vantage.worlds.spec import WorldSpec, place_of

OUT = Path("docs/results/rank-chunks.parquet")
TASKS = ("pick-place-v3",)
SEEDS = (1000,)
"""Of training: one that no study has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured."""

    run: Callable[[str, int], HABCRun]
    """What is played by a task and a seed, up to the rollouts."""
    tasks: tuple[str, ...] = TASKS
    seeds: tuple[int, ...] = SEEDS
    critic: ChunkCriticFit = ChunkCriticFit()
    states: int = 40
    """Per task and seed."""
    chunks: int = 8
    continuations: int = 4
    """Of each chunk; as many again say how well anybody could rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A supervised policy, what it did alone, and the critic of it."""

    settings: HABCRun
    current: Round
    """Round 1, with its rollouts and labels."""
    policy: Policy
    experience: Experience
    features: Float32[np.ndarray, "N D"]
    critic: ChunkCritic
    trained: TrainedPanel


def alone(task: str, seed: int) -> HABCRun:
    """The run of `vantage study alone` on a task, with all its rollouts at once: true state, no rescues."""
    study = study_alone()
    (wanted,) = (one for one in study.tasks if one.name == task)
    settings = study.settings(study.arm("filtered-bc"), wanted, seed)
    assert isinstance(settings, HABCRun)
    return replace(settings, rollouts=Rollouts(per_world=300))


def begin(folder: Path, settings: HABCRun, critic: ChunkCriticFit) -> Begun:
    """Do what is not in `folder` yet (demonstrations, policy, rollouts, labels), and train the critic."""
    current = Round.of(folder, 1)
    supervise_round(Round.of(folder, 0), settings, play_here)
    collect_round(current, settings, play_here)
    label_round(current, settings.improvement.labelling)

    policy, experience = load_policy(before(current).actor), experience_of(current, settings)
    features = compute_features(experience, policy)
    trained = train_chunk_critic(
        experience, features, critic, length=policy.execute, t_max=settings.t_max, seed=settings.seed
    )
    return Begun(
        settings=settings,
        current=current,
        policy=policy,
        experience=experience,
        features=features,
        critic=trained[0],
        trained=trained[1],
    )


@dataclass(frozen=True, slots=True)
class Moment:
    """A decision of a policy: its episode's start, and what was executed up to it."""

    start: int
    executed: Float32[np.ndarray, "T A"]

    def restart(self, world: World) -> bool:
        """Bring a world here again, bit for bit; True if it has succeeded on the way."""
        world.reset(self.start)
        return any([world.step(action) for action in self.executed])


def moment_of(world: World, policy: Policy, spec: WorldSpec, start: int) -> Moment:
    """A decision, drawn at random, of an episode that the policy plays from `start`."""
    generator = torch.Generator().manual_seed(start)
    world.reset(start)
    executed: list[np.ndarray] = []
    success = False
    while not success and len(executed) < spec.limit:
        chunk = policy.act(observe(policy.interface, [world]), generator)[0, : policy.execute].numpy()
        for action in np.clip(chunk, world.action_low, world.action_high):
            executed.append(action.astype(np.float32))
            success = world.step(executed[-1])
            if success or len(executed) == spec.limit:
                break

    decisions = range(0, len(executed), policy.execute)
    upto = int(np.random.default_rng([start, 3]).choice(decisions))
    played = np.array(executed, np.float32).reshape(-1, policy.action_dim)
    return Moment(start, played[:upto])


def play_on(
    world: World,
    policy: Policy,
    spec: WorldSpec,
    moment: Moment,
    chunk: Float32[np.ndarray, "C A"],
    seed: int,
) -> tuple[bool, int]:
    """Begin at a moment with a chunk, then let the policy go on: whether it succeeds, and the control steps
    from the moment on."""
    generator = torch.Generator().manual_seed(seed)
    success = moment.restart(world)
    steps, queue = 0, list(chunk[: policy.execute])
    while not success and len(moment.executed) + steps < spec.limit:
        if not queue:
            queue = list(
                policy.act(observe(policy.interface, [world]), generator)[0, : policy.execute].numpy()
            )
        action = np.clip(queue.pop(0), world.action_low, world.action_high).astype(np.float32)
        success = world.step(action)
        steps += 1
    return success, steps


def rank(begun: Begun, plan: Plan) -> list[dict[str, object]]:
    """One row per state and chunk: what the critic says of it, and what came of it."""
    (spec,) = begun.settings.worlds
    world, policy = spec(), begun.policy.eval()
    rows: list[dict[str, object]] = []
    for number in range(plan.states):
        moment = moment_of(world, policy, spec, seed_for("development", place_of(spec), number))
        moment.restart(world)
        seen = observe(policy.interface, [world])
        generator = torch.Generator().manual_seed(seed_for("chunks to rank", number))
        drawn = policy.act(seen.at(torch.zeros(plan.chunks, dtype=torch.int64)), generator)
        middle = policy.with_noise(0.0).act(seen, generator)[0]
        judged = begun.critic.judge(policy.features(seen).expand(len(drawn), -1), drawn)
        away = (drawn - middle)[:, : policy.execute].square().mean((1, 2)).sqrt()

        for chunk in range(plan.chunks):
            ends = [
                play_on(world, policy, spec, moment, drawn[chunk].numpy(), seed_for("rank", number, chunk, k))
                for k in range(2 * plan.continuations)
            ]
            won = np.array([success for success, _ in ends])
            steps = [length for success, length in ends if success]
            row: dict[str, object] = {"state": number, "chunk": chunk, "at": len(moment.executed)}
            row |= {"p": float(sigmoid(judged.z_v)[chunk]), "steps_said": float(-judged.v_e[chunk])}
            row |= {"away": float(away[chunk]), "won": int(won[::2].sum()), "other": int(won[1::2].sum())}
            rows.append(row | {"steps": float(np.mean(steps)) if steps else float("nan")})
    world.close()
    return rows


def measure(plan: Plan, work: Path) -> dict[str, np.ndarray]:
    """All tasks and seeds, and how good the critic is on held-out episodes."""
    rows: list[dict[str, object]] = []
    with silence(), one_thread():
        for task in plan.tasks:
            for seed in plan.seeds:
                begun = begin(work / f"{task}-{seed}", plan.run(task, seed), plan.critic)
                known: dict[str, object] = {"task": task, "seed": seed, "continuations": plan.continuations}
                rows += [known | row for row in rank(begun, plan)]
                print(task, seed, file=sys.stderr, flush=True)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


Rows = Mapping[str, np.ndarray]


def table(rows: Rows) -> str:
    """By task, and all of them: how often the critic is right, beside the two others."""
    lines = [
        "| task | who ranks | tau-b | top-1 hit (by chance) | AUC within a state | success of the first "
        "choice, minus the mean chunk's | states that tell |",
        "|---|---|---|---|---|---|---|",
    ]
    tasks = [str(task) for task in dict.fromkeys(rows["task"].tolist())]
    for task in tasks if len(tasks) == 1 else [*tasks, "all"]:
        own = np.ones(len(rows["task"]), bool) if task == "all" else rows["task"] == task
        for who in ("critic", "near zero noise", "other half"):
            lines.append(_line(task, who, {name: column[own] for name, column in rows.items()}))
    return "\n".join(lines)


def _line(task: str, who: str, rows: Rows) -> str:
    """One ranker on the states of one task."""
    score = {"critic": rows["p"], "near zero noise": -rows["away"], "other half": rows["other"] * 1.0}[who]
    key = np.array(
        [f"{a} {b} {c}" for a, b, c in zip(rows["task"], rows["seed"], rows["state"], strict=True)]
    )
    taus, hits, chances, areas, gains = [], [], [], [], []
    for state in dict.fromkeys(key.tolist()):
        own = key == state
        won, count = rows["won"][own], int(rows["continuations"][own][0])
        if won.min() == won.max():
            continue  # whatever is done here, as much comes of it
        said = score[own]
        taus.append(kendall_tau(said, won * 1.0))
        first = said == said.max()
        hits.append(float((won == won.max())[first].mean()))
        chances.append(float((won == won.max()).mean()))
        areas.append(auc(*_outcomes(said, won, count)))
        gains.append(float((won[first].mean() - won.mean()) / count))

    tau = _mean(np.array([0.0 if np.isnan(value) else value for value in taus]))
    hit, chance = _mean(np.array(hits)), float(np.mean(chances)) if chances else float("nan")
    area, gain = _mean(np.array(areas)), _mean(np.array(gains))
    return (
        f"| {task} | {who} | {_words(tau)} | {_words(hit)} ({chance:.2f}) | {_words(area)} | "
        f"{_words(gain, '+')} | {len(hits)} of {len(set(key.tolist()))} |"
    )


def _outcomes(
    said: Float[np.ndarray, "N"], won: np.ndarray, count: int
) -> tuple[Float[np.ndarray, "M"], Bool[np.ndarray, "M"]]:
    """Every continuation by itself, with the score of its chunk."""
    outcome = np.concatenate([np.arange(count) < wins for wins in won])
    return said.repeat(count), outcome


def _mean(sample: np.ndarray) -> Interval:
    """With a bootstrap interval over states."""
    return bootstrap_mean(sample, seed=0)


def _words(value: Interval, sign: str = "") -> str:
    return f"{value.estimate:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def main(arguments: Sequence[str]) -> None:
    """Measure where a folder to work in is named; print the table."""
    if arguments:
        write_parquet(OUT, measure(Plan(run=alone), Path(arguments[0])), nullable=("steps",))
    print(table(read_parquet(OUT)))


if __name__ == "__main__":
    main(sys.argv[1:])
