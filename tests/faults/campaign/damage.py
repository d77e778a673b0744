"""Every file of a finished run removed, cut to half, exchanged or replaced by garbage: `vantage verify` names
it, and the run, started again, ends as it was or says what to delete so that it does."""

import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from campaign.cases import Case, Shop, Verdict, held, lost
from campaign.input import crashed
from campaign.processes import ran
from campaign.programs import (
    DEBUG_PPO,
    FINETUNE,
    RUN,
    STUDY,
    Program,
    copy_of_reference,
    difference,
    reference,
)

FAMILY = "a file of a finished run"
HOW = ("removed", "cut to half", "exchanged", "garbage")
DRAWN_AGAIN = ("report.html",)
"""Made anew by every start, and so no part of what is verified."""
ROUND_FILES = (
    "round.json",
    "1-episodes/data/chunk-000/file-000.parquet",
    "1-episodes/meta/episodes/chunk-000/file-000.parquet",
    "1-episodes/meta/info.json",
    "1-episodes/meta/stats.json",
    "1-episodes/meta/tasks.parquet",
    "1-episodes/meta/vantage_episodes.parquet",
    "2-labels.parquet",
    "4-weights.parquet",
    "5-actor/config.json",
    "5-actor/metrics.jsonl",
    "5-actor/model.safetensors",
    "6-eval.parquet",
)
CRITIC_FILES = (
    "3-critic/config.json",
    "3-critic/critic.safetensors",
    "3-critic/features.safetensors",
    "3-critic/metrics.jsonl",
    "3-critic/quality.json",
)
RUN_FILES = (
    "recipe.json",
    "report.html",
    *(f"round-00/{name}" for name in ROUND_FILES),
    *(f"round-01/{name}" for name in sorted((*ROUND_FILES, *CRITIC_FILES))),
)
"""Of `vantage run debug`: all. A test holds the list against a run."""
PPO_FILES = (
    "round-00/5-actor/model.safetensors",
    "round-01/5-actor/model.safetensors",
    "round-01/5-actor/config.json",
    "round-01/6-eval.parquet",
    "round-01/round.json",
    "recipe.json",
)
FINETUNE_FILES = (
    "start/5-actor/model.safetensors",
    "start/5-actor/config.json",
    "round-00/2-labels.parquet",
    "round-01/2-labels.parquet",
    "round-01/3-critic/critic.safetensors",
    "round-01/4-weights.parquet",
    "round-01/5-actor/model.safetensors",
    "round-01/round.json",
    "recipe.json",
)
STUDY_FILES = ("rows/study.json", "rows/cells.parquet", "rows/trials.parquet", "rows/rounds.parquet")
FILES = {RUN: RUN_FILES, DEBUG_PPO: PPO_FILES, FINETUNE: FINETUNE_FILES, STUDY: STUDY_FILES}
SWIFT = (RUN, "round-01/4-weights.parquet", "cut to half")
"""The case that `make test` tries: what is to be made again is soon made."""


def cases(seed: int) -> Iterator[Case]:
    """Every file in every way; of the runs other than `vantage run debug`, the files that carry most."""
    for program, names in FILES.items():
        for name in names:
            for how in HOW:
                yield Case(
                    FAMILY,
                    f"{program.name}: {how}",
                    f"file: {program.name}: {name} {how}",
                    _attempt(program, name, how, seed),
                    lerobot=program.lerobot,
                    swift=(program, name, how) == SWIFT,
                )


def _attempt(program: Program, name: str, how: str, seed: int) -> Callable[[Shop, Path], Verdict]:
    def attempt(shop: Shop, room: Path) -> Verdict:
        undisturbed = reference(program, shop.shelf)
        made = copy_of_reference(program, shop.shelf, room)
        if not _damage(made, name, how, seed):
            return held("nothing of its kind to exchange it for")
        wrong = ""
        if program is not STUDY and name not in DRAWN_AGAIN:
            wrong = _wrong_verify(program, room, name)
        wrong = wrong or _wrong_start(program, shop, room, undisturbed.products)
        return lost(wrong) if wrong else held()

    return attempt


def _damage(made: Path, name: str, how: str, seed: int) -> bool:
    """Damage a file; False where there is nothing to exchange it for."""
    path = made / name
    draw = random.Random(f"{seed} {name} {how}")
    match how:
        case "removed":
            path.unlink()
        case "cut to half":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "exchanged":
            others = [
                other
                for other in sorted(made.rglob(f"*{path.suffix}"))
                if other.is_file() and other != path and other.read_bytes() != path.read_bytes()
            ]
            alike = [other for other in others if other.name == path.name]
            if not others:
                return False
            shutil.copyfile(draw.choice(alike or others), path)
        case _:
            path.write_bytes(draw.randbytes(max(1, path.stat().st_size)))
    return True


def _wrong_verify(program: Program, room: Path, name: str) -> str:
    """What is wrong with how `vantage verify` sees it."""
    ended = ran(["verify", program.out], room)
    wrong = crashed(ended)
    if wrong:
        return f"vantage verify {wrong}"
    said = " ".join(ended.said.split())
    product = "/".join(name.split("/")[:2])
    if ended.code not in (1, 2):
        return f"vantage verify ends with {ended.code}: {ended.last}"
    return "" if product in said else f"vantage verify does not name {product}: {said[-300:]}"


def _wrong_start(program: Program, shop: Shop, room: Path, wanted: dict[str, str]) -> str:
    """What is wrong with how the run goes on; a remedy that it names is followed, four times at most."""
    remedies: list[str] = []
    for _ in range(5):
        ended = ran(program.words(shop.shelf, 1), room)
        wrong = crashed(ended)
        if wrong:
            return f"started again, it {wrong}"
        if ended.code == 0:
            wrong = difference(room / program.out, wanted)
            return wrong and f"started again, it ends with 0, and {wrong}"
        if ended.code != 2:
            return f"started again, it ends with {ended.code}: {ended.last}"
        said = " ".join(ended.said.split())
        if not follow(said[said.find("vantage: ") :], room):
            return f"no remedy: {said[-300:]}"
        remedies.append(said[-200:])
    return f"its remedies do not help: {remedies[-1]}"


def follow(sentence: str, room: Path) -> bool:
    """Do what a sentence says is to be deleted; False where it names nothing that is there."""
    remedy = sentence[sentence.find("delete ") :] if "delete " in sentence else ""
    deleted = False
    for text in re.findall(r"[\w./-]*made[\w./-]*", remedy):
        path = room / text.rstrip(".,;:")
        if not path.exists() or path == room / "made":
            continue
        _delete(path)
        deleted = True
        if "behind" in remedy:
            for other in path.parent.iterdir():
                if other.name[:1].isdigit() and other.name > path.name:
                    _delete(other)
            (path.parent / "round.json").unlink(missing_ok=True)
        if "later rounds" in remedy:
            here = path if path.name.startswith("round-") else path.parent
            for other in here.parent.glob("round-*"):
                if other.name > here.name:
                    _delete(other)
    if "delete it" in remedy or "delete this" in remedy or re.search(r"delete (it|them)\b", remedy):
        before = sentence[: sentence.find("delete ")]
        for text in re.findall(r"made[\w./-]*", before):
            path = room / text.rstrip(".,;:")
            if path.exists() and path != room / "made":
                _delete(path)
                deleted = True
    return deleted


def _delete(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
