"""Rescues on the real simulator: who may help, when, for how long, and what is written down."""

import itertools

import numpy as np
import pytest

from vantage.collect.episode import run_episode
from vantage.collect.operators import Demonstrate, NoOne, Rescue
from vantage.core.segments import segments
from vantage.data.episodes import Episode
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.worlds.metaworld.world import MetaWorld

LIMIT = 80
HELPLESS = FlowPolicy(FlowConfig(net=NetConfig(sight=TrueState(), width=32)), seed=0)
"""An untrained policy: it will need help."""


@pytest.fixture(scope="module")
def world() -> MetaWorld:
    return MetaWorld("push-v3")


def play(
    world: MetaWorld, operator: NoOne | Demonstrate | Rescue, seed: int, actor: FlowPolicy | None = HELPLESS
) -> Episode:
    return run_episode(
        world, actor, operator, task="push-v3", seed=seed, limit=LIMIT, policy_version=3, pictures=False
    )


def takeovers(episode: Episode) -> list[int]:
    """Frames at which a human took the controls."""
    flags = episode.intervention.astype(int)
    return np.flatnonzero(np.diff(flags, prepend=0) == 1).tolist()


def test_nobody_comes_without_permission(world: MetaWorld) -> None:
    for operator in (NoOne(), Rescue(permission=0.0)):
        episodes = [play(world, operator, seed) for seed in range(3)]
        assert not any(e.intervention.any() for e in episodes)
        assert all(len(e) == LIMIT or e.outcome for e in episodes)


def test_about_the_permitted_share_is_helped(world: MetaWorld) -> None:
    helped = sum(
        bool(play(world, Rescue(permission=0.5, extension=0), seed).intervention.any()) for seed in range(40)
    )
    assert 10 <= helped <= 30


def test_a_stuck_policy_is_rescued_after_a_reaction(world: MetaWorld) -> None:
    rescue = Rescue(
        permission=1.0, stuck_after=15, late_at=1.0, drop=99.0, reaction=(5, 15), hand_back=0.0, extension=200
    )
    episodes = [play(world, rescue, seed) for seed in range(8)]
    assert all(e.outcome for e in episodes), "the operator finishes the task"
    for episode in episodes:
        (start,) = takeovers(episode)
        assert start >= 15 + 5, "stuck for 15 steps, then at least 5 to react"
        assert episode.intervention[start:].all(), "without hand-back the human stays"


def test_human_time_extends_the_limit_and_nothing_else_does(world: MetaWorld) -> None:
    rescue = Rescue(permission=1.0, stuck_after=10_000, drop=99.0, late_at=0.5, hand_back=0.0, extension=7)
    for seed in range(5):
        episode = play(world, rescue, seed)
        assert episode.outcome or len(episode) == LIMIT + 7


def test_control_goes_back_mid_way_and_may_be_taken_again(world: MetaWorld) -> None:
    rescue = Rescue(
        permission=1.0, stuck_after=12, late_at=1.0, hand_back=1.0, hold=12, extension=300, at_most=3
    )
    episodes = [play(world, rescue, seed) for seed in range(8)]
    stories = [segments(e.intervention, np.zeros(len(e), dtype=bool)).max() + 1 for e in episodes]
    assert any(story >= 3 for story in stories), "policy, human, policy"
    assert all(len(takeovers(e)) <= 3 for e in episodes)
    for episode in episodes:
        edges = [*np.flatnonzero(np.diff(episode.intervention.astype(int))) + 1, len(episode)]
        human = [(a, b) for a, b in itertools.pairwise([0, *edges]) if episode.intervention[a]]
        assert all(b - a >= 12 or b == len(episode) for a, b in human), (
            "at least `hold` steps at the controls"
        )


def test_the_policy_keeps_proposing_under_human_control(world: MetaWorld) -> None:
    episode = play(world, Rescue(permission=1.0, stuck_after=15, late_at=1.0, hand_back=0.0), seed=1)
    human = episode.intervention
    assert np.array_equal(episode.action[~human], episode.policy_action[~human])
    assert (np.abs(episode.action[human] - episode.policy_action[human]).max(axis=1) > 0).mean() > 0.9
    assert len(np.unique(episode.policy_action[human], axis=0)) > 4, (
        "proposals are fresh, not the last chunk repeated"
    )


def test_a_demonstration_is_human_throughout(world: MetaWorld) -> None:
    episode = run_episode(world, None, Demonstrate(), task="push-v3", seed=4, limit=300, pictures=False)
    assert episode.intervention.all() and (episode.policy_version == -1).all() and episode.outcome
    assert np.array_equal(episode.action, episode.policy_action)
    assert episode.success.tolist() == [False] * (len(episode) - 1) + [True]


def test_an_episode_is_a_function_of_its_seed(world: MetaWorld) -> None:
    rescue = Rescue(permission=1.0, stuck_after=15, hand_back=0.5)
    first = play(world, rescue, 9)
    play(world, rescue, 2)
    again = play(world, rescue, 9)
    for name in ("state", "environment_state", "action", "policy_action", "intervention", "success"):
        assert np.array_equal(getattr(first, name), getattr(again, name)), name
