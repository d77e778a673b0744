"""docs/robot.md: every `vantage` line of the evening runs as it stands, on recordings under the names that it
uses."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from vantage.cli import dispatch
from vantage.data.experience import load_experience
from vantage.disk.layout import Source
from vantage.learn.start import facts_of
from vantage.policies.lerobot.spec import LeRobotScratch

PAGE = Path(__file__).parents[2] / "docs" / "robot.md"
TOY = {"finetune": ["--steps=3", "--batch_size=8", "--critic.steps=5"], "weights": ["--critic.steps=5"]}
ACT = (
    "chunk_size=8",
    "n_action_steps=4",
    "dim_model=16",
    "n_heads=2",
    "dim_feedforward=16",
    "n_encoder_layers=1",
    "use_vae=false",
)


def lines() -> list[list[str]]:
    """The command lines of the page."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.S)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line]


@pytest.fixture
def evening(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recordings, csvs and the checkpoint that the page names."""
    monkeypatch.chdir(tmp_path)
    rounds = {
        name: recorded / f"round-0{number}" for number, name in enumerate(("demos", "rollout_1", "rollout_2"))
    }
    for name, recording in rounds.items():
        shutil.copytree(recording / "1-episodes", tmp_path / "data" / name)
    shutil.copy(rounds["rollout_1"] / "outcomes.csv", "outcomes_1.csv")
    Path("outcomes_2.csv").write_text(
        "episode_index,success\n" + "".join(f"{i},{int(i < 3)}\n" for i in range(8))
    )
    Path("new.csv").write_text("start,success\na,1\nb,1\nc,0\n")
    Path("old.csv").write_text("start,success\na,0\nb,1\nc,0\n")

    demos = Source(0, rounds["demos"] / "1-episodes", rounds["demos"] / "2-labels.parquet", None)
    policy = LeRobotScratch(type="act", true_state=True, settings=ACT).build(
        0, facts_of(load_experience([demos]))
    )
    checkpoint = Path("outputs/train/act/checkpoints/last/pretrained_model")
    checkpoint.mkdir(parents=True)
    policy.save(checkpoint)
    return tmp_path


def test_every_line_of_the_evening_runs(evening: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = [words[1:] for words in lines() if words[0] == "vantage"]
    assert [words[0] for words in ours] == [
        "audit",
        "finetune",
        "finetune",
        "explain",
        "compare",
        "watch",
        "finetune",
        "weights",
    ]
    for words in ours:
        # A step is as long as the page says nothing about: the toy sizes are the only change.
        dispatch([*words, *TOY.get(words[0], [])])
    told = capsys.readouterr().out
    assert "parameters train" in told and "paired starts" in told
    assert "no outcome crosses a hand-over" in told

    assert (evening / "runs/arm_1/round-01/5-actor/model.safetensors").exists()
    assert (evening / "runs/arm_2/round-02/5-actor/model.safetensors").exists()
    assert (evening / "runs/trials.html").exists()
    assert (evening / "runs/arm_1/round-01/watch.json").exists()
    assert (evening / "runs/arm_1_watched/config.json").exists()
    assert len(list((evening / "runs/ledger/weights").glob("*-weights.parquet"))) == 2


def test_lerobots_own_lines_name_what_the_evening_made() -> None:
    theirs = [words for words in lines() if words[0].startswith("lerobot-")]
    assert [words[0] for words in theirs] == ["lerobot-rollout"] * 3 + ["lerobot-train"]
    assert "--policy.path=runs/arm_1/round-01/5-actor" in theirs[1]
    assert "--policy.path=runs/arm_1_watched" in theirs[2]
