"""What a critic of states and chunks is worth where nobody rescues: three ways to use it, equal rollouts.

    python -m experiments.outcomes_alone runs/outcomes-alone [TASK ...]

It writes docs/results/outcomes-alone.parquet and outcomes-alone-critics.parquet, and prints the tables.

A supervised policy plays 300 rollouts that nobody rescues. Everything below learns from these, once, in as
many gradient steps, and is tried on the same development starts. What is trained differs in one value of the
recipe, the rule of its weights; best-of-N chooses when acting.

Beside them stand supervised training of as many steps, filtered BC, HABC, and self-imitation: rejection
targets of one chunk, which nobody has chosen. Each is also tried at zero noise, except best-of-N, which needs
noise to choose from.

A task that is in the folder is not played again, and the tables are written after every task.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from experiments.rank_chunks import Begun, alone, begin
from vantage.algorithms.habc import HABCRun, improver
from vantage.collect.episode import run_episode
from vantage.collect.operators import NoOne
from vantage.core.stats import auc, bootstrap_mean, calibration_error, kendall_tau, wilson
from vantage.core.weights import (
    HABC,
    ExponentialWeights,
    FilteredBC,
    ImitDAgger,
    RejectionTargets,
    Rule,
    sigmoid,
    tempered,
)
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet, write_parquet
from vantage.errors import VantageError
from vantage.learn.critic.chunks import ChunkCriticFit, executed_chunks, train_chunk_critic
from vantage.learn.critic.extraction import BestOf, Judged, judge_recorded
from vantage.learn.features import compute_features
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy
from vantage.progress import silence
from vantage.seeding import seed_for
from vantage.stages.evaluate import SuiteName
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.weigh import Weighing
from vantage.threads import one_thread
from vantage.worlds.spec import place_of

OUT = Path("docs/results/outcomes-alone.parquet")
CRITICS = Path("docs/results/outcomes-alone-critics.parquet")
TASKS = (
    *("hammer-v3", "coffee-push-v3", "stick-pull-v3"),
    *("pick-place-v3", "bin-picking-v3", "peg-insert-side-v3"),
)
SEEDS = (1000,)
"""Of training: one that no study has."""

WAYS: Mapping[str, Rule] = {
    "SFT, equal steps": ImitDAgger(),
    "filtered BC": FilteredBC(),
    "HABC": HABC(),
    "self-imitation": RejectionTargets(count=1),
    "rejection targets, best of 8": RejectionTargets(count=8),
    "exponential weights": ExponentialWeights(effective=0.5),
}
"""What is trained: Imit-DAgger, where nobody corrects, trains on demonstrations alone. Best-of-N trains
nothing: it is tried on the supervised policy and on HABC's."""
CHOICE = 8
"""Chunks of best-of-N."""
CONTROL = "SFT, equal steps"
CONTRASTS = (
    ("HABC, best of 8", "SFT, equal steps"),
    ("HABC, best of 8", "HABC"),
    ("HABC, best of 8", "HABC, zero noise"),
    ("SFT, best of 8", "SFT"),
    ("SFT, best of 8", "SFT, zero noise"),
    ("rejection targets, best of 8", "self-imitation"),
    ("rejection targets, best of 8", "filtered BC"),
    ("rejection targets, best of 8, zero noise", "HABC, zero noise"),
    ("exponential weights", "self-imitation"),
    ("HABC", "SFT, equal steps"),
    ("HABC, zero noise", "SFT, equal steps"),
)
"""Pairs whose difference is printed: does the critic choose, beside what needs no critic?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is compared."""

    run: Callable[[str, int], HABCRun]
    """What is played by a task and a seed, up to the rollouts."""
    tasks: tuple[str, ...] = TASKS
    seeds: tuple[int, ...] = SEEDS
    critic: ChunkCriticFit = ChunkCriticFit()
    fit: PolicyFit = PolicyFit(steps=2400)
    trials: int = 150
    suite: SuiteName = "development"


def learned(begun: Begun, rule: Rule, plan: Plan, folder: Path) -> Policy:
    """The policy of a round whose recipe differs in its rule alone; what is in `folder` is not made again."""
    settings = replace(
        begun.settings.improvement, weighing=Weighing(rule=rule), fit=plan.fit, chunk_critic=plan.critic
    )
    current = Round.of(folder, 1)
    replace(improver(begun.current, begun.settings), current=current, settings=settings).learn()
    return load_policy(current.actor)


