"""Settings that would fail, or count twice, are refused before the first episode."""

from dataclasses import replace

import numpy as np
import pytest

from vantage.collect.episode import run_episode
from vantage.collect.operators import Demonstrate, DemonstrateStock, NoOne, Rescue
from vantage.core.distributional import Bins
from vantage.errors import VantageError
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.gaussian import GaussianConfig
from vantage.practice.ppo import PPOFit
from vantage.recipes.debug import debug, debug_ppo
from vantage.stages.collect import Demonstrations, Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.worlds.spec import MetaWorldSpec


@pytest.mark.parametrize("operator", [NoOne(), Rescue()])
def test_whoever_stands_by_demonstrates_nothing(operator: NoOne | Rescue) -> None:
    with pytest.raises(VantageError, match=f"^{type(operator).__name__} waits for a policy to be in trouble"):
        Demonstrations(operator=operator)


@pytest.mark.parametrize("operator", [Demonstrate(), DemonstrateStock()])
def test_whoever_drives_from_the_first_step_rescues_nothing(operator: Demonstrate | DemonstrateStock) -> None:
    with pytest.raises(VantageError, match=f"^{type(operator).__name__} drives from the first step on"):
        Rollouts(operator=operator)


def test_an_operator_of_ones_own_who_lets_go_in_a_demonstration_is_one_sentence() -> None:
    world = MetaWorldSpec("push-v3", limit=5)
    with pytest.raises(VantageError, match="NoOne does not drive push-v3 at control step 0"):
        run_episode(world(), None, NoOne(), task="push-v3", seed=0, limit=5, policy_version=0, pictures=False)


def test_a_world_twice_would_count_its_starts_twice() -> None:
    for settings in (debug(), debug_ppo()):
        twice = replace(settings, worlds=(*settings.worlds, settings.worlds[0]))
        with pytest.raises(VantageError, match="push-v3 stands twice among the worlds"):
            twice.check_compatible()
    other_limit = replace(debug().worlds[0], limit=50)
    replace(debug(), worlds=(*debug().worlds, other_limit)).check_compatible()


def test_a_scale_of_noise_where_there_is_none() -> None:
    with pytest.raises(VantageError, match=r"\(GaussianConfig\) does not act from noise, .* cannot be 0;"):
        replace(debug_ppo(), evaluation=Evaluation(noise=0.0)).check_compatible()
    gaussian = GaussianConfig(net=NetConfig(sight=TrueState()))
    for settings in (
        replace(debug(), policy=gaussian, rollouts=Rollouts(noise=0.5)),
        replace(debug(), policy=gaussian, evaluation=Evaluation(noise=0.5)),
    ):
        with pytest.raises(VantageError, match=r"does not act from noise, so its scale cannot be 0\.5"):
            settings.check_compatible()
    replace(debug(), policy=gaussian, rollouts=Rollouts(noise=0.5), rounds=0).check_compatible()


def test_divergences_in_the_wrong_order_are_named() -> None:
    with pytest.raises(VantageError, match=r"fit\.kl_end is 2; it must be at most fit\.kl_stop, which is 1"):
        PPOFit(kl_end=2)
    with pytest.raises(VantageError, match=r"PPOFit\.kl_end is 0; it must be above 0"):
        PPOFit(kl_end=0)


def test_action_dimensions_that_are_none_are_named() -> None:
    settings = debug()
    fit = replace(settings.improvement.fit, human_actions=("3", "gripper"))
    with pytest.raises(
        VantageError, match=r"fit\.human_actions names 'gripper', and the .* push-v3 .* 0 to 3"
    ):
        replace(settings, improvement=replace(settings.improvement, fit=fit)).check_compatible()
    fit = replace(fit, human_actions=tuple(map(str, np.arange(4))))
    replace(settings, improvement=replace(settings.improvement, fit=fit)).check_compatible()


def test_ranges_whose_ends_are_exchanged_are_refused() -> None:
    with pytest.raises(VantageError, match="reaction is 15 to 5; name the shorter delay first"):
        Rescue(reaction=(15, 5))
    for low, high in ((5.0, 1.0), (1.0, 1.0)):
        with pytest.raises(VantageError, match="low must be below high"):
            Bins(low=low, high=high)
