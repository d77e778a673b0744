"""How much one rounding is worth: the quickstart's supervised policy, trained twice on the same frames, by
one thread and by two.

    python -m experiments.rounding run runs/quickstart-seeds      docs/results/rounding.parquet, and the table
    python -m experiments.rounding table                          the table again, from the stored rows

Two threads add the same numbers in another order, as another processor does. Settings, first weights, batches
and noise are the same, so whatever the two policies do differently comes from the last digit of a sum. The
yardstick is a pair that differs in the seed of its batches. Starts: the suite ``development``.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from experiments.publish_study import between
from vantage.algorithms.habc import HABCRun
from vantage.algorithms.supervised import sources_up_to
from vantage.collect.observe import interface_in
from vantage.collect.pool import open_pool
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet, write_parquet
from vantage.environment import prepare_process
from vantage.learn.start import FromScratch
from vantage.recipes.quickstart import quickstart
from vantage.seeding import seed_for
from vantage.stages.evaluate import Evaluation, evaluate
from vantage.stages.fit_policy import PolicyFit, fit_policy

KEPT = Path("docs/results/rounding.parquet")
FIT = quickstart().supervision.supervised
VARIANTS: Mapping[str, PolicyFit] = {
    "the quickstart's": FIT,
    "a longer average (decay .998)": replace(FIT, optim=replace(FIT.optim, ema=0.998)),
}
"""How the supervised policy is trained."""
PAIRS = ("threads", "batches")
"""What two fits differ in: the order of sums, or the seed of the batches."""

Rows = dict[str, np.ndarray]
"""A row per start of a pair of fits: variant, pair, seed, task, first, second (success of the two), and, the
same in every row of a pair, `step` (the first whose loss differs) and `apart` (by how much the loss differs
in the end, relative)."""


def run(
    work: Annotated[Path, tyro.conf.Positional],
    seeds: int = 2,
    workers: int = 2,
    recipe: Annotated[HABCRun, tyro.conf.Suppress] = quickstart(),
    variants: Annotated[Mapping[str, PolicyFit], tyro.conf.Suppress] = VARIANTS,
    per_world: int = 60,
    out: Path = Path("runs/rounding"),
    rows: Path = KEPT,
) -> None:
    """Train and try every pair that is missing, keep its trials, and print the table.

    Args:
        work: Folder with the runs of quickstart_seeds, whose demonstrations are used.
        seeds: How many of them.
        workers: Processes that play episodes.
        per_world: Starts a task.
        out: Where the policies lie.
        rows: Where the trials are kept.
    """
    pairs = _Pairs(out, per_world, workers)
    made = [
        pairs(Round.of(work / f"seed-{seed:02d}", 0), replace(recipe, seed=seed), name, fit, pair)
        for seed in range(seeds)
        for name, fit in variants.items()
        for pair in PAIRS
    ]
    write_parquet(rows, {name: np.concatenate([table[name] for table in made]) for name in made[0]})
    table(rows)


class _Pairs:
    """Fits two policies that differ in one thing, and tries both."""

    def __init__(self, out: Path, per_world: int, workers: int) -> None:
        self._out, self._per_world, self._workers = out, per_world, workers

    def __call__(self, first: Round, recipe: HABCRun, name: str, fit: PolicyFit, pair: str) -> Rows:
        folder = self._out / f"seed-{recipe.seed:02d}" / name.replace(" ", "-")
        others = {"threads": ("one", 1, 0), "batches": ("other", 2, 1)}
        one = self._fitted(folder, first, recipe, fit, "two", threads=2, draw=0)
        word, threads, draw = others[pair]
        other = self._fitted(folder, first, recipe, fit, word, threads=threads, draw=draw)

        step, apart = _parting(one / "metrics.jsonl", other / "metrics.jsonl")
        tried = [self._tried(recipe, actor) for actor in (one, other)]
        count = len(tried[0]["success"])
        return {
            "variant": np.full(count, name),
            "pair": np.full(count, pair),
            "seed": np.full(count, recipe.seed),
            "task": tried[0]["task"],
            "first": tried[0]["success"],
            "second": tried[1]["success"],
            "step": np.full(count, step),
            "apart": np.full(count, apart),
        }

    def _fitted(
        self,
        folder: Path,
        first: Round,
        recipe: HABCRun,
        fit: PolicyFit,
        word: str,
        *,
        threads: int,
        draw: int,
    ) -> Path:
        """The policy, with the loss of every step in its metrics."""
        actor = folder / word / "5-actor"
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            fit_policy(
                sources_up_to(first, interface_in(recipe.policy, recipe.worlds[0])),
                first.weights,
                FromScratch(recipe.policy, seed_for("initial weights", recipe.seed)),
                actor,
                replace(fit, log_every=1),
                seed=seed_for("rounding", recipe.seed, draw),
                title=f"{folder.name}, {word}",
            )
        finally:
            torch.set_num_threads(before)
        return actor

    def _tried(self, recipe: HABCRun, actor: Path) -> Rows:
        trials = actor.with_name("6-eval.parquet")
        settings = Evaluation(per_world=self._per_world, suite="development")
        with open_pool(self._workers) as pool:
            evaluate(actor, trials, recipe.worlds, settings, pool=pool)
        return read_parquet(trials, ("task", "success"))


def _parting(one: Path, other: Path) -> tuple[int, float]:
    """The first step whose loss differs (0: none), and the relative difference of the last 20 losses."""
    losses = [
        np.array([json.loads(line)["loss"] for line in path.read_text().splitlines()])
        for path in (one, other)
    ]
    apart = np.flatnonzero(losses[0] != losses[1])
    ends = [float(loss[-20:].mean()) for loss in losses]
    return int(apart[0]) + 1 if len(apart) else 0, abs(ends[0] - ends[1]) / ends[0]


def table(rows: Annotated[Path, tyro.conf.Positional] = KEPT) -> None:
    """Print the table of kept trials in markdown, and put it into docs/results.md."""
    drawn = written(read_parquet(rows))
    print(drawn)
    if rows == KEPT:
        between(Path("docs/results.md"), "rounding", drawn, "## What one rounding is worth")


def written(kept: Rows) -> str:
    """A line per variant and kind of pair: where losses part, and how differently the policies end."""
    lines = [
        "| trained by | the two differ in | first step whose loss differs | last losses apart | success | "
        "starts that end differently | difference of rates |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(kept["variant"].tolist()):
        for pair in PAIRS:
            here = (kept["variant"] == name) & (kept["pair"] == pair)
            first, second, seeds = kept["first"][here], kept["second"][here], kept["seed"][here]
            steps = sorted({int(step) for step in kept["step"][here]})
            rates = [
                (float(first[seeds == seed].mean()), float(second[seeds == seed].mean()))
                for seed in np.unique(seeds)
            ]
            lines.append(
                f"| {name} | {pair} | {', '.join(map(str, steps))} | {kept['apart'][here].mean():.1%} | "
                + ", ".join(f"{a:.3f} / {b:.3f}" for a, b in rates)
                + f" | {(first != second).mean():.3f} | "
                + ", ".join(f"{b - a:+.3f}" for a, b in rates)
                + " |"
            )
    seeds = np.unique(kept["seed"])
    starts = int(((kept["variant"] == kept["variant"][0]) & (kept["pair"] == PAIRS[0])).sum()) // len(seeds)
    lines.append("")
    lines.append(f"{len(seeds)} seeds (their rates in this order), {starts} development starts each.")
    return "\n".join(lines)


if __name__ == "__main__":
    prepare_process()
    tyro.extras.subcommand_cli_from_dict({"run": run, "table": table})
