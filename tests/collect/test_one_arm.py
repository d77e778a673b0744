"""Two arms, two drivers: the operator rescues with one arm, the policy keeps the other, and only what the
operator commanded is taught where it drove."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vantage.algorithms.habc import HABCRun, experience_of, improve_policy, supervise_round
from vantage.collect.episode import run_episode
from vantage.collect.operators import Rescue, commanded_by
from vantage.collect.pool import play_here
from vantage.core.losses import flow_loss
from vantage.core.weights import ImitDAgger
from vantage.disk.layout import Round
from vantage.errors import VantageError
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.recipes.bimanual import bimanual_bag
from vantage.stages.collect import Demonstrations, Rollouts
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.weigh import Weighing
from vantage.types import Route
from vantage.worlds.bimanual.spec import BimanualSpec

LEFT = tuple(range(7))
AT_ONCE = Rescue(permission=1.0, stuck_after=1, reaction=(0, 0), hand_back=0.0, extension=0, actions=LEFT)
"""An operator who takes the left arm as soon as he may, and keeps it."""
NET = NetConfig(
    sight=TrueState(dim=BimanualSpec("bag-bottle").environment_dim, width=16),
    state_dim=14,
    action_dim=14,
    width=16,
)


def test_the_policy_keeps_the_arm_that_the_operator_does_not_hold() -> None:
    world = BimanualSpec("bag-bottle")()
    helpless = FlowPolicy(FlowConfig(net=NET), seed=0)
    episode = run_episode(
        world, helpless, AT_ONCE, task="bag-bottle", seed=0, limit=20, policy_version=0, pictures=False
    )
    human = episode.intervention
    assert human[5:].all() and not human[0]
    assert np.array_equal(episode.action[:, 7:], episode.policy_action[:, 7:]), "the policy's own arm"
    assert (episode.action[human, :6] != episode.policy_action[human, :6]).any(axis=1).all(), "his arm"
    assert np.array_equal(episode.action[~human], episode.policy_action[~human])


def one_arm_rescued() -> HABCRun:
    """A run of seconds with demonstrations of both arms and rescues by the left one."""
    fit = PolicyFit(steps=2, batch=16)
    recipe = bimanual_bag()
    return replace(
        recipe,
        worlds=(BimanualSpec("bag-bottle", limit=250),),
        policy=FlowConfig(net=NET),
        supervision=replace(recipe.supervision, demonstrations=Demonstrations(per_world=1), supervised=fit),
        rounds=1,
        rollouts=Rollouts(per_world=1, operator=AT_ONCE),
        improvement=replace(
            recipe.improvement,
            weighing=Weighing(rule=ImitDAgger()),
            fit=replace(fit, human_actions=tuple(map(str, LEFT)), whole_demonstrations=True),
        ),
        control=False,
    )


def test_only_the_operators_arm_reaches_the_actors_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = one_arm_rescued()
    supervise_round(Round.of(tmp_path, 0), settings, play_here)

    masks: list[torch.Tensor] = []

    def watched(elementwise: torch.Tensor, mask: torch.Tensor, *others: Any) -> torch.Tensor:
        masks.append(mask[:, 0])  # of the first step of every window, which is never padding
        return flow_loss(elementwise, mask, *others)

    monkeypatch.setattr("vantage.stages.fit_policy.flow_loss", watched)
    improve_policy(Round.of(tmp_path, 1), settings, play_here)

    # Imit-DAgger draws demonstrations and rescues half and half.
    left, right = torch.cat(masks)[:, :7], torch.cat(masks)[:, 7:]
    assert left.all()
    taught = right.all(dim=1)
    assert torch.equal(taught, right.any(dim=1)) and 0.2 < taught.float().mean() < 0.8

    replay = experience_of(Round.of(tmp_path, 1), settings)
    routes = (Route.DEMO, Route.INTERVENTION)
    rows = np.array([np.flatnonzero(replay.labels.route == route)[0] for route in routes])
    numbers = settings.improvement.fit.human_actions
    both = replay.loader(16, {}, human_actions=numbers, whole_demonstrations=True)
    assert both.batch(rows).mask[:, 0, 7:].all(dim=1).tolist() == [True, False]
    one_leader = replay.loader(16, {}, human_actions=numbers)
    assert not one_leader.batch(rows).mask[:, 0, 7:].any(), "demonstrations of a robot with one leader"


def test_a_run_that_would_teach_the_policys_own_arm_is_refused() -> None:
    settings = one_arm_rescued()
    settings.check_compatible()
    taught_all = replace(settings, improvement=replace(settings.improvement, fit=PolicyFit()))
    with pytest.raises(VantageError, match=r"rescues would teach all; give improvement\.fit\.human_actions"):
        taught_all.check_compatible()

    beyond = replace(settings, rollouts=Rollouts(operator=replace(AT_ONCE, actions=(14,))))
    with pytest.raises(VantageError, match="commands action dimension 14, and bag-bottle has 14; name some"):
        beyond.check_compatible()
    with pytest.raises(VantageError, match="names action dimension 3 twice"):
        Rescue(actions=(3, 3))


def test_who_names_no_dimension_commands_all() -> None:
    assert commanded_by(Rescue(), 3).all()
    assert commanded_by(Rescue(actions=(2, 0)), 3).tolist() == [True, False, True]
