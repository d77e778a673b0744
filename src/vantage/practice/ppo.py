"""Trials in, a better policy out: one iteration of action-chunked PPO with self behaviour cloning (arXiv 2509.25718).

trials ──values──> advantages ──┬──> critic: clipped value loss, every epoch
                                └──> policy: clipped surrogate + beta_task * behaviour cloning on the buffer, until the KL says stop
"""

import copy
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from vantage.config import Bounds, Count, Decay, NotNegative, Positive, Share, Whole, check
from vantage.core.losses import efficiency_loss, flow_loss
from vantage.core.schedules import Cosine
from vantage.core.self_bc import Standing, Weights
from vantage.core.surrogate import (
    Discount,
    TimePrice,
    chunk_advantages,
    clipped_surrogate,
    clipped_value_loss,
    divergence,
    standardise_by_task,
)
from vantage.learn.optim import adam_tensors, load_adam
from vantage.nets.value import StateValue, StepsToSuccess
from vantage.policies.protocol import StochasticPolicy
from vantage.practice.buffer import DemoBuffer
from vantage.practice.trials import Trials
from vantage.types import Observation, VantageError


@dataclass(frozen=True, slots=True)
class PPOFit:
    """How one iteration learns."""

    epochs: Count = 6
    """Passes over the chunks, at most."""
    batch: Count = 512
    """Chunks per gradient step."""
    lr: Positive = 3e-5
    """Of the policy in the first iteration. Later it is divided or multiplied by `adapt`, so that the passes over the chunks end near
    `kl_stop`: how far one step of Adam moves a policy depends on the network more than on anything else."""
    adapt: Annotated[float, Bounds(least=1)] = 1.2
    """1: the learning rate stays."""
    std_lr: NotNegative = 1e-3
    """Of its log standard deviation."""
    clip: Positive = 0.4
    """epsilon of the surrogate."""
    pull_back: bool = False
    """Hold what is made less likely near its old ratio by a parabola in place of the clip, which lets go of it (FPO++)."""
    kl_stop: float = 1.0
    """The policy stops learning in an iteration where its divergence from the one that played passes this, in nats per chunk: big steps
    at first ..."""
    kl_end: float = 0.1
    """... and small ones at the end of practice, along half a cosine."""
    grad_clip: Positive = 0.5
    critic_lr: Positive = 1e-3
    critic_epochs: Whole = 3
    """Further passes of the critic alone."""
    value_clip: Positive = 0.2
    warm_up: Whole = 4
    """Iterations that teach the critic alone."""
    lam: Share = 0.99
    """lambda of the advantages, per control step (0.95 per chunk of five)."""
    limit_bootstraps: bool = False
    """Whether an episode that ran into its limit is worth what the critic says, or 0."""
    price: TimePrice = Discount()
    """What time costs."""
    average: Decay = 0.8
    """Decay, per iteration, of the average of the policy's weights that is checked and kept; 0: the weights themselves. The policy that
    plays is never the average."""
    efficiency_steps: Whole = 20
    """Gradient steps per iteration of the efficiency head, where the price reads it."""
    bc_batch: Count = 256
    """Windows of the buffer per gradient step."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for settings that cannot learn."""
        check(self)
        if not 0 < self.kl_end <= self.kl_stop:
            raise VantageError(f"fit.kl_stop ({self.kl_stop:g}) must be above 0 and fit.kl_end ({self.kl_end:g}) between 0 and it")


