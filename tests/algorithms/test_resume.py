"""A run that is killed at any moment, again and again, ends as the uninterrupted one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import fingerprint, tiny

from vantage.algorithms.habc import run_habc

PROGRAM = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from tiny import tiny
from vantage.algorithms.habc import run_habc
if __name__ == "__main__":
    run_habc(Path(sys.argv[1]), tiny(), workers=int(sys.argv[2]))
"""


@pytest.mark.timeout(240)
def test_killed_again_and_again_it_ends_the_same(finished: Path, tmp_path: Path) -> None:
    run, script = tmp_path / "killed", tmp_path / "program.py"
    script.write_text(PROGRAM)
    kills, patience = 0, 6.0
    while True:
        process = subprocess.Popen(
            [sys.executable, str(script), str(run), "1"], stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            _, errors = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills, patience = kills + 1, patience * 1.3  # a busy machine still gets there
            assert kills < 20, "it makes no headway"
            continue
        assert process.returncode == 0, errors.decode()[-2000:]
        break
    assert kills >= 1, "the run ended before it could be killed"
    assert fingerprint(run) == fingerprint(finished)


def test_finished_stages_are_not_redone(finished: Path) -> None:
    made = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    start = time.perf_counter()
    run_habc(finished, tiny(), workers=1)
    assert time.perf_counter() - start < 5
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == made


def test_two_workers_make_the_same_run_as_one(finished: Path, tmp_path: Path) -> None:
    run_habc(tmp_path / "run", tiny(), workers=2)
    assert fingerprint(tmp_path / "run") == fingerprint(finished)
