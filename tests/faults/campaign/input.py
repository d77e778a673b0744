"""The lists of bad input, each tried on commands: a sentence and exit code 2 or 1, nothing written; or read
rightly."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from three import FPS, Three, write_three

from campaign import checkpoints, datasets
from campaign.cases import Case, Shop, Verdict, held, lost
from campaign.datasets import Spoiled
from campaign.processes import Ended, fork, ran

SLOW = 30.0
"""Seconds that no refusal may take."""


def cases(_seed: int) -> Iterator[Case]:
    """Datasets, paths out of them, checkpoints."""
    for kind, spoiled in datasets.every():
        swift = spoiled in (datasets.REFUSED.get(kind) or datasets.VALID)[:1]
        yield Case("bad dataset", kind, f"dataset: {spoiled}", _dataset(spoiled), swift=swift)
    for spoiled in datasets.PATHS:
        kind = "`data_path`" if spoiled in datasets.DATA_PATHS else "`video_path`"
        swift = spoiled in (datasets.OUTSIDE[1], datasets.FIELDS[0], datasets.FIELDS[4])
        yield Case("path out of a dataset", kind, f"path: {spoiled}", _dataset(spoiled), swift=swift)
    yield from checkpoints.cases()


# --------------------------------------------------------------------------------------------------- datasets


def base(shop: Shop, cameras: tuple[str, ...], images: bool) -> Path:
    """The three, whole; written once."""
    folder = shop.shelf / f"three-{'-'.join(cameras)}-{images}"
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        fork(lambda: write_three(partial, cameras, images, FPS), _there(partial)).wait()
        partial.rename(folder)
    return folder / "data"


def _there(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def right_labels(shop: Shop) -> dict[str, object]:
    """Labels of the three, whole."""
    out = shop.shelf / "labels.parquet"
    if not out.exists():
        ended = ran(
            ["label", str(base(shop, (), False)), "--out", str(out)], _there(shop.shelf / "labelling")
        )
        if ended.code != 0:
            raise RuntimeError(f"the three cannot be labelled: {ended.said}")
    return datasets.labels_of(out)


def _dataset(spoiled: Spoiled) -> Callable[[Shop, Path], Verdict]:
    def attempt(shop: Shop, room: Path) -> Verdict:
        root = room / "three"
        shutil.copytree(base(shop, spoiled.cameras, spoiled.images), root)
        made = fork(lambda: spoiled.spoil(Three(root)), room).wait()
        if made.code != 0:
            return lost(f"the case itself fails: {made.last}")
        before = listing(room)
        audit = ran(["audit", "three", "--json", "--pictures"], room)
        label = ran(["label", "three", "--out", "labels.parquet"], room)
        wrong = _wrong_audit(audit, spoiled.says) or _wrong_label(
            label, spoiled, shop, room / "labels.parquet"
        )
        if wrong:
            return lost(wrong)
        left = sorted(listing(room).items() - before.items())
        left = [name for name, _ in left if name not in ("labels.parquet", ".")]
        return lost(f"it wrote {', '.join(left)}") if left else held(label.last)

    return attempt


def listing(folder: Path) -> dict[str, int]:
    """Name -> when it was written, of everything below."""
    return {path.relative_to(folder).as_posix(): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def _wrong_audit(ended: Ended, says: str) -> str:
    wrong = crashed(ended)
    if wrong or (not says and ended.code == 0):
        return wrong and f"vantage audit {wrong}"
    if not says:
        return f"vantage audit refuses it ({ended.code}): {ended.last}"
    if ended.code not in (1, 2):
        return f"vantage audit ends with {ended.code}: {ended.last}"
    said = " ".join(ended.said.split())
    if ended.code == 1:
        found = datasets.as_json(ended.said)["findings"]
        said = " ".join(finding["text"] for finding in found if finding["level"] == "failure")
    return "" if re.search(says, said) else f"vantage audit says: {said[-300:]}"


def _wrong_label(ended: Ended, spoiled: Spoiled, shop: Shop, out: Path) -> str:
    if not spoiled.says or (spoiled.only_pictures and ended.code == 0):
        wrong = crashed(ended)
        if wrong or ended.code != 0:
            return f"vantage label {wrong or f'ends with {ended.code}: {ended.last}'}"
        return (
            "" if datasets.labels_of(out) == right_labels(shop) else "the labels are not those of the dataset"
        )
    wrong = no_sentence(ended, spoiled.says)
    if wrong:
        return f"vantage label {wrong}"
    return "vantage label wrote labels" if out.exists() else ""


# ------------------------------------------------------------------------------------------------- refusals


def crashed(ended: Ended) -> str:
    """What no command may do, whatever it is given; empty where it did not."""
    if ended.traceback or ended.code < 0:
        return f"crashes ({ended.code}): {ended.last}"
    if ended.code == 124:
        return "hangs"
    if ended.left:
        return f"leaves {ended.left} processes"
    if "\x1b" in ended.said or "\x07" in ended.said:
        return f"writes control characters: {ended.said[-200:]!r}"
    return ""


def no_sentence(ended: Ended, says: str) -> str:
    """Why an end is no refusal in one sentence with a remedy; empty where it is."""
    wrong = crashed(ended)
    if wrong:
        return wrong
    said = " ".join(ended.said.split())
    if ended.code != 2:
        return f"ends with {ended.code}: {said[-300:]}"
    sentence = said[said.find("vantage: ") :]
    if not sentence.startswith("vantage: ") or not re.search(says, sentence):
        return f"says: {said[-300:]}"
    if not re.search(r"; |, and must|must ", sentence):
        return f"names no remedy: {sentence[-300:]}"
    if len(sentence) > 1500:
        return f"says {len(sentence):,} characters"
    return f"takes {ended.seconds:.0f} s to refuse" if ended.seconds > SLOW else ""
