"""Products of a round -> `.made.json`, what they were when they were made; and back, whether they still are.

    5-actor/ ──note──> .made.json: stage, its meaning, sha256, and of every file: bytes, time, sha256
    .made.json, round.json ──check_made──> nothing, or one sentence: which file, what happened, what to delete

A run that goes on builds upon what is there. Sizes and times are compared first, and bytes only where those
differ, so that a check of a whole run costs a look at every file's entry.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vantage.disk.files import read_json, sha256_file, write_json
from vantage.errors import VantageError
from vantage.progress import say

MADE = ".made.json"
"""In the folder of a round."""
PRODUCTS = ("[1-6]-*", ".frames*", "videos")
"""What is noted. What begins with a point belongs to the first product."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What makes a product."""

    name: str
    meaning: int
    """Raised by hand when the same input and settings are meant to give something else."""


Notes = dict[str, dict[str, Any]]


def note(folder: Path, stages: Mapping[str, Stage]) -> None:
    """Note what every product of a round is, where that is not noted yet.

    `stages`: of every product that is not noted yet, by name. Where a product was deleted and made again,
    and is not what it was, the round's record is written again; VantageError where other things stand that
    were made of the earlier one.
    """
    notes = _read(folder)
    changed = False
    for product in products(folder):
        name = product.name
        known = notes.get(name)
        if known is not None and _stamps(product) == _noted_stamps(known):
            continue

        fresh = _describe(product, _stage_of(stages, name))
        if known is not None and known["sha256"] != fresh["sha256"]:
            _made_otherwise(folder, name)
        notes[name] = fresh
        changed = True
    if changed:
        write_json(folder / MADE, notes)


def note_record(path: Path) -> None:
    """Note the record of a round (round.json) that was just written, so that its loss is noticed."""
    notes = _read(path.parent)
    notes[path.name] = _describe(path, None)
    write_json(path.parent / MADE, notes)


def let_go(path: Path) -> None:
    """Forget a product, or a file of one, which is about to be deleted because nobody needs it any more.

    `path`: `round-01/.frames-48`, or `round-01/3-critic/features.safetensors`.
    """
    top = next((parent for parent in (path, *path.parents) if (parent.parent / MADE).is_file()), None)
    if top is None:
        return
    notes = _read(top.parent)
    if top == path:
        notes.pop(top.name, None)
    elif top.name in notes:
        notes[top.name]["files"].pop(path.relative_to(top).as_posix(), None)
        notes[top.name]["let_go"] = True
    write_json(top.parent / MADE, notes)


def check_made(folder: Path, meanings: Mapping[str, int], *, thorough: bool = False) -> None:
    """Raise VantageError where something in a round is not what was made there, or where the stage that made
    it means something else today.

    `meanings`: of every stage, by name. `thorough`: compare bytes even where size and time are the same.
    """
    notes, recorded = _read(folder), recorded_sums(folder)
    changed = False
    for product in products(folder):
        known = notes.get(product.name)
        if known is None:
            _check_recorded(product, recorded)
            continue

        changed |= _check_files(product, known, thorough=thorough)
        _check_meaning(product, known, meanings)
        if recorded.get(product.name, known["sha256"]) != known["sha256"] and not known.get("let_go"):
            raise VantageError(
                f"{folder / 'round.json'} is not of the {product.name} that stands beside it; "
                f"delete {folder / 'round.json'}, and it is written again"
            )
    if changed:
        write_json(folder / MADE, notes)
    _check_entered(folder, recorded)


def products(folder: Path) -> list[Path]:
    """What has been made in a round, in the order of the stages; links lead to what was made elsewhere."""
    made = [path for pattern in PRODUCTS for path in folder.glob(pattern)]
    return sorted(path for path in made if path.exists() and not path.is_symlink())


def noted_sha256(product: Path) -> str | None:
    """Checksum of a product as it was noted; None where it was not."""
    known = _read(product.parent).get(product.name)
    return None if known is None else str(known["sha256"])


BEGUN = "begun.json"
"""Beside what an interrupted stage has left: what it was made of."""


def check_left(left: Path, of: Mapping[str, Any], begun: Path | None = None) -> None:
    """Raise VantageError where what an interrupted stage has left was made of something else than `of`;
    write `of` down where nothing is left.

    `begun`: where that is kept, `begun.json` in the folder `left` unless it is a file.
    """
    begun = begun or left / BEGUN
    others = [left]
    if left.is_dir():  # what killed writers left half written begins with a point
        others = [path for path in left.iterdir() if path != begun and not path.name.startswith(".")]
    if not any(path.exists() for path in others):
        write_json(begun, of)
        return

    was = read_json(begun) if begun.is_file() else None
    if was == dict(of):
        return
    what = "and does not say of what"
    if isinstance(was, dict):
        differing = [name for name in {**of, **was} if was.get(name) != of.get(name)]
        what = f"with another {' and '.join(differing)}"
    raise VantageError(
        f"{left} was left by a stage that was interrupted, {what}; delete it, and that stage begins again"
    )


