"""Chunked PPO on MT10 from true state: which demonstrations, which chunk, which self-cloning rule, and how far it goes.

    python -m benchmarks.ppo_mt10 run ablation --seeds 5     every missing cell, one core each, every core; resumable
    python -m benchmarks.ppo_mt10 run long --seeds 3
    python -m benchmarks.ppo_mt10 run weak --seeds 3         from one and three demonstrations, with and without a curriculum of starts
    python -m benchmarks.ppo_mt10 run prices --seeds 3       what time costs; also: actors (flows), pixels
    python -m benchmarks.ppo_mt10 pace                       how often the arm is at its speed limit already
    python -m benchmarks.ppo_mt10 table                      docs/results.md, from docs/results/ppo-mt10/ alone

A cell is one configuration with one seed: demonstrations, supervised policy, practice, and 50 trials a task at cap 500 on the suite
`evaluation`.
Cells of one seed share demonstrations and, where the actor is the same, the supervised policy. Shorter caps are counted on the same trials.
"""

import argparse
import fcntl
import json
import multiprocessing
import os
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.publish_study import between
from vantage.actors.gaussian import GaussianConfig
from vantage.actors.stochastic_flow import FlowSDEConfig, FPOConfig
from vantage.algorithms.chunked_ppo import run_chunked_ppo
from vantage.algorithms.practice import ChunkedPPORun, OperatorLead, ReplayedLead
from vantage.collect.lockstep import Group, Start, play_group
from vantage.collect.pool import leave_with_parent
from vantage.core.self_bc import ConstantBC, GradientBC, NoSelfBC, RampBC, SuccessBC
from vantage.core.stats import wilson
from vantage.core.surrogate import Discount, Potential, StepCost, TimePrice
from vantage.data.sidecar import read_json, read_parquet, write_parquet
from vantage.nets.vla import Pixels
from vantage.recipes.metaworld_ppo import metaworld_mt10_ppo, metaworld_mt10_ppo_state
from vantage.record import git_commit
from vantage.report.figures import axes, line, plot, rule, save_svg, svg, text, ticks
from vantage.seeding import seed_for
from vantage.stages.collect import Demonstrations
from vantage.stages.evaluate import place_of
from vantage.stages.metaworld_protocol import score
from vantage.study.statistics import contrast

WORK, OUT = Path("runs/ppo-mt10"), Path("docs/results/ppo-mt10")
RESULTS, README = Path("docs/results.md"), Path("README.md")
HALF, MILLION, WHOLE = 500_000, 1_000_000, 2_000_000

Change = Callable[[ChunkedPPORun], ChunkedPPORun]


def demos(count: int) -> Change:
    return lambda s: replace(s, demonstrations=Demonstrations(per_world=count, operator=s.demonstrations.operator))


def chunk(h: int) -> Change:
    def change(s: ChunkedPPORun) -> ChunkedPPORun:
        assert isinstance(s.actor, GaussianConfig)
        return replace(s, actor=replace(s.actor, net=replace(s.actor.net, chunk=h, execute=h)))

    return change


def cloning(which: object) -> Change:
    return lambda s: replace(s, self_bc=which)


def steps(count: int) -> Change:
    return lambda s: replace(s, steps=count)


def practice(**changes: object) -> Change:
    return lambda s: replace(s, practice=replace(s.practice, **changes))


def pixels() -> Change:
    return lambda s: replace(metaworld_mt10_ppo(), seed=s.seed)


def flow(actor: FlowSDEConfig | FPOConfig) -> Change:
    return lambda s: replace(s, actor=replace(actor, net=s.actor.net))


def price(which: TimePrice) -> Change:
    return lambda s: replace(s, fit=replace(s.fit, price=which))


def small_steps(s: ChunkedPPORun) -> ChunkedPPORun:
    return replace(s, fit=replace(s.fit, kl_stop=0.2, kl_end=0.05))


def correlated(rho: float) -> Change:
    return lambda s: replace(s, actor=replace(s.actor, correlation=rho))


