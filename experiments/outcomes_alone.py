"""What a critic of states and chunks is worth where nobody rescues: three ways to use it, on equal rollouts.

    python -m experiments.outcomes_alone runs/rank-chunks   docs/results/outcomes-alone.parquet, and the table

A supervised policy plays 300 rollouts that nobody rescues. Everything below learns from these, once, in as
many gradient steps, and is tried on the same development starts. The ways differ in one value
(`learn/critic/extraction.py`). Beside them stand supervised training of as many steps, filtered BC, HABC, and
self-imitation: rejection-sampled targets of one chunk, which nobody has chosen. Each is also tried at zero
noise, except best-of-N, which needs noise to choose from.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64

from experiments.rank_chunks import Begun, alone, begin
from vantage.algorithms.habc import HABCRun, before
from vantage.collect.episode import run_episode
from vantage.collect.operators import NoOne
from vantage.core.sampling import PoolShares, drawable, sampling_probability
from vantage.core.stats import bootstrap_mean, wilson
from vantage.core.weights import HABC, FilteredBC, Rule, normalise, sigmoid, tempered
from vantage.disk.layout import Source
from vantage.disk.tables import read_parquet, write_parquet
from vantage.learn.critic.chunks import ChunkCriticFit, executed_chunks
from vantage.learn.critic.extraction import (
    BestOf,
    BestOfN,
    ExponentialWeights,
    Extraction,
    RejectionTargets,
    judge_recorded,
)
from vantage.learn.step import Learner
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy
from vantage.progress import silence
from vantage.seeding import seed_for
from vantage.stages.fit_critic import fit_critic
from vantage.stages.fit_policy import PolicyFit, read_weights, weighted_step
from vantage.stages.weigh import Weighing, weigh
from vantage.threads import one_thread
from vantage.worlds.spec import place_of

OUT = Path("docs/results/outcomes-alone.parquet")
TASKS = ("pick-place-v3", "bin-picking-v3")
SEEDS = (1000, 1001)
"""Of training: seeds that no study has."""

Way = Extraction | Rule | None
"""A use of the critic, a rule without it, or None: demonstrations alone."""

WAYS: Mapping[str, Way] = {
    "SFT, equal steps": None,
    "filtered BC": FilteredBC(),
    "HABC": HABC(),
    "self-imitation": RejectionTargets(count=1),
    "rejection-sampled targets, 8": RejectionTargets(count=8),
    "exponential weights, half effective": ExponentialWeights(effective=0.5),
    "best of 8": BestOfN(count=8),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is compared."""

    run: Callable[[str, int], HABCRun]
    """What is played by a task and a seed, up to the rollouts."""
    tasks: tuple[str, ...] = TASKS
    seeds: tuple[int, ...] = SEEDS
    critic: ChunkCriticFit = ChunkCriticFit()
    fit: PolicyFit = PolicyFit(steps=1600)
    trials: int = 100


class Lesson(NamedTuple):
    """What a fit draws and imitates, frame by frame of the experience."""

    weight: Float32[np.ndarray, "N"]
    sampling: Float64[np.ndarray, "N"]
    relabelled: Bool[np.ndarray, "N"]
    """Where `target` stands for what was executed."""
    target: Float32[np.ndarray, "N C A"]


def lesson_of(begun: Begun, way: Way, folder: Path) -> Lesson:
    """What a way imitates, and how much. `folder`: for the files of the rules' stages."""
    experience, policy = begun.experience, begun.policy
    count = len(experience)
    nothing = np.zeros((count, policy.chunk, policy.action_dim), np.float32)
    route = experience.labels.route
    judgeable = np.flatnonzero(experience.labels.viability_mask)

    match way:
        case RejectionTargets():
            judged = judge_recorded(
                experience,
                judgeable,
                policy,
                begun.critic,
                begun.trained.fold,
                count=way.count,
                seed=begun.settings.seed,
            )
            relabelled, target = experience.labels.viability_mask, nothing
            target[judgeable] = judged.best
            raw = np.where(relabelled | experience.demo, 1.0, 0.0)

        case ExponentialWeights():
            judged = judge_recorded(
                experience,
                judgeable,
                policy,
                begun.critic,
                begun.trained.fold,
                count=way.count,
                seed=begun.settings.seed,
            )
            chunks = executed_chunks(experience, begun.critic.length)
            done = begun.critic.values(begun.features, chunks, begun.trained.fold)
            advantage = sigmoid(done.z_v[judgeable]) - judged.worth
            raw, target = np.where(experience.demo, 1.0, 0.0), nothing
            raw[judgeable], _ = tempered(advantage, way.effective)
            relabelled = np.zeros(count, bool)

        case None:
            relabelled, target = np.zeros(count, bool), nothing
            raw = np.where(experience.demo, 1.0, 0.0)

        case BestOfN():
            raise AssertionError("nothing is trained")

        case _:
            weight, sampling = _weighed(begun, way, folder)
            return Lesson(weight, sampling, np.zeros(count, bool), nothing)

    valid = np.ones(count, bool)
    may_draw = drawable(raw, route, valid)
    sampling = sampling_probability(route, may_draw, PoolShares())
    weight = normalise(raw, sampling, experience.demo, valid).astype(np.float32)
    return Lesson(weight, sampling, relabelled, target)


