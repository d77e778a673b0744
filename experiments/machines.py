"""What a second machine of a Ray cluster gains, and what would be full first with many of them.

    python -m experiments.machines run       measures here, keeps the rows, and prints the tables
    python -m experiments.machines table     the tables again, from the stored rows

Two nodes of one processor each, on this machine, which wants two processors with nothing beside them; the
second one joins and leaves by turns, so that both counts meet the same machine, however fast it is just then.
What one episode costs *here*, where the run is, is measured beside it: processor time of this process and of
Ray's own processes, and the bytes that come back. From these follows how many machines can send before this
one is full. The policy is untrained, so that hardly an episode ends before its limit.
"""

import itertools
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import tyro

from experiments.publish_study import between
from vantage.algorithms.habc import HABCRun
from vantage.collect.cluster import Ray, packed
from vantage.collect.operators import NoOne
from vantage.collect.pool import Job, Pool, open_pool
from vantage.disk.tables import read_parquet, write_parquet
from vantage.environment import prepare_process
from vantage.policies.build import build_policy
from vantage.recipes.quickstart import quickstart
from vantage.recipes.study import study_state
from vantage.seeding import seed_for
from vantage.study.plan import StudyTask

KEPT = Path("docs/results/machines.parquet")
FORMS = {"true state": 5, "pixels": 1}
"""What an episode holds, numbers or two pictures of every step as well, and how many of them are played where
one of the slower kind is."""
LINK = 125e6
"""Bytes a second of a link of 1 Gbit/s."""
MANY = 1000
"""Processors of a large cluster."""

Rows = dict[str, np.ndarray]
"""A row per turn: form, nodes (1 or 2), and the fields of `Turn`."""


def run(episodes: int = 20, repeats: int = 3, limit: int | None = None, rows: Path = KEPT) -> None:
    """Measure, keep the rows, and print the tables.

    Args:
        episodes: With pictures, played in one turn; without them it is five times as many.
        repeats: Turns of each kind.
        limit: Control steps of an episode; None: the recipe's.
        rows: Where the rows are kept.
    """
    from ray.cluster_utils import Cluster

    made: list[tuple[str, int, Turn]] = []
    node = {"num_cpus": 1, "include_dashboard": False, "_system_config": {"worker_niceness": 0}}
    cluster = Cluster(initialize_head=True, head_node_args=node, connect=False)
    try:
        for turn, nodes in itertools.product(range(repeats), (1, 2)):
            second = cluster.add_node(num_cpus=1, wait=True) if nodes == 2 else None
            with tempfile.TemporaryDirectory() as scratch, open_pool(Ray(str(cluster.address))) as pool:
                for form, times in FORMS.items():
                    jobs = _Jobs(form, Path(scratch), limit)
                    list(pool(jobs(8 * nodes, "warm")))  # builds worlds, loads the policy
                    made.append((form, nodes, _turn(pool, jobs(times * episodes, f"{turn}"))))
            if second is not None:
                cluster.remove_node(second)
    finally:
        cluster.shutdown()

    columns = {
        field.name: np.array([getattr(turn, field.name) for *_, turn in made]) for field in fields(Turn)
    }
    forms, machines = (np.array(column) for column in list(zip(*made, strict=True))[:2])
    write_parquet(rows, {"form": forms, "nodes": machines, **columns})
    table(rows)


@dataclass(frozen=True, slots=True)
class Turn:
    """What some episodes took."""

    episodes: int
    seconds: float
    """By the clock."""
    here: float
    """Processor seconds of this process."""
    ray: float
    """Processor seconds of Ray's own processes on this machine."""
    bytes: int
    """Of all episodes, as they come back."""


class _Jobs:
    """Episodes of one form, any number of them."""

    def __init__(self, form: str, scratch: Path, limit: int | None) -> None:
        recipe = _recipe(form)
        self._worlds = [world if limit is None else replace(world, limit=limit) for world in recipe.worlds]
        self._pictures, self._scratch = form == "pixels", scratch / form.replace(" ", "-")
        build_policy(recipe.policy, 0).save(self._scratch / "actor")

    def __call__(self, count: int, turn: str) -> list[Job]:
        numbered = enumerate(itertools.islice(itertools.cycle(self._worlds), count))
        return [
            Job(
                number=number,
                world=world,
                actor=self._scratch / "actor",
                operator=NoOne(),
                seed=seed_for("machines", number),
                pictures=self._pictures,
                journal=self._scratch / f"journal-{turn}",
            )
            for number, world in numbered
        ]


