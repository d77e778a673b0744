"""A disk that is full at any size of file: one sentence, exit code 2, and the run goes on when there is
space."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from campaign.cases import Case, Shop, Verdict, held, lost
from campaign.input import crashed
from campaign.processes import ran
from campaign.programs import DEBUG_PPO, FINETUNE, RUN, STUDY, Program, difference, goes_on, reference

FAMILY = "a full disk"
EVERY = {RUN: 8, DEBUG_PPO: 5, STUDY: 5, FINETUNE: 6}


def cases(seed: int) -> Iterator[Case]:
    """Files may grow to sizes that `seed` draws among those of the undisturbed run; nothing larger is
    written."""
    for program, count in EVERY.items():
        for number in range(count):
            draw = random.Random(f"{seed} {FAMILY} {program.name} {number}").random()
            yield Case(
                FAMILY,
                program.name,
                f"disk: {program.name}, {number}",
                _attempt(program, draw),
                lerobot=program.lerobot,
                swift=program is RUN and number == 0,
            )


def _attempt(program: Program, draw: float) -> Callable[[Shop, Path], Verdict]:
    def attempt(shop: Shop, room: Path) -> Verdict:
        undisturbed = reference(program, shop.shelf)
        made = undisturbed.folder / program.out
        sizes = sorted({path.stat().st_size for path in made.rglob("*") if path.is_file()})
        room_for = max(1, sizes[int(draw * len(sizes))] - 1)
        ended = ran(program.words(shop.shelf, 1), room, file_size=room_for)
        wrong = crashed(ended)
        said = " ".join(ended.said.split())
        if not wrong and not (ended.code == 2 and ("full" in said or "too large" in said)):
            wrong = f"ends with {ended.code}: {ended.last}"
        if wrong:
            return lost(f"with files of {room_for:,} bytes it {wrong}")
        wrong, _ = goes_on(program, shop.shelf, room, 1)
        wrong = wrong or difference(room / program.out, undisturbed.products)
        return lost(wrong) if wrong else held(f"files of {room_for:,} bytes: {ended.last}")

    return attempt
