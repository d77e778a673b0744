"""Chunked PPO on MT10 from true state: which demonstrations, which chunk, which self-cloning rule, and how far it goes.

    python -m experiments.ppo_mt10 run ablation --seeds 5     every missing cell, one core each, every core; resumable
    python -m experiments.ppo_mt10 run long --seeds 3
    python -m experiments.ppo_mt10 run weak --seeds 3         from one and three demonstrations, with and without a curriculum of starts
    python -m experiments.ppo_mt10 run prices --seeds 3       what time costs; also: actors (flows), pixels
    python -m experiments.ppo_mt10 pace                       how often the arm is at its speed limit already
    python -m experiments.ppo_mt10 table                      docs/results.md, from docs/results/ppo-mt10/ alone

A cell is one configuration with one seed: demonstrations, supervised policy, practice, and 50 trials a task at cap 500 on the suite
`evaluation`.
Cells of one seed share demonstrations and, where the actor is the same, the supervised policy. Shorter caps are counted on the same trials.
"""

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments import ppo_figures
from experiments.ppo_cells import CELLS, GROUPS, OUT, folder_of, keep, run_cell, settings_of, stored, trials_of
from experiments.publish_study import between
from vantage.collect.pool import leave_with_parent
from vantage.commands.metaworld_score import score
from vantage.core.stats import wilson
from vantage.disk.tables import read_parquet, write_parquet
from vantage.practice.lockstep import Group, Start, play_group
from vantage.seeding import seed_for
from vantage.study.statistics import contrast
from vantage.worlds.spec import place_of

LONGEST_CELL = "10 demos, 11 M steps, PPO alone, two cores"
RESULTS, README = Path("docs/results.md"), Path("README.md")


def run(group: str, seeds: int, workers: int, only: list[str]) -> None:
    cells = [(name, seed) for seed in range(seeds) for name in GROUPS[group] if not only or name in only]
    missing = [cell for cell in cells if cell not in stored()]
    print(f"{len(missing)} of {len(cells)} cells to run on {workers} workers", flush=True)
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=leave_with_parent) as pool:
        running = [pool.submit(run_cell, *cell) for cell in missing]
        for future in as_completed(running):
            name, seed, seconds = future.result()
            keep(name, seed, seconds)
            mine = trials_of(name, seed)
            found = score(mine, 200)
            print(
                f"{name:<34} seed {seed}  cap 200: {found.success.estimate:.3f} / {found.steps:.1f} / {found.cost:.1f}  {seconds:5.0f} s",
                flush=True,
            )


def rules() -> str:
    """The trials of a few configurations, counted as others count."""
    cells = read_parquet(OUT / "cells.parquet")
    caps = (100, 150, 200, 400, 500)
    lines = [f"| same trials, success within | {' | '.join(f'{cap} steps' for cap in caps)} |", "|" + "---|" * (len(caps) + 1)]
    for name in ("SFT, 10 demos", "10 demos, 2 M steps, PPO alone", LONGEST_CELL):
        if (cells["arm"] == name).any():
            found = [score(trials_of(name), cap).success for cap in caps]
            lines.append(f"| {name} | " + " | ".join(f"{f.estimate:.3f} [{f.low:.3f}, {f.high:.3f}]" for f in found) + " |")
    return (
        "\n".join(lines)
        + "\n\n100: RLinf's rule; 400: LeRobot's and Evo-1's (docs/metaworld_protocol.md); Wilson intervals over all seeds' trials."
    )


PACED = ("SFT, 10 demos", "10 demos, 5 M steps", LONGEST_CELL)


def pace() -> None:
    """Play the kept checkpoints of a few configurations (development starts, cap 200) and keep how near to the arm's limit they drive."""
    rows: list[dict[str, object]] = []
    for name, seed in sorted(stored()):
        if name not in PACED:
            continue
        settings, run = settings_of(name, seed), folder_of(name, seed)
        worlds = [replace(world, limit=200) for world in settings.worlds]
        starts = [Start(world, k, seed_for("development", place_of(world), trial)) for k, world in enumerate(worlds) for trial in range(20)]
        played = play_group(Group(0, tuple(starts), run / ("round-01" if settings.steps else "round-00") / "5-actor", explores=False))
        for k, world in enumerate(worlds):
            won = np.flatnonzero((played.task == k) & played.success)
            mine = np.isin(played.episode, won)
            push = np.abs(played.action[mine][played.executed[mine]][:, :3]).max(axis=1)
            found = {"arm": name, "seed": seed, "task": world.task, "successes": len(won), "steps": played.steps[won].mean()}
            rows.append(found | {"at_limit": (push > 0.95).mean(), "push": push.mean()})
    write_parquet(OUT / "pace.parquet", {key: np.array([row[key] for row in rows]) for key in rows[0]})