def _recipe(form: str) -> HABCRun:
    """Whose worlds and policy are played."""
    if form == "pixels":
        return quickstart()
    study = study_state()
    assert isinstance(study.base, HABCRun)
    worlds = tuple(task.world for task in study.tasks if isinstance(task, StudyTask))
    return replace(study.base, worlds=worlds)


def _turn(pool: Pool, jobs: Sequence[Job]) -> Turn:
    """One turn of the pool: how long it took, and what it cost here."""
    journal = jobs[0].journal
    assert journal is not None
    began, here, ray = time.perf_counter(), time.process_time(), _ray_seconds()
    list(pool(jobs))
    seconds = time.perf_counter() - began
    return Turn(
        episodes=len(jobs),
        seconds=seconds,
        here=time.process_time() - here,
        ray=_ray_seconds() - ray,
        bytes=sum(len(packed(path.read_bytes())[1]) for path in journal.iterdir()),
    )


def _ray_seconds() -> float:
    """Processor seconds so far of Ray's own processes on this machine, its workers not among them."""
    total = 0.0
    for process in psutil.process_iter():
        try:
            if process.name() in ("raylet", "gcs_server"):
                used = process.cpu_times()
                total += used.user + used.system
        except psutil.Error:
            continue
    return total


def table(rows: Annotated[Path, tyro.conf.Positional] = KEPT) -> None:
    """Print the tables of kept rows in markdown, and put them into docs/devices.md."""
    drawn = written(read_parquet(rows))
    print(drawn)
    if rows == KEPT:
        between(Path("docs/devices.md"), "machines", drawn, "## What a second machine gains")


def written(kept: Rows) -> str:
    """Rates of one and of two machines, then what an episode costs here and who is full first."""
    lines = ["| episodes | one machine | two | ratio |", "|---|---|---|---|"]
    for form in FORMS:
        one, two = (_rates(kept, form, nodes) for nodes in (1, 2))
        ratios = two / one
        spread = f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
        lines.append(f"| {form} | {np.median(one):.2f}/s | {np.median(two):.2f}/s | {spread} |")
    turns = int(((kept["form"] == "pixels") & (kept["nodes"] == 1)).sum())
    played = " and ".join(f"{kept['episodes'][kept['form'] == form][0]} ({form})" for form in FORMS)
    lines += [
        "",
        f"Medians of {turns} turns of {played} episodes, one machine and two in turn; the ratio is that of "
        "neighbours (lowest to highest).",
        "",
        "| episodes | a worker's time | a processor's time here | comes back | workers that fill a processor "
        f"here | workers that fill 1 Gbit/s | an hour of {MANY:,} workers |",
        "|---|---|---|---|---|---|---|",
    ]
    for form in FORMS:
        lines.append(_model(kept, form))
    return "\n".join(lines)


def _rates(kept: Rows, form: str, nodes: int) -> np.ndarray:
    """Episodes a second of every turn."""
    chosen = (kept["form"] == form) & (kept["nodes"] == nodes)
    return kept["episodes"][chosen] / kept["seconds"][chosen]


def _model(kept: Rows, form: str) -> str:
    """A line: what an episode costs here, and how many workers can send before something is full.

    Of the turns of one node: with two, the second one's processes run on this machine, too.
    """
    chosen = (kept["form"] == form) & (kept["nodes"] == 1)
    count = kept["episodes"][chosen].sum()
    played = 1 / float(np.median(_rates(kept, form, 1)))
    here = float((kept["here"][chosen] + kept["ray"][chosen]).sum() / count)
    size = float(kept["bytes"][chosen].sum() / count)

    room = {"processor": played / here, "link": played * LINK / size}
    rate = min(MANY, *room.values()) / played
    return (
        f"| {form} | {played * 1e3:.0f} ms | {here * 1e3:.1f} ms | {size / 1e3:.0f} kB | "
        f"{room['processor']:,.0f} | {room['link']:,.0f} | {rate * 3600:,.0f} episodes |"
    )


if __name__ == "__main__":
    prepare_process()
    tyro.extras.subcommand_cli_from_dict({"run": run, "table": table})
