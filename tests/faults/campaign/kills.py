"""SIGKILL, SIGINT and SIGTERM at random moments, then the same command again: the same bytes as an
undisturbed run.

Half of the moments are drawn in time. The others are drawn among the changes that the process makes to its
folder (the n-th file opened, renamed or removed), which is where half a file could come from; those repeat
exactly by their seed.
"""

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from campaign.cases import Case, Shop, Verdict, held, lost
from campaign.processes import Ended, Kill, Process, start
from campaign.programs import DEBUG_PPO, FINETUNE, RUN, STUDY, Program, goes_on, reference

FAMILY = "killed"
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
EVERY = {
    (RUN, 1): 30,
    (RUN, 2): 15,
    (STUDY, 1): 15,
    (STUDY, 2): 9,
    (DEBUG_PPO, 1): 21,
    (DEBUG_PPO, 2): 12,
    (FINETUNE, 1): 18,
}
"""How many kills; a third of them with each signal."""
SWIFT = {(RUN, 1): (0, 5), (DEBUG_PPO, 1): (3,)}
"""Numbers of those that `make test` tries."""


def cases(seed: int) -> Iterator[Case]:
    """Kills at moments that `seed` draws."""
    for (program, workers), count in EVERY.items():
        for number in range(count):
            draw = random.Random(f"{seed} {program.name} {workers} {number}")
            sent = SIGNALS[number % 3]
            yield Case(
                family=FAMILY,
                kind=f"{program.name}, {workers} worker{'s' * (workers > 1)}, {sent.name}",
                name=f"killed: {program.name}, {workers}, {number}",
                attempt=_attempt(program, workers, sent, draw.random(), timed=number // 3 % 2 == 0),
                lerobot=program.lerobot,
                swift=number in SWIFT.get((program, workers), ()),
            )


def _attempt(program: Program, workers: int, sent: signal.Signals, moment: float, *, timed: bool):
    def attempt(shop: Shop, room: Path) -> Verdict:
        undisturbed = reference(program, shop.shelf)
        group = sent is signal.SIGINT  # a terminal sends it to every process of the command
        seconds = undisturbed.seconds * moment
        kill = Kill(sent, change=1 + int(moment * undisturbed.changes), whole_group=group)
        for _ in range(6):
            process = start(program.words(shop.shelf, workers), room, kill=None if timed else kill)
            ended = _wait(process, kill, seconds if timed else None)
            if ended.signalled:
                break
            seconds *= 0.6  # it was over before, or workers made the changes; once more, sooner
            kill = replace(kill, change=max(1, int(0.6 * (kill.change or 1))))
            room = shop.room(f"{room.parent.name} again")
        else:
            return lost(f"could not be hit in time: {ended.last}")

        wrong = _badly_ended(ended, sent)
        if wrong:
            return lost(wrong)
        wrong, _ = goes_on(program, shop.shelf, room, workers)
        return lost(wrong) if wrong else held(f"hit after {ended.seconds:.2f} s")

    return attempt


def _wait(process: Process, kill: Kill, seconds: float | None) -> Ended:
    """Send the signal, if it is one of time, and wait."""
    if seconds is not None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            code = process.ended(0)
            if code is not None:
                return Ended(code, process.said.read_text(errors="replace"), 0.0, 0, False)
            time.sleep(0.002)
        process.signal(kill.number, whole_group=kill.whole_group)
    ended = process.wait()
    met = ended.code in (-kill.number, 130) or (ended.code == 1 and ended.traceback)
    return Ended(ended.code, ended.said, ended.seconds, ended.left, met)


def _badly_ended(ended: Ended, sent: signal.Signals) -> str:
    """What is wrong with how it ended; empty where nothing is."""
    if ended.left:
        return f"{ended.left} processes outlived it"
    if sent is signal.SIGINT and ended.code != 130:
        return f"Ctrl-C ended it with {ended.code}: {ended.last}"
    if ended.traceback:
        return f"it showed a traceback: {ended.last}"
    return ""
