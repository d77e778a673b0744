"""Worker processes that are killed while they play: the run plays their episodes again, or ends with a
sentence and goes on when it is started again."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from campaign.cases import Case, Shop, Verdict, held, lost
from campaign.input import crashed
from campaign.processes import Process, start
from campaign.programs import DEBUG_PPO, RUN, STUDY, Program, difference, goes_on, reference

FAMILY = "a worker dies"
EVERY = {RUN: 6, DEBUG_PPO: 4, STUDY: 4}


def cases(seed: int) -> Iterator[Case]:
    """Deaths of one worker of two, at moments that `seed` draws."""
    for program, count in EVERY.items():
        for number in range(count):
            moment = random.Random(f"{seed} {FAMILY} {program.name} {number}").random()
            kind = f"{program.name}, SIGKILL to one of 2 workers"
            yield Case(FAMILY, kind, f"worker: {program.name}, {number}", _attempt(program, moment))


def _attempt(program: Program, moment: float) -> Callable[[Shop, Path], Verdict]:
    def attempt(shop: Shop, room: Path) -> Verdict:
        undisturbed = reference(program, shop.shelf)
        process = start(program.words(shop.shelf, 2), room)
        worker = _a_worker(process, delay=moment * undisturbed.seconds / 3)
        if worker is None:
            return lost(f"no worker was met: {process.wait().last}")
        os.kill(worker, signal.SIGKILL)

        ended = process.wait()
        wrong = crashed(ended)
        if wrong:
            return lost(f"it {wrong}")
        if ended.code == 0:
            wrong = difference(room / program.out, undisturbed.products)
            return lost(f"it ends with 0, and {wrong}") if wrong else held("its work was done again")
        if ended.code != 1 or "again" not in ended.said:
            return lost(f"it ends with {ended.code}: {ended.last}")
        wrong, _ = goes_on(program, shop.shelf, room, 2)
        return lost(wrong) if wrong else held(f"it ended with a sentence, and went on: {ended.last}")

    return attempt


def _a_worker(process: Process, delay: float) -> int | None:
    """A process that works for the command, some seconds after the first one was there."""
    first: float | None = None
    while process.ended(0.01) is None:
        workers = [pid for pid in process.workers() if _is_worker(pid)]
        if workers:
            first = first or time.monotonic()
            if time.monotonic() - first >= delay:
                return workers[-1]
    return None


def _is_worker(pid: int) -> bool:
    """Whether a process was forked by the server that makes workers, and is no server itself."""
    try:
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return b"forkserver" in Path(f"/proc/{parent}/cmdline").read_bytes()
    except (OSError, IndexError):
        return False
