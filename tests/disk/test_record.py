"""round.json by hand: what made a round, checksums of its files, and of the policy that entered it."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from vantage.disk import record
from vantage.disk.files import read_json, sha256_folder, write_json
from vantage.disk.made import MADE, check_made, note
from vantage.disk.record import checksums, git_commit, verify, write_record
from vantage.errors import VantageError
from vantage.version import __version__


def make_round(folder: Path, *, evaluated: bool = True) -> Path:
    """A round with a table, a folder, and an evaluation; their bytes say which round."""
    (folder / "5-actor").mkdir(parents=True)
    (folder / "5-actor" / "model.safetensors").write_text(f"weights of {folder.name}")
    (folder / "2-labels.parquet").write_text(f"labels of {folder.name}")
    if evaluated:
        (folder / "6-eval.parquet").write_text(f"trials of {folder.name}")
    return folder


def test_a_record_says_what_made_a_round(tmp_path: Path) -> None:
    write_json(tmp_path / "recipe.json", {"recipe": "debug", "settings": {}})
    make_round(tmp_path / "round-00")
    folder = make_round(tmp_path / "round-01")
    write_record(folder, seed=7)

    said = read_json(folder / "round.json")
    assert (said["vantage"], said["commit"]) == (__version__, git_commit())
    assert (said["recipe"], said["seed"]) == ("debug", 7)
    assert said["recipe_sha256"] == hashlib.sha256((tmp_path / "recipe.json").read_bytes()).hexdigest()
    assert said["sha256"] == {
        "2-labels.parquet": hashlib.sha256(b"labels of round-01").hexdigest(),
        "5-actor": sha256_folder(folder / "5-actor"),
        "6-eval.parquet": hashlib.sha256(b"trials of round-01").hexdigest(),
        "../round-00/5-actor": sha256_folder(tmp_path / "round-00" / "5-actor"),
    }

    write_record(folder, seed=8)
    assert read_json(folder / "round.json")["seed"] == 7, "a record is written once"


def test_the_policy_that_entered(tmp_path: Path) -> None:
    rounds = [make_round(tmp_path / name) for name in ("round-00", "round-01", "control-sft")]
    entered = {folder.name: [key for key in checksums(folder) if key.startswith("..")] for folder in rounds}
    assert entered == {
        "round-00": [],
        "round-01": ["../round-00/5-actor"],
        "control-sft": ["../round-00/5-actor"],
    }

    make_round(tmp_path / "start")
    assert "../start/5-actor" in checksums(tmp_path / "round-01"), "of a fine-tuning from recordings"


def test_what_was_changed_lost_and_added_is_found(tmp_path: Path) -> None:
    make_round(tmp_path / "round-00")
    folder = make_round(tmp_path / "round-01")
    assert verify(folder) is None, "it is not finished"
    write_record(folder, seed=0)
    verified = verify(folder)
    assert verified is not None and verified.whole

    (folder / "2-labels.parquet").write_text("other labels")
    (folder / "6-eval.parquet").unlink()
    (folder / "4-weights.parquet").write_text("weights")
    verified = verify(folder)
    assert verified is not None and not verified.whole
    assert verified.changed == ("2-labels.parquet",)
    assert verified.gone == ("6-eval.parquet",)
    assert verified.new == ("4-weights.parquet",)

    (folder / "round.json").write_text('{"sha256": null}')
    with pytest.raises(VantageError, match=r"holds no checksums; delete .*round\.json, and the run"):
        verify(folder)


def test_what_no_record_holds_is_held_by_its_note(tmp_path: Path) -> None:
    write_json(tmp_path / "recipe.json", {"recipe": "debug", "settings": {}})
    folder = make_round(tmp_path / "round-00")
    (folder / ".frames-48").mkdir()
    (folder / ".frames-48" / "front.bin").write_text("pictures")
    note(folder, {})
    verified = verify(folder)
    assert verified is not None and verified.whole, "it is not finished, and as it was made so far"
    write_record(folder, seed=0)

    (folder / ".frames-48" / "front.bin").write_text("others!!")
    write_json(tmp_path / "recipe.json", {"recipe": "quickstart", "settings": {}})
    verified = verify(folder)
    assert verified is not None
    assert (verified.changed, verified.gone) == (("../recipe.json", ".frames-48"), ())

    (tmp_path / "recipe.json").unlink()
    shutil.rmtree(folder / ".frames-48")  # was kept aside, and is made again
    verified = verify(folder)
    assert verified is not None and (verified.changed, verified.gone) == ((), ("../recipe.json",))
    (folder / "round.json").unlink()
    verified = verify(folder)
    assert verified is not None and verified.gone == ("round.json",)


@pytest.mark.parametrize(
    "notes",
    [
        [],
        {"5-actor": 3},
        {"5-actor": {"sha256": "x", "files": ["model.safetensors"]}},
        {"5-actor": {"sha256": "x", "files": {"model.safetensors": None}}},
        {"5-actor": {"sha256": "x", "files": {"model.safetensors": ["1", 2, "x"]}}},
        {"../../zero": {"sha256": "x", "files": {"": [0, 0, "x"]}}},
    ],
)
def test_notes_that_are_none_say_nothing(tmp_path: Path, notes: object) -> None:
    folder = make_round(tmp_path / "round-00")
    (folder / MADE).write_text(json.dumps(notes))
    check_made(folder, {})
    verified = verify(folder)
    assert verified is not None and verified.whole


def test_a_changed_tree_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "__file__", str(tmp_path / "record.py"))
    assert git_commit() is None, "no checkout"

    def git(*words: str) -> str:
        identity = ("-c", "user.name=A", "-c", "user.email=a@b.example")
        command = ("git", *identity, *words)
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    (tmp_path / "record.py").write_text("1")
    git("init", "-q")
    git("add", "record.py")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD").strip()
    assert git_commit() == commit
    (tmp_path / "record.py").write_text("2")
    assert git_commit() == f"{commit}+"
