"""The campaign: kills, races, damage and bad input in, a table of what was tried, held and lost out.

    python tests/faults/run_faults.py [--only TEXT] [--seed N] [--out ROWS.jsonl] [--slice] [--seconds S]
    [--publish FILE]

Every verdict is kept in `--out` as it comes, and a campaign that was interrupted goes on; verdicts hold
while src/ and the campaign stay the same. Exit code 1 where anything was lost, 3 where `--seconds` were over
before the last case.
"""

import argparse
import contextlib
import os
import re
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
for folder in (HERE, HERE.parent, ROOT / "src"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
for name, value in {
    "MUJOCO_GL": "egl",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "LP_NUM_THREADS": "0",
    "PYTHONWARNINGS": "ignore::DeprecationWarning",
    "COLUMNS": "200",
}.items():
    os.environ.setdefault(name, value)

# Workers are new interpreters; without bytecode each would spend ten seconds on compiling torch.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(ROOT / "runs/faults/bytecode"))
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]

from campaign import board  # noqa: E402
from campaign.cases import Case, Shop, Verdict, lost  # noqa: E402
from campaign.every import every_case  # noqa: E402
from campaign.processes import preload  # noqa: E402


def main() -> int:
    """Try what the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="cases whose family, kind or name contains this")
    parser.add_argument("--seed", type=int, default=0, help="draws the moments and the damage")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "runs/faults/rows.jsonl", help="verdicts, one JSON line each"
    )
    parser.add_argument("--slice", action="store_true", help="only the quick sample that `make test` tries")
    parser.add_argument("--seconds", type=float, help="begin no case after so many seconds")
    parser.add_argument("--publish", type=Path, help="a parquet file of all verdicts, for docs/results")
    parser.add_argument("--any-code", action="store_true", help="keep verdicts of other code too")
    parser.add_argument("--list", action="store_true", help="name the cases and try none")
    chosen = parser.parse_args()

    cases = [
        case
        for case in every_case(chosen.seed)
        if (case.swift or not chosen.slice)
        and any(chosen.only in text for text in (case.family, case.kind, case.name))
    ]
    if chosen.list:
        print("\n".join(f"{case.family}: {case.kind}: {case.name}" for case in cases))
        return 0
    began, code = time.monotonic(), board.code()
    known = {
        row.name: row
        for row in board.read(chosen.out)
        if row.seed == chosen.seed and (row.code == code or chosen.any_code)
    }
    left = [case for case in cases if case.name not in known]
    rest = len(left) if chosen.seconds == 0 else 0
    if left and not rest:
        preload(any(case.lerobot for case in left))
        with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
            shop = Shop(Path(scratch) / "shelf", Path(scratch) / "bench")
            shop.shelf.mkdir()
            for number, case in enumerate(left, start=1):
                if chosen.seconds is not None and time.monotonic() - began > chosen.seconds:
                    rest = len(left) - number + 1
                    break
                row = _try(case, shop, chosen.seed, code)
                board.add(chosen.out, row)
                known[case.name] = row
                mark = "held" if row.held else "LOST"
                print(f"{number:>4}/{len(left)} {row.seconds:6.1f} s  {mark}  {case.name}", flush=True)
                if not row.held:
                    print(f"         {row.said}", flush=True)

    rows = [known[case.name] for case in cases if case.name in known]
    print(board.table(rows))
    if chosen.publish is not None:
        _publish(chosen.publish, rows, of=len(cases))
    if rest:
        print(f"{rest} cases are left; run the same command again")
        return 3
    return 0 if all(row.held for row in rows) else 1


def _try(case: Case, shop: Shop, seed: int, code: str) -> board.Row:
    """Try one case; a case that cannot be tried is lost."""
    began = time.monotonic()
    room = shop.room("case")
    try:
        verdict: Verdict = case.attempt(shop, room)
    except Exception as error:  # what Vantage did may break the campaign itself
        verdict = lost(f"the campaign could not go on: {type(error).__name__}: {error}")
    with contextlib.suppress(OSError):
        shutil.rmtree(shop.bench)
    seconds = round(time.monotonic() - began, 2)
    return board.Row(case.family, case.kind, case.name, verdict.held, verdict.said[:400], seconds, seed, code)


def _publish(path: Path, rows: list[board.Row], of: int) -> None:
    """Keep the verdicts as a small table, and show it in docs/reliability.md."""
    import numpy as np

    from vantage.disk.tables import write_parquet

    rows = [replace(row, said="" if row.held else _without_paths(row.said)) for row in rows]
    columns = {name: np.array([getattr(row, name) for row in rows]) for name in board.Row.__annotations__}
    write_parquet(path, columns)
    page = ROOT / "docs/reliability.md"
    page.write_text(board.on_page(page.read_text(), rows, of))


def _without_paths(said: str) -> str:
    """A sentence without where this machine keeps things."""
    return re.sub(r"/(?:root|work|tmp|home)/[^\s'\"]*/", "", said)[:200]


if __name__ == "__main__":
    sys.exit(main())
