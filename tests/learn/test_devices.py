"""Everything that learns does so on another device as on the CPU, and nothing on it ever meets a tensor of
the CPU."""

import copy
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from pretend_device import AWAY, MixedDevices, PretendDevice, brought_back, check_policy_away
from small_trials import small_trials
from torch import nn

from vantage.batch import Batch
from vantage.core.losses import flow_loss
from vantage.core.self_bc import GradientBC
from vantage.core.surrogate import Potential
from vantage.data.experience import Experience
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.panel import train_panel
from vantage.learn.critic.quality import assess
from vantage.learn.optim import OptimConfig
from vantage.learn.parent import ParentFit, train_parent
from vantage.learn.step import Compute, Learner, Part
from vantage.nets.value import StateValue
from vantage.nets.vla import NetConfig, Pixels, TrueState
from vantage.policies.build import SmallConfig, build_policy
from vantage.policies.protocol import Policy, StochasticPolicy
from vantage.policies.small.flow import FlowConfig
from vantage.policies.small.gaussian import GaussianConfig
from vantage.policies.small.stochastic_flow import FlowSDEConfig, FPOConfig, NoisyFlowConfig
from vantage.practice.buffer import BufferRule, DemoBuffer
from vantage.practice.ppo import ChunkedPPO, PPOFit

STATE = NetConfig(sight=TrueState(width=16), width=16, chunk=4, execute=4)
PIXELS = NetConfig(sight=Pixels(size=16, width=16), width=16, chunk=4, execute=4)
POLICIES: dict[str, SmallConfig] = {
    "flow from pixels": FlowConfig(net=PIXELS, noise=0.5),
    "flow from true state": FlowConfig(net=STATE),
    "flow of relative actions": FlowConfig(net=STATE, relative=(0, 2)),
    "gaussian from pixels": GaussianConfig(net=PIXELS, correlation=0.3),
    "gaussian that samples": GaussianConfig(net=STATE, mean_only=False),
    "noisy-flow": NoisyFlowConfig(net=STATE),
    "flow-sde": FlowSDEConfig(net=STATE, noise=1.0),
    "fpo": FPOConfig(net=STATE, draws=2),
}


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[Compute]:
    """Settings that compute on a pretended device, which has one kernel for AdamW as GPUs have."""
    monkeypatch.setattr(Compute, "torch_device", lambda self: AWAY)
    optimizer = sys.modules["torch.optim.optimizer"]
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: ["cpu", "meta"])
    with PretendDevice():
        yield Compute()


def example(policy: Policy, count: int = 6) -> Batch:
    """Windows with something to see in them."""
    generator = torch.Generator().manual_seed(0)
    batch = policy.interface.fake_batch(count)
    for pictures in batch.observation.images.values():
        pictures.random_(0, 256, generator=generator)
    batch.observation.state.normal_(generator=generator)
    if batch.observation.environment_state is not None:
        batch.observation.environment_state.normal_(generator=generator)
    batch.actions.normal_(generator=generator)
    return batch


def assert_on_both_alike(a: nn.Module, b: nn.Module) -> None:
    """Same weights, the second module's on the device."""
    for (name, here), there in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        torch.testing.assert_close(brought_back(there), here, atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_computes_there_as_here(name: str, away: Compute) -> None:
    policy = build_policy(POLICIES[name], seed=1)
    batch = example(policy)
    check_policy_away(policy, batch)

    draw = policy.draw(len(batch.row), torch.Generator())
    with pytest.raises(MixedDevices):
        policy.to(AWAY)(batch, draw)


@pytest.mark.parametrize(
    "name", [name for name, config in POLICIES.items() if not isinstance(config, FlowConfig)]
)
def test_a_density_computes_there_as_here(name: str, away: Compute) -> None:
    policy = build_policy(POLICIES[name], seed=1)
    assert isinstance(policy, StochasticPolicy)
    twin, seen = copy.deepcopy(policy).to(AWAY), example(policy).observation
    noise = torch.stack([policy.exploration(torch.Generator().manual_seed(n)) for n in range(len(seen))])
    executed = torch.ones(len(seen), policy.chunk, dtype=torch.bool)

    path, path_there = policy.explore(seen, noise), twin.explore(seen.to(AWAY), noise.to(AWAY))
    torch.testing.assert_close(brought_back(path_there), path)
    torch.testing.assert_close(brought_back(twin.chunk_of(path_there)), policy.chunk_of(path))
    log_prob = policy.log_prob(seen, path, executed).detach()
    torch.testing.assert_close(
        brought_back(twin.log_prob(seen.to(AWAY), path.to(AWAY), executed.to(AWAY))), log_prob
    )


def test_training_steps_are_the_same_there(away: Compute) -> None:
    def train(policy: Policy, compute: Compute) -> tuple[list[float], Learner]:
        learner = Learner(policy, OptimConfig(warmup=1), 4, compute)
        batch, losses = example(policy, 8), []
        for step in range(4):
            draw = policy.draw(8, torch.Generator().manual_seed(step))

            def loss_of(part: Part, draw=draw) -> torch.Tensor:
                some = batch.to(learner.device)
                error = learner.module(some, draw.to(learner.device)).elementwise
                return flow_loss(error, some.mask, torch.ones(8).to(learner.device), 8)

            losses.append(learner.step(loss_of).loss.item())
        learner.apply_average()
        return losses, learner

    config = POLICIES["flow from true state"]
    there, moved = train(build_policy(config, 0), away)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Compute, "torch_device", lambda self: torch.device("cpu"))
        here, stayed = train(build_policy(config, 0), Compute())
    assert there == pytest.approx(here, rel=1e-5)
    assert_on_both_alike(stayed.module, moved.module)

    saved = {
        name: brought_back(tensor) if tensor.device == AWAY else tensor
        for name, tensor in moved.state().items()
    }
    again = Learner(build_policy(config, 3), OptimConfig(warmup=1), 4, away)
    again.load(saved)
    assert again.step_count == 4
    for name, tensor in again.state().items():
        assert torch.equal(tensor.cpu(), saved[name]), name


