"""MuJoCo's warnings are said on the terminal, and nothing is left in the folder that one works in."""

from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np
import pytest

from vantage.worlds.bimanual.spec import BimanualSpec
from vantage.worlds.mujoco_warnings import warn_on_the_terminal


@pytest.fixture(autouse=True)
def nobody_listens() -> Iterator[None]:
    mujoco.set_mju_user_warning(None)  # pyright: ignore[reportAttributeAccessIssue]
    yield
    mujoco.set_mju_user_warning(None)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_world_in_trouble_says_so_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    world = BimanualSpec("bag-bottle")()
    world.reset(0)
    world.data.qpos[0] = np.nan
    world.step(world.action_low)
    assert "MuJoCo warns: Nan, Inf or huge value in QPOS at DOF 0" in " ".join(
        capsys.readouterr().err.split()
    )
    assert not list(tmp_path.iterdir())


def test_who_listens_already_goes_on_listening() -> None:
    heard: list[str] = []
    mujoco.set_mju_user_warning(heard.append)  # pyright: ignore[reportAttributeAccessIssue]
    warn_on_the_terminal()
    world = BimanualSpec("bag-bottle")()
    world.reset(0)
    world.data.qpos[0] = np.nan
    world.step(world.action_low)
    assert len(heard) == 1
