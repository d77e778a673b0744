"""Pictures beside true state: the same methods on the same starts; and where a policy that sees pictures fails, on pick-place.

    vantage study state --arms filtered-bc --tasks pick-place-v3 --out runs/study-state --results runs/gap-rows
    python -m experiments.pixel_gap runs/study-state runs/study-pixels      docs/results/pixel-gap.parquet, and the table

The first table is drawn from the rows of both studies, over the pairs of task and seed that both have. The second follows the puck through
the last rollouts of filtered BC, which has no critic, so that what lies between its two forms lies in the policy: rollouts of round 3 that
nobody touched, noise 1. Both go to docs/results.md; without arguments they are drawn again from stored rows.
"""

import sys
from pathlib import Path

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


def measure(works: dict[str, Path]) -> dict[str, np.ndarray]:
    """One row per rollout that nobody touched; lengths in millimetres, NaN where the event did not happen."""
    rows = dict[str, list[object]]()
    for form, work in works.items():
        for seed in SEEDS:
            folder = Round.of(Cell(task=TASK, arm="filtered-bc", seed=seed).folder(work), ROUND).episodes / "data"
            table = arrow.dataset(folder, format="parquet").to_table(columns=list(COLUMNS))
            episode = table["episode_index"].to_numpy()
            truth = np.stack(table["observation.environment_state"].to_numpy())
            human, solved = table["intervention"].to_numpy(), table["next.success"].to_numpy()
            for number in np.unique(episode):
                mine = episode == number
                if human[mine].any():
                    continue
                row = _measured(truth[mine]) | {"form": form, "seed": seed, "success": bool(solved[mine].any())}
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
    """Markdown: what every arm that both studies have loses or gains from pixels, paired by task, seed and start."""
    studies = {form: Results.read(Path(f"docs/results/study-{form}")) for form in ("state", "pixels")}
    trials = {form: results.tables["trials"] for form, results in studies.items()}
    both = {
        name: np.concatenate([np.asarray(rows[name]) if name != "arm" else _named(form, rows["arm"]) for form, rows in trials.items()])
        for name in trials["state"]
    }
    tasks = [place.world.task for place in studies["pixels"].study.tasks]
    lines = [f"| pixels − true state | {' | '.join(tasks)} | mean | steps, both solve | pairs |", "|---|" + "---|" * (len(tasks) + 3)]
    for arm in evaluated(studies["pixels"].study):
        found = contrast(both, f"pixels:{arm}", f"state:{arm}")
        if found is not None:
            by_task = " | ".join(f"{found.by_task[task]:+.3f}" if task in found.by_task else "–" for task in tasks)
            gap, steps = span(found.difference, signed=True), span(found.shared_steps, 1, signed=True)
            lines.append(f"| {title(studies['pixels'].study, arm)} | {by_task} | **{gap}** | {steps} | {found.difference.n} |")
    return "\n".join(lines)


def _named(form: str, arms: np.ndarray) -> np.ndarray:
    return np.array([f"{form}:{arm}" for arm in arms])


def table(rows: dict[str, np.ndarray]) -> str:
    """Markdown: one column per form."""
    forms = list(dict.fromkeys(rows["form"].tolist()))
    lines = ["| pick-place, filtered BC, round 3 | " + " | ".join(forms) + " |", "|---|" + "---|" * len(forms)]
    cells: dict[str, list[str]] = {}
    for form in forms:
        here = {name: values[rows["form"] == form] for name, values in rows.items()}
        up, good = here["lifted"] > 0, here["success"].astype(bool)
        lost = up & ~good
        astray = lost & (here["held"] > 0)
        along, across = (np.sqrt((here[f"miss_{way}_view"][astray] ** 2).mean()) for way in ("along", "across"))
        high = here["goal_height"] > 200
        for name, text in {
            "rollouts that nobody touched": f"{len(good)}",
            "solved": f"{good.mean():.2f}",
            "lifted": f"{up.mean():.2f}",
            "hand beside the puck when it leaves the table, mm (median)": f"{np.median(here['grasp'][up]):.1f}",
            "solved, of those lifted": f"{good[up].mean():.2f}",
            "... goal below 200 mm": f"{good[up & ~high].mean():.2f}",
            "... goal above": f"{good[up & high].mean():.2f}",
            "lifted and failed": f"{lost.sum()}",
            "... of those: dropped on the way": f"{np.nanmean(here['dropped'][lost]):.2f}",
            "... of those: still held at the end": f"{here['held'][lost].mean():.2f}",
            "... held: miss along the camera's view, mm (rms)": f"{along:.0f}",
            "... held: miss across it, each of two directions, mm (rms)": f"{across / np.sqrt(2):.0f}",
        }.items():
            cells.setdefault(name, []).append(text)
    return "\n".join([*lines, *(f"| {name} | " + " | ".join(texts) + " |" for name, texts in cells.items())])


def main() -> None:
    if len(sys.argv) == 3:
        write_parquet(OUT, measure({"state": Path(sys.argv[1]), "pixels": Path(sys.argv[2])}), nullable=("grasp", "dropped"))
    found = f"{side_by_side()}\n\n{table(read_parquet(OUT))}"
    print(found)
    between(Path("docs/results.md"), "pixel-gap", found, "### Pictures beside true state")


if __name__ == "__main__":
    main()