def features_of(experience: Experience) -> np.ndarray:
    """Random features that know the outcome."""
    draw = np.random.default_rng(0).standard_normal((len(experience), 6)).astype(np.float32)
    draw[:, 0] = experience.frames.outcome
    return draw


def test_critics_are_the_same_there(experience: Experience, away: Compute) -> None:
    features, settings = features_of(experience), CriticFit(steps=20, batch=64, width=16, folds=2)
    there = train_panel(experience, features, settings, t_max=60, seed=3, compute=away)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Compute, "torch_device", lambda self: torch.device("cpu"))
        here = train_panel(experience, features, settings, t_max=60, seed=3)

    for a, b in zip(here.panel.folds, there.panel.folds, strict=True):
        assert_on_both_alike(a[0], b[0])
    said, wanted = (p.panel.values(torch.from_numpy(features), p.fold) for p in (there, here))
    np.testing.assert_allclose(said.z_v, wanted.z_v, atol=1e-5)
    np.testing.assert_allclose(said.v_e, wanted.v_e, atol=1e-4)
    assert assess(wanted.z_v, wanted.v_e, there.problem) == assess(wanted.z_v, wanted.v_e, here.problem)


def test_parent_heads_are_the_same_there(experience: Experience, away: Compute) -> None:
    settings = ParentFit(steps=20, batch=64, width=16, dropout=0.0)
    there = train_parent(experience, features_of(experience), settings, 3, away)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Compute, "torch_device", lambda self: torch.device("cpu"))
        here = train_parent(experience, features_of(experience), settings, 3)
    assert_on_both_alike(here, there)


@pytest.mark.parametrize("name", ["gaussian from pixels", "flow-sde", "fpo"])
def test_ppo_updates_are_the_same_there(name: str, away: Compute) -> None:
    def practise(compute: Compute) -> tuple[ChunkedPPO, list[dict[str, float]]]:
        policy = build_policy(POLICIES[name], 1)
        assert isinstance(policy, StochasticPolicy)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            critic = StateValue(39, width=16)
        settings = PPOFit(batch=16, bc_batch=8, epochs=2, price=Potential(), efficiency_steps=3)
        learner = ChunkedPPO(policy, critic, settings, compute)
        buffer, log = DemoBuffer(BufferRule(), ("push it", "pull it")), []
        for seed in range(2):
            trials = small_trials(policy, seed)
            weights = GradientBC()(learner.standing(0, np.array([0.2, 0.5])))
            log.append(learner.update(trials, ("push it", "pull it"), buffer, weights, seed=seed))
            buffer.offer(trials)
        return learner, log

    there, log = practise(away)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Compute, "torch_device", lambda self: torch.device("cpu"))
        here, wanted = practise(Compute())
    assert sum(line["policy_steps"] for line in log) > 2 and log[-1]["bc_loss"] > 0
    for line, other in zip(log, wanted, strict=True):
        assert line == pytest.approx(other, rel=1e-3, abs=1e-5)
    assert_on_both_alike(here.actor, there.actor)
    assert_on_both_alike(here.averaged, there.averaged)
    assert_on_both_alike(here.critic, there.critic)
