"""`vantage finetune` where a launcher starts several processes of it: accelerate; torchrun with a plan."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from vantage.cli import dispatch

TORCHRUN = (str(Path(sys.executable).with_name("torchrun")), "--nproc-per-node", "2", "-m", "vantage")
ACCELERATE = (
    *(str(Path(sys.executable).with_name("accelerate")), "launch", "--cpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "vantage"),
)
SMALL = (
    *("--policy", "FlowConfig", "--policy.net.sight", "TrueState", "--policy.net.sight.dim", "7"),
    *("--policy.net.width", "16", "--policy.net.chunk", "8", "--policy.net.execute", "4"),
    *("--policy.net.action-dim", "3", "--steps=6", "--batch_size=8", "--supervised.steps=5"),
    *("--critic.steps=10", "--weighing.stale-after=1"),
)
"""A policy that imports nothing of LeRobot's, which takes every process ten seconds. Recordings count no
policy updates: one that was counted would make all of them too old to learn from."""


def finetune(run: Path, out: Path, *more: str) -> list[str]:
    """A fine-tuning from a recorded run's demonstrations and first rollouts."""
    demos, rollouts = run / "round-00", run / "round-01"
    data = ["--demos", str(demos / "1-episodes"), "--rollouts", str(rollouts / "1-episodes")]
    outcomes = ["--outcomes", str(rollouts / "outcomes.csv")]
    return ["finetune", *SMALL, *data, *outcomes, "--out", str(out), *more]


def launched(launcher: Sequence[str], *words: str) -> subprocess.CompletedProcess[str]:
    """Start a command in two processes, as a user does."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run([*launcher, *words], env=environment, capture_output=True, text=True)


def test_two_processes_make_the_policy_of_one(recorded: Path, tmp_path: Path) -> None:
    dispatch(finetune(recorded, tmp_path / "one"))
    done = launched(ACCELERATE, *finetune(recorded, tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the fine-tuned policy is") == 1, "one of them talks"

    first, second = (
        load_file(tmp_path / run / "round-01/5-actor/model.safetensors") for run in ("one", "two")
    )
    assert first.keys() == second.keys()
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, rtol=0, atol=1e-5)


def test_a_plan_of_two_processes_is_said_once(recorded: Path, tmp_path: Path) -> None:
    done = launched(TORCHRUN, *finetune(recorded, tmp_path / "run", "--plan", "--json"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["feature_frames"] == 602 and told["seconds"] > 0
    assert not (tmp_path / "run").exists()