def choosing(begun: Begun, policy: Policy, settings: ChunkCriticFit) -> BestOf:
    """Best-of-N of a policy, by a critic of chunks on its own features, trained on the same rollouts."""
    critic, _ = train_chunk_critic(
        begun.experience,
        compute_features(begun.experience, policy),
        settings,
        length=policy.execute,
        t_max=begun.settings.t_max,
        seed=begun.settings.seed,
    )
    return BestOf(policy, critic, CHOICE)


def try_out(begun: Begun, policy: Policy, plan: Plan) -> list[dict[str, object]]:
    """One row per start."""
    (spec,) = begun.settings.worlds
    world = spec()
    rows: list[dict[str, object]] = []
    for trial in range(plan.trials):
        seed = seed_for(plan.suite, place_of(spec), trial)
        episode = run_episode(
            world, policy, NoOne(), task=spec.task, seed=seed, limit=spec.limit, pictures=False
        )
        rows.append({"trial": trial, "success": episode.outcome == 1, "steps": len(episode)})
    world.close()
    return rows


def compare(begun: Begun, plan: Plan, folder: Path) -> list[dict[str, object]]:
    """Every way, learned and tried. `folder`: where they are kept, one beside the other."""
    trained = {
        name: learned(begun, rule, plan, folder / name.replace(", ", "-").replace(" ", "-"))
        for name, rule in WAYS.items()
    }
    plain = {"SFT": begun.policy, **trained}
    tried: dict[str, Policy] = {}
    for name, policy in plain.items():
        tried |= {name: policy.eval(), f"{name}, zero noise": policy.with_noise(0.0).eval()}
    tried["SFT, best of 8"] = BestOf(begun.policy, begun.critic, CHOICE).eval()
    tried["HABC, best of 8"] = choosing(begun, trained["HABC"], plan.critic).eval()

    rows: list[dict[str, object]] = []
    for name, policy in tried.items():
        rows += [{"way": name} | row for row in try_out(begun, policy, plan)]
    return rows


def trust(begun: Begun) -> dict[str, object]:
    """How far the critic can be trusted on episodes that it never saw, and how much it says of chunks.

    `within`: standard deviation of the viability logit over eight chunks of one state, mean over states;
    `between`: of the states' means. `central`: Kendall's tau between a chunk's viability and how near it is
    to the chunk of zero noise: 1 where the critic prefers what the policy does most, and nothing else.
    """
    experience = begun.experience
    labelled = experience.labels.viability_mask
    chunks = executed_chunks(experience, begun.critic.length)
    p = sigmoid(begun.critic.values(begun.features, chunks, begun.trained.fold).z_v)[labelled]
    won = experience.frames.outcome[labelled] == 1
    judged = judge_recorded(
        experience,
        np.flatnonzero(labelled),
        begun.policy,
        begun.critic,
        begun.trained.fold,
        count=CHOICE,
        seed=begun.settings.seed,
    )
    z = np.log(judged.viability) - np.log1p(-judged.viability)
    _, temperature = tempered(p - judged.worth, 0.5)
    starts = experience.frames.frame == 0
    own = starts & ~experience.demo
    return {
        "rollouts": int(own.sum()),
        "won": float((experience.frames.outcome[own] == 1).mean()),
        "auc": auc(p, won),
        "calibration": calibration_error(p, won),
        "within": float(z.std(1).mean()),
        "between": float(z.mean(1).std()),
        "gap": float((judged.viability.max(1) - judged.worth).mean()),
        "temperature": temperature,
        "central": central(begun, judged),
    }


def central(begun: Begun, judged: Judged, count: int = 400) -> float:
    """How the critic's order of chunks goes with their nearness to the chunk of zero noise."""
    policy, execute = begun.policy, begun.policy.execute
    loader = begun.experience.loader(policy.chunk, policy.interface.cameras, history=policy.interface.history)
    some = np.random.default_rng(0).choice(len(judged.rows), min(count, len(judged.rows)), replace=False)
    observation = loader.observe(judged.rows[some])
    middle = policy.with_noise(0.0).act(observation, torch.Generator().manual_seed(0)).numpy()
    away = np.square(judged.chunks[some] - middle[:, None])[:, :, :execute].mean((2, 3))
    taus = [kendall_tau(p, -far) for p, far in zip(judged.viability[some], away, strict=True)]
    return float(np.nanmean(taus))


