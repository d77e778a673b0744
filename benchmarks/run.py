"""Every speed beside its peer, in one run: prints `bench NAME ours=X peer=Y ratio=R` and writes benchmarks/latest.json."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.bench_envs import metaworld_reset, metaworld_step, render_96px
from benchmarks.bench_frames import large_windows
from benchmarks.bench_loop import habc_step_overhead, two_workers
from benchmarks.bench_windows import chunk_windows

BENCHES = (
    (render_96px, "at least 30", "pictures/s"),
    (metaworld_step, "at least 2.5", "steps/s"),
    (metaworld_reset, "at least 10", "resets/s"),
    (chunk_windows, "at least 100", "samples/s"),
    (large_windows, "at least 5", "windows/s of a core"),
    (habc_step_overhead, "at most 1.05", "s/step"),
    (two_workers, "at least 1.6", "episodes/s"),
)


def main() -> None:
    rows = {}
    for bench, aim, unit in BENCHES:
        found = bench()
        rows[bench.__name__] = found | {"aim": aim, "unit": unit}
        print(f"bench {bench.__name__} ours={found['ours']:.4g} peer={found['peer']:.4g} ratio={found['ratio']:.3g}", flush=True)
        beside = ", ".join(f"{name.removesuffix('_ratio')} {ratio:.3g}" for name, ratio in found.items() if name.endswith("_ratio"))
        if beside:
            print(f"      (no bar: {beside})", flush=True)
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }
    record = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, "benches": rows}
    Path(__file__).with_name("latest.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
