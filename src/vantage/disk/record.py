"""A finished round in, `round.json` out: what made it, so that any number can be traced to code, settings and data."""

import subprocess
from pathlib import Path
from typing import Any

from vantage.disk.files import read_json, sha256_file, sha256_folder, write_json
from vantage.version import __version__


def write_record(folder: Path, seed: int) -> None:
    """Write round.json: version, commit, recipe, seed, and the checksum of every file that was made here and of those it started from."""
    path = folder / "round.json"
    if path.exists():
        return
    recipe = folder.parent / "recipe.json"
    name = read_json(recipe)["recipe"] if recipe.exists() else None
    quality = folder / "3-critic" / "quality.json"
    together = quality.exists() and read_json(quality).get("schedule") == "interleaved"
    record = {
        "vantage": __version__,
        "commit": git_commit(),
        "recipe": name,
        **(
            {"weights": "written by the final critic, for reading; the interleaved schedule weighed every batch by itself"}
            if together
            else {}
        ),
        "recipe_sha256": sha256_file(recipe) if recipe.exists() else None,
        "seed": seed,
        "sha256": checksums(folder),
    }
    write_json(path, record)


def checksums(folder: Path) -> dict[str, str]:
    """Name -> sha256 of what the stages wrote, and of the policy that entered (folders: over their files; video bytes by name only)."""
    made = sorted(folder.glob("[1-6]-*"))
    found = {path.name: sha256_folder(path) if path.is_dir() else sha256_file(path) for path in made}
    entered = _entering_actor(folder)
    return found | ({f"../{entered.parent.name}/{entered.name}": sha256_folder(entered)} if entered else {})


def _entering_actor(folder: Path) -> Path | None:
    number = folder.name.removeprefix("round-")
    if folder.name == "control-sft":
        return folder.parent / "round-00" / "5-actor"
    return folder.parent / f"round-{int(number) - 1:02d}" / "5-actor" if number.isdigit() and int(number) else None


def git_commit() -> str | None:
    """Commit of the code that runs, with a plus sign if the tree was changed; None outside a checkout."""
    here = Path(__file__).parent
    answers: list[Any] = []
    for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        done = subprocess.run(("git", *words), cwd=here, capture_output=True, text=True, check=False)
        if done.returncode:
            return None
        answers.append(done.stdout.strip())
    return answers[0] + ("+" if answers[1] else "")