# ------------------------------------------------------------------------------------------ one product


def _describe(product: Path, stage: Stage | None) -> dict[str, Any]:
    """What is noted of a product."""
    files = {
        name: [size, time, sha256_file(_path(product, name))]
        for name, (size, time) in _stamps(product).items()
    }
    record: dict[str, Any] = {} if stage is None else {"stage": stage.name, "meaning": stage.meaning}
    return record | {"sha256": _digest(product, files), "files": files}


def _stage_of(stages: Mapping[str, Stage], name: str) -> Stage | None:
    """Pictures are made with the episodes, videos with the trials."""
    if name.startswith(".frames"):
        return stages.get("1-episodes")
    return stages.get("6-eval.parquet" if name == "videos" else name)


def _path(product: Path, name: str) -> Path:
    return product / name if name else product


def _stamps(product: Path) -> dict[str, tuple[int, int]]:
    """(bytes, time of the last change in ns) of every file; a product that is a file has the empty name."""
    paths = [path for path in product.rglob("*") if path.is_file()] if product.is_dir() else [product]
    stamps: dict[str, tuple[int, int]] = {}
    for path in sorted(paths):
        entry = path.stat()
        stamps["" if path == product else path.relative_to(product).as_posix()] = (
            entry.st_size,
            entry.st_mtime_ns,
        )
    return stamps


