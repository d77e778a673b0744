"""The critic of states and chunks in worlds whose Q can be written down, and the credit that it obeys."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from line_world import Line

from vantage.core.credit import join_labels, label_episode
from vantage.core.returns import EfficiencyTarget, ViabilityTarget
from vantage.core.segments import last_of_segment
from vantage.core.timeline import timeline
from vantage.data.experience import Experience
from vantage.data.v3.read import Table
from vantage.learn.critic.chunks import (
    ChunkCritic,
    ChunkCriticFit,
    executed_chunks,
    load_chunk_critic,
    save_chunk_critic,
    train_chunk_critic,
)
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.problem import CriticProblem
from vantage.types import Trace, VantageError

K = 4
QUICK = CriticFit(
    steps=200, batch=128, width=32, check_every=20, patience=10, target=EfficiencyTarget(stride=K)
)


@dataclass(frozen=True)
class Walk:
    """An episode on the line: what was seen [T, 2] and done [T], who drove, and how it ended."""

    seen: np.ndarray
    action: np.ndarray
    success: bool | None
    human: np.ndarray | None = None


def recorded(walks: Sequence[Walk]) -> Experience:
    """Labelled by the same functions that `vantage label` calls."""
    lengths = [len(walk.action) for walk in walks]
    traces = tuple(
        Trace(
            intervention=np.zeros(length, bool) if walk.human is None else walk.human,
            policy_version=np.zeros(length, np.int64),
            cut=np.zeros(length, bool),
            outcome=walk.success,
        )
        for walk, length in zip(walks, lengths, strict=True)
    )
    frames, labels = timeline(traces), join_labels([label_episode(trace) for trace in traces])
    seen = np.concatenate([walk.seen for walk in walks]).astype(np.float32)
    table = Table(
        root=Path("line"),
        fps=Line.fps,
        cameras=(),
        demo=np.zeros(len(walks), bool),
        index=np.arange(len(frames)),
        episode_index=frames.episode,
        frame_index=frames.frame,
        timestamp=frames.frame / Line.fps,
        state=seen[:, :1],
        environment_state=seen,
        action=np.concatenate([walk.action for walk in walks]).astype(np.float32)[:, None],
        policy_action=None,
        intervention=frames.intervention,
        policy_version=frames.policy_version,
        success=None,
        cut=frames.cut,
        prompt=np.zeros(len(frames), np.int64),
        prompts=("go",),
    )
    return Experience(
        sources=(),
        tables=(table,),
        labels=labels,
        traces=traces,
        frames=frames,
        round=np.ones(len(frames), np.int64),
        index=table.index,
        fingerprint=frames.episode,
        segment_end=last_of_segment(labels.segment, frames.episode),
        stores=(),
    )


def seen_in(experience: Experience) -> np.ndarray:
    """The features: what was seen."""
    seen = experience.environment_state
    assert seen is not None
    return seen


def walked(world: Line, action: np.ndarray) -> np.ndarray:
    """Play these actions; position and goal before each."""
    seen = np.zeros((len(action), 2))
    for step in range(len(action)):
        seen[step] = world.environment_state()
        world.step(action[step : step + 1])
    return seen


CHUNKS = torch.tensor(list(product((-1.0, 1.0), repeat=K)))[:, :, None]
"""Every way to go left or right four times."""


def chance(x: np.ndarray) -> np.ndarray:
    """Of success, for an episode that ends at x."""
    return np.clip(0.5 + 0.6 * x, 0, 1)


@pytest.fixture(scope="module")
def strolls() -> Experience:
    """Eight steps left or right at random, then a coin that prefers the right: whatever comes after a chunk
    adds nothing on average, so Q(x, time, chunk) = 0.5 + 0.6 (x + 0.1 sum of the chunk) for chunks that end
    in time."""
    rng, world, walks = np.random.default_rng(0), Line(), []
    for seed in range(500):
        world.reset(seed)
        world.x *= 0.3
        action = rng.choice((-1.0, 1.0), 8)
        seen = walked(world, action)
        seen[:, 1] = np.arange(8) / 8
        walks.append(Walk(seen, action, bool(rng.random() < chance(world.x))))
    return recorded(walks)


@pytest.mark.parametrize("mc_share", [1.0, 0.0])
def test_viability_is_the_known_q_by_the_outcome_and_by_td(strolls: Experience, mc_share: float) -> None:
    fit = replace(QUICK, polyak=0.05)
    settings = ChunkCriticFit(critic=fit, viability=ViabilityTarget(stride=K, mc_share=mc_share))
    critic, _ = train_chunk_critic(strolls, seen_in(strolls), settings, length=K, t_max=8, seed=0)

    for x in (-0.3, 0.0, 0.3):
        states = torch.tensor([[x, 1 / 8]]).expand(len(CHUNKS), -1)  # what ends it is a chunk away
        p = torch.sigmoid(torch.from_numpy(critic.judge(states, CHUNKS).z_v)).numpy()
        known = chance(x + 0.1 * CHUNKS.sum((1, 2)).numpy())
        assert np.corrcoef(p, known)[0, 1] > 0.9, "from one state, the chunk decides"
        assert np.abs(p - known).mean() < 0.13


@pytest.mark.parametrize(("mc_share", "known"), [(1.0, 1.0), (0.5, 0.75), (0.0, 0.5)])
def test_the_share_of_the_outcome_decides_between_what_happened_and_what_follows(
    mc_share: float, known: float
) -> None:
    """Two first states lead to one second state, from where half of all episodes succeed; those that began at
    the first of the two happened to succeed. The outcome says 1 of it, TD what follows it: a half."""
    lucky, other, second = (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0)
    began = [(lucky, True)] * 40 + [(other, False)] * 40
    walks = [Walk(np.array([first] * K + [second] * K), np.zeros(2 * K), success) for first, success in began]
    there = recorded(walks)
    settings = ChunkCriticFit(
        critic=replace(QUICK, folds=1, held_out=0.1, polyak=0.2, target=EfficiencyTarget(stride=K)),
        viability=ViabilityTarget(stride=K, mc_share=mc_share),
    )
    critic, _ = train_chunk_critic(there, seen_in(there), settings, length=K, t_max=2 * K, seed=0)

    p = torch.sigmoid(torch.from_numpy(critic.judge(torch.tensor([lucky]), torch.zeros(1, K, 1)).z_v))
    assert float(p) == pytest.approx(known, abs=0.13)


def test_steps_to_go_are_the_known_ones_for_every_first_chunk() -> None:
    """A first chunk at a speed of its own, then a quarter of full speed: the steps that are left follow."""
    rng, world, walks = np.random.default_rng(1), Line(), []
    for seed in range(100):
        world.reset(seed)
        world.x, world.goal = 0.0, rng.uniform(0.7, 1.0)
        speed = rng.uniform(0.0, 1.0)
        action = np.full(64, 0.25)
        action[:K] = speed
        # The goal is 0.1 wide, and a step at a quarter of full speed is 0.025 long.
        length = K + int(np.ceil((world.goal - 0.1 - 0.1 * K * speed) / 0.025 + 1e-9))
        walks.append(Walk(walked(world, action[:length]), action[:length], True))
        assert abs(world.x - world.goal) < 0.1 + 1e-9, "and it is there"
    line = recorded(walks)
    first = np.flatnonzero(line.frames.frame == 0)
    known = line.labels.efficiency_target_mc[first]

    settings = ChunkCriticFit(critic=replace(QUICK, steps=300, polyak=0.1, target=EfficiencyTarget(stride=K)))
    critic, _ = train_chunk_critic(line, seen_in(line), settings, length=K, t_max=64, seed=0)
    chunks = torch.from_numpy(executed_chunks(line, K)[first])
    found = critic.judge(torch.from_numpy(seen_in(line)[first]), chunks).v_e
    assert np.abs(found - known).mean() < 2.5 and np.corrcoef(found, known)[0, 1] > 0.95


def rescued(seed: int, prefix: np.ndarray | None = None) -> Walk:
    """Five steps of the policy, three of a person, six of the policy."""
    rng = np.random.default_rng(seed)
    human = np.arange(14) // 5 == 1
    human[8:] = False
    seen, action = rng.standard_normal((14, 2)), rng.uniform(-1, 1, 14)
    if prefix is not None:
        seen[:5], action[:5] = prefix[:, :2], prefix[:, 2]
    return Walk(seen, action, bool(seed % 2), human)


def test_no_outcome_crosses_a_hand_over() -> None:
    line = recorded([rescued(1), rescued(2), replace(rescued(3), success=None)])
    target = ViabilityTarget(stride=K, mc_share=0.5)
    features = torch.from_numpy(seen_in(line))
    problem = CriticProblem.of(
        line, features, EfficiencyTarget(stride=K), held_out=0.0, seed=0, viability=target
    )
    suffixes = [*range(8, 14), *range(22, 28)]
    assert problem.viability_train.tolist() == suffixes, "the suffix, and nothing of an unknown outcome"

    ahead = problem.viability_ahead
    assert ahead is not None
    np.testing.assert_array_equal(ahead.row[suffixes], [12, 13, 13, 13, 13, 13, 26, 27, 27, 27, 27, 27])
    np.testing.assert_array_equal(ahead.discount[suffixes], [1, 1, 0, 0, 0, 0] * 2)
    np.testing.assert_array_equal(ahead.gain[suffixes], [0, 0, 1, 1, 1, 1] + [0] * 6)
    np.testing.assert_array_equal(ahead.row[:5], [4, 4, 4, 4, 4])

    chunk = executed_chunks(line, K)[:, :, 0]
    action = line.action[:, 0]
    np.testing.assert_array_equal(chunk[3], action[[3, 4, 4, 4]], "the person's actions are no part of it")
    np.testing.assert_array_equal(chunk[8], action[8:12])


def test_unlabelled_frames_give_nothing() -> None:
    """What was seen and done before the rescues is exchanged among the episodes: the critic stays the same,
    except for the order in which its scales are summed up."""
    prefixes = np.random.default_rng(0).uniform(-1, 1, (12, 5, 3))
    settings = ChunkCriticFit(critic=replace(QUICK, steps=30, folds=2))
    judged = []
    for order in (range(12), range(11, -1, -1)):
        line = recorded([rescued(seed, prefixes[i]) for seed, i in enumerate(order)])
        features = seen_in(line)
        critic, trained = train_chunk_critic(line, features, settings, length=K, t_max=20, seed=0)
        labelled = line.labels.viability_mask
        values = critic.values(features, executed_chunks(line, K), trained.fold)
        judged.append(np.stack([values.z_v[labelled], values.v_e[labelled]]))
    np.testing.assert_allclose(judged[0], judged[1], rtol=2e-3, atol=2e-3)


def test_it_is_read_back_and_refuses_what_it_cannot_judge(tmp_path: Path) -> None:
    line = recorded([rescued(seed) for seed in range(8)])
    settings = ChunkCriticFit(critic=replace(QUICK, steps=2, folds=2))
    critic, _ = train_chunk_critic(line, seen_in(line), settings, length=K, t_max=20, seed=0)
    save_chunk_critic(tmp_path, critic, settings, 20)

    states, chunks = torch.randn(5, 2), torch.randn(5, K + 2, 1)
    again, wanted = load_chunk_critic(tmp_path).judge(states, chunks), critic.judge(states, chunks)
    np.testing.assert_array_equal(again.z_v, wanted.z_v)
    np.testing.assert_array_equal(again.v_e, wanted.v_e)
    assert isinstance(critic, ChunkCritic) and critic.length == K

    with pytest.raises(VantageError, match=r"judges chunks of 4 steps and was given 3; use the policy"):
        critic.judge(states, chunks[:, :3])
    with pytest.raises(VantageError, match=r"holds no critic of chunks; train one with"):
        load_chunk_critic(tmp_path / "elsewhere")
