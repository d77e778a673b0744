"""LeRobot's policies on another device: loss, gradient, features and actions are those of the CPU, and no
tensor of the CPU meets them."""

from contextlib import nullcontext

import pytest
from pretend_device import PretendDevice, check_policy_away
from tiny_lerobot import KINDS, batch_for, tiny, tiny_pi


@pytest.mark.parametrize("kind", KINDS)
def test_it_computes_there_as_here(kind: str) -> None:
    with tiny_pi() if kind.startswith("pi") else nullcontext():
        policy = tiny(kind)
    with PretendDevice():
        check_policy_away(policy, batch_for(policy, 2))
