"""What leading a policy by a critic of chunks is worth where nobody rescues: its noise, or its chunks edited.

    python -m experiments.steering runs/outcomes-alone [TASK ...]

It writes docs/results/steering.parquet, and prints the tables; it goes on in the folder of
`experiments.outcomes_alone`, whose demonstrations, rollouts and policies it shares.

A supervised policy has played 300 rollouts that nobody rescued. Of it, and of what HABC makes of them, a
critic of chunks is trained; from that critic a small network, which leads the policy when it acts. Beside
them stand the policy as it samples, at zero noise (where noise steering begins), and best of 8 by the same
critic; and supervised training of as many steps as HABC's. Edits are of the chunk of zero noise. All are
tried on the same development starts.

A task that is in the folder is not played again, and the table is written after every task.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.outcomes_alone import (
    CHOICE,
    CONTROL,
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
from vantage.core.weights import HABC, ImitDAgger
from vantage.disk.tables import read_parquet, write_parquet
from vantage.errors import VantageError
from vantage.learn.critic.chunks import train_chunk_critic
from vantage.learn.critic.extraction import BestOf
from vantage.learn.critic.steering import (
    ChunkEdits,
    NoiseSteering,
    RecordedStates,
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
PAIRS = (
    *(
        (f"{policy}, {way}", f"{policy}, {beside}")
        for policy in ("SFT", "HABC")
        for way in ("steered noise", "edited chunks")
        for beside in ("zero noise", "best of 8")
    ),
    *((f"HABC, {way}", f"{CONTROL}, zero noise") for way in ("steered noise", "edited chunks")),
)
"""Pairs whose difference is printed: does leading do more than zero noise, and than choosing among eight?"""


def led(begun: Begun, name: str, policy: Policy, plan: Plan, fit: SteeringFit) -> dict[str, Policy]:
    """Every way to act with one policy."""
    features = compute_features(begun.experience, policy)
    critic, trained = train_chunk_critic(
        begun.experience,
        features,
        plan.critic,
        length=policy.execute,
        t_max=begun.settings.t_max,
        seed=begun.settings.seed,
    )
    calm = policy.with_noise(0.0).eval()
    states = RecordedStates(
        experience=begun.experience,
        features=features,
        rows=np.flatnonzero(begun.experience.labels.viability_mask),
        policy=calm,
        critic=critic,
        fold=trained.fold,
    )
    ways: dict[str, Policy] = {
        name: policy.eval(),
        f"{name}, zero noise": calm,
        f"{name}, best of {CHOICE}": BestOf(policy, critic, CHOICE).eval(),
    }

    settings: Mapping[str, Steering] = {
        "steered noise": NoiseSteering(reach=1.0, fit=fit),
        "edited chunks": ChunkEdits(reach=0.2, fit=fit),
    }
    for way, steering in settings.items():
        steerer, _ = train_steering(states, steering, seed=begun.settings.seed)
        ways[f"{name}, {way}"] = Steered(calm, steerer).eval()
    return ways


def measure(plan: Plan, work: Path, fit: SteeringFit = SteeringFit()) -> dict[str, np.ndarray]:
    """Trials of all tasks and seeds; those in `work` are read."""
    tables: list[Mapping[str, np.ndarray]] = []
    with silence(), one_thread():
        for task in plan.tasks:
            for seed in plan.seeds:
                folder = work / f"{task}-{seed}"
                for name, tried in (("equal-steps", _controls), ("steering", _ways)):
                    kept = folder / f"{name}.parquet"
                    if not kept.is_file():
                        begun = begin(folder, plan.run(task, seed), plan.critic)
                        rows = [
                            {"task": task, "seed": seed, "way": way} | row
                            for way, policy in tried(begun, plan, folder / "ways", fit).items()
                            for row in try_out(begun, policy, plan)
                        ]
                        write_parquet(kept, columns(rows))
                    tables.append(read_parquet(kept))
                print(task, seed, file=sys.stderr, flush=True)
    return joined(tables)


def _controls(begun: Begun, plan: Plan, folder: Path, fit: SteeringFit) -> dict[str, Policy]:
    """The supervised policy, trained on for as many steps as HABC."""
    more = learned(begun, ImitDAgger(), plan, folder / "SFT-equal-steps")
    return {CONTROL: more.eval(), f"{CONTROL}, zero noise": more.with_noise(0.0).eval()}


def _ways(begun: Begun, plan: Plan, folder: Path, fit: SteeringFit) -> dict[str, Policy]:
    """Every way to act with the supervised policy, and with HABC's."""
    improved = learned(begun, HABC(), plan, folder / "HABC")
    return led(begun, "SFT", begun.policy, plan, fit) | led(begun, "HABC", improved, plan, fit)


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
    print("\n\n".join((table(rows), contrasts(rows, PAIRS))))


if __name__ == "__main__":
    main(sys.argv[1:])
