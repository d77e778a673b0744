"""Trials in, a better policy out: one iteration of action-chunked PPO with self behaviour cloning (arXiv
2509.25718).

    trials ──values──> advantages ──┬──> critic: clipped value loss, every epoch
                                    └──> policy: clipped surrogate + beta_task * cloning of the buffer, until
                                         its divergence from the policy that played says stop
"""

import copy
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from vantage.batch import Observation
from vantage.bounds import Bounds, Count, Decay, Positive, Share, Whole, check
from vantage.core.losses import efficiency_loss, flow_loss
from vantage.core.schedules import half_cosine
from vantage.core.self_bc import Standing, Weights
from vantage.core.surrogate import (
    Discount,
    TimePrice,
    chunk_advantages,
    clipped_surrogate,
    clipped_value_loss,
    divergence,
    potential_ahead,
    standardise_by_task,
)
from vantage.learn.finite import Naming, largest_first, no_number
from vantage.learn.optim import Rate, constant_rate, move_towards
from vantage.learn.step import Compute, Learner, under, whole
from vantage.nets.value import StateValue, StepsToSuccess
from vantage.policies.protocol import StochasticPolicy
from vantage.practice.buffer import DemoBuffer
from vantage.practice.trials import Trials
from vantage.types import VantageError


@dataclass(frozen=True, slots=True)
class PPOFit:
    """How one iteration learns."""

    epochs: Count = 6
    """Passes over the chunks, at most."""
    batch: Count = 512
    """Chunks per gradient step."""
    lr: Positive = 3e-5
    """Of the policy in the first iteration. Later it is divided or multiplied by `adapt`, so that the passes
    over the chunks end near `kl_stop`: how far one step of Adam moves a policy depends on the network more
    than on anything else."""
    adapt: Annotated[float, Bounds(least=1)] = 1.2
    """1: the learning rate stays."""
    std_lr: Positive = 1e-3
    """Of its log standard deviation."""
    clip: Positive = 0.4
    """epsilon of the surrogate."""
    pull_back: bool = False
    """Hold what is made less likely near its old ratio by a parabola in place of the clip, which lets go
    of it (FPO++)."""
    kl_stop: Positive = 1.0
    """The policy stops learning in an iteration where its divergence from the one that played passes this, in
    nats per chunk: big steps at first ..."""
    kl_end: Positive = 0.1
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
    """Decay, per iteration, of the average of the policy's weights that is checked and kept; 0: the weights
    themselves. The policy that plays is never the average."""
    efficiency_steps: Whole = 20
    """Gradient steps per iteration of the efficiency head, where the price reads it."""
    bc_batch: Count = 256
    """Windows of the buffer per gradient step; also chunks per gradient step of the efficiency head."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for settings that cannot learn."""
        check(self)
        if self.kl_end > self.kl_stop:
            raise VantageError(
                f"fit.kl_end is {self.kl_end:g}; it must be at most fit.kl_stop, which is {self.kl_stop:g}"
            )

    def kl_limit(self, progress: float) -> float:
        """Divergence at which an iteration ends, in nats per chunk. `progress`: share of practice that is
        over, in whole thousandths."""
        return self.kl_stop * half_cosine(round(1000 * progress) / 1000, floor=self.kl_end / self.kl_stop)


def check_whole(compute: Compute) -> None:
    """Raise `VantageError` for batches in parts and for other precisions, which PPO does not train in.

    It looks at the divergence of a whole batch before every step.
    """
    if compute.accumulate > 1 or compute.precision != "float32":
        raise VantageError(
            "chunked PPO takes batches whole and in float32; unset compute.accumulate and compute.precision"
        )


EFFICIENCY_UNIT = 0.1
"""Share of an episode's limit per unit of the efficiency head's Huber loss."""