def _noted_stamps(known: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    return {name: (size, time) for name, (size, time, _) in known["files"].items()}


def _digest(product: Path, files: Mapping[str, list[Any]]) -> str:
    """What `sha256_file` and `sha256_folder` say of the product, from the checksums of its files."""
    if not product.is_dir():
        return str(files[""][2])
    digest = hashlib.sha256()
    for name in sorted(files, key=lambda name: Path(name)):
        content = "" if name.endswith(".mp4") else files[name][2]
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()


def _check_files(product: Path, known: dict[str, Any], *, thorough: bool) -> bool:
    """Hold every file of a product against its note; True where a time was brought up to date."""
    now, files = _stamps(product), cast(dict[str, list[Any]], known["files"])
    for name in sorted(files.keys() - now.keys()):
        raise VantageError(_sentence(product, name, "is gone"))
    for name in sorted(now.keys() - files.keys()):
        if not Path(name).name.startswith("."):
            raise VantageError(_sentence(product, name, "was not there when that was made"))

    refreshed = False
    for name, (size, time, content) in files.items():
        if now[name] == (size, time) and not thorough:
            continue
        if now[name][0] < size:
            shorter = f"has {now[name][0]:,} bytes and had {size:,} when it was made"
            raise VantageError(_sentence(product, name, shorter + _kept(product)))
        if now[name][0] > size or sha256_file(_path(product, name)) != content:
            exchanged = "was exchanged: it holds other bytes than were made"
            raise VantageError(_sentence(product, name, exchanged + _kept(product)))
        refreshed |= now[name] != (size, time)
        files[name] = [*now[name], content]
    return refreshed


def _check_meaning(product: Path, known: Mapping[str, Any], meanings: Mapping[str, int]) -> None:
    stage, was = known.get("stage"), known.get("meaning", 1)
    now = meanings.get(str(stage), was)
    if was != now:
        raise VantageError(
            f"{product} was made when the stage `{stage}` meant something else (meaning {was}, now {now}); "
            f"{_remedy(product)}, or name another folder"
        )


def _sentence(product: Path, name: str, what: str) -> str:
    return f"{_path(product, name)} {what}; {_remedy(product)}"


def _kept(product: Path) -> str:
    """What to do where the change was meant: labels that somebody corrected, say."""
    return f" (to keep it so, remove {product.with_name(MADE)} and what was made of it)"


def _remedy(product: Path) -> str:
    others = [str(path.relative_to(product.parent.parent)) for path in _made_of(product)]
    more = f" and what was made of it ({', '.join(others)})" if others else ""
    whole = product.with_name("1-episodes") if product.name.startswith(".frames") else product
    both = f"{product} and {whole}" if whole != product else f"{product}"
    return f"delete {both}{more}, and give the same command again"


def _made_of(product: Path) -> list[Path]:
    """What stands behind a product: in its round, and the rounds after it."""
    folder, name = product.parent, product.name
    stage = "1" if name.startswith(".frames") else "6" if name == "videos" else name[0]
    behind = [path for path in sorted(folder.glob("[1-6]-*")) if path.name[0] > stage]
    behind += [path for path in (folder / "round.json",) if path.exists()]
    if stage == "6":
        return behind

    if folder.name == "start":
        return behind + sorted(folder.parent.glob("round-*/[3-6]-*"))
    number = folder.name.removeprefix("round-")
    if number.isdigit():
        later = [
            path
            for path in sorted(folder.parent.glob("round-[0-9][0-9]*"))
            if path.name.removeprefix("round-").isdigit() and int(path.name[6:]) > int(number)
        ]
        control = folder.parent / "control-sft"
        behind += later + ([control] if int(number) == 0 and control.exists() else [])
    return behind


def _made_otherwise(folder: Path, name: str) -> None:
    """A product is not what it was when it was made before."""
    behind = [path for path in _made_of(folder / name) if path.name != "round.json"]
    if behind:
        raise VantageError(
            f"{folder / name} was made again and is not what it was, as on another machine or with other "
            f"libraries; {_remedy(folder / name)}"
        )
    say(f"{folder / name} is not what it was before it was deleted; the round's record is written again")
    (folder / "round.json").unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------ the record


def read_record(folder: Path) -> dict[str, Any]:
    """round.json, with its checksums; empty for a round that is not finished.

    Raises VantageError for one that is damaged.
    """
    path = folder / "round.json"
    if not path.exists():
        return {}

    remedy = f"delete {path}, and the run, started again, writes it again"
    try:
        record = read_json(path)
    except VantageError as error:
        raise VantageError(f"{path} is damaged (no valid JSON); {remedy}") from error
    if not isinstance(record, dict) or not isinstance(record.get("sha256"), dict):
        raise VantageError(f"{path} holds no checksums; {remedy}")
    return cast(dict[str, Any], record)


def recorded_sums(folder: Path) -> dict[str, str]:
    """The checksums in round.json; empty for a round that is not finished."""
    return cast(dict[str, str], read_record(folder).get("sha256", {}))


def noted_differences(folder: Path) -> dict[str, list[str]]:
    """What is `changed` and what is `gone` of all that was noted in a round: the names of products.

    Every byte is read. Pictures that were kept aside (`.frames`) may be gone.
    """
    differences: dict[str, list[str]] = {"changed": [], "gone": []}
    for name, known in sorted(_read(folder).items()):
        product = folder / name
        if not product.exists():
            if not name.startswith("."):
                differences["gone"].append(name)
            continue
        try:
            _check_files(product, known, thorough=True)
        except (VantageError, FileNotFoundError):  # the latter: a run beside this one is at it
            differences["changed"].append(name)
    return differences


def _check_recorded(product: Path, recorded: Mapping[str, str]) -> None:
    """Hold a product that was never noted against the record of its round."""
    if product.name not in recorded:
        return
    known = _describe(product, None)
    if known["sha256"] != recorded[product.name]:
        raise VantageError(
            f"{product} was changed, cut or exchanged since its round was finished; {_remedy(product)}"
        )


def _check_entered(folder: Path, recorded: Mapping[str, str]) -> None:
    """Raise VantageError where a round was made of another policy than the one that stands before it."""
    for name, content in recorded.items():
        if not name.startswith("../"):
            continue
        entered = folder.parent / name.removeprefix("../")
        now = noted_sha256(entered)
        if now is not None and now != content:
            raise VantageError(
                f"{folder} was made of another {entered.relative_to(folder.parent)} than stands there now; "
                f"delete {folder} and the rounds after it, and give the same command again"
            )


def _read(folder: Path) -> Notes:
    """`.made.json`; empty where it is missing or damaged: then round.json is what is left."""
    path = folder / MADE
    if not path.is_file():
        return {}
    try:
        notes = read_json(path)
    except VantageError:
        return {}
    return {
        name: known
        for name, known in (notes.items() if isinstance(notes, dict) else ())
        if Path(name).name == name and isinstance(known, dict) and _is_note(known)
    }


def _is_note(known: Mapping[str, Any]) -> bool:
    """Whether a file that anybody may have written holds a note of ours."""
    files = known.get("files")
    if not isinstance(known.get("sha256"), str) or not isinstance(files, dict):
        return False
    shapes = [
        [type(part) for part in entry] if isinstance(entry, list) else []
        for entry in cast(dict[str, Any], files).values()
    ]
    return all(shape == [int, int, str] for shape in shapes)