class ChunkedPPO:
    """A policy, its critic and their optimisers."""

    def __init__(self, actor: StochasticPolicy, critic: StateValue, settings: PPOFit) -> None:
        """Raises VantageError for an actor without a density."""
        if not isinstance(actor, StochasticPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise VantageError(f"{type(actor).__name__} has no density; chunked PPO needs a Gaussian actor or a stochastic flow")
        self.actor, self.critic, self.settings = actor, critic, settings
        self.averaged = copy.deepcopy(actor)
        self.policy = dict(actor.named_parameters())
        spread = [p for n, p in self.policy.items() if n.endswith("log_std")]
        rest = [p for n, p in self.policy.items() if not n.endswith("log_std")]
        groups = [{"params": rest, "lr": settings.lr}, {"params": spread, "lr": settings.std_lr}]
        self.policy_adam = torch.optim.Adam([g for g in groups if g["params"]], fused=True)
        self.values = dict(critic.named_parameters())
        self.critic_adam = torch.optim.Adam(self.values.values(), lr=settings.critic_lr, fused=True)
        self.gradient_ratio, self.lr = 1.0, settings.lr
        self.efficiency: StepsToSuccess | None = None
        self.efficiency_adam: torch.optim.Adam | None = None
        if settings.price.reads_potential:
            self.efficiency = StepsToSuccess(critic)
            self.efficiency_adam = torch.optim.Adam(self.efficiency.parameters(), lr=settings.critic_lr)

    def update(
        self,
        trials: Trials,
        prompts: tuple[str, ...],
        buffer: DemoBuffer,
        weights: Weights,
        *,
        seed: int,
        progress: float = 0.0,
        teach_policy: bool = True,
    ) -> dict[str, float]:
        """Learn from one iteration's trials. `weights`: of L_PPO, and of L_BC for every task; `progress`: share of practice that is over.

        Returns what to log.
        """
        settings, rng = self.settings, np.random.default_rng(seed)
        task = trials.task[trials.episode]
        words = tuple(prompts[k] for k in task)
        observation = Observation(
            images={camera: torch.from_numpy(pictures) for camera, pictures in trials.images.items()},
            state=torch.from_numpy(trials.state),
            environment_state=torch.from_numpy(trials.environment_state),
            prompts=words,
        )
        value, at_end = self._values(trials, prompts)
        potential = self._potential(trials, words, rng)
        after = np.where(trials.last, 0.0, np.append(potential[1:], 0.0))
        reward = settings.price.reward(trials.chunk_steps, trials.won, potential, after)
        advantage, target = chunk_advantages(
            reward, value, at_end[trials.episode], trials.chunk_steps, trials.won, trials.last,
            gamma=settings.price.gamma, lam=settings.lam, limit_bootstraps=settings.limit_bootstraps,
        )  # fmt: skip
        chunks = _Chunks(
            observation=observation,
            elapsed=torch.from_numpy(trials.elapsed),
            path=torch.from_numpy(trials.path),
            executed=torch.from_numpy(trials.executed),
            advantage=torch.from_numpy(standardise_by_task(advantage, task)).float(),
            value=torch.from_numpy(value).float(),
            target=torch.from_numpy(target).float(),
        )
        with torch.no_grad():
            before = torch.cat([self._log_prob(chunks, rows) for rows in torch.arange(len(task)).split(settings.batch)])
        spread = float(target.var())
        log = {
            "explained_variance": 1 - float((target - value).var()) / spread if spread > 0 else float("nan"),
            "value": float(value.mean()),
            "reward": float(trials.success.mean()),
        }
        if teach_policy:
            kl_stop = Cosine(peak=settings.kl_stop, total=1000, floor=settings.kl_end / settings.kl_stop)(round(1000 * progress))
            log |= self._teach_policy(chunks, before, buffer, weights, rng, kl_stop)
        log["value_loss"] = self._teach_critic(chunks, rng, settings.epochs + settings.critic_epochs)
        return log

    def _values(self, trials: Trials, prompts: tuple[str, ...]) -> tuple[Float64[np.ndarray, "N"], Float64[np.ndarray, "E"]]:
        """V of every chunk's beginning and of every episode's end."""
        with torch.no_grad():
            words = tuple(prompts[k] for k in trials.task[trials.episode])
            now = self.critic(torch.from_numpy(trials.environment_state), words, torch.from_numpy(trials.elapsed))
            ends = tuple(prompts[k] for k in trials.task)
            end = self.critic(torch.from_numpy(trials.end_state), ends, torch.ones(len(ends)))
        return now.double().numpy(), end.double().numpy()

    def _potential(self, trials: Trials, words: tuple[str, ...], rng: np.random.Generator) -> Float64[np.ndarray, "N"]:
        """V_e / T_max at every chunk's beginning, by the head as it was before these trials; then it learns from their successes."""
        if self.efficiency is None or self.efficiency_adam is None:
            return np.zeros(len(words))
        truth = torch.from_numpy(trials.environment_state)
        with torch.no_grad():
            found = self.efficiency(truth, words).double().numpy()
        rows = np.flatnonzero(trials.success[trials.episode])
        target = torch.from_numpy(-(trials.steps_to_go / trials.limit[trials.episode])).float()
        for _ in range(self.settings.efficiency_steps if len(rows) else 0):
            drawn = torch.from_numpy(rng.choice(rows, self.settings.bc_batch))
            told = tuple(words[i] for i in drawn.tolist())
            everyone = torch.ones(len(drawn), dtype=torch.bool)
            loss = efficiency_loss(self.efficiency(truth[drawn], told), target[drawn], everyone, len(drawn), unit=0.1)
            self.efficiency_adam.zero_grad(set_to_none=True)
            loss.backward()
            self.efficiency_adam.step()
        return found

    def _teach_policy(
        self,
        chunks: "_Chunks",
        before: Float[Tensor, "N M"],
        buffer: DemoBuffer,
        weights: Weights,
        rng: np.random.Generator,
        kl_stop: float,
    ) -> dict[str, float]:
        settings = self.settings
        losses: list[float] = []
        clipped: list[float] = []
        kl, steps, ppo_weight, stopped = 0.0, 0, weights[0], False
        self.policy_adam.param_groups[0]["lr"] = self.lr
        cloning = bool((weights[1] > 0).any()) and len(buffer) > 0
        bc_losses: list[float] = []
        for _ in range(settings.epochs):
            for rows in torch.from_numpy(rng.permutation(len(before))).split(settings.batch):
                log_ratio = self._log_prob(chunks, rows) - before[rows]
                kl = float(divergence(log_ratio.detach()).mean())
                if stopped := kl > kl_stop:
                    break
                loss = ppo_weight * clipped_surrogate(
                    log_ratio, chunks.advantage[rows], clip=settings.clip, denominator=len(rows), pull_back=settings.pull_back
                )
                losses.append(loss.item())
                clipped.append(float(((log_ratio.detach().exp() - 1).abs() > settings.clip).float().mean()))
                if cloning:
                    bc = self._clone(buffer, weights[1], rng)
                    bc_losses.append(bc.item())
                    if steps == 0:
                        self._compare_gradients(loss / max(ppo_weight, 1e-3), bc, weights[1])
                    loss = loss + bc
                self.policy_adam.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.policy.values(), settings.grad_clip)
                self.policy_adam.step()
                steps += 1
            if stopped:
                break
        self._adapt(stopped, kl, kl_stop)
        self._average()
        spread = [p.detach().exp().mean().item() for n, p in self.policy.items() if n.endswith("log_std")]
        return {
            "policy_loss": float(np.mean(losses)) if losses else 0.0,
            "bc_loss": float(np.mean(bc_losses)) if bc_losses else 0.0,
            "kl": kl,
            "clipped": float(np.mean(clipped)) if clipped else 0.0,
            "policy_steps": float(steps),
            "std": spread[0] if spread else 0.0,
            "gradient_ratio": self.gradient_ratio,
            "lr": self.lr,
        }

    def _adapt(self, stopped: bool, kl: float, kl_stop: float) -> None:
        """Slower where the divergence ended the passes early, faster where they used less than half of it; at most 30 times either way."""
        settings = self.settings
        factor = 1 / settings.adapt if stopped else (settings.adapt if kl < kl_stop / 2 else 1.0)
        self.lr = min(max(self.lr * factor, settings.lr / 30), settings.lr * 30)

    @torch.no_grad()
    def _average(self) -> None:
        """Move the average towards the policy."""
        for kept, now in zip(self.averaged.parameters(), self.actor.parameters(), strict=True):
            kept.lerp_(now, 1 - self.settings.average)

    def _teach_critic(self, chunks: "_Chunks", rng: np.random.Generator, epochs: int) -> float:
        settings = self.settings
        losses: list[float] = []
        for _ in range(epochs):
            for rows in torch.from_numpy(rng.permutation(len(chunks.value))).split(settings.batch):
                words = tuple(chunks.observation.prompts[i] for i in rows.tolist())
                value = self.critic(chunks.truth[rows], words, chunks.elapsed[rows])
                loss = clipped_value_loss(value, chunks.value[rows], chunks.target[rows], clip=settings.value_clip, denominator=len(rows))
                self.critic_adam.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.values.values(), settings.grad_clip)
                self.critic_adam.step()
                losses.append(loss.item())
        return float(np.mean(losses))

    def _clone(self, buffer: DemoBuffer, beta: Float64[np.ndarray, "K"], rng: np.random.Generator) -> Float[Tensor, ""]:
        """beta_task * squared error (Gaussian) or flow loss (flow) on the buffer: whatever the actor was fine-tuned by."""
        size = self.settings.bc_batch
        batch, task = buffer.draw(size, rng)
        draw = self.actor.draw(size, torch.Generator().manual_seed(int(rng.integers(2**31))))
        weight = torch.from_numpy(beta[task]).float()
        return flow_loss(self.actor(batch, draw).elementwise, batch.mask, weight, size)

    def _compare_gradients(self, ppo: Tensor, bc: Tensor, beta: Float64[np.ndarray, "K"]) -> None:
        """Keep the running ratio of gradient norms that `GradientBC` reads; beta is divided out of the cloning loss."""
        norms: list[float] = []
        for loss in (ppo, bc / max(float(beta.mean()), 1e-8)):
            gradients = torch.autograd.grad(loss, list(self.policy.values()), retain_graph=True, allow_unused=True)
            norms.append(float(torch.stack([g.norm() for g in gradients if g is not None]).norm()))  # pyright: ignore[reportUnnecessaryComparison]
        self.gradient_ratio += 0.2 * (norms[0] / max(norms[1], 1e-8) - self.gradient_ratio)

    def _log_prob(self, chunks: "_Chunks", rows: Tensor) -> Float[Tensor, "B M"]:
        found = self.actor.log_prob(chunks.observed(rows), chunks.path[rows], chunks.executed[rows])
        if found.ndim != 2 or len(found) != len(rows):  # [B] meeting [B, 1] would broadcast to [B, B] and learn nonsense in silence
            raise VantageError(f"log_prob of {type(self.actor).__name__} returned {tuple(found.shape)} for {len(rows)} chunks")
        return found

    def standing(self, steps: int, success: Float64[np.ndarray, "K"]) -> Standing:
        """What a self-cloning rule may look at."""
        return Standing(steps=steps, success=success, gradient_ratio=self.gradient_ratio)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on exactly."""
        return {
            **{f"policy.{n}": p for n, p in self.actor.state_dict().items()},
            **{f"averaged.{n}": p for n, p in self.averaged.state_dict().items()},
            **{f"critic.{n}": p for n, p in self.critic.state_dict().items()},
            **self._efficiency_state(),
            **adam_tensors("policy_adam", self.policy_adam, self.policy),
            **adam_tensors("critic_adam", self.critic_adam, self.values),
            "running": torch.tensor([self.gradient_ratio, self.lr], dtype=torch.float64),
        }

    def _efficiency_state(self) -> dict[str, Tensor]:
        if self.efficiency is None or self.efficiency_adam is None:
            return {}
        weights = {f"efficiency.{n}": p for n, p in self.efficiency.state_dict().items()}
        return weights | adam_tensors("efficiency_adam", self.efficiency_adam, dict(self.efficiency.named_parameters()))

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        for name, module in (("policy.", self.actor), ("averaged.", self.averaged), ("critic.", self.critic)):
            module.load_state_dict({k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)})
        if self.efficiency is not None and self.efficiency_adam is not None:
            found = {k.removeprefix("efficiency."): v for k, v in tensors.items() if k.startswith("efficiency.")}
            self.efficiency.load_state_dict(found)
            load_adam("efficiency_adam", self.efficiency_adam, dict(self.efficiency.named_parameters()), tensors)
        load_adam("policy_adam", self.policy_adam, self.policy, tensors)
        load_adam("critic_adam", self.critic_adam, self.values, tensors)
        self.gradient_ratio, self.lr = tensors["running"].tolist()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunks:
    """What an iteration learns from, as tensors."""

    observation: Observation
    elapsed: Float[Tensor, "N"]
    path: Float[Tensor, "N Q H A"]
    executed: Tensor
    advantage: Float[Tensor, "N"]
    value: Float[Tensor, "N"]
    target: Float[Tensor, "N"]

    @property
    def truth(self) -> Float[Tensor, "N E"]:
        """What the critic sees."""
        assert self.observation.environment_state is not None
        return self.observation.environment_state

    def observed(self, rows: Tensor) -> Observation:
        """The observations of some chunks."""
        return self.observation.at(rows)