def _weighed(
    begun: Begun, rule: Rule, folder: Path
) -> tuple[Float32[np.ndarray, "N"], Float64[np.ndarray, "N"]]:
    """(weight, sampling) of a rule, by the stages of a round."""
    sources: Sequence[Source] = begun.experience.sources
    weighing, critic = Weighing(rule=rule), None
    if rule.reads_critic:
        critic = folder / "3-critic"
        fit_critic(
            sources,
            before(begun.current).actor,
            critic,
            begun.settings.improvement.critic,
            t_max=begun.settings.t_max,
            seed=begun.settings.seed,
        )
    table = folder / f"{type(rule).__name__}.parquet"
    weigh(sources, critic, table, weighing, horizon=begun.policy.chunk, policy_version=0)
    return read_weights(table, begun.experience)


def fit(begun: Begun, lesson: Lesson, settings: PolicyFit) -> Policy:
    """Train the policy that played further, as `stages/fit_policy.py` does, with some windows' targets
    exchanged."""
    policy = load_policy(before(begun.current).actor)
    learner = Learner(policy, settings.optim, settings.steps, units=policy.units)
    loader = begun.experience.loader(policy.chunk, policy.interface.cameras, history=policy.interface.history)
    seed = begun.settings.seed
    policy.train()
    for step, batch in enumerate(loader.stream(lesson.sampling, seed, range(settings.steps), settings.batch)):
        draw = policy.draw(settings.batch, torch.Generator().manual_seed(step * 1_000_003 + seed))
        exchanged = torch.from_numpy(lesson.relabelled[batch.row])[:, None, None]
        target = torch.from_numpy(lesson.target[batch.row])
        batch = replace(
            batch,
            actions=torch.where(exchanged, target, batch.actions),
            mask=batch.mask | exchanged,
        )
        weighted_step(learner, batch, draw, lesson.weight[batch.row], settings.batch)
    learner.apply_average()
    return policy.eval()


def try_out(begun: Begun, policy: Policy, trials: int) -> list[dict[str, object]]:
    """One row per development start."""
    (spec,) = begun.settings.worlds
    world = spec()
    rows: list[dict[str, object]] = []
    for trial in range(trials):
        seed = seed_for("development", place_of(spec), trial)
        episode = run_episode(
            world, policy, NoOne(), task=spec.task, seed=seed, limit=spec.limit, pictures=False
        )
        rows.append({"trial": trial, "success": episode.outcome, "steps": len(episode)})
    world.close()
    return rows


def compare(begun: Begun, plan: Plan, folder: Path) -> list[dict[str, object]]:
    """Every way, learned and tried."""
    policies: dict[str, Policy] = {"SFT": begun.policy}
    for name, way in WAYS.items():
        if isinstance(way, BestOfN):
            policies[name] = BestOf(begun.policy, begun.critic, way.count).eval()
        else:
            policies[name] = fit(begun, lesson_of(begun, way, folder), plan.fit)

    rows: list[dict[str, object]] = []
    for name, policy in policies.items():
        tried = {name: policy}
        if not isinstance(policy, BestOf):
            tried[f"{name}, zero noise"] = policy.with_noise(0.0)
        for full, actor in tried.items():
            rows += [{"way": full} | row for row in try_out(begun, actor, plan.trials)]
    return rows


def measure(plan: Plan, work: Path) -> dict[str, np.ndarray]:
    """All tasks and seeds."""
    rows: list[dict[str, object]] = []
    with silence(), one_thread():
        for task in plan.tasks:
            for seed in plan.seeds:
                folder = work / f"{task}-{seed}"
                begun = begin(folder, plan.run(task, seed), plan.critic)
                known: dict[str, object] = {"task": task, "seed": seed}
                rows += [known | row for row in compare(begun, plan, folder / "ways")]
                print(task, seed, file=sys.stderr, flush=True)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def table(rows: Mapping[str, np.ndarray]) -> str:
    """Success of every way, and its difference to the supervised policy of equal steps on the same starts."""
    tasks = [str(task) for task in dict.fromkeys(rows["task"].tolist())]
    ways = [str(way) for way in dict.fromkeys(rows["way"].tolist())]
    head = ["way", *tasks, "all", "minus SFT, equal steps", "steps of successes"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    control = rows["success"][rows["way"] == "SFT, equal steps"].astype(float)

    for way in ways:
        own = rows["way"] == way
        success, task = rows["success"][own], rows["task"][own]
        rates = [f"{success[task == one].mean():.3f}" for one in tasks]
        whole = wilson(int(success.sum()), len(success))
        gain = bootstrap_mean(success.astype(float) - control, seed=0)
        steps = rows["steps"][own][success]
        length = f"{steps.mean():.1f}" if len(steps) else "none"
        cells = [way, *rates, str(whole), f"{gain.estimate:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]", length]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Compare where a folder to work in is named; print the table."""
    if arguments:
        write_parquet(OUT, measure(Plan(run=alone), Path(arguments[0])))
    print(table(read_parquet(OUT)))


if __name__ == "__main__":
    main(sys.argv[1:])