class ChunkedPPO:
    """A policy, its critic and what their training needs."""

    def __init__(
        self,
        actor: StochasticPolicy,
        critic: StateValue,
        settings: PPOFit,
        compute: Compute = Compute(),
    ) -> None:
        """Moves both to the device of `compute`. Raises `VantageError` for a policy without a density, and
        for parts of a batch."""
        if not isinstance(actor, StochasticPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise VantageError(
                f"{type(actor).__name__} has no density; chunked PPO needs a Gaussian or a stochastic flow",
            )
        check_whole(compute)

        self.actor, self.critic, self.settings = actor, critic, settings
        spread = (Rate("log_std", settings.std_lr),)
        of_policy = constant_rate(settings.lr, clip=settings.grad_clip, rates=spread)
        of_critic = constant_rate(settings.critic_lr, clip=settings.grad_clip)
        self.policy_learner = Learner(actor, of_policy, compute=compute, whole=True)
        self.critic_learner = Learner(critic, of_critic, compute=compute, whole=True)
        self.device = self.policy_learner.device
        self.averaged = copy.deepcopy(actor)
        self.gradient_ratio, self.lr = 1.0, settings.lr

        self.efficiency: StepsToSuccess | None = None
        self.efficiency_learner: Learner | None = None
        if settings.price.reads_potential:
            self.efficiency = StepsToSuccess(critic)
            unclipped = constant_rate(settings.critic_lr)
            self.efficiency_learner = Learner(
                self.efficiency,
                unclipped,
                compute=compute,
                whole=True,
                fused=False,
            )

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
        """Learn from one iteration's trials.

        `prompts`: of every task. `weights`: of L_PPO, and of L_BC for every task. `progress`: share of
        practice that is over, 0 to 1. `teach_policy`: False while the critic warms up. Returns what to log.
        Raises `VantageError` before a step by a loss that is NaN or infinite.
        """
        try:
            log = self._update(trials, prompts, buffer, weights, seed, progress, teach_policy=teach_policy)
        except _NoNumber as bad:
            named = bad.named or partial(_chunk_names, trials, prompts)
            raise no_number(bad.title, bad.step, named(bad.rows), remedy=_REMEDY) from bad

        for title, learner in self._learners().items():
            if not learner.is_finite():
                raise VantageError(
                    f"practice, {title}: a gradient overflowed and left weights that are NaN or infinite, "
                    f"though every loss was a number; {_REMEDY}"
                )
        return log

    def _update(
        self,
        trials: Trials,
        prompts: tuple[str, ...],
        buffer: DemoBuffer,
        weights: Weights,
        seed: int,
        progress: float,
        *,
        teach_policy: bool,
    ) -> dict[str, float]:
        """What `update` does. Raises `_NoNumber` before a step by a loss that is none."""
        settings, rng = self.settings, np.random.default_rng(seed)
        task = trials.task[trials.episode]
        words = tuple(prompts[number] for number in task)

        # What the critic says of these trials, before it learns from them.
        value, at_end = self._values(trials, prompts)
        potential = self._potential(trials.environment_state, words)
        ends = self._potential(trials.end_state, tuple(prompts[number] for number in trials.task))
        self._teach_efficiency(trials, words, rng)

        # Rewards, advantages and the critic's targets.
        potential_after = potential_ahead(
            potential,
            ends[trials.episode],
            trials.won,
            trials.last,
            limit_bootstraps=settings.limit_bootstraps,
        )
        reward = settings.price.reward(trials.chunk_steps, trials.won, potential, potential_after)
        advantage, target = chunk_advantages(
            reward,
            value,
            at_end[trials.episode],
            trials.chunk_steps,
            trials.won,
            trials.last,
            gamma=settings.price.gamma,
            lam=settings.lam,
            limit_bootstraps=settings.limit_bootstraps,
        )
        chunks = _Chunks(
            observation=_observed(trials, words),
            elapsed=torch.from_numpy(trials.elapsed),
            path=torch.from_numpy(trials.path),
            executed=torch.from_numpy(trials.executed),
            advantage=torch.from_numpy(standardise_by_task(advantage, task)).float(),
            value=torch.from_numpy(value).float(),
            target=torch.from_numpy(target).float(),
        )

        # Policy first: its ratios are to the policy that played.
        log = _fit_of(value, target, trials)
        if teach_policy:
            log |= self._teach_policy(chunks, buffer, weights, rng, settings.kl_limit(progress))
        log["value_loss"] = self._teach_critic(chunks, rng, settings.epochs + settings.critic_epochs)
        return log

    @torch.no_grad()
    def _values(
        self,
        trials: Trials,
        prompts: tuple[str, ...],
    ) -> tuple[Float64[np.ndarray, "N"], Float64[np.ndarray, "E"]]:
        """V of every chunk's beginning and of every episode's end."""
        begins = tuple(prompts[number] for number in trials.task[trials.episode])
        truth = torch.from_numpy(trials.environment_state).to(self.device)
        now = self.critic(truth, begins, torch.from_numpy(trials.elapsed).to(self.device))

        ends = tuple(prompts[number] for number in trials.task)
        truth = torch.from_numpy(trials.end_state).to(self.device)
        end = self.critic(truth, ends, torch.ones(len(ends), device=self.device))
        return now.double().cpu().numpy(), end.double().cpu().numpy()

    @torch.no_grad()
    def _potential(
        self, true_state: Float32[np.ndarray, "M E"], words: tuple[str, ...]
    ) -> Float64[np.ndarray, "M"]:
        """V_e / T_max in M states; zeros where the price does not read it."""
        if self.efficiency is None:
            return np.zeros(len(words))
        truth = torch.from_numpy(true_state).to(self.device)
        return self.efficiency(truth, words).double().cpu().numpy()

    def _teach_efficiency(self, trials: Trials, words: tuple[str, ...], rng: np.random.Generator) -> None:
        """Some gradient steps of the efficiency head on the successes among these trials."""
        efficiency, learner = self.efficiency, self.efficiency_learner
        rows = np.flatnonzero(trials.success[trials.episode])
        if efficiency is None or learner is None or not len(rows):
            return

        truth = torch.from_numpy(trials.environment_state)
        target = torch.from_numpy(-(trials.steps_to_go / trials.limit[trials.episode])).float()
        for step in range(self.settings.efficiency_steps):
            drawn = torch.from_numpy(rng.choice(rows, self.settings.bc_batch))
            said = efficiency(truth[drawn].to(self.device), tuple(words[row] for row in drawn.tolist()))
            everyone = torch.ones(len(drawn), dtype=torch.bool, device=self.device)
            loss = efficiency_loss(
                said,
                target[drawn].to(self.device),
                everyone,
                len(drawn),
                unit=EFFICIENCY_UNIT,
            )
            _check_number("practice, efficiency head", step, loss.item(), drawn.numpy())
            learner.step(whole(loss))

    def _teach_policy(
        self,
        chunks: "_Chunks",
        buffer: DemoBuffer,
        weights: Weights,
        rng: np.random.Generator,
        kl_limit: float,
    ) -> dict[str, float]:
        """Passes over the chunks until the divergence from the policy that played is above `kl_limit`.
        Returns what to log."""
        settings = self.settings
        ppo_weight, bc_weight = weights
        clones = bool((bc_weight > 0).any()) and len(buffer) > 0
        before = self._log_prob_of_all(chunks)
        losses: list[float] = []
        clipped: list[float] = []
        bc_losses: list[float] = []
        kl, stopped = 0.0, False

        for _ in range(settings.epochs):
            for rows in torch.from_numpy(rng.permutation(len(before))).split(settings.batch):
                some = chunks.at(rows, self.device)
                log_ratio = self._log_prob(some) - before[rows.to(self.device)]
                kl = float(divergence(log_ratio.detach()).mean())
                if stopped := kl > kl_limit:
                    break

                loss = ppo_weight * clipped_surrogate(
                    log_ratio,
                    some.advantage,
                    clip=settings.clip,
                    denominator=len(rows),
                    pull_back=settings.pull_back,
                )
                losses.append(loss.item())
                _check_number("practice, policy", len(losses) - 1, losses[-1], rows.numpy())
                clipped.append(float(((log_ratio.detach().exp() - 1).abs() > settings.clip).float().mean()))

                if clones:
                    bc_loss, windows = self._clone(buffer, bc_weight, rng)
                    bc_losses.append(bc_loss.item())
                    _check_number("practice, cloning", len(losses) - 1, bc_losses[-1], windows, buffer.names)
                    if len(losses) == 1:
                        self._compare_gradients(loss / max(ppo_weight, 1e-3), bc_loss, bc_weight)
                    loss = loss + bc_loss
                self.policy_learner.step(whole(loss), lr=self.lr)
            if stopped:
                break

        self._adapt(stopped, kl, kl_limit)
        move_towards(self.averaged, self.actor, 1 - settings.average)
        named = self.actor.named_parameters()
        spread = [p.detach().exp().mean().item() for name, p in named if name.endswith("log_std")]
        return {
            "policy_loss": _mean(losses),
            "bc_loss": _mean(bc_losses),
            "kl": kl,
            "clipped": _mean(clipped),
            "policy_steps": float(len(losses)),
            "std": spread[0] if spread else 0.0,
            "gradient_ratio": self.gradient_ratio,
            "lr": self.lr,
        }

    def _adapt(self, stopped: bool, kl: float, kl_limit: float) -> None:
        """Slower where the divergence ended the passes early, faster where they used less than half of it;
        at most 30 times either way."""
        settings = self.settings
        factor = 1.0
        if stopped:
            factor = 1 / settings.adapt
        elif kl < kl_limit / 2:
            factor = settings.adapt
        self.lr = min(max(self.lr * factor, settings.lr / 30), settings.lr * 30)

    def _teach_critic(self, chunks: "_Chunks", rng: np.random.Generator, epochs: int) -> float:
        """Passes of the critic over the chunks; returns the mean loss."""
        settings = self.settings
        losses: list[float] = []

        for _ in range(epochs):
            for rows in torch.from_numpy(rng.permutation(len(chunks.value))).split(settings.batch):
                some = chunks.at(rows, self.device)
                value = self.critic(some.truth, some.observation.prompts, some.elapsed)
                loss = clipped_value_loss(
                    value,
                    some.value,
                    some.target,
                    clip=settings.value_clip,
                    denominator=len(rows),
                )
                losses.append(loss.item())
                _check_number("practice, critic", len(losses) - 1, losses[-1], rows.numpy())
                self.critic_learner.step(whole(loss))

        return float(np.mean(losses))

    def _clone(
        self,
        buffer: DemoBuffer,
        beta: Float64[np.ndarray, "K"],
        rng: np.random.Generator,
    ) -> tuple[Float[Tensor, ""], Int64[np.ndarray, "B"]]:
        """beta_task * squared error (Gaussian) or flow loss (flow) on the buffer: whatever the policy was
        fine-tuned by. Beside it the windows that were drawn."""
        size = self.settings.bc_batch
        batch, task = buffer.draw(size, rng)
        draw = self.actor.draw(size, torch.Generator().manual_seed(int(rng.integers(2**31))))

        batch = batch.to(self.device)
        weight = torch.from_numpy(beta[task]).float().to(self.device)
        elementwise = self.actor(batch, draw.to(self.device)).elementwise
        return flow_loss(elementwise, batch.mask, weight, size), batch.row

    def _compare_gradients(self, ppo: Tensor, bc: Tensor, beta: Float64[np.ndarray, "K"]) -> None:
        """Keep the running ratio of gradient norms that `GradientBC` reads; beta is divided out of the
        cloning loss."""
        parameters = list(self.actor.parameters())
        norms: list[float] = []
        for loss in (ppo, bc / max(float(beta.mean()), 1e-8)):
            gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            used = [g for g in gradients if g is not None]  # pyright: ignore[reportUnnecessaryComparison]
            norms.append(float(torch.stack([g.norm() for g in used]).norm()))
        self.gradient_ratio += 0.2 * (norms[0] / max(norms[1], 1e-8) - self.gradient_ratio)

    @torch.no_grad()
    def _log_prob_of_all(self, chunks: "_Chunks") -> Float[Tensor, "N M"]:
        """Of every chunk, by the policy as it stands."""
        rows = torch.arange(len(chunks.value)).split(self.settings.batch)
        return torch.cat([self._log_prob(chunks.at(some, self.device)) for some in rows])

    def _log_prob(self, chunks: "_Chunks") -> Float[Tensor, "B M"]:
        """Log density of what was drawn, M estimates of it per chunk."""
        count = len(chunks.value)
        log_prob = self.actor.log_prob(chunks.observation, chunks.path, chunks.executed)
        if log_prob.ndim != 2 or len(log_prob) != count:
            # [B] meeting [B, 1] would broadcast to [B, B] and learn nonsense in silence.
            name, shape = type(self.actor).__name__, tuple(log_prob.shape)
            raise VantageError(f"log_prob of {name} returned {shape} for {count} chunks")
        return log_prob

    def standing(self, steps: int, success: Float64[np.ndarray, "K"]) -> Standing:
        """What a self-cloning rule may look at."""
        return Standing(steps=steps, success=success, gradient_ratio=self.gradient_ratio)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on exactly, as named tensors."""
        tensors = {f"averaged/{name}": tensor for name, tensor in self.averaged.state_dict().items()}
        for title, learner in self._learners().items():
            tensors |= {f"{title}/{name}": tensor for name, tensor in learner.state().items()}
        return tensors | {"running": torch.tensor([self.gradient_ratio, self.lr], dtype=torch.float64)}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        self.averaged.load_state_dict(under("averaged/", tensors))
        for title, learner in self._learners().items():
            learner.load(under(f"{title}/", tensors))
        self.gradient_ratio, self.lr = tensors["running"].tolist()

    def _learners(self) -> dict[str, Learner]:
        """Everything that is trained, by name."""
        learners = {"policy": self.policy_learner, "critic": self.critic_learner}
        if self.efficiency_learner is not None:
            learners["efficiency"] = self.efficiency_learner
        return learners


_REMEDY = "what was saved before this iteration is kept; lower fit.lr or fit.critic_lr"
"""After a loss that is no number."""


class _NoNumber(Exception):
    """A loss that is NaN or infinite, of some chunks of the trials, or of other rows and what names them."""

    def __init__(self, title: str, step: int, rows: Int64[np.ndarray, "B"], named: Naming | None) -> None:
        super().__init__(title)
        self.title, self.step, self.rows, self.named = title, step, rows, named


def _check_number(
    title: str, step: int, loss: float, rows: Int64[np.ndarray, "B"], named: Naming | None = None
) -> None:
    """Raise `_NoNumber` for a loss that is NaN or infinite."""
    if not np.isfinite(loss):
        raise _NoNumber(title, step, rows, named)


def _chunk_names(trials: Trials, prompts: tuple[str, ...], rows: Int64[np.ndarray, "B"]) -> list[str]:
    """What some chunks of the trials are called, the largest drawn actions first: their task, start and
    control step."""
    rows = largest_first(trials.path.reshape(len(trials.path), -1), rows)
    begun = np.rint(trials.elapsed * trials.limit[trials.episode]).astype(np.int64)
    return [
        f"{prompts[trials.task[episode]]!r} from seed {trials.seed[episode]}, control step {begun[row]}"
        for row, episode in zip(rows, trials.episode[rows], strict=True)
    ]


def _observed(trials: Trials, words: tuple[str, ...]) -> Observation:
    """What was seen at the beginning of every chunk."""
    return Observation(
        images={camera: torch.from_numpy(pictures) for camera, pictures in trials.images.items()},
        state=torch.from_numpy(trials.state),
        environment_state=torch.from_numpy(trials.environment_state),
        prompts=words,
    )


def _fit_of(
    value: Float64[np.ndarray, "N"],
    target: Float64[np.ndarray, "N"],
    trials: Trials,
) -> dict[str, float]:
    """How well the critic foresaw these trials, and how they ended."""
    spread = float(target.var())
    return {
        "explained_variance": 1 - float((target - value).var()) / spread if spread > 0 else float("nan"),
        "value": float(value.mean()),
        "reward": float(trials.success.mean()),
    }


def _mean(values: list[float]) -> float:
    """0 of nothing."""
    return float(np.mean(values)) if values else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunks:
    """What an iteration learns from, as tensors."""

    observation: Observation
    elapsed: Float[Tensor, "N"]
    path: Float[Tensor, "N Q H A"]
    executed: Bool[Tensor, "N H"]
    advantage: Float[Tensor, "N"]
    value: Float[Tensor, "N"]
    target: Float[Tensor, "N"]

    @property
    def truth(self) -> Float[Tensor, "N E"]:
        """What the critic sees."""
        assert self.observation.environment_state is not None
        return self.observation.environment_state

    def at(self, rows: Int64[Tensor, "B"], device: torch.device) -> "_Chunks":
        """Some of them, on a device."""
        return _Chunks(
            observation=self.observation.at(rows).to(device),
            elapsed=self.elapsed[rows].to(device),
            path=self.path[rows].to(device),
            executed=self.executed[rows].to(device),
            advantage=self.advantage[rows].to(device),
            value=self.value[rows].to(device),
            target=self.target[rows].to(device),
        )
