"""Pictures beside true state: the same methods on the same starts; and where a policy that sees pictures
fails, on pick-place.

    vantage study state --arms filtered-bc --tasks pick-place-v3 --out runs/study-state \\
        --results runs/gap-rows
    python -m experiments.pixel_gap runs/study-state runs/study-pixels      docs/results/pixel-gap.parquet,
                                                                            and the table

The first table is drawn from the rows of both studies, over the pairs of task and seed that both have. The
second follows the puck through the last rollouts of filtered BC, which has no critic, so that what lies
between its two forms lies in the policy: rollouts of round 3 that nobody touched, noise 1. Both go to
docs/results.md; without arguments they are drawn again from stored rows.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as arrow

from experiments.publish_study import between
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet, write_parquet
from vantage.study.arms import evaluated, title
from vantage.study.cells import Cell
from vantage.study.rows import Results
from vantage.study.statistics import contrast
from vantage.study.words import span

OUT = Path("docs/results/pixel-gap.parquet")
TASK, SEEDS, ROUND = "pick-place-v3", (0, 1, 2), 3
LIFTED, DROPPED, HELD = 0.05, 0.03, 0.06
"""Metres: the puck lies at .02; a hand that holds it is within .06 of it."""
VIEW = np.array([-0.746, 0.458, -0.484])
"""Direction in which the camera `corner4` looks (world frame; MetaWorld's xyz_base.xml)."""
COLUMNS = ("observation.environment_state", "intervention", "next.success", "episode_index")


def measure(
    works: Mapping[str, Path],
    task: str = TASK,
    number: int = ROUND,
    seeds: Sequence[int] = SEEDS,
) -> dict[str, np.ndarray]:
    """One row per rollout that nobody touched; lengths in millimetres, NaN where the event did not happen.

    `works`: form -> folder in which its study worked; `number`: the round.
    """
    rows = dict[str, list[object]]()
    for form, work in works.items():
        for seed in seeds:
            run = Cell(task=task, arm="filtered-bc", seed=seed).folder(work)
            recorded: Any = arrow.dataset(Round.of(run, number).episodes / "data", format="parquet")
            table = recorded.to_table(columns=list(COLUMNS))
            episode = table["episode_index"].to_numpy()
            truth = np.stack(table["observation.environment_state"].to_numpy())
            human, solved = table["intervention"].to_numpy(), table["next.success"].to_numpy()

            for index in np.unique(episode):
                frames = episode == index
                if human[frames].any():
                    continue
                row = _measured(truth[frames]) | {
                    "form": form,
                    "seed": seed,
                    "success": bool(solved[frames].any()),
                }
                for name, value in row.items():
                    rows.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in rows.items()}


def _measured(truth: np.ndarray) -> dict[str, float]:
    """`truth`: the environment state [T, 39] of one episode: hand [0:3], puck [4:7], goal [36:39]."""
    hand, puck, goal = truth[:, :3], truth[:, 4:7], truth[:, 36:39]
    up = np.flatnonzero(puck[:, 2] > LIFTED)
    miss = puck[-1] - goal[-1]
    along = float(miss @ VIEW)
    return {
        "lifted": float(len(up) > 0),
        "grasp": 1000 * float(np.linalg.norm((hand - puck)[up[0], :2])) if len(up) else np.nan,
        "dropped": float((puck[up[0] :, 2] < DROPPED).any()) if len(up) else np.nan,
        "held": float(np.linalg.norm(hand[-1] - puck[-1]) < HELD),
        "goal_height": 1000 * float(goal[0, 2]),
        "miss": 1000 * float(np.linalg.norm(miss)),
        "miss_along_view": 1000 * abs(along),
        "miss_across_view": 1000 * float(np.linalg.norm(miss - along * VIEW)),
    }


def side_by_side() -> str:
    """Markdown: what every arm that both studies have loses or gains from pixels, paired by task, seed and
    start."""
    studies = {form: Results.read(Path(f"docs/results/study-{form}")) for form in ("state", "pixels")}
    trials = {form: results.tables["trials"] for form, results in studies.items()}
    both = {
        name: np.concatenate(
            [
                np.asarray(rows[name]) if name != "arm" else _named(form, rows["arm"])
                for form, rows in trials.items()
            ]
        )
        for name in trials["state"]
    }

    tasks = [task.name for task in studies["pixels"].study.tasks]
    lines = [
        f"| pixels − true state | {' | '.join(tasks)} | mean | steps, both solve | pairs |",
        "|---|" + "---|" * (len(tasks) + 3),
    ]
    for arm in evaluated(studies["pixels"].study):
        pair = contrast(both, f"pixels:{arm}", f"state:{arm}")
        if pair is not None:
            gaps = [f"{pair.by_task[task]:+.3f}" if task in pair.by_task else "–" for task in tasks]
            gap, steps = span(pair.difference, signed=True), span(pair.shared_steps, 1, signed=True)
            row = (title(studies["pixels"].study, arm), *gaps, f"**{gap}**", steps, str(pair.difference.n))
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def _named(form: str, arms: np.ndarray) -> np.ndarray:
    return np.array([f"{form}:{arm}" for arm in arms])


def table(rows: dict[str, np.ndarray]) -> str:
    """Markdown: one column per form."""
    forms = list(dict.fromkeys(rows["form"].tolist()))
    lines = [
        "| pick-place, filtered BC, round 3 | " + " | ".join(forms) + " |",
        "|---|" + "---|" * len(forms),
    ]
    cells: dict[str, list[str]] = {}
    for form in forms:
        rollouts = {name: values[rows["form"] == form] for name, values in rows.items()}
        up, good = rollouts["lifted"] > 0, rollouts["success"].astype(bool)
        lost = up & ~good
        astray = lost & (rollouts["held"] > 0)
        along, across = (
            np.sqrt((rollouts[f"miss_{way}_view"][astray] ** 2).mean()) for way in ("along", "across")
        )

        high = rollouts["goal_height"] > 200
        off_centre = np.median(rollouts["grasp"][up])
        for name, cell in {
            "rollouts that nobody touched": f"{len(good)}",
            "solved": f"{good.mean():.2f}",
            "lifted": f"{up.mean():.2f}",
            "hand beside the puck when it leaves the table, mm (median)": f"{off_centre:.1f}",
            "solved, of those lifted": f"{good[up].mean():.2f}",
            "... goal below 200 mm": f"{good[up & ~high].mean():.2f}",
            "... goal above": f"{good[up & high].mean():.2f}",
            "lifted and failed": f"{lost.sum()}",
            "... of those: dropped on the way": f"{np.nanmean(rollouts['dropped'][lost]):.2f}",
            "... of those: still held at the end": f"{rollouts['held'][lost].mean():.2f}",
            "... held: miss along the camera's view, mm (rms)": f"{along:.0f}",
            "... held: miss across it, each of two directions, mm (rms)": f"{across / np.sqrt(2):.0f}",
        }.items():
            cells.setdefault(name, []).append(cell)
    return "\n".join([*lines, *(f"| {name} | " + " | ".join(texts) + " |" for name, texts in cells.items())])


def main(arguments: Sequence[str]) -> None:
    """Measure the rollouts of two studies where their folders are named; draw both tables."""
    if arguments:
        state, pixels = map(Path, arguments)
        write_parquet(OUT, measure({"state": state, "pixels": pixels}), nullable=("grasp", "dropped"))
    tables = f"{side_by_side()}\n\n{table(read_parquet(OUT))}"
    print(tables)
    between(Path("docs/results.md"), "pixel-gap", tables, "### Pictures beside true state")


if __name__ == "__main__":
    main(sys.argv[1:])
