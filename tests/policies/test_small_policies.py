"""The small VLA, its true-state form and the Gaussian twin, against one contract."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contract import check_policy, overfit

from vantage.batch import Batch, Observation
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.build import SmallConfig, build_policy
from vantage.policies.load import load_policy
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.policies.small.gaussian import GaussianConfig, GaussianPolicy
from vantage.policies.spec import DataFacts, Scale
from vantage.types import VantageError

CONFIGS = {
    "flow from pixels": FlowConfig(),
    "flow from true state": FlowConfig(net=NetConfig(sight=TrueState(), width=64)),
    "flow of relative actions": FlowConfig(net=NetConfig(sight=TrueState(), width=64), relative=(0, 2)),
    "gaussian from pixels": GaussianConfig(),
    "gaussian from true state": GaussianConfig(net=NetConfig(sight=TrueState(), width=64)),
}


def batch(count: int = 4, actions: int = 4) -> Batch:
    g = torch.Generator().manual_seed(0)
    images = {
        c: torch.randint(0, 256, (count, 48, 48, 3), dtype=torch.uint8, generator=g)
        for c in ("corner4", "gripperPOV")
    }
    observation = Observation(
        images=images,
        state=torch.randn(count, 4, generator=g),
        environment_state=torch.randn(count, 39, generator=g),
        prompts=("reach", "push", "push", "lift it"),
    )
    mask = torch.ones(count, 16, actions, dtype=torch.bool)
    return Batch(
        observation=observation,
        actions=torch.randn(count, 16, actions, generator=g),
        mask=mask,
        row=np.arange(count),
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_the_contract(name: str, tmp_path: Path) -> None:
    check_policy(build_policy(CONFIGS[name], seed=1), batch(), tmp_path / "actor")


@pytest.mark.parametrize("name", CONFIGS)
def test_one_batch_is_learned_by_heart(name: str) -> None:
    before, after = overfit(build_policy(CONFIGS[name], seed=1), batch(), steps=150, lr=2e-3)
    assert after < 0.1 * before


@pytest.mark.parametrize("config", [FlowConfig(), GaussianConfig()])
def test_weights_are_a_function_of_the_seed(config: SmallConfig) -> None:
    a, b, c = (list(build_policy(config, seed).parameters()) for seed in (1, 1, 2))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a, c, strict=True))


def test_scales_come_from_the_data_and_stay_with_the_checkpoint(tmp_path: Path) -> None:
    actor = build_policy(FlowConfig(net=NetConfig(sight=TrueState(), width=64)), seed=0)
    rng = np.random.default_rng(0)
    actor.fit_normaliser(
        rng.normal(5, 1, (500, 4)).astype(np.float32),
        rng.normal(3, 0.1, (500, 4)).astype(np.float32),
        rng.normal(size=(500, 39)),
    )
    actor.save(tmp_path)
    chunk = load_policy(tmp_path).act(batch().observation, torch.Generator().manual_seed(0))
    assert (chunk - 3).abs().max() < 1.5, "an untrained policy acts around the data's mean, in its units"


def test_relative_actions_are_scaled_within_trajectories(tmp_path: Path) -> None:
    """Means and deviations of what two trajectories do beyond where they are, counted by hand."""
    net = NetConfig(sight=TrueState(), width=64, chunk=3, execute=2)
    actor = FlowPolicy(FlowConfig(net=net, relative=(0, 2)))
    rng = np.random.default_rng(0)
    state, actions = (rng.normal(size=(9, 4)).astype(np.float32) for _ in range(2))
    last = np.array([5] * 6 + [8] * 3)
    actor.fit_normaliser(state, actions, rng.normal(size=(9, 39)).astype(np.float32), last)

    pairs = [(row, row + step) for step in range(3) for row in range(9) if row + step <= last[row]]
    for dim in range(4):
        beyond = [actions[b, dim] - (state[a, dim] if dim in (0, 2) else 0.0) for a, b in pairs]
        assert actor.actions.mean[dim].item() == pytest.approx(np.mean(beyond), abs=1e-6)
        assert actor.actions.std[dim].item() == pytest.approx(np.std(beyond), abs=1e-6)

    # Moved aside by a third, the robot is sent aside by a third in those dimensions.
    seen = batch().observation
    aside = replace(seen, state=seen.state + 1 / 3)
    still = torch.zeros(4, 3, 4)
    moved = actor.in_units(still, aside) - actor.in_units(still, seen)
    torch.testing.assert_close(moved, torch.tensor([1 / 3, 0.0, 1 / 3, 0.0]).expand(4, 3, 4))
    chunk = torch.randn(4, 3, 4)
    torch.testing.assert_close(actor.standardised(actor.in_units(chunk, aside), aside), chunk)

    actor.save(tmp_path)
    acted = [one.with_noise(0.0).act(aside, torch.Generator()) for one in (actor, load_policy(tmp_path))]
    assert torch.equal(*acted)


@pytest.mark.parametrize("relative", [(4,), (0, 0)])
def test_relative_actions_have_a_proprioception(relative: tuple[int, ...]) -> None:
    with pytest.raises(VantageError, match="name each dimension once, all below 4"):
        FlowConfig(relative=relative)


def test_zero_noise_is_the_same_policy_without_its_noise() -> None:
    actor = FlowPolicy(FlowConfig(net=NetConfig(sight=TrueState(), width=64)))
    seen = batch().observation
    zero_noise = actor.with_noise(0.0)
    chunks = [zero_noise.act(seen, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    assert torch.equal(*chunks), "nothing is drawn"
    assert not torch.equal(*(actor.act(seen, torch.Generator().manual_seed(seed)) for seed in (0, 1)))
    again = zero_noise.with_noise(1.0)
    assert torch.equal(
        again.act(seen, torch.Generator().manual_seed(3)), actor.act(seen, torch.Generator().manual_seed(3))
    )


def test_the_gaussian_density_by_hand() -> None:
    actor = GaussianPolicy(
        GaussianConfig(net=NetConfig(sight=TrueState(), width=64), log_std=np.log(0.5)), seed=0
    )
    seen = batch()
    mean = actor.mean(seen.observation)
    shifted = mean + torch.tensor([0.5, 0.0, 0.0, -1.0])
    # Per step: -z^2/2 - log(0.5) - log(2 pi)/2, with z = 1, 0, 0, -2; 16 steps, of which the second chunk
    # executed one.
    by_hand = -0.5 * (1 + 4) + 4 * (np.log(2) - 0.5 * np.log(2 * np.pi))
    executed = torch.ones(4, 16, dtype=torch.bool)
    executed[1, 1:] = False
    density = actor.log_prob(seen.observation, shifted[:, None], executed)
    torch.testing.assert_close(density, torch.tensor([[16.0], [1.0], [16.0], [16.0]]) * by_hand)


def test_the_correlated_density_is_the_multivariate_normals_for_every_prefix() -> None:
    rho, std = 0.5, 0.3
    actor = GaussianPolicy(
        GaussianConfig(net=NetConfig(sight=TrueState(), width=64), log_std=np.log(std), correlation=rho),
        seed=0,
    )
    seen = batch()
    noise = torch.stack([actor.exploration(torch.Generator().manual_seed(i)) for i in range(4)])
    path = actor.explore(seen.observation, noise)
    away = (actor.chunk_of(path) - actor.mean(seen.observation)).detach()
    steps = torch.arange(16)
    covariance = std**2 * rho ** (steps[:, None] - steps[None]).abs().float()
    for n in (1, 7, 16):
        oracle = torch.distributions.MultivariateNormal(torch.zeros(n), covariance[:n, :n])
        wanted = oracle.log_prob(away[:, :n].transpose(1, 2)).sum(-1, keepdim=True)
        executed = (steps < n).expand(4, 16)
        torch.testing.assert_close(
            actor.log_prob(seen.observation, path, executed), wanted, rtol=1e-4, atol=1e-3
        )


def test_a_folder_without_a_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(VantageError, match=r"holds no checkpoint .* name a folder that fit-policy wrote"):
        load_policy(tmp_path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"action_dim": 3}, "3 action dimensions and the demonstrations have 4; set policy.net.action_dim"),
        ({"state_dim": 5}, "5 state dimensions and the demonstrations have 4; set policy.net.state_dim"),
        (
            {"sight": TrueState(dim=7, width=16)},
            "7 true-state dimensions and the demonstrations have 39; set policy.net.sight.dim",
        ),
    ],
)
def test_a_network_of_another_width_is_told_by_its_setting(changes: dict[str, Any], says: str) -> None:
    """The scales of the data were written over its own, and torch said that two sizes differ."""

    def scale(dim: int) -> Scale:
        return Scale.of(np.zeros((1, dim)))

    facts = DataFacts(cameras={}, action=scale(4), state=scale(4), environment_state=scale(39), fps=10.0)
    fitting = NetConfig(sight=TrueState(width=16), width=32)
    build_policy(FlowConfig(net=fitting), 0, facts)
    with pytest.raises(VantageError, match=says):
        build_policy(FlowConfig(net=replace(fitting, **changes)), 0, facts)
