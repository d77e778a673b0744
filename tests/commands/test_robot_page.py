"""docs/robot.md: every command of the evening, from `lerobot-record` to the second round, as it stands on the
page, in one process. The robot is a toy arm, behind stock LeRobot's own recording, DAgger, training and
evaluation; somebody at the keyboard takes over."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from stock_lerobot import run_stock

from vantage.data.v3.read import read_table
from vantage.disk.tables import read_parquet
from vantage.types import Route

PAGE = Path(__file__).parents[2] / "docs" / "robot.md"
ROBOT = {
    "--robot.type=so101_follower": ["--robot.type=toy_arm", "--robot.discover_packages_path=toy_arm"],
    "--teleop.type=so101_leader": ["--teleop.type=toy_leader", "--teleop.sway=0.5"],
    "--env.type=so101_world": ["--env.type=toy_arm_world", "--env.discover_packages_path=toy_arm"],
}
"""The page's robot, and the one that there is here."""
NOISELESS = ["--play_sounds=false"]
ACT = [
    "--policy.chunk_size=8",
    "--policy.n_action_steps=4",
    "--policy.dim_model=16",
    "--policy.n_heads=2",
    "--policy.dim_feedforward=16",
    "--policy.n_encoder_layers=1",
    "--policy.use_vae=false",
    "--policy.pretrained_backbone_weights=null",
]
TRAIN = [
    "--steps=3",
    "--batch_size=8",
    "--num_workers=0",
    "--policy.device=cpu",
    "--dataset.video_backend=pyav",
]
ROLL = ["--device=cpu", "--return_to_initial_position=false", "--fps=30", "--duration=60"] + NOISELESS
TOY = {
    "lerobot-record": ["--dataset.episode_time_s=1.2", "--dataset.reset_time_s=0"] + NOISELESS,
    "lerobot-train": TRAIN,
    "lerobot-rollout": ROLL,
    "lerobot-eval": ["--policy.device=cpu", "--eval.batch_size=2", "--eval.use_async_envs=false"],
    "vantage finetune": ["--steps=3", "--batch_size=8", "--critic.steps=5"],
    "vantage weights": ["--critic.steps=5"],
}
"""What makes each command short: sizes and times are the only changes."""
OTHER = {
    "--dataset.num_episodes=25": "--dataset.num_episodes=2",
    "--eval.n_episodes=50": "--eval.n_episodes=2",
}
CORRECTED = (b" ", b"\t", b"\t", b" ", b"\x1b")
"""Pause, correct, the correction is done, go on, stop."""
PATIENCE = 14
"""Control steps between two of these."""


def lines() -> list[list[str]]:
    """The command lines of the page."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.S)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line]


def made_short(words: list[str]) -> list[str]:
    """A line of the page, for the toy arm."""
    key = " ".join(words[:2]) if words[0] == "vantage" else words[0]
    typed = [part for word in words for part in ROBOT.get(word, [OTHER.get(word, word)])]
    more = [*TOY.get(key, [])]
    if "--policy.type=act" in words:
        more += ACT
    if words[0] == "lerobot-rollout":
        (recorded,) = [word for word in words if word.startswith("--dataset.root=")] or ["once"]
        more += [f"--robot.id={Path(recorded).name}"]
        dagger = "--strategy.type=dagger" in words
        more += (
            ["--strategy.smooth_handover=false"]
            if dagger
            else ["--task=put the cube", "--robot.stops_after=20"]
        )
    if "--policy.path=runs/arm_1_watched" in words:
        more += ["--policy.pause=false"]  # whether it calls is the toy critic's mood
    return typed + more


@dataclass(frozen=True)
class Evening:
    """A folder after all of it, and what was said."""

    folder: Path
    said: str


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    folder = tmp_path_factory.mktemp("evening")
    (header,) = re.findall(r"```csv\n(.*)\n", PAGE.read_text())
    # The policy alone failed, succeeded twice, and was corrected at its fourth attempt, which worked out.
    attempts = "0,0,,3\n0,1,4,6\n0,1,7,9\n0,1,10,\n"
    (folder / "outcomes_1.csv").write_text(f"{header}\n{attempts}")
    (folder / "outcomes_2.csv").write_text("episode_index,success\n0,1\n")
    (folder / "new.csv").write_text("start,success\na,1\nb,1\nc,0\n")
    (folder / "old.csv").write_text("start,success\na,0\nb,1\nc,0\n")
    keys = {"rollout_1": CORRECTED, "rollout_2": CORRECTED}
    said = run_stock(folder, keys, [made_short(words) for words in lines()], PATIENCE)
    return Evening(folder, said)


def test_every_line_of_the_evening_runs(evening: Evening) -> None:
    typed = [" ".join(words[:2]) if words[0] == "vantage" else words[0] for words in lines()]
    assert typed == [
        "lerobot-record",
        "lerobot-train",
        "lerobot-rollout",
        "vantage audit",
        "vantage finetune",
        "vantage finetune",
        "vantage explain",
        "lerobot-rollout",
        "lerobot-eval",
        "vantage compare",
        "vantage watch",
        "lerobot-rollout",
        "vantage finetune",
        "vantage weights",
        "lerobot-train",
    ]
    assert "parameters train" in evening.said and "paired starts" in evening.said
    assert "no outcome crosses a hand-over" in evening.said
    here = evening.folder
    assert (here / "runs/arm_2/round-02/5-actor/model.safetensors").exists()
    assert (here / "runs/trials.html").exists()
    assert (here / "runs/arm_1/round-01/watch.json").exists()
    assert (here / "outputs/train/act_1/checkpoints/last/pretrained_model/model.safetensors").exists()
    told = json.loads((here / "outputs/eval/arm_1/eval_info.json").read_text())["overall"]
    assert told["n_episodes"] == 2 and 0 <= told["pc_success"] <= 100


def test_what_stock_lerobot_recorded_is_what_is_learned_from(evening: Evening) -> None:
    """Two demonstrations; a session of DAgger in which the policy drove, was corrected, and drove again."""
    demos = read_table(evening.folder / "data" / "demos", demos=True)
    assert demos.episodes == 2 and demos.prompts == ("put the cube into the box",)
    human = read_table(evening.folder / "data" / "rollout_1").intervention
    first, last = np.flatnonzero(human)[[0, -1]]
    assert 10 < first < last < len(human) - 1 and human[first : last + 1].all()

    labels = read_parquet(evening.folder / "runs/arm_1/round-01/2-labels.parquet", ("route",))["route"]
    assert set(labels[:4]) == {Route.ROLLOUT_FAILURE} and set(labels[4:10]) == {Route.ROLLOUT_SUCCESS}
    assert set(labels[10:first]) == {Route.UNLABELLED}
    assert set(labels[first : last + 1]) == {Route.INTERVENTION}
    assert set(labels[last + 1 :]) == {Route.ROLLOUT_SUCCESS}
    weights = read_parquet(evening.folder / "runs/arm_2/round-02/4-weights.parquet", ("round", "route"))
    assert set(weights["round"]) == {0, 1, 2}, "the next evening learns from all of it"


def test_nothing_of_the_page_leaves_the_machine() -> None:
    """LeRobot's commands that record or train send the result to its hub unless they are told not to."""
    for words in lines():
        if words[0] in ("lerobot-record", "lerobot-train") or any("--dataset.root" in word for word in words):
            assert any(word.endswith("push_to_hub=false") for word in words), words
