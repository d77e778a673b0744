"""What leading a policy by a critic of chunks is worth where nobody rescues: its noise, or its chunks edited.

    python -m experiments.steering runs/outcomes-alone [TASK ...]

It writes docs/results/steering.parquet, and prints the tables; it goes on in the folder of
`experiments.outcomes_alone`, whose demonstrations, rollouts and policies it shares.

A supervised policy has played 300 rollouts that nobody rescued. Of it, and of what HABC makes of them, a
critic of chunks is trained; from that critic a small network, which leads the policy when it acts. Beside
them stand the policy as it samples, at zero noise (where noise steering begins), and best of 8 by the same
critic. Edits are of the chunk of zero noise. All are tried on the same development starts.

A task that is in the folder is not played again, and the table is written after every task.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.outcomes_alone import (
    CHOICE,
    TASKS,
    Plan,
    columns,
    contrasts,
    joined,
    learned,
    table,
    try_out,
)
from experiments.rank_chunks import Begun, alone, begin
from vantage.core.weights import HABC
from vantage.disk.tables import read_parquet, write_parquet
from vantage.errors import VantageError
from vantage.learn.critic.chunks import train_chunk_critic
from vantage.learn.critic.extraction import BestOf
from vantage.learn.critic.steering import (
    ChunkEdits,
    NoiseSteering,
    Steered,
    Steering,
    SteeringFit,
    train_steering,
)
from vantage.learn.features import compute_features
from vantage.policies.protocol import Policy
from vantage.progress import silence
from vantage.threads import one_thread

OUT = Path("docs/results/steering.parquet")
CONTROL = "SFT, zero noise"
PAIRS = tuple(
    (f"{policy}, {way}", f"{policy}, {beside}")
    for policy in ("SFT", "HABC")
    for way in ("steered noise", "edited chunks")
    for beside in ("zero noise", "best of 8")
)
"""Pairs whose difference is printed: does leading do more than zero noise, and than choosing among eight?"""


def led(
    begun: Begun, name: str, policy: Policy, plan: Plan, fit: SteeringFit
) -> tuple[dict[str, Policy], dict[str, float]]:
    """Every way to act with one policy; and the mean viability that its critics see, before and after."""
    features = compute_features(begun.experience, policy)
    critic, trained = train_chunk_critic(
        begun.experience,
        features,
        plan.critic,
        length=policy.execute,
        t_max=begun.settings.t_max,
        seed=begun.settings.seed,
    )
    rows = np.flatnonzero(begun.experience.labels.viability_mask)
    calm = policy.with_noise(0.0).eval()
    ways: dict[str, Policy] = {
        name: policy.eval(),
        f"{name}, zero noise": calm,
        f"{name}, best of {CHOICE}": BestOf(policy, critic, CHOICE).eval(),
    }

    promised: dict[str, float] = {}
    settings: Mapping[str, Steering] = {
        "steered noise": NoiseSteering(fit=fit),
        "edited chunks": ChunkEdits(fit=fit),
    }
    for way, steering in settings.items():
        steerer, curve = train_steering(
            begun.experience,
            features,
            rows,
            calm,
            critic,
            trained.fold,
            steering,
            seed=begun.settings.seed,
        )
        ways[f"{name}, {way}"] = Steered(calm, steerer).eval()
        promised[f"{name}, {way}"] = curve[-1]["viability"] - curve[0]["viability"]
    return ways, promised


def measure(plan: Plan, work: Path, fit: SteeringFit = SteeringFit()) -> dict[str, np.ndarray]:
    """Trials of all tasks and seeds; those in `work` are read."""
    tables: list[Mapping[str, np.ndarray]] = []
    with silence(), one_thread():
        for task in plan.tasks:
            for seed in plan.seeds:
                folder = work / f"{task}-{seed}"
                kept = folder / "steering.parquet"
                if not kept.is_file():
                    write_parquet(kept, columns(_tried(plan, folder, task, seed, fit)))
                tables.append(read_parquet(kept))
    return joined(tables)


def _tried(plan: Plan, folder: Path, task: str, seed: int, fit: SteeringFit) -> list[dict[str, object]]:
    """One row per way and start, of one task and seed."""
    begun = begin(folder, plan.run(task, seed), plan.critic)
    policies = {"SFT": begun.policy, "HABC": learned(begun, HABC(), plan, folder / "ways" / "HABC")}
    rows: list[dict[str, object]] = []
    for name, policy in policies.items():
        ways, promised = led(begun, name, policy, plan, fit)
        for way, acting in ways.items():
            known = {"task": task, "seed": seed, "way": way, "promised": promised.get(way, 0.0)}
            rows += [known | row for row in try_out(begun, acting, plan)]
    print(task, seed, file=sys.stderr, flush=True)
    return rows


def promises(rows: Mapping[str, np.ndarray]) -> str:
    """What the critics of chunks promised of leading, at recorded states, in points of viability."""
    tasks = [str(task) for task in dict.fromkeys(rows["task"].tolist())]
    lines = ["| way | " + " | ".join(tasks) + " |", "|" + "---|" * (1 + len(tasks))]
    for way in dict.fromkeys(rows["way"].tolist()):
        own = rows["way"] == way
        if not rows["promised"][own].any():  # nothing leads it
            continue
        cells = [f"{rows['promised'][own & (rows['task'] == task)].mean():+.3f}" for task in tasks]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Compare where a folder to work in is named, all tasks or those named after it, writing after every one;
    print the tables. Raises VantageError for a task that is not among them."""
    if arguments:
        tasks = tuple(arguments[1:]) or TASKS
        if strange := [task for task in tasks if task not in TASKS]:
            raise VantageError(f"{strange[0]!r} is not compared here; name some of {', '.join(TASKS)}")
        for done in range(len(tasks)):
            write_parquet(OUT, measure(Plan(run=alone, tasks=tasks[: done + 1]), Path(arguments[0])))
    rows = read_parquet(OUT)
    print("\n\n".join((table(rows, CONTROL), contrasts(rows, PAIRS), promises(rows))))


if __name__ == "__main__":
    main(sys.argv[1:])