RULES = {
    "PPO alone": NoSelfBC(),
    "+ constant": ConstantBC(),
    "+ ramp": RampBC(),
    "+ success": SuccessBC(),
    "+ gradient": GradientBC(),
}
ABLATION: dict[str, tuple[Change, ...]] = {
    "SFT, 10 demos": (steps(0),),
    "SFT, 100 demos": (demos(100), steps(0)),
    "SFT, 3 demos": (demos(3), steps(0)),
    **{f"10 demos, h = {h}": (chunk(h), steps(HALF)) for h in (1, 3, 8)},
    **{f"10 demos, {name}": (cloning(which), steps(HALF)) for name, which in RULES.items()},
    **{f"3 demos, {name}": (demos(3), cloning(which), steps(HALF)) for name, which in RULES.items()},
}
PRICES: dict[str, tuple[Change, ...]] = {
    f"10 demos, PPO alone, {name}": (cloning(NoSelfBC()), change, steps(HALF))
    for name, change in {
        "gamma .98": price(Discount(gamma=0.98)),
        "gamma .995": price(Discount(gamma=0.995)),
        "cost per step": price(StepCost()),
        "potential": price(Potential()),
        "limit bootstraps": lambda s: replace(s, fit=replace(s.fit, limit_bootstraps=True)),
    }.items()
}
ACTORS: dict[str, tuple[Change, ...]] = {
    f"{name}: {words}": (flow(actor), cloning(NoSelfBC()), steps(count))
    for name, actor in {"Flow-SDE": FlowSDEConfig(), "FPO": FPOConfig()}.items()
    for words, count in {"SFT, 10 demos": 0, "10 demos, PPO alone": HALF}.items()
}
LONG: dict[str, tuple[Change, ...]] = {
    "10 demos, 2 M steps": (steps(WHOLE),),
    "10 demos, 2 M steps, PPO alone": (cloning(NoSelfBC()), steps(WHOLE)),
    "10 demos, h = 3, 2 M steps, PPO alone": (chunk(3), cloning(NoSelfBC()), steps(WHOLE)),
    "10 demos, 5 M steps": (steps(5_000_000),),
}
REPLAYED, OPERATOR = practice(lead=ReplayedLead()), practice(lead=OperatorLead())
WEAK: dict[str, tuple[Change, ...]] = {
    "SFT, 1 demo": (demos(1), steps(0)),
    "3 demos, 1 M steps": (demos(3), steps(MILLION)),
    "3 demos, 1 M steps, replayed lead": (demos(3), REPLAYED, steps(MILLION)),
    "3 demos, 1 M steps, operator's lead": (demos(3), OPERATOR, steps(MILLION)),
    "3 demos, 1 M steps, PPO alone": (demos(3), cloning(NoSelfBC()), steps(MILLION)),
    "3 demos, 1 M steps, correlation .9": (demos(3), correlated(0.9), steps(MILLION)),
    "3 demos, 1 M steps, limit 200": (demos(3), practice(limit=200), steps(MILLION)),
    "1 demo, 1 M steps": (demos(1), steps(MILLION)),
    "1 demo, 1 M steps, replayed lead": (demos(1), REPLAYED, steps(MILLION)),
    "1 demo, 1 M steps, operator's lead": (demos(1), OPERATOR, steps(MILLION)),
}
PIXELS: dict[str, tuple[Change, ...]] = {
    "pixels: SFT, 10 demos": (pixels(), steps(0)),
    "pixels: 10 demos, 1 M steps": (pixels(), steps(MILLION)),
    "pixels: 10 demos, 1 M steps, KL stop .2": (pixels(), small_steps, cloning(NoSelfBC()), steps(MILLION)),
}
GROUPS = {"ablation": ABLATION, "prices": PRICES, "actors": ACTORS, "long": LONG, "weak": WEAK, "pixels": PIXELS}
CELLS = ABLATION | PRICES | ACTORS | LONG | WEAK | PIXELS


def settings_of(name: str, seed: int) -> ChunkedPPORun:
    settings = replace(metaworld_mt10_ppo_state(), seed=seed)
    for change in CELLS[name]:
        settings = change(settings)
    return settings


def start_of(settings: ChunkedPPORun) -> Path:
    """Where the round 0 that this cell shares with others is kept."""
    net = settings.actor.net
    sight = "pixels-" if isinstance(net.sight, Pixels) else ""
    kind = "" if isinstance(settings.actor, GaussianConfig) else f"{type(settings.actor).__name__}-"
    return WORK / "starts" / f"{sight}{kind}demos-{settings.demonstrations.per_world}-h-{net.chunk}-seed-{settings.seed}"


