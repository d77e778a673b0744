"""A finished round in, `round.json` out: what made it, so that any number can be traced to code, settings and data."""

import subprocess
from pathlib import Path
from typing import Any

from vantage import __version__
from vantage.data.layout import Round
from vantage.data.sidecar import sha256_file, sha256_folder, write_json


def write_record(here: Round, seed: int) -> None:
    """Write the record of a round: versions, commit, seed, and the checksum of every file that the round read or wrote."""
    if here.record.exists():
        return
    write_json(here.record, {"vantage": __version__, "commit": git_commit(), "seed": seed, "sha256": checksums(here)})


def checksums(here: Round) -> dict[str, str]:
    """Name -> sha256 of the round's files (folders: over their files; video bytes by name only)."""
    found: dict[str, str] = {}
    for path in (here.episodes, here.labels, here.critic, here.weights, here.actor, here.evaluation):
        if path.is_dir():
            found[path.name] = sha256_folder(path)
        elif path.exists():
            found[path.name] = sha256_file(path)
    return found


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
