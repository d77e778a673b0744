"""Jobs say what a recorder got wrong, and with how much noise a policy acts."""

from pathlib import Path

import numpy as np
import pytest

from vantage.collect.operators import NoOne
from vantage.collect.pool import Job, Played, play, shift
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.policies.small.gaussian import GaussianConfig, GaussianPolicy
from vantage.recipes import vantage
from vantage.types import VantageError
from vantage.worlds.spec import MetaWorldSpec

NET = NetConfig(sight=TrueState(), width=64)


def test_a_late_and_an_early_record_by_hand() -> None:
    drove = np.array([0, 0, 1, 1, 1, 0, 0], bool)
    np.testing.assert_array_equal(shift(drove, 2), [0, 0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(shift(drove, -2), [1, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(shift(drove, 0), drove)


def played(folder: Path, noise: float | None) -> Played:
    return play(
        Job(
            number=0,
            world=MetaWorldSpec("reach-v3", limit=20),
            actor=folder,
            operator=NoOne(),
            seed=3,
            noise=noise,
        )
    )


def test_a_job_may_set_the_noise_of_a_flow_and_nothing_else(tmp_path: Path) -> None:
    FlowPolicy(FlowConfig(net=NET)).save(tmp_path / "flow")
    FlowPolicy(FlowConfig(net=NET, noise=0.0)).save(tmp_path / "zero-noise")
    GaussianPolicy(GaussianConfig(net=NET)).save(tmp_path / "gaussian")
    assert played(tmp_path / "flow", 0.0) == played(tmp_path / "zero-noise", None), "asked for, or configured"
    assert played(tmp_path / "zero-noise", vantage().rollouts.noise) == played(tmp_path / "flow", None), (
        "a zero-noise policy that explores"
    )
    assert vantage().policy == FlowConfig(noise=0.0)
    with pytest.raises(VantageError, match="does not act from noise"):
        played(tmp_path / "gaussian", 0.0)