def measure(plan: Plan, work: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Trials, and what is known of the critics, of all tasks and seeds; those in `work` are read."""
    trials: list[Mapping[str, np.ndarray]] = []
    critics: list[Mapping[str, np.ndarray]] = []
    with silence(), one_thread():
        for task in plan.tasks:
            for seed in plan.seeds:
                folder = work / f"{task}-{seed}"
                if not all((folder / name).is_file() for name in ("critic.parquet", "trials.parquet")):
                    _measure_one(plan, folder, task, seed)
                trials.append(read_parquet(folder / "trials.parquet"))
                critics.append(read_parquet(folder / "critic.parquet"))
    return joined(trials), joined(critics)


def _measure_one(plan: Plan, folder: Path, task: str, seed: int) -> None:
    """critic.parquet and trials.parquet of a task and a seed, whichever is missing."""
    known: dict[str, object] = {"task": task, "seed": seed}
    begun = begin(folder, plan.run(task, seed), plan.critic)
    if not (folder / "critic.parquet").is_file():
        write_parquet(folder / "critic.parquet", columns([known | trust(begun)]))
    if not (folder / "trials.parquet").is_file():
        rows = [known | row for row in compare(begun, plan, folder / "ways")]
        write_parquet(folder / "trials.parquet", columns(rows))
    print(task, seed, file=sys.stderr, flush=True)


def columns(rows: Sequence[Mapping[str, object]]) -> dict[str, np.ndarray]:
    """Rows as columns."""
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def joined(tables: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Tables of the same columns, end to end."""
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def table(rows: Mapping[str, np.ndarray], control: str = CONTROL) -> str:
    """Success of every way, and its difference to the way `control` on the same starts."""
    tasks = [str(task) for task in dict.fromkeys(rows["task"].tolist())]
    ways = [str(way) for way in dict.fromkeys(rows["way"].tolist())]
    head = ["way", *tasks, "all", f"minus {control}", "steps of successes"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    beside = rows["success"][rows["way"] == control].astype(float)

    for way in ways:
        own = rows["way"] == way
        success, task = rows["success"][own], rows["task"][own]
        rates = [f"{success[task == one].mean():.3f}" for one in tasks]
        whole = wilson(int(success.sum()), len(success))
        gain = bootstrap_mean(success.astype(float) - beside, seed=0)
        steps = rows["steps"][own][success]
        length = f"{steps.mean():.1f}" if len(steps) else "none"
        cells = [way, *rates, f"{whole.estimate:.3f} [{whole.low:.3f}, {whole.high:.3f}]"]
        cells += [f"{gain.estimate:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]", length]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def contrasts(rows: Mapping[str, np.ndarray], pairs: Sequence[tuple[str, str]] = CONTRASTS) -> str:
    """Differences of success on the same starts, by task and over all, with bootstrap intervals over them."""
    tasks = [str(task) for task in dict.fromkeys(rows["task"].tolist())]
    head = ["way", "minus", *tasks, "all"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for ours, theirs in pairs:
        own, other = rows["way"] == ours, rows["way"] == theirs
        gain = rows["success"][own].astype(float) - rows["success"][other]
        task = rows["task"][own]
        cells: list[str] = []
        for here in (*(task == one for one in tasks), np.ones(len(gain), bool)):
            mean = bootstrap_mean(gain[here], seed=0)
            cells.append(f"{mean.estimate:+.3f} [{mean.low:+.3f}, {mean.high:+.3f}]")
        lines.append("| " + " | ".join([ours, theirs, *cells]) + " |")
    return "\n".join(lines)


def trust_table(rows: Mapping[str, np.ndarray]) -> str:
    """What is known of the critics, by task."""
    lines = [
        "| task | rollouts that succeeded | AUC | calibration error | spread of the logit over 8 chunks | "
        "over states | best of 8 minus the mean, in p | temperature | tau with nearness to zero noise |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in range(len(rows["task"])):
        one = {name: column[row] for name, column in rows.items()}
        lines.append(
            f"| {one['task']} | {one['won']:.2f} of {one['rollouts']} | {one['auc']:.3f} | "
            f"{one['calibration']:.3f} | {one['within']:.2f} | {one['between']:.2f} | {one['gap']:+.3f} | "
            f"{one['temperature']:.3f} | {one['central']:+.2f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Compare where a folder to work in is named, all tasks or those named after it, writing after every one;
    print the tables. Raises VantageError for a task that is not among them."""
    if arguments:
        tasks = tuple(arguments[1:]) or TASKS
        strange = [task for task in tasks if task not in TASKS]
        if strange:
            raise VantageError(f"{strange[0]!r} is not compared here; name some of {', '.join(TASKS)}")
        for done in range(len(tasks)):
            trials, critics = measure(Plan(run=alone, tasks=tasks[: done + 1]), Path(arguments[0]))
            write_parquet(OUT, trials)
            write_parquet(CRITICS, critics)
    print(table(read_parquet(OUT)))
    print()
    print(contrasts(read_parquet(OUT)))
    print()
    print(trust_table(read_parquet(CRITICS)))


if __name__ == "__main__":
    main(sys.argv[1:])