def run_cell(name: str, seed: int) -> tuple[str, int, float]:
    """Run one cell on one thread; what it has made already is kept."""
    torch.set_num_threads(1)
    settings, run = settings_of(name, seed), folder_of(name, seed)
    shared, began = start_of(settings), time.time()
    if shared.exists() and not (run / "round-00").exists():
        shutil.copytree(shared, run / "round-00")
    if settings.steps:
        run_chunked_ppo(run, settings, workers=1)
    else:
        run_chunked_ppo(run, replace(settings, steps=1, fit=replace(settings.fit, warm_up=10)), workers=1)
    if not shared.exists():
        temporary = shared.with_name(f".{shared.name}-{os.getpid()}")
        shutil.copytree(run / "round-00", temporary)
        try:
            temporary.rename(shared)
        except OSError:  # another cell of the same start was first
            shutil.rmtree(temporary)
    return name, seed, time.time() - began


def folder_of(name: str, seed: int) -> Path:
    """Where a cell runs: the words of its name."""
    return WORK / "-".join(re.findall(r"[\w.+]+", name)).replace("+", "plus") / f"seed-{seed}"


def rules() -> str:
    """The trials of a few configurations, counted as others count."""
    cells = read_parquet(OUT / "cells.parquet")
    caps = (100, 150, 200, 400, 500)
    lines = [f"| same trials, success within | {' | '.join(f'{cap} steps' for cap in caps)} |", "|" + "---|" * (len(caps) + 1)]
    for name in ("SFT, 10 demos", "10 demos, 2 M steps", "10 demos, 5 M steps"):
        if (cells["arm"] == name).any():
            found = [score(trials_of(name), cap).success for cap in caps]
            lines.append(f"| {name} | " + " | ".join(f"{f.estimate:.3f} [{f.low:.3f}, {f.high:.3f}]" for f in found) + " |")
    return (
        "\n".join(lines)
        + "\n\n100: RLinf's rule; 400: LeRobot's and Evo-1's (docs/metaworld_protocol.md); Wilson intervals over all seeds' trials."
    )


PACED = ("SFT, 10 demos", "10 demos, 5 M steps")


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
    lines = [f"| steps of successes (share of control steps at the limit) | {' | '.join(PACED)} |", "|---|---|---|"]
    for task in dict.fromkeys(rows["task"].tolist()):
        mine = [(rows["task"] == task) & (rows["arm"] == arm) for arm in PACED]
        lines.append(f"| {task} | " + " | ".join(f"{rows['steps'][m].mean():.1f} ({rows['at_limit'][m].mean():.2f})" for m in mine) + " |")
    note = (
        "`python -m benchmarks.ppo_mt10 pace`; development starts, 20 a task and seed, means over seeds. An action moves the hand by at "
        "most one centimetre along each axis; at the limit: some axis above .95 of that."
    )
    return "\n".join(lines) + "\n\n" + note


def stored() -> set[tuple[str, int]]:
    path = OUT / "cells.parquet"
    if not path.exists():
        return set()
    cells = read_parquet(path)
    return {(str(arm), int(seed)) for arm, seed in zip(cells["arm"], cells["seed"], strict=True)}


def keep(name: str, seed: int, seconds: float) -> None:
    """Append one finished cell to the rows."""
    run, settings = folder_of(name, seed), settings_of(name, seed)
    last = run / ("round-01" if settings.steps else "round-00")
    trials = read_parquet(last / "6-eval.parquet")
    n = len(trials["task"])
    number = np.concatenate([np.arange(int((trials["task"] == task).sum())) for task in dict.fromkeys(trials["task"].tolist())])
    append("trials", {
        "arm": np.array([name] * n), "seed": np.full(n, seed), "task": trials["task"], "trial": number,
        "success": trials["success"], "steps": trials["steps"], "limit": trials["limit"],
    })  # fmt: skip
    if settings.steps:
        checks = read_json(last / "5-actor/checks.json")
        append("checks", {
            "arm": np.array([name] * len(checks)), "seed": np.full(len(checks), seed),
            **{key: np.array([check[key] for check in checks]) for key in ("steps", "success", "length", "cost", "kept")},
        })  # fmt: skip
    speed = read_json(last / "speed.json") if settings.steps else {"steps": 0, "seconds_playing": 0.0, "seconds_learning": 0.0}
    append("cells", {
        "arm": np.array([name]), "seed": np.array([seed]), "seconds": np.array([seconds]), "commit": np.array([git_commit() or "?"]),
        "env_steps": np.array([speed["steps"]]), "playing": np.array([float(speed["seconds_playing"])]),
        "learning": np.array([float(speed["seconds_learning"])]), "settings": np.array([json.dumps(str(settings))]),
    })  # fmt: skip


