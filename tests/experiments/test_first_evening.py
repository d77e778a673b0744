"""The newcomer's path at toy size, in this process: everything but the environment of its own."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_lerobot import facts, tiny

from experiments import first_evening
from experiments.first_evening import JOINTS, Size, evening, keep, record, set_up, table, walk
from vantage.cli import dispatch
from vantage.data.v3.read import read_table

SIZE = Size(demos=1, rollouts=3, frames=24, height=32, width=48, steps=2)


def train(out: Path) -> None:
    """In the place of `lerobot-train`, which tests/commands/test_robot_page.py runs: a new policy."""
    data = facts("act", action_dim=6, cameras={"front": (32, 48)}, fps=30.0)
    out.mkdir(parents=True)
    tiny("act", data=replace(data, action_names=tuple(JOINTS), state_names=tuple(JOINTS))).save(out)


def test_a_newcomers_path_ends_in_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def here(words: Sequence[str], folder: Path) -> str:
        name, rest = Path(words[0]).name, list(words[1:])
        match name, rest:
            case "python", ["-c", code]:
                exec(code, {})
            case "python", [_, "record", out, "--size", size]:
                record(Path(out), size)
            case "lerobot-train", _:
                train(folder / "outputs/train/act/checkpoints/last/pretrained_model")
            case _:
                dispatch(rest)
        return capsys.readouterr().out

    monkeypatch.chdir(tmp_path)
    steps = evening(Path("bin"), SIZE)
    timed = walk(steps, tmp_path, here)
    assert [name for name, _ in timed] == [step.name for step in steps]
    assert (tmp_path / "runs/arm_1/round-01/5-actor/model.safetensors").exists()
    assert read_table(tmp_path / "data/rollout_1").intervention.sum() == 12
    said = (tmp_path / "messages.txt").read_text()
    assert "$ bin/vantage finetune" in said and said.rstrip().endswith("8"), "LeRobot opens it"

    rows = tmp_path / "rows.parquet"
    keep([("a step", 1.6), ("another", 30.0)], rows)
    capsys.readouterr()
    table(rows)
    assert capsys.readouterr().out.startswith(
        "| step | seconds |\n|---|---|\n| a step | 2 |\n| another | 30 |\n| **all** | **32** |\n"
    )


def test_a_command_that_fails_ends_the_walk_with_what_it_said(tmp_path: Path) -> None:
    python = sys.executable
    assert first_evening.by_process((python, "-c", "print('well')"), tmp_path) == "well\n"
    with pytest.raises(RuntimeError, match=r"ended with 3:\nno"):
        first_evening.by_process((python, "-c", "print('no'); raise SystemExit(3)"), tmp_path)


def test_the_environment_is_made_by_the_words_of_uv(tmp_path: Path) -> None:
    wheel, environment, install = set_up(tmp_path)
    assert wheel.words[1:3] == ("build", "--wheel") and environment.words[1] == "venv"
    assert install.words[-1].endswith(f"[{first_evening.EXTRAS}]") and "install" in install.words
