"""What leads a policy by a critic of chunks, in a world in which the best chunk is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_chunk_critic import K, Walk, recorded
from test_extraction import Coin, rate
from torch import Tensor, nn

from vantage.batch import Batch, Observation
from vantage.data.experience import Experience
from vantage.learn.critic.chunks import ChunkCritic
from vantage.learn.critic.panel import Panel
from vantage.learn.critic.steering import (
    ChunkEditor,
    ChunkEdits,
    NoiseSteerer,
    NoiseSteering,
    RecordedStates,
    SteerBy,
    Steered,
    SteeringFit,
    load_steerer,
    save_steerer,
    train_steering,
)
from vantage.nets.critic import DualCritic
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.protocol import Policy
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.types import VantageError

FIT = SteeringFit(steps=80, batch=32, lr=2e-2, width=16)


class Knows(DualCritic):
    """Towards the goal is viable; or, `side` -1, away from it. `direction`: of the goal in phi(s)."""

    def __init__(self, direction: Tensor, middle: Tensor, side: float) -> None:
        super().__init__(1, 10)
        self.standardise = nn.Identity()  # type: ignore[assignment]
        self.direction, self.middle, self.side = direction, middle, side

    def z_v(self, x: Tensor) -> Tensor:
        width = len(self.direction)
        goal = torch.sign((x[:, :width] - self.middle) @ self.direction)
        return self.side * 4 * goal * x[:, width:].mean(1)


def seen(goals: np.ndarray) -> Observation:
    where = np.stack([np.zeros_like(goals), goals], 1).astype(np.float32)
    return Observation(
        images={},
        state=torch.from_numpy(where[:, :1]),
        environment_state=torch.from_numpy(where),
        prompts=("go",) * len(goals),
    )


SIDES = np.array([0.45, -0.45], np.float32)


def critic_of(policy: Policy, sides: tuple[float, ...] = (1.0,)) -> ChunkCritic:
    """What is true of the two starts of the world, as seen by a policy; a fold for each of `sides`."""
    right, left = policy.features(seen(SIDES))
    heads = tuple((Knows(right - left, (right + left) / 2, side),) for side in sides)
    return ChunkCritic(Panel(heads), K)


@pytest.fixture(scope="module")
def starts() -> Experience:
    """Twenty episodes that begin with the goal on the right or on the left, and went both ways."""
    walks = []
    for number in range(20):
        where = np.stack([np.zeros(2), np.full(2, SIDES[number % 2])], 1)
        way = 1.0 if number // 2 % 2 else -1.0
        walks.append(Walk(where, np.full(2, way), bool(number % 3)))
    return recorded(walks)


@pytest.fixture(scope="module")
def flow() -> FlowPolicy:
    """Goes right or left for K steps, wherever the goal is: as Coin does, but by the noise it begins with."""
    net = NetConfig(sight=TrueState(dim=2, width=16), state_dim=1, action_dim=1, chunk=K, execute=K, width=16)
    policy, generator = FlowPolicy(FlowConfig(net=net), seed=0), torch.Generator().manual_seed(0)
    adam = torch.optim.Adam(policy.parameters(), lr=1e-2)
    for _ in range(200):
        side = torch.where(torch.rand(128, generator=generator) < 0.5, 1.0, -1.0)
        goals = SIDES[torch.randint(2, (128,), generator=generator).numpy()]
        mask = torch.ones(128, K, 1, dtype=torch.bool)
        batch = Batch(
            observation=seen(goals),
            actions=side[:, None, None].expand(-1, K, 1).clone(),
            mask=mask,
            row=np.arange(128),
        )
        loss = policy(batch, policy.draw(128, generator)).elementwise.mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return policy.eval()


def trained(
    policy: Policy, starts: Experience, settings: NoiseSteering | ChunkEdits, critic: ChunkCritic
) -> NoiseSteerer | ChunkEditor:
    features = policy.features(seen(starts.environment_state[:, 1])).numpy()
    fold = np.arange(len(starts)) % len(critic.panel.folds)
    rows = np.arange(len(starts))
    states = RecordedStates(
        experience=starts, features=features, rows=rows, policy=policy, critic=critic, fold=fold
    )
    steerer, curve = train_steering(states, settings, seed=0)
    assert curve[0]["step"] == 0 and curve[-1]["step"] == settings.fit.steps
    assert curve[-1]["viability"] > curve[0]["viability"]
    # A chunk that goes further than any that was executed is worth what the furthest of these is.
    assert max(row["viability"] for row in curve) <= 1 / (1 + np.exp(-4)) + 1e-6
    return steerer


def test_before_training_nothing_is_steered(flow: FlowPolicy) -> None:
    observation = seen(np.linspace(-1, 1, 8).astype(np.float32))
    led = Steered(flow, NoiseSteerer(flow, 32, 1.0)).act(observation, torch.Generator().manual_seed(0))
    calm = flow.with_noise(0.0).act(observation, torch.Generator().manual_seed(1))
    torch.testing.assert_close(led, calm)
    coin, editor = Coin(), ChunkEditor(Coin(), 32, 1.0)
    edited = Steered(coin, editor).act(observation, torch.Generator().manual_seed(3))
    torch.testing.assert_close(edited, coin.act(observation, torch.Generator().manual_seed(3)))


def test_steered_noise_sends_a_flow_to_the_goal(flow: FlowPolicy, starts: Experience) -> None:
    """Alone it goes there every second time; the noise decides the side, and so does whoever chooses it."""
    assert rate(flow, 100) == pytest.approx(0.5, abs=0.2)
    steerer = trained(flow, starts, NoiseSteering(reach=2.0, fit=FIT), critic_of(flow))
    assert rate(Steered(flow, steerer), 40) == 1.0
    away = trained(flow, starts, NoiseSteering(reach=2.0, fit=FIT), critic_of(flow, (-1.0,)))
    assert rate(Steered(flow, away), 40) == 0.0, "uphill of the critic, whatever it says"


def test_edits_reach_as_far_as_they_may(starts: Experience) -> None:
    """Actions are 1 or -1, of standard deviation 1: an edit of 2 turns a chunk round, one of 0.2 does not."""
    coin = Coin()
    far = trained(coin, starts, ChunkEdits(reach=2.5, fit=FIT), critic_of(coin))
    assert rate(Steered(coin, far), 40) == 1.0
    near = trained(coin, starts, ChunkEdits(reach=0.2, fit=FIT), critic_of(coin))
    assert rate(Steered(coin, near), 100) == pytest.approx(rate(coin, 100), abs=0.02)
    observation = seen(np.repeat(SIDES, 20))
    plain = coin.act(observation, torch.Generator().manual_seed(5))
    edit = near.chunk(coin, observation, torch.Generator().manual_seed(5)) - plain
    assert edit.abs().max() <= 0.2 * near.scale * 1.001
    away = torch.sign(plain[:, 0, 0]) != torch.from_numpy(np.sign(np.repeat(SIDES, 20)))
    assert (edit[away].mean((1, 2)).abs() > 0.15).all()
    assert torch.equal(torch.sign(edit[away].mean((1, 2))), -torch.sign(plain[away, 0, 0]))


def test_every_state_is_judged_by_the_critics_of_its_own_fold(starts: Experience) -> None:
    """Two folds that say the opposite of each other, dealt by where the goal is: both are followed."""
    coin = Coin()
    critic = critic_of(coin, (1.0, -1.0))
    features = coin.features(seen(starts.environment_state[:, 1])).numpy()
    left = (features[:, 1] < 0).astype(np.int64)
    rows = np.arange(len(starts))
    settings = ChunkEdits(reach=2.5, fit=FIT)
    states = RecordedStates(
        experience=starts, features=features, rows=rows, policy=coin, critic=critic, fold=left
    )
    steerer, _ = train_steering(states, settings, seed=0)
    ways = steerer.chunk(coin, seen(SIDES.repeat(10)), torch.Generator().manual_seed(0))[:, 0, 0]
    assert (ways > 0.9).all(), "right where the goal is on the right, and away from it on the left"


@pytest.mark.parametrize("settings", [NoiseSteering(fit=FIT), ChunkEdits(fit=FIT)])
def test_what_is_kept_leads_as_what_was_trained(
    flow: FlowPolicy, starts: Experience, settings: NoiseSteering | ChunkEdits, tmp_path: Path
) -> None:
    settings = replace(settings, fit=replace(FIT, steps=5))
    steerer = trained(flow, starts, settings, critic_of(flow))
    save_steerer(tmp_path, steerer, settings)
    again = SteerBy(tmp_path)(flow)
    observation = seen(SIDES)
    one = steerer.chunk(flow, observation, torch.Generator().manual_seed(0))
    other = again.act(observation, torch.Generator().manual_seed(0))
    assert torch.equal(one, other) and again.execute == K
    plain = flow.act(observation, torch.Generator().manual_seed(0))
    assert not torch.equal(one, plain)
    again.save(tmp_path / "actor")
    assert torch.equal(
        FlowPolicy.load(tmp_path / "actor").act(observation, torch.Generator().manual_seed(0)), plain
    )

    wide = FlowPolicy(FlowConfig(net=replace(flow.net, width=48)), seed=0)
    with pytest.raises(VantageError, match="steers a policy of other shapes"):
        load_steerer(tmp_path, wide)
    (tmp_path / "config.json").write_text('{"is": "_Stored", "steering": {"is": "Wings"}}')
    with pytest.raises(VantageError, match=r"Wings.*restore it, or delete that folder"):
        load_steerer(tmp_path, flow)
    with pytest.raises(VantageError, match="holds nothing that steers"):
        load_steerer(tmp_path / "none", flow)


def test_noise_is_chosen_of_flows_only(starts: Experience) -> None:
    coin = Coin()
    with pytest.raises(VantageError, match="flow on the small network, and the policy is a Coin"):
        trained(coin, starts, NoiseSteering(fit=FIT), critic_of(coin))
