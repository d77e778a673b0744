"""Worker processes that are killed: what they were at is done again, once, and then one sentence says so."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from vantage.collect.operators import Demonstrate
from vantage.collect.pool import Job, Played, open_pool, play_here
from vantage.collect.workers import open_workers
from vantage.disk.files import sha256_folder
from vantage.errors import LostProcess
from vantage.worlds.spec import MetaWorldSpec


def square(work: tuple[int, Path, int, int]) -> int:
    """The square of a number; where it is 3, the process dies by a signal the first `deaths` times."""
    number, folder, deaths, how = work
    if number == 3:
        times = len(list(folder.iterdir()))
        if times < deaths:
            (folder / str(times)).touch()
            os.kill(os.getpid(), how)
            signal.pause()
    return number**2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_worker_that_dies_once_costs_nothing(
    tmp_path: Path, how: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_pool(2) as pool:
        done = list(pool.each(square, [(number, tmp_path, 1, how) for number in range(8)]))
        assert sorted(done) == [number**2 for number in range(8)], "every one of them, and none twice"
        assert sorted(pool.each(square, [(4, tmp_path, 1, how)])) == [16], "the pool goes on"

    told = " ".join(capfd.readouterr().err.split())
    assert "what it was at is done again" in told
    reason = {
        signal.SIGKILL: "was killed by SIGKILL (as the system does when memory runs out)",
        signal.SIGSEGV: "was killed by SIGSEGV (it crashed",
        signal.SIGTERM: "was ended from outside",  # as the executor ends the others
    }
    assert reason[how] in told


def test_a_worker_that_dies_again_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    work = [(number, tmp_path, 9, signal.SIGKILL) for number in range(8)]
    done = list[int]()
    with pytest.raises(LostProcess) as told, open_pool(2) as pool:
        done.extend(pool.each(square, work))
    assert len(list(tmp_path.iterdir())) == 2, "begun twice, and no more"
    assert len(done) == len(set(done)) and 9 not in done
    message = str(told.value)
    assert message.startswith("worker process ") and message.count("\n") == 0
    assert "SIGKILL" in message and "give the same command again" in message


def leave(code: int) -> None:
    os._exit(code)


def test_one_that_leaves_by_itself_is_told_by_its_exit_code() -> None:
    with (
        pytest.raises(LostProcess, match="ended by itself with exit code 7"),
        open_workers(1, preload=()) as pool,
    ):
        list(pool.each(leave, [7]))


def test_what_went_wrong_in_a_worker_is_not_a_death() -> None:
    with pytest.raises(ZeroDivisionError), open_workers(1, preload=()) as workers:
        list(workers.each(divide, [0]))


def divide(number: int) -> float:
    return 1 / number


def test_episodes_are_the_same_bytes_as_undisturbed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def jobs(folder: Path) -> list[Job]:
        world = MetaWorldSpec("reach-v3", limit=60)
        plain = Job(number=0, world=world, actor=None, operator=Demonstrate(), seed=0, journal=folder)
        return [replace(plain, number=number, seed=number) for number in range(8)]

    undisturbed = {one.number: one for one in play_here(jobs(tmp_path / "here"))}
    before = set(multiprocessing.active_children())
    played = dict[int, Played]()
    with open_pool(2) as pool:
        for one in pool(jobs(tmp_path / "there")):
            if not played:
                worker = (set(multiprocessing.active_children()) - before).pop()
                assert worker.pid is not None
                os.kill(worker.pid, signal.SIGKILL)
            assert one.number not in played
            played[one.number] = one

    assert "was killed by SIGKILL" in capfd.readouterr().err
    assert played == undisturbed
    for leftover in (tmp_path / "there").rglob(".*.tmp"):  # where it died while it wrote
        leftover.unlink()
    assert sha256_folder(tmp_path / "there") == sha256_folder(tmp_path / "here")


INTERRUPTED = """
import sys, time
from vantage.collect.workers import open_workers

if __name__ == "__main__":
    try:
        with open_workers(2, preload=("vantage.collect.pool",)) as workers:
            print("begun", flush=True)
            list(workers.each(time.sleep, [60, 60, 60]))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("after", [0.0, 0.5, 3.0])
def test_an_interrupt_ends_all_at_once_and_without_a_word(after: float, tmp_path: Path) -> None:
    """As Ctrl-C does it: every process of the group is told, while they import and while they work."""
    program = tmp_path / "interrupted.py"
    program.write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and err == ""
