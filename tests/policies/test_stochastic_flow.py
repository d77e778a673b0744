"""Flows with a ratio: the sampler keeps the flow's marginals, the densities are what they say, checkpoints
come back."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vantage.batch import Observation
from vantage.core.flow import integrate_euler
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.build import build_policy
from vantage.policies.load import load_policy
from vantage.policies.protocol import StochasticPolicy
from vantage.policies.small.stochastic_flow import (
    FlowSDEConfig,
    FlowSDEPolicy,
    FPOConfig,
    FPOPolicy,
    NoisyFlowConfig,
    NoisyFlowPolicy,
)

NET = NetConfig(sight=TrueState(dim=5, width=16), width=32, depth=1, chunk=4, execute=4, action_dim=2)


def seen(batch: int = 3) -> Observation:
    rng = np.random.default_rng(0)
    truth = torch.from_numpy(rng.normal(size=(batch, 5)).astype(np.float32))
    return Observation(images={}, state=truth[:, :4], environment_state=truth, prompts=("go",) * batch)


def drawn(actor: StochasticPolicy, batch: int = 3) -> torch.Tensor:
    return torch.stack([actor.exploration(torch.Generator().manual_seed(i)) for i in range(batch)])


def all_executed(batch: int = 3) -> torch.Tensor:
    return torch.ones(batch, 4, dtype=torch.bool)


@pytest.mark.parametrize(
    ("config", "ratios"),
    [
        (NoisyFlowConfig(net=NET, correlation=0.5), 1),
        (FlowSDEConfig(net=NET), 1),
        (FPOConfig(net=NET), 8),
        (FPOConfig(net=NET, per_draw=False), 1),
    ],
)
def test_the_contract_of_a_stochastic_actor(config, ratios: int, tmp_path: Path) -> None:
    actor = build_policy(config, seed=1)
    assert isinstance(actor, StochasticPolicy)
    path = actor.explore(seen(), drawn(actor))
    assert actor.chunk_of(path).shape == (3, 4, 2)
    density = actor.log_prob(seen(), path, all_executed())
    assert density.shape == (3, ratios) and density.requires_grad
    actor.save(tmp_path)
    again = load_policy(tmp_path)
    torch.testing.assert_close(again.log_prob(seen(), path, all_executed()), density)
    zero_noise = [actor.act(seen(), torch.Generator().manual_seed(i)) for i in (0, 1)]
    assert torch.equal(*zero_noise), "deployed, it draws nothing"

    other = actor.with_noise(1.0)
    assert not torch.equal(*(other.act(seen(), torch.Generator().manual_seed(i)) for i in (0, 1)))
    other.save(tmp_path)
    again = load_policy(tmp_path)
    assert torch.equal(*(one.act(seen(), torch.Generator().manual_seed(0)) for one in (other, again)))


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_a_noisy_flow_spreads_around_what_is_deployed(start: float) -> None:
    """The flow as it is deployed from the same beginning, and noise whose density is known by hand."""
    actor = NoisyFlowPolicy(NoisyFlowConfig(net=NET, start=start, noise=start, log_std=-1.0), seed=5)
    noise = drawn(actor)
    path = actor.explore(seen(), noise)
    end = integrate_euler(partial(actor.head, actor.features(seen())), start * noise[:, 0], 4)
    deployed = actor.actions.inverse(end)
    torch.testing.assert_close(path[:, 1], (deployed + np.exp(-1) * noise[:, 1]).detach())
    if start == 0:
        torch.testing.assert_close(deployed.detach(), actor.act(seen(), torch.Generator()))

    of_step = (-0.5 * noise[:, 1].square() + 1 - 0.5 * np.log(2 * np.pi)).sum(-1)
    some = torch.tensor([[True, True, False, False]]).expand(3, -1)
    torch.testing.assert_close(actor.log_prob(seen(), path, some).detach()[:, 0], of_step[:, :2].sum(1))


def test_the_ratio_of_a_noisy_flow_teaches_every_euler_step() -> None:
    """The gradient is that of the distance through the whole sampler, by finite differences."""
    actor = NoisyFlowPolicy(NoisyFlowConfig(net=NET, start=1.0), seed=6).double()
    observation = Observation(
        images={},
        state=seen().state.double(),
        environment_state=torch.as_tensor(seen().environment_state).double(),
        prompts=seen().prompts,
    )
    path = actor.explore(observation, drawn(actor).double())
    weight = actor.head.blocks[0].get_parameter(next(n for n, _ in actor.head.blocks[0].named_parameters()))
    actor.log_prob(observation, path, all_executed()).sum().backward()
    assert weight.grad is not None
    where = np.unravel_index(int(weight.grad.abs().argmax()), weight.shape)

    values = []
    for shift in (1e-6, -1e-6):
        with torch.no_grad():
            weight[where] += shift
            values.append(actor.log_prob(observation, path, all_executed()).sum().item())
            weight[where] -= shift
    assert (values[0] - values[1]) / 2e-6 == pytest.approx(weight.grad[where].item(), rel=1e-4)


def test_the_sde_density_is_the_product_of_its_steps() -> None:
    actor = FlowSDEPolicy(FlowSDEConfig(net=NET, euler_steps=3, level=0.5), seed=2)
    noise = drawn(actor)
    path = actor.explore(seen(), noise)
    # z of every step is the noise it was made with, so the log density is known without the network.
    stds = [0.5 * np.sqrt((1 - k / 3) / 3) for k in range(3)]
    wanted = sum(
        (-0.5 * noise[:, k + 1].square() - np.log(std) - 0.5 * np.log(2 * np.pi)).sum((1, 2))
        for k, std in enumerate(stds)
    )
    torch.testing.assert_close(
        actor.log_prob(seen(), path, all_executed()).detach()[:, 0], wanted.float(), rtol=1e-4, atol=1e-4
    )
    some = all_executed()
    some[:, 2:] = False
    last = (-0.5 * noise[:, 3, 2:].square() - np.log(stds[2]) - 0.5 * np.log(2 * np.pi)).sum((1, 2))
    torch.testing.assert_close(
        actor.log_prob(seen(), path, some).detach()[:, 0], (wanted - last).float(), rtol=1e-4, atol=1e-4
    )


def test_a_quiet_sde_is_the_flow() -> None:
    actor = FlowSDEPolicy(FlowSDEConfig(net=NET, level=1e-6, noise=1.0), seed=3)
    noise = drawn(actor)
    flow = actor.chunk_of(actor.explore(seen(), noise))
    one = torch.stack([actor.explore(seen(1), noise[:1])[:, -1][0]])
    assert flow.shape == (3, 4, 2) and one.shape == (1, 4, 2)
    features = actor.features(seen())
    wanted = integrate_euler(lambda x, t: actor.head(features, x, t), noise[:, 0], 4)
    torch.testing.assert_close(actor.explore(seen(), noise)[:, -1], wanted.detach(), rtol=1e-4, atol=1e-4)


class _KnownVelocity(nn.Module):
    """The exact velocity from noise N(0, 1) to data N(0, s^2)."""

    def __init__(self, s: float) -> None:
        super().__init__()
        self.s = s

    def forward(self, features: torch.Tensor, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        t = time[:, None, None]
        return x * (t * self.s**2 - (1 - t)) / ((1 - t) ** 2 + (t * self.s) ** 2)


@pytest.mark.parametrize("level", [0.4, 1.5])
def test_the_sde_keeps_the_marginals_of_a_known_flow(level: float) -> None:
    """Data N(0, s^2): the noisy sampler must end there, as the flow without its noise does."""
    actor = FlowSDEPolicy(FlowSDEConfig(net=NET, euler_steps=200, level=level), seed=7)
    actor.head = _KnownVelocity(s=0.5)
    path = actor.explore(seen(1500), drawn(actor, 1500))
    for step, wanted in ((0, 1.0), (100, np.hypot(0.5, 0.5 * 0.5)), (200, 0.5)):
        assert path[:, step].std().item() == pytest.approx(wanted, rel=0.03), step
        assert path[:, step].mean().item() == pytest.approx(0, abs=0.03)


def test_fpos_ratio_is_the_change_of_the_flow_loss() -> None:
    actor = FPOPolicy(FPOConfig(net=NET, draws=2), seed=4)
    path = actor.explore(seen(1), drawn(actor, 1))
    chunk, noises = path[:, 0], path[0, 1:]
    features = actor.features(seen(1))
    total = torch.zeros(2, 4)
    for m, t in enumerate((0.25, 0.75)):
        point = (1 - t) * noises[m] + t * chunk[0]
        velocity = actor.head(features, point[None], torch.tensor([t]))[0]
        total[m] = 0.5 * (velocity - (chunk[0] - noises[m])).square().sum(-1).detach()
    executed = torch.tensor([[True, True, False, False]])
    wanted = -total[:, :2].sum(1)[None]
    torch.testing.assert_close(actor.log_prob(seen(1), path, executed).detach(), wanted, rtol=1e-5, atol=1e-5)
    together = FPOPolicy(FPOConfig(net=NET, draws=2, per_draw=False), seed=4)
    torch.testing.assert_close(
        together.log_prob(seen(1), path, executed).detach(),
        wanted.mean(1, keepdim=True),
        rtol=1e-5,
        atol=1e-5,
    )
