"""Two processes on one folder: one works, the other says who does; nothing is lost whoever comes first."""

import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from campaign.cases import Case, Shop, Verdict, held, lost
from campaign.input import crashed
from campaign.processes import Ended, ran, start
from campaign.programs import (
    DEBUG_PPO,
    FINETUNE,
    RUN,
    STUDY,
    Program,
    copy_of_reference,
    difference,
    goes_on,
    products,
    reference,
)

FAMILY = "two processes on one folder"
EVERY = {RUN: 6, DEBUG_PPO: 3, STUDY: 4, FINETUNE: 3}


def cases(seed: int) -> Iterator[Case]:
    """Races with heads start that `seed` draws."""
    for program, count in EVERY.items():
        for number in range(count):
            moment = random.Random(f"{seed} {FAMILY} {program.name} {number}").random() if number else 0.0
            yield Case(
                FAMILY,
                f"{program.name} twice",
                f"twice: {program.name}, {number}",
                _twice(program, moment),
                lerobot=program.lerobot,
            )
    for number in range(3):
        moment = random.Random(f"{seed} {FAMILY} merge {number}").random()
        yield Case(FAMILY, "vantage study-merge beside a study", f"merge: {number}", _merge(moment))
    for words in (
        ["report", "made"],
        ["verify", "made"],
        ["label", "made/round-01"],
        ["weigh", "made/round-01"],
    ):
        kind = f"vantage {words[0]} beside a run"
        yield Case(FAMILY, kind, f"beside: {words[0]}", _beside(words))


def _twice(program: Program, moment: float) -> Callable[[Shop, Path], Verdict]:
    def attempt(shop: Shop, room: Path) -> Verdict:
        undisturbed = reference(program, shop.shelf)
        words = program.words(shop.shelf, 1)
        one = start(words, room)
        time.sleep(moment * undisturbed.seconds)
        two = start(words, room)
        ends = [one.wait(), two.wait()]
        wrong = _wrong_ends(ends)
        if wrong:
            return lost(wrong)
        if any(ended.code == 0 for ended in ends):
            wrong = difference(room / program.out, undisturbed.products)
        else:
            wrong, _ = goes_on(program, shop.shelf, room, 1)
        return lost(wrong) if wrong else held(" / ".join(str(ended.code) for ended in ends))

    return attempt


def _wrong_ends(ends: list[Ended]) -> str:
    for ended in ends:
        wrong = crashed(ended)
        if wrong:
            return f"one of them {wrong}"
        said = " ".join(ended.said.split())
        if ended.code != 0 and not (ended.code == 2 and "is writing to" in said and "process " in said):
            return f"one of them ends with {ended.code}: {ended.last}"
    return ""


def _merge(moment: float) -> Callable[[Shop, Path], Verdict]:
    def attempt(shop: Shop, room: Path) -> Verdict:
        undisturbed = reference(STUDY, shop.shelf)
        words = STUDY.words(shop.shelf, 1)
        merge = ["study-merge", words[1], "rows of another", "--results=made/rows"]
        other = shop.shelf / "another seed"
        if not other.exists():
            other.mkdir()
            ended = ran([*words, "--first-seed=1"], other)
            if ended.code != 0:
                return lost(f"the other study fails: {ended.last}")
        both = shop.shelf / "both seeds"
        if not both.exists():
            both.mkdir()
            for seed in (0, 1):
                ran([*words, f"--first-seed={seed}"], both)

        shutil.copytree(other / "made/rows", room / "rows of another")
        study = start(words, room)
        time.sleep(moment * undisturbed.seconds)
        merging = ran(merge, room)
        studied = study.wait()
        for ended in (merging, studied):
            wrong = crashed(ended)
            if wrong:
                return lost(f"one of them {wrong}")
        if studied.code == 2:  # the merge came first: the study is started again
            studied = ran(words, room)
        if merging.code == 2:
            merging = ran(merge, room)
        if (studied.code, merging.code) != (0, 0):
            return lost(f"they end with {studied.code} and {merging.code}: {studied.last} {merging.last}")
        wrong = difference(room / "made/rows", products(both / "made/rows"))
        return lost(wrong) if wrong else held()

    return attempt


def _beside(words: list[str]) -> Callable[[Shop, Path], Verdict]:
    def attempt(shop: Shop, room: Path) -> Verdict:
        undisturbed = reference(RUN, shop.shelf)
        made = copy_of_reference(RUN, shop.shelf, room)
        for name in ("5-actor", "4-weights.parquet", "6-eval.parquet", "round.json"):
            path = made / "round-01" / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        run = start(RUN.words(shop.shelf, 1), room)
        ends = []
        for _ in range(3):
            time.sleep(0.2 * undisturbed.seconds)
            ends.append(ran(words, room))
        ended = run.wait()
        for one in (ended, *ends):
            wrong = crashed(one)
            if wrong:
                return lost(f"one of them {wrong}")
        if ended.code != 0:
            wrong, _ = goes_on(RUN, shop.shelf, room, 1)
        else:
            wrong = difference(made, undisturbed.products)
        return lost(wrong) if wrong else held(" / ".join(str(one.code) for one in (ended, *ends)))

    return attempt
