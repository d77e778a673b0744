"""The real `lerobot-eval`, in a process of its own, on a checkpoint that Vantage saved: it runs, and acts as Vantage does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_lerobot import tiny

from vantage.types import Observation


@pytest.mark.timeout(240)
def test_stock_lerobot_eval_runs_the_checkpoint_and_acts_as_vantage_does(tmp_path: Path) -> None:
    policy = tiny("act")
    policy.save(tmp_path / "policy")
    environment = os.environ | {
        "TOY_WORLD_LOG": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
    }
    command = [
        str(Path(sys.executable).with_name("lerobot-eval")),
        f"--policy.path={tmp_path / 'policy'}",
        "--env.discover_packages_path=toy_world",
        "--env.type=toy_world",
        "--eval.n_episodes=2",
        "--eval.batch_size=1",
        "--policy.device=cpu",
        f"--output_dir={tmp_path / 'eval'}",
    ]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "eval" / "eval_info.json").read_text())["overall"]["n_episodes"] == 2

    seen = np.load(tmp_path / "episode-0.npz")
    observation = Observation(
        images={name: torch.from_numpy(seen[name])[None] for name in policy.cameras},
        state=torch.from_numpy(seen["state"]).float()[None],
        environment_state=None,
        prompts=("pick the cube",),
    )
    chunk = policy.act(observation, torch.Generator())[0, : policy.execute]
    np.testing.assert_allclose(seen["actions"][: policy.execute], chunk.numpy(), atol=1e-5)
