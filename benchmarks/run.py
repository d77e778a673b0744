"""Every speed beside its peer, in one run -> `bench NAME ours=X peer=Y ratio=R`; benchmarks/latest.json."""

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import av.logging

from benchmarks.bench_envs import (
    aloha_frames,
    gymnasium_step,
    metaworld_reset,
    metaworld_step,
    render_96px,
    two_arms_and_cloth,
)
from benchmarks.bench_frames import large_windows
from benchmarks.bench_loop import habc_step_overhead, two_workers
from benchmarks.bench_million import million_frames
from benchmarks.bench_step import weighted_step_over_lerobot
from benchmarks.bench_windows import chunk_windows
from benchmarks.timing import Row
from vantage.progress import silence


@dataclass(frozen=True, slots=True)
class Bench:
    """A benchmark, and what its ratio should be."""

    name: str
    run: Callable[[], Row]
    aim: str
    unit: str


BENCHES = (
    Bench("render_96px", render_96px, "at least 30", "pictures/s"),
    Bench("metaworld_step", metaworld_step, "at least 2.5", "steps/s"),
    Bench("metaworld_reset", metaworld_reset, "at least 10", "resets/s"),
    Bench("gymnasium_step", gymnasium_step, "at most 1.05", "s/step"),
    Bench("aloha_frames", aloha_frames, "at least 20", "steps/s"),
    Bench("two_arms_and_cloth", two_arms_and_cloth, "at least 10", "steps/s"),
    Bench("chunk_windows", chunk_windows, "at least 100", "samples/s"),
    Bench("large_windows", large_windows, "at least 5", "windows/s of a core"),
    Bench("weighted_step_over_lerobot", weighted_step_over_lerobot, "at most 1.05", "s/step"),
    Bench("habc_step_overhead", habc_step_overhead, "at most 1.05", "s/step"),
    Bench("million_frames", million_frames, "at most 1", "s"),
    Bench("two_workers", two_workers, "at least 1.6", "episodes/s"),
)


def main(benches: Sequence[Bench] = BENCHES, out: Path = Path(__file__).with_name("latest.json")) -> None:
    """Run them one after the other, with nothing on the terminal but their results."""
    rows: dict[str, dict[str, object]] = {}
    for bench in benches:
        # LeRobot puts FFmpeg's own, talkative way back whenever it has encoded.
        av.logging.set_level(av.logging.ERROR)
        with silence():
            row = bench.run()
        rows[bench.name] = {"aim": bench.aim, "unit": bench.unit, **asdict(row)}
        interval = "" if row.interval is None else " [{:.3g}, {:.3g}]".format(*row.interval)
        print(
            f"bench {bench.name} ours={row.ours:.4g} peer={row.peer:.4g} ratio={row.ratio:.3g}{interval}",
            flush=True,
        )
        if row.aside:
            print(
                "      (no bar: "
                + ", ".join(f"{name} {ratio:.3g} x" for name, ratio in row.aside.items())
                + ")",
                flush=True,
            )

    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }
    record = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, "benches": rows}
    out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
