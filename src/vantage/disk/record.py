"""A finished round in, `round.json` out: what made it.

By it any number can be traced to code, settings and data.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vantage import ranks
from vantage.disk.files import read_json, sha256_file, sha256_folder, write_json
from vantage.disk.made import MADE, note_record, noted_differences, read_record
from vantage.version import __version__


@ranks.first_alone
def write_record(folder: Path, seed: int) -> None:
    """Write round.json: version, commit, recipe, seed, and checksums.

    The checksums are of every file that was made in `folder`, and of those that it started from.
    """
    path = folder / "round.json"
    if path.exists():
        return

    recipe = folder.parent / "recipe.json"
    name = read_json(recipe)["recipe"] if recipe.exists() else None
    record: dict[str, Any] = {
        "vantage": __version__,
        "commit": git_commit(),
        "recipe": name,
    }

    quality = folder / "3-critic" / "quality.json"
    if quality.exists() and read_json(quality).get("schedule") == "interleaved":
        record["weights"] = (
            "written by the final critic, for reading; the interleaved schedule weighed every batch by itself"
        )

    record |= {
        "recipe_sha256": sha256_file(recipe) if recipe.exists() else None,
        "seed": seed,
        "sha256": checksums(folder),
    }
    write_json(path, record)
    note_record(path)


def checksums(folder: Path) -> dict[str, str]:
    """Name -> sha256 of what the stages wrote, and of the policy that entered the round.

    Those of folders are over their files; the bytes of videos do not count, only their names.
    """
    made = sorted(folder.glob("[1-6]-*"))
    digests = {path.name: sha256_folder(path) if path.is_dir() else sha256_file(path) for path in made}

    entered = entering_actor(folder)
    if entered is not None:
        digests[f"../{entered.parent.name}/{entered.name}"] = sha256_folder(entered)
    return digests


def entering_actor(folder: Path) -> Path | None:
    """The checkpoint that a round began with; None for round 0."""
    if folder.name == "control-sft":
        return folder.parent / "round-00" / "5-actor"

    start = folder.parent / "start" / "5-actor"  # of a fine-tuning from recordings
    if start.is_dir():
        return start

    number = folder.name.removeprefix("round-")
    if not number.isdigit() or int(number) == 0:
        return None
    return folder.parent / f"round-{int(number) - 1:02d}" / "5-actor"


def git_commit() -> str | None:
    """Commit of the code that runs, with a plus sign if the tree was changed; None outside a checkout."""
    outputs: list[str] = []
    for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        command = ("git", *words)
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
        if done.returncode:
            return None
        outputs.append(done.stdout.strip())

    commit, changes = outputs
    return commit + ("+" if changes else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What stands in a round, held against what its round.json and its notes say was made."""

    folder: Path
    changed: tuple[str, ...]
    """Products whose content is another than when they were made, or when the round was finished."""
    gone: tuple[str, ...]
    """Products that are not there any more."""
    new: tuple[str, ...]
    """Products that were not there."""

    @property
    def whole(self) -> bool:
        """Whether everything is as it was made."""
        return not (self.changed or self.gone or self.new)


def verify(folder: Path) -> Verified | None:
    """Compute the checksums of a round again, and that of the recipe.json which made it; None for a round of
    which nothing was noted.

    Raises VantageError for a damaged round.json.
    """
    record, noted = read_record(folder), noted_differences(folder)
    if not record and not (folder / MADE).is_file():
        return None

    sums = cast(dict[str, str], record.get("sha256", {}))
    now = checksums(folder) if record else {}
    if record.get("recipe_sha256"):
        recipe = folder.parent / "recipe.json"
        sums = {**sums, "../recipe.json": record["recipe_sha256"]}
        now |= {"../recipe.json": sha256_file(recipe)} if recipe.is_file() else {}

    # What the record holds, it decides: a fine-tuning's data sets are links, which are not noted.
    changed = {name for name in sums.keys() & now.keys() if sums[name] != now[name]}
    gone = sums.keys() - now.keys()
    return Verified(
        folder=folder,
        changed=tuple(sorted(changed | (set(noted["changed"]) - sums.keys()))),
        gone=tuple(sorted(gone | (set(noted["gone"]) - sums.keys()))),
        new=tuple(sorted(now.keys() - sums.keys())),
    )
