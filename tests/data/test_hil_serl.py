"""What LeRobot's HIL-SERL leaves behind, written by its own replay buffer, labelled here."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vantage.cli import dispatch
from vantage.disk.tables import read_parquet

SUCCEEDED = (True, False, True)
LENGTH = 6


@pytest.fixture
def hil_serl(tmp_path: Path) -> Path:
    """Three episodes of six transitions; the operator takes over for the last two steps of each."""
    from lerobot.rl.buffer import ReplayBuffer

    buffer = ReplayBuffer(capacity=32, device="cpu", state_keys=["observation.state"], use_drq=False)
    for success in SUCCEEDED:
        for t in range(LENGTH):
            seen = {"observation.state": torch.full((1, 3), float(t))}
            last = t == LENGTH - 1
            buffer.add(
                state=seen,
                action=torch.full((1, 2), 0.1 * t),
                reward=float(last and success),
                next_state=seen,
                done=last,
                truncated=False,
                complementary_info={"is_intervention": torch.tensor([float(t >= LENGTH - 2)])},
            )
    buffer.to_lerobot_dataset("me/hil", fps=10, root=tmp_path / "hil", task_name="push the cube")
    return tmp_path / "hil"


def test_the_flag_and_the_reward_are_read(hil_serl: Path, tmp_path: Path) -> None:
    """The flag is a float32, and the outcome a reward at the end."""
    labels = tmp_path / "labels.parquet"
    dispatch(["label", str(hil_serl), "--out", str(labels)])
    rows = read_parquet(labels)
    human = np.tile(np.arange(LENGTH) >= LENGTH - 2, len(SUCCEEDED))
    assert (rows["controller"] == np.where(human, "human", "policy")).all()
    assert (rows["outcome"] == np.repeat(SUCCEEDED, LENGTH)).all()
    assert set(rows["outcome_source"]) == {"next.reward"}

    # What the operator ended says nothing of the policy that he took over from.
    assert (rows["route"] == np.where(human, "intervention", "unlabelled")).all()
    np.testing.assert_array_equal(rows["efficiency_mask"], human & np.repeat(SUCCEEDED, LENGTH))
