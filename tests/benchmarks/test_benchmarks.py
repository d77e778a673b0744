"""`make bench` at toy size: every benchmark, in this process."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from idle import functions_of, functions_that_run
from test_bench_step import TINY

from benchmarks import bench_frames, run
from benchmarks.bench_envs import (
    aloha_frames,
    gymnasium_step,
    metaworld_reset,
    metaworld_step,
    render_96px,
    two_arms_and_cloth,
)
from benchmarks.bench_frames import large_windows
from benchmarks.bench_loop import RoundSize, habc_step_overhead, two_workers
from benchmarks.bench_million import million_frames
from benchmarks.bench_step import weighted_step_over_lerobot
from benchmarks.bench_windows import chunk_windows
from benchmarks.timing import Row

FOLDER = Path(run.__file__).parent
ROUND = RoundSize(
    tasks=1,
    demonstrations=1,
    supervised_steps=1,
    rollouts=1,
    critic_steps=2,
    timed_steps=2,
    pairs=1,
    workers=1,
)
TOY: dict[str, Callable[[], Row]] = {
    "render_96px": partial(render_96px, calls=2),
    "metaworld_step": partial(metaworld_step, tasks=["reach-v3"], calls=4),
    "metaworld_reset": partial(metaworld_reset, tasks=["reach-v3"], calls=2),
    "gymnasium_step": partial(gymnasium_step, calls=2, pairs=1),
    "aloha_frames": partial(aloha_frames, calls=1, size=(24, 32)),
    "two_arms_and_cloth": partial(two_arms_and_cloth, tasks=("sack-draw",), calls=8),
    "chunk_windows": partial(chunk_windows, episodes=2, length=20, seconds=0.05),
    "large_windows": partial(large_windows, (48, 64), episodes=2, length=6, seconds=0.05),
    "weighted_step_over_lerobot": partial(weighted_step_over_lerobot, TINY),
    "habc_step_overhead": partial(habc_step_overhead, ROUND),
    "million_frames": partial(million_frames, episodes=4, length=8),
    "two_workers": partial(two_workers, episodes=2, repeats=1, warm_up=2, limit=10),
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict[str, object]], set[str]]:
    """The rows that a run at toy size writes, and the functions of benchmarks/ that ran."""
    out = tmp_path_factory.mktemp("bench") / "latest.json"
    with functions_that_run(FOLDER) as ran:
        run.main([replace(bench, run=TOY[bench.name]) for bench in run.BENCHES], out)
        bench_frames.main([(32, 48)], length=6, seconds=0.02)
    return json.loads(out.read_text())["benches"], ran


def test_every_bench_has_a_row(measured: tuple[dict[str, dict[str, object]], set[str]]) -> None:
    rows, _ = measured
    assert [*rows] == [bench.name for bench in run.BENCHES] == [*TOY]
    for name, row in rows.items():
        assert all(math.isfinite(row[key]) and row[key] > 0 for key in ("ours", "peer", "ratio")), name  # type: ignore[arg-type,operator]


def test_nothing_in_the_folder_stands_idle(measured: tuple[dict[str, dict[str, object]], set[str]]) -> None:
    """A function or a module that is added to benchmarks/ must be part of the run above."""
    _, ran = measured
    assert functions_of(FOLDER) - ran == set()