def append(table: str, rows: dict[str, np.ndarray]) -> None:
    path = OUT / f"{table}.parquet"
    with (WORK / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two benches may run side by side
        if path.exists():
            before = read_parquet(path)
            rows = {key: np.concatenate([before[key], rows[key]]) for key in rows}
        write_parquet(path, rows)


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


def trials_of(name: str, seed: int | None = None) -> dict[str, np.ndarray]:
    rows = read_parquet(OUT / "trials.parquet")
    mine = (rows["arm"] == name) & ((rows["seed"] == seed) if seed is not None else True)
    return {key: column[mine] for key, column in rows.items()}


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
    ("10 demos, + success", "10 demos, h = 1"),
    ("10 demos, + success", "10 demos, h = 3"),
    ("10 demos, + success", "10 demos, h = 8"),
    ("10 demos, + success", "SFT, 100 demos"),
    ("10 demos, 2 M steps", "10 demos, 2 M steps, PPO alone"),
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


def curve() -> str:
    """Steps of successes on development starts over environment steps, mean over seeds, for the longest runs."""
    checks = read_parquet(OUT / "checks.parquet")
    shown = [
        (name, cls)
        for name, cls in (("10 demos, 5 M steps", "policy"), ("10 demos, 2 M steps", "efficiency"))
        if (checks["arm"] == name).any()
    ]
    top = max(float(checks["steps"][checks["arm"] == name].max()) for name, _ in shown)
    area = plot((52, 40, 700, 270), x=(0, top / 1e6), y=(30, 80))
    parts = [axes(area, x_ticks=ticks(0, top / 1e6, 5), y_ticks=ticks(30, 80, 5), x_label="environment steps, millions")]
    parts += [
        rule(area.left, area.y(42.17), area.right, area.y(42.17), "guide"),
        text(area.right, area.y(42.17) - 6, "42.17: the paper's VLA", anchor="end"),
    ]
    parts += [text(area.left, 20, "control steps of successes, mean over ten tasks (development starts, cap 200)", cls="strong")]
    for name, cls in shown:
        mine = checks["arm"] == name
        for seed in np.unique(checks["seed"][mine]):
            one = mine & (checks["seed"] == seed)
            parts.append(line(area, checks["steps"][one] / 1e6, checks["length"][one].astype(float), cls))
        parts.append(
            text(
                area.x(float(checks["steps"][mine].max()) / 1e6) - 8,
                area.y(float(checks["length"][one][-1])) + 18,
                name,
                anchor="end",
                cls=f"named {cls}",
            )
        )
    return svg(720, 310, parts, "Steps of successes fall from 73 as practice goes on: " + ", ".join(name for name, _ in shown))


def short_table() -> str:
    """The few rows that README.md shows."""
    lines = [
        "| MT10, true state, ten demonstrations a task | seeds | success, cap 500 | steps of successes | all trials, failures at 500 |"
    ]
    lines.append("|---|---|---|---|---|")
    cells = read_parquet(OUT / "cells.parquet")
    names = {
        "SFT, 10 demos": "supervised",
        "10 demos, + success": "0.5 M environment steps",
        "10 demos, 2 M steps": "2 M environment steps",
        "10 demos, 5 M steps": "5 M environment steps",
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
        "`python -m benchmarks.ppo_mt10 table` draws this from docs/results/ppo-mt10; `run ablation --seeds 5` and `run long --seeds 3` "
        "add what is missing. MT10 from true state, 50 trials a task and seed on the suite `evaluation`, played to cap 500 and counted at "
        "200 and 500; mean over seeds (lowest to highest). Steps: mean over tasks of the mean over successes. One core a cell, another "
        "cell beside it; "
        f"{len(cells['arm'])} cells, {cells['seconds'].sum() / 3600:.1f} h of one core; commits {commits}.\n\n"
    )
    parts = (intro + table(), differences(200), rules(), pace_table())
    between(RESULTS, "ppo-mt10", "\n\n".join(parts), "## Action-chunked PPO on MT10")
    between(README, "ppo", short_table(), "## Faster than its demonstrations")
    save_svg(curve(), Path("docs/figures/ppo-mt10.svg"))
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