def pace_table() -> str:
    """Per task: steps of successes, and the share of control steps on which the hand moves as fast as its controller lets it."""
    rows = read_parquet(OUT / "pace.parquet")
    lines = [f"| steps of successes (share of control steps at the limit) | {' | '.join(PACED)} |", "|" + "---|" * (len(PACED) + 1)]
    for task in dict.fromkeys(rows["task"].tolist()):
        mine = [(rows["task"] == task) & (rows["arm"] == arm) for arm in PACED]
        lines.append(f"| {task} | " + " | ".join(f"{rows['steps'][m].mean():.1f} ({rows['at_limit'][m].mean():.2f})" for m in mine) + " |")
    note = (
        "`python -m experiments.ppo_mt10 pace`; development starts, 20 a task and seed, means over seeds. An action moves the hand by at "
        "most one centimetre along each axis; at the limit: some axis above .95 of that."
    )
    return "\n".join(lines) + "\n\n" + note


def sustained(name: str, bar: float) -> str:
    """Mean environment steps after which every later check is at or above `bar`; how many seeds got there."""
    checks = read_parquet(OUT / "checks.parquet") if (OUT / "checks.parquet").exists() else {}
    found: list[int] = []
    seeds = np.unique(checks["seed"][checks["arm"] == name]) if checks else []
    for seed in seeds:
        mine = (checks["arm"] == name) & (checks["seed"] == seed)
        below = np.flatnonzero(checks["success"][mine] < bar)
        first = 0 if not len(below) else below[-1] + 1
        if first < mine.sum():
            found.append(int(checks["steps"][mine][first]))
    return f"{np.mean(found) / 1e3:,.0f} k ({len(found)} of {len(seeds)})" if found else (f"- (0 of {len(seeds)})" if len(seeds) else "")


