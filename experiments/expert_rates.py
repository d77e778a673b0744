"""How often the scripted operators solve their tasks -> docs/results/expert_rates.parquet, and the table in docs/results.md.

    python -m experiments.expert_rates            play 100 seeds per row (some minutes), keep, print
    python -m experiments.expert_rates --print    print what was kept

`demonstrator` starts at the beginning; `rescuer` takes over after 40 random actions, which may have knocked things over.
"""

import sys
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from vantage.core.stats import wilson
from vantage.disk.tables import read_parquet, write_parquet
from vantage.worlds.metaworld.experts import DEMONSTRATOR, OPERATED, RESCUER, Expert
from vantage.worlds.metaworld.world import ALIKE, HALF_OPEN, MetaWorld

KEPT = Path("docs/results/expert_rates.parquet")
SEEDS, LIMIT = 100, 500
FORMS = (
    [(task, {}) for task in OPERATED] + [(task, {"alike": True}) for task in ALIKE] + [(task, {"half_open": True}) for task in HALF_OPEN]
)


def play(job: tuple[str, dict[str, bool], str]) -> tuple[str, str, str, int, float]:
    """(task, form, operator, successes, mean steps of the successes)."""
    task, form, operator = job
    world, expert = MetaWorld(task, **form), Expert(task)
    steps = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        world.reset(seed)
        expert.reset(rng, DEMONSTRATOR if operator == "demonstrator" else RESCUER)
        for _ in range(40 if operator == "rescuer" else 0):
            world.step(rng.uniform(-1, 1, 4).astype(np.float32))
        taken = next((t + 1 for t in range(LIMIT) if world.step(expert.act(world.environment_state()))), None)
        steps += [] if taken is None else [taken]
    return task, "".join(form) or "stock", operator, len(steps), float(np.mean(steps))


def main() -> None:
    if "--print" not in sys.argv:
        with Pool(2) as pool:
            rows = pool.map(play, [(task, form, operator) for task, form in FORMS for operator in ("demonstrator", "rescuer")], chunksize=1)
        names = ("task", "form", "operator", "successes", "mean_steps")
        write_parquet(KEPT, dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True)) | {"seeds": np.full(len(rows), SEEDS)})
    kept = read_parquet(KEPT)
    print("| task | form | operator | success | 95 % interval | n | steps of successes |\n|---|---|---|---|---|---|---|")
    for i in range(len(kept["task"])):
        rate = wilson(int(kept["successes"][i]), int(kept["seeds"][i]))
        print(
            f"| {kept['task'][i]} | {kept['form'][i]} | {kept['operator'][i]} | {rate.estimate:.2f} | "
            f"{rate.low:.2f} to {rate.high:.2f} | {rate.n} | {kept['mean_steps'][i]:.0f} |"
        )


if __name__ == "__main__":
    main()
