"""How often the scripted operators solve their tasks -> docs/results/expert_rates.parquet, and the table in
docs/results.md.

    python -m experiments.expert_rates            play 100 seeds per row (some minutes), keep, print
    python -m experiments.expert_rates --print    print what was kept

`demonstrator` starts at the beginning; `rescuer` takes over after 40 random actions, which may have knocked
things over.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from vantage.core.stats import wilson
from vantage.disk.tables import read_parquet, write_parquet
from vantage.worlds.experts import expert_for
from vantage.worlds.metaworld.experts import DEMONSTRATOR, OPERATED, RESCUER
from vantage.worlds.metaworld.world import ALIKE, HALF_OPEN, TASKS, MetaWorld

KEPT = Path("docs/results/expert_rates.parquet")
SEEDS, LIMIT = 100, 500
FORMS: tuple[tuple[str, str], ...] = (
    *((task, "stock") for task in OPERATED),
    *((task, "alike") for task in ALIKE),
    *((task, "half_open") for task in HALF_OPEN),
    *((task, "stock") for task in TASKS if task not in OPERATED),
)
"""Task and form of its scene."""


def play(job: tuple[str, str, str], seeds: int, limit: int) -> tuple[str, str, str, int, float]:
    """(task, form, operator, successes, mean steps of the successes) of a job (task, form, operator)."""
    task, form, operator = job
    world = MetaWorld(task, alike=form == "alike", half_open=form == "half_open")
    expert = expert_for(task)
    steps: list[int] = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        world.reset(seed)
        expert.reset(rng, DEMONSTRATOR if operator == "demonstrator" else RESCUER)
        for _ in range(40 if operator == "rescuer" else 0):
            world.step(rng.uniform(-1, 1, 4).astype(np.float32))
        taken = next((t + 1 for t in range(limit) if world.step(expert.act(world.environment_state()))), None)
        steps += [] if taken is None else [taken]
    return task, form, operator, len(steps), float(np.mean(steps)) if steps else float("nan")


def measure(
    forms: Sequence[tuple[str, str]] = FORMS,
    seeds: int = SEEDS,
    limit: int = LIMIT,
    workers: int = 2,
) -> dict[str, np.ndarray]:
    """One row per form and operator. `workers`: processes; 1: this one."""
    jobs = [(task, form, operator) for task, form in forms for operator in ("demonstrator", "rescuer")]
    job = partial(play, seeds=seeds, limit=limit)
    if workers > 1:
        with Pool(workers) as pool:
            rows = pool.map(job, jobs, chunksize=1)
    else:
        rows = [*map(job, jobs)]

    names = ("task", "form", "operator", "successes", "mean_steps")
    columns = {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    return columns | {"seeds": np.full(len(rows), seeds)}


def table(rows: Mapping[str, np.ndarray]) -> str:
    """Markdown: a line per row."""
    lines = [
        "| task | form | operator | success | 95 % interval | n | steps of successes |",
        "|---|---|---|---|---|---|---|",
    ]
    for number in range(len(rows["task"])):
        row = {name: column[number] for name, column in rows.items()}
        rate = wilson(int(row["successes"]), int(row["seeds"]))
        lines.append(
            f"| {row['task']} | {row['form']} | {row['operator']} | {rate.estimate:.2f} | "
            f"{rate.low:.2f} to {rate.high:.2f} | {rate.n} | {row['mean_steps']:.0f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Play, unless it is only to be printed; print the table."""
    if "--print" not in arguments:
        write_parquet(KEPT, measure())
    print(table(read_parquet(KEPT)))


if __name__ == "__main__":
    main(sys.argv[1:])