def table() -> str:
    cells = read_parquet(OUT / "cells.parquet")
    head = (
        "configuration", "seeds", "cap 200: success", "steps of successes", "failures at the cap", "cap 500: success", "steps of successes",
        "success stays above .93 after (development)", "steps/s, one core",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name in CELLS:
        seeds = np.unique(cells["seed"][cells["arm"] == name])
        if not len(seeds):
            continue
        scores = {cap: [score(trials_of(name, int(seed)), cap) for seed in seeds] for cap in (200, 500)}

        def span(values: list[float], digits: int) -> str:
            return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"

        mine = cells["arm"] == name
        busy = (cells["playing"] + cells["learning"])[mine].sum()
        row = [
            name, str(len(seeds)),
            span([s.success.estimate for s in scores[200]], 3),
            span([s.steps for s in scores[200]], 1),
            span([s.cost for s in scores[200]], 1),
            span([s.success.estimate for s in scores[500]], 3),
            span([s.steps for s in scores[500]], 1),
            sustained(name, 0.93),
            f"{cells['env_steps'][mine].sum() / busy:,.0f}" if busy else "",
        ]  # fmt: skip
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


PAIRS = (
    ("10 demos, + success", "10 demos, PPO alone"),
    ("10 demos, + constant", "10 demos, PPO alone"),
    ("10 demos, + ramp", "10 demos, PPO alone"),
    ("10 demos, + gradient", "10 demos, PPO alone"),
    ("3 demos, + success", "3 demos, PPO alone"),
    ("3 demos, + constant", "3 demos, PPO alone"),
    ("3 demos, + ramp", "3 demos, PPO alone"),
    ("3 demos, + gradient", "3 demos, PPO alone"),
    ("3 demos, + constant", "3 demos, + success"),
    ("10 demos, + success", "10 demos, h = 1"),
    ("10 demos, + success", "10 demos, h = 3"),
    ("10 demos, + success", "10 demos, h = 8"),
    ("10 demos, PPO alone", "SFT, 10 demos"),
    ("10 demos, PPO alone", "SFT, 100 demos"),
    ("3 demos, + constant", "SFT, 3 demos"),
    ("3 demos, 1 M steps, operator's lead", "3 demos, 1 M steps"),
    ("10 demos, 2 M steps", "10 demos, 2 M steps, PPO alone"),
    ("10 demos, h = 3, 2 M steps, PPO alone", "10 demos, 2 M steps, PPO alone"),
    *((f"10 demos, PPO alone, {name}", "10 demos, PPO alone") for name in ("gamma .98", "gamma .995", "cost per step", "potential")),
    ("10 demos, PPO alone, limit bootstraps", "10 demos, PPO alone"),
)


def differences(cap: int) -> str:
    """Paired differences under a cap: crossed bootstrap over seeds and starts (study/statistics.py)."""
    rows = read_parquet(OUT / "trials.parquet")
    counted = rows | {
        "success": rows["success"] & (rows["steps"] <= cap),
        "steps": np.minimum(rows["steps"], cap),
        "limit": np.full(len(rows["steps"]), cap),
    }
    lines = [
        f"| pair, cap {cap} | success | steps where both solve | steps, failures at the cap | pairs of cells |",
        "|---|---|---|---|---|",
    ]
    for ours, theirs in PAIRS:
        found = contrast(counted, ours, theirs)
        if found is None or found.difference.n // 10 < 3:
            continue  # an interval over one or two seeds says little of further seeds
        gaps = [(found.difference, 3), (found.shared_steps, 1), (found.limit_steps, 1)]
        shown = [f"{gap.estimate:+.{d}f} [{gap.low:+.{d}f}, {gap.high:+.{d}f}]" for gap, d in gaps]
        lines.append(f"| {ours} − {theirs} | {' | '.join(shown)} | {found.difference.n // 10} |")
    return "\n".join(lines)


def short_table() -> str:
    """The few rows that README.md shows."""
    lines = [
        "| MT10, true state, ten demonstrations a task | seeds | success, cap 500 | steps of successes | all trials, failures at 500 |"
    ]
    lines.append("|---|---|---|---|---|")
    cells = read_parquet(OUT / "cells.parquet")
    names = {
        "SFT, 10 demos": "supervised",
        "10 demos, PPO alone": "0.5 M environment steps",
        "10 demos, 2 M steps, PPO alone": "2 M environment steps",
        LONGEST_CELL: "11 M environment steps",
    }
    for name, words in names.items():
        seeds = np.unique(cells["seed"][cells["arm"] == name])
        if len(seeds):
            found = [score(trials_of(name, int(seed)), 500) for seed in seeds]
            wins = np.concatenate([trials_of(name, int(seed))["success"] for seed in seeds])
            each = [f.success.estimate for f in found]
            rate = f"{wilson(int(wins.sum()), len(wins)).estimate:.3f} ({min(each):.3f} to {max(each):.3f})"
            lines.append(
                f"| {words} | {len(seeds)} | {rate} | {np.mean([f.steps for f in found]):.1f} | {np.mean([f.cost for f in found]):.1f} |"
            )
    return "\n".join(lines)


def publish() -> None:
    """docs/results.md, README.md and the figure, from the rows alone."""
    cells = read_parquet(OUT / "cells.parquet")
    commits = ", ".join(sorted({str(c)[:8] for c in cells["commit"]}))
    intro = (
        "`python -m experiments.ppo_mt10 table` draws this from docs/results/ppo-mt10; `run ablation --seeds 5` and `run long --seeds 3` "
        "add what is missing. MT10 from true state, 50 trials a task and seed on the suite `evaluation`, played to cap 500 and counted at "
        "200 and 500; mean over seeds (lowest to highest). Steps: mean over tasks of the mean over successes. One core a cell, another "
        "cell beside it, but for the one that says two; "
        f"{len(cells['arm'])} cells, {cells['seconds'].sum() / 3600:.1f} h of one core; commits {commits}.\n\n"
    )
    parts = (intro + table(), differences(200), rules(), pace_table())
    between(RESULTS, "ppo-mt10", "\n\n".join(parts), "## Action-chunked PPO on MT10")
    between(README, "ppo", short_table(), "## Faster than its demonstrations")
    ppo_figures.draw(Path("docs/figures"))
    print(table() + "\n\n" + differences(200))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "pace", "table"])
    parser.add_argument("group", nargs="?", default="ablation", choices=list(GROUPS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", nargs="*", default=[])
    given = parser.parse_args()
    if given.what == "run":
        run(given.group, given.seeds, given.workers, given.only)
    elif given.what == "pace":
        pace()
    else:
        publish()
