"""The configurations of the chunked PPO bench, and how one of them is run with one seed and kept (experiments/ppo_mt10.py draws them)."""

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vantage.algorithms.chunked_ppo import ChunkedPPORun, run_chunked_ppo
from vantage.core.self_bc import ConstantBC, GradientBC, NoSelfBC, RampBC, SelfBCRule, SuccessBC
from vantage.core.surrogate import Discount, Potential, StepCost, TimePrice
from vantage.disk.files import read_json
from vantage.disk.record import git_commit
from vantage.disk.tables import read_parquet, write_parquet
from vantage.nets.vla import Pixels
from vantage.policies.small.gaussian import GaussianConfig
from vantage.policies.small.stochastic_flow import FlowSDEConfig, FPOConfig
from vantage.practice.settings import Checks, OperatorLead, ReplayedLead
from vantage.recipes.metaworld_ppo import metaworld_mt10_ppo, metaworld_mt10_ppo_state, metaworld_mt10_ppo_state_long
from vantage.stages.collect import Demonstrations

WORK, OUT = Path("runs/ppo-mt10"), Path("docs/results/ppo-mt10")
HALF, MILLION, WHOLE = 500_000, 1_000_000, 2_000_000

Change = Callable[[ChunkedPPORun], ChunkedPPORun]


def demos(count: int) -> Change:
    return lambda s: replace(s, demonstrations=Demonstrations(per_world=count, operator=s.demonstrations.operator))


def chunk(h: int) -> Change:
    def change(s: ChunkedPPORun) -> ChunkedPPORun:
        assert isinstance(s.actor, GaussianConfig)
        return replace(s, actor=replace(s.actor, net=replace(s.actor.net, chunk=h, execute=h)))

    return change


def cloning(which: SelfBCRule) -> Change:
    return lambda s: replace(s, self_bc=which)


def steps(count: int) -> Change:
    return lambda s: replace(s, steps=count)


def practice(**changes: object) -> Change:
    return lambda s: replace(s, practice=replace(s.practice, **changes))


def pixels(kl_stop: float = 1.0, kl_end: float = 0.1) -> Change:
    def change(s: ChunkedPPORun) -> ChunkedPPORun:
        recipe = metaworld_mt10_ppo()
        fit = replace(recipe.fit, kl_stop=kl_stop, kl_end=kl_end)
        return replace(recipe, seed=s.seed, self_bc=s.self_bc, fit=fit, checks=Checks(per_world=10))

    return change


def flow(actor: FlowSDEConfig | FPOConfig) -> Change:
    return lambda s: replace(s, actor=replace(actor, net=s.actor.net))


def price(which: TimePrice) -> Change:
    return lambda s: replace(s, fit=replace(s.fit, price=which))


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
FLOWS: dict[str, tuple[Change, ...]] = {
    "Flow-SDE": (flow(FlowSDEConfig()),),
    "FPO": (flow(FPOConfig(per_draw=False)),),
    "FPO++": (flow(FPOConfig()), lambda s: replace(s, fit=replace(s.fit, kl_stop=0.05, kl_end=0.02, clip=0.05, pull_back=True))),
}
ACTORS: dict[str, tuple[Change, ...]] = {
    f"{name}: {words}": (*changes, cloning(NoSelfBC()), steps(count))
    for name, changes in FLOWS.items()
    for words, count in {"SFT, 10 demos": 0, "10 demos, PPO alone": HALF}.items()
    if name != "FPO++" or count  # its supervised policy is FPO's
}
LONG: dict[str, tuple[Change, ...]] = {
    "10 demos, 2 M steps": (steps(WHOLE),),
    "10 demos, 2 M steps, PPO alone": (cloning(NoSelfBC()), steps(WHOLE)),
    "10 demos, h = 3, 2 M steps, PPO alone": (chunk(3), cloning(NoSelfBC()), steps(WHOLE)),
    "10 demos, 5 M steps": (steps(5_000_000),),
    "10 demos, 11 M steps, PPO alone, two cores": (lambda s: replace(metaworld_mt10_ppo_state_long(), seed=s.seed),),
}
REPLAYED, OPERATOR = practice(lead=ReplayedLead()), practice(lead=OperatorLead())
WEAK: dict[str, tuple[Change, ...]] = {
    "SFT, 1 demo": (demos(1), steps(0)),
    "3 demos, 1 M steps": (demos(3), steps(MILLION)),
    "3 demos, 1 M steps, replayed lead": (demos(3), REPLAYED, steps(MILLION)),
    "3 demos, 1 M steps, operator's lead": (demos(3), OPERATOR, steps(MILLION)),
    "3 demos, 1 M steps, PPO alone": (demos(3), cloning(NoSelfBC()), steps(MILLION)),
    "3 demos, 2 M steps, + constant": (demos(3), cloning(ConstantBC()), steps(WHOLE)),
    "3 demos, 2 M steps, PPO alone": (demos(3), cloning(NoSelfBC()), steps(WHOLE)),
    "3 demos, 1 M steps, correlation .9": (demos(3), correlated(0.9), steps(MILLION)),
    "3 demos, 1 M steps, limit 200": (demos(3), practice(limit=200), steps(MILLION)),
    "1 demo, 1 M steps": (demos(1), steps(MILLION)),
    "1 demo, 1 M steps, replayed lead": (demos(1), REPLAYED, steps(MILLION)),
    "1 demo, 1 M steps, operator's lead": (demos(1), OPERATOR, steps(MILLION)),
}
PIXELS: dict[str, tuple[Change, ...]] = {
    "pixels: SFT, 10 demos": (pixels(), steps(0)),
    "pixels: 10 demos, 1 M steps": (pixels(), steps(MILLION)),
    "pixels: 10 demos, 1 M steps, KL stop .2": (cloning(NoSelfBC()), pixels(0.2, 0.05), steps(MILLION)),
    "pixels: 10 demos, 3.5 M steps, PPO alone, two cores": (lambda s: replace(metaworld_mt10_ppo(), seed=s.seed),),
}
GROUPS = {"ablation": ABLATION, "prices": PRICES, "actors": ACTORS, "long": LONG, "weak": WEAK, "pixels": PIXELS}
CELLS = ABLATION | PRICES | ACTORS | LONG | WEAK | PIXELS


def settings_of(name: str, seed: int) -> ChunkedPPORun:
    """Five actions a chunk and `SuccessBC` where the name says nothing else, whatever the recipes have come to prefer."""
    settings = ChunkedPPORun(worlds=metaworld_mt10_ppo_state().worlds, seed=seed, self_bc=SuccessBC())
    for change in CELLS[name]:
        settings = change(settings)
    return settings


def start_of(settings: ChunkedPPORun) -> Path:
    """Where the round 0 that this cell shares with others is kept."""
    net = settings.actor.net
    sight = "pixels-" if isinstance(net.sight, Pixels) else ""
    kind = "" if isinstance(settings.actor, GaussianConfig) else f"{type(settings.actor).__name__}-"
    if isinstance(settings.actor, FPOConfig) and settings.actor.per_draw:
        kind += "per-draw-"  # the checkpoint carries its configuration
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


def trials_of(name: str, seed: int | None = None) -> dict[str, np.ndarray]:
    rows = read_parquet(OUT / "trials.parquet")
    mine = (rows["arm"] == name) & ((rows["seed"] == seed) if seed is not None else True)
    return {key: column[mine] for key, column in rows.items()}
