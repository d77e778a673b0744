"""The interleaved schedule, as the paper's Algorithm 1 orders one update: critic and actor move together in every gradient step.

    draw B_S, B_I, B_O ─> f_v on the labelled part of B_O ─> f_e on the successful parts of B_O and B_I
                       ─> past N_wu: g from detached outputs ─> raw weights ─> unit mean ─> actor step (Eq. 1)

It writes `3-critic` and `5-actor`; the weights table is made afterwards by the final critic, for reading. The staged schedule (stages/) is
the default: there the critic stops on held-out episodes and the weights can be read before they are used.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from safetensors.torch import save_file
from torch import Tensor

from vantage.config import Positive, Whole, check
from vantage.core.losses import critic_loss, efficiency_loss, flow_loss, viability_loss
from vantage.core.returns import Strides, bootstrap, efficiency_ahead, stride_rows
from vantage.core.sampling import drawable
from vantage.core.weights import fresh, gather_evidence, hide_advantages, normalise_batch, warmed_up
from vantage.data.experience import Experience, load_experience
from vantage.data.loader import augmentation, prefetch
from vantage.disk.checkpoint import load_state, save_state
from vantage.disk.files import whole_folder, write_json
from vantage.disk.layout import Source
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.panel import Panel, save_panel
from vantage.learn.critic.problem import CriticProblem
from vantage.learn.critic.quality import assess
from vantage.learn.features import compute_features
from vantage.learn.optim import OptimConfig, Optimiser
from vantage.learn.start import Start, begin
from vantage.nets.critic import DualCritic
from vantage.policies.protocol import Policy
from vantage.progress import bar
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.weigh import Weighing, anchors, sampling_of
from vantage.types import Batch, Observation, Values, VantageError


@dataclass(frozen=True, slots=True)
class Interleaved:
    """The paper's schedule: one-step, pure TD, critic and actor in the same update."""

    warm_up: Whole = 500
    """N_wu: gradient steps during which every g is 1."""
    critic_lr: Positive = 1e-3
    unit: Positive = 8.0
    """Control steps per unit of the Huber loss; 1 is the printed form."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


def fit_interleaved(
    sources: Sequence[Source],
    start: Start,
    critic_out: Path,
    actor_out: Path,
    schedule: Interleaved,
    weighing: Weighing,
    fit: PolicyFit,
    critic_fit: CriticFit,
    *,
    t_max: int,
    policy_version: int,
    seed: int,
) -> None:
    """Train policy and critic together on the frames of `sources`. Goes on exactly where it was killed.

    Failures are drawn (they teach f_v) and unlabelled windows are not. `policy_version`: actor updates so far, for the stale cutoff. Raises
    VantageError for what this schedule does not have: a parent head, several critics.
    """
    if critic_out.exists() and actor_out.exists():
        return
    if weighing.rule.reads_parent:
        raise VantageError("the interleaved schedule trains no parent head; use the staged one (`Staged`) for Imit-Recap and AWR")
    if critic_fit.folds > 1 or critic_fit.members > 1:
        raise VantageError("the interleaved schedule trains one critic; use the staged one (`Staged`) for folds and members")
    replay = load_experience(sources)
    actor = begin(start, replay)
    learner = _Learner(replay, actor, schedule, weighing, fit, critic_fit, t_max=t_max, policy_version=policy_version, seed=seed)
    resume = actor_out.with_name(".interleaved.safetensors")
    learner.load(load_state(resume))
    first, lines = learner.done, learner.lines_of(resume.with_suffix(".jsonl"))
    actor.train()
    with bar("actor and critic", fit.steps, "steps") as advance:
        advance(first)
        for step, batch in enumerate(prefetch(learner.batch_at, range(first, fit.steps)), start=first):
            row = learner.update(step, *batch)
            if step % fit.log_every == 0 or step + 1 == fit.steps:
                lines.append(json.dumps(row))
            if (step + 1) % fit.save_every == 0 and step + 1 < fit.steps:
                resume.with_suffix(".jsonl").write_text("\n".join(lines) + "\n")
                save_state(resume, learner.state())
            advance(1, f"loss {row['loss']:.3f}, g {row['mean_g']:.2f}")
    learner.finish(critic_out, actor_out, lines)
    resume.unlink(missing_ok=True)
    resume.with_suffix(".jsonl").unlink(missing_ok=True)


class _Learner:
    """Actor, critic and their optimisers, one update at a time."""

    def __init__(
        self,
        replay: Experience,
        actor: Policy,
        schedule: Interleaved,
        weighing: Weighing,
        fit: PolicyFit,
        critic_fit: CriticFit,
        *,
        t_max: int,
        policy_version: int,
        seed: int,
    ) -> None:
        self.replay, self.actor, self.schedule, self.weighing, self.fit, self.critic_fit = (
            replay,
            actor,
            schedule,
            weighing,
            fit,
            critic_fit,
        )
        self.t_max, self.seed = t_max, seed
        self.strides = stride_rows(replay.frames.stretch_starts(), replay.frames.success, weighing.stride)
        self.ahead = efficiency_ahead(self.strides)
        route = replay.labels.route
        valid = anchors(replay, route, weighing, actor.chunk) & fresh(replay.frames.policy_version, policy_version, weighing.stale_after)
        self.sampling = sampling_of(replay, route, drawable(np.zeros(len(replay)), route, valid, draw_zero_weight=True), weighing)
        self.loader = replay.loader(actor.chunk, actor.interface.cameras, fit.shift)
        torch.manual_seed(seed)
        self.critic = DualCritic(actor.feature_dim, t_max, critic_fit.width)
        self.actor_optimiser = Optimiser(actor, fit.optim, fit.steps)
        constant = OptimConfig(lr=schedule.critic_lr, warmup=0, weight_decay=critic_fit.weight_decay, clip=10.0, ema=1 - critic_fit.polyak)
        self.critic_optimiser = Optimiser(self.critic, constant, 1_000_000_000)

    @property
    def done(self) -> int:
        """Updates made so far."""
        return self.actor_optimiser.step_count

    def batch_at(self, step: int) -> tuple[Batch, Observation]:
        """Windows of this step, and what was seen at the states their advantages look ahead to."""
        batch = self.loader.drawn(self.sampling, self.seed, step, self.fit.batch)
        return batch, self.loader.observe(self.strides.row[batch.row], augmentation(self.seed, step))

    def update(self, step: int, batch: Batch, later: Observation) -> dict[str, float]:
        """One turn of Algorithm 1."""
        rows = batch.row
        draw = self.actor.draw(len(rows), torch.Generator().manual_seed(step * 1_000_003 + self.seed))
        elementwise, now = self.actor(batch, draw)
        then = self.actor.features(later)
        viability, efficiency = self._critic_losses(rows, now, then)
        self.critic_optimiser.step(critic_loss(viability, efficiency))
        raw, mean_g = self._raw_weights(step, rows, now, then)
        weight = normalise_batch(raw, self.replay.demo[rows])
        loss = flow_loss(elementwise, batch.mask, torch.from_numpy(weight.astype(np.float32)), len(rows))
        lr, norm = self.actor_optimiser.step(loss)
        losses = {"loss": loss.item(), "loss_viability": viability.item(), "loss_efficiency": efficiency.item()}
        return {"step": step + 1, "lr": lr, "grad_norm": norm, "mean_g": mean_g} | losses

    def _critic_losses(self, rows: Int64[np.ndarray, "B"], now: Tensor, then: Tensor) -> tuple[Tensor, Tensor]:
        """The two terms of Eq. 4 on this batch; V_e by pure TD (Eq. 3)."""
        labels = self.replay.labels
        z_v, v_e = self.critic(now)
        labelled = torch.from_numpy(labels.viability_mask[rows])
        outcome = torch.from_numpy(np.nan_to_num(labels.viability_target[rows]))
        with torch.no_grad():
            _, v_then = self.critic(then)
        gain, discount = (torch.from_numpy(a[rows]).float() for a in (self.ahead.gain, self.ahead.discount))
        progressing = torch.from_numpy(labels.efficiency_mask[rows]) & torch.isfinite(gain)
        target = bootstrap(gain, discount, v_then)
        return (
            viability_loss(z_v, outcome, labelled, int(labelled.sum())),
            efficiency_loss(v_e, target, progressing, int(progressing.sum()), unit=self.schedule.unit),
        )

    @torch.no_grad()
    def _raw_weights(self, step: int, rows: Int64[np.ndarray, "B"], now: Tensor, then: Tensor) -> tuple[Float[np.ndarray, "B"], float]:
        """The rule on this batch, and the mean g on its successful rollouts (NaN without any)."""
        values = [self.critic(torch.cat([now, then]))[i].numpy() for i in (0, 1)]
        both = np.concatenate([rows, rows])
        evidence = gather_evidence(
            route=self.replay.labels.route[both],
            outcome=self.replay.frames.outcome[both],
            intervention=self.replay.frames.intervention[both],
            values=Values(z_v=values[0], v_e=values[1]),
            strides=_within_batch(self.strides, rows),
        )
        if not warmed_up(step, self.schedule.warm_up):
            evidence = hide_advantages(evidence)
        raw = self.weighing.rule(evidence)[: len(rows)]
        succeeded = evidence.route[: len(rows)] == "rollout_success"
        return raw, float(raw[succeeded].mean()) if succeeded.any() else float("nan")

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on exactly."""
        parts = {"actor": self.actor_optimiser, "critic": self.critic_optimiser}
        return {f"{name}/{key}": value for name, part in parts.items() for key, value in part.state().items()}

    def load(self, tensors: dict[str, Tensor] | None) -> None:
        """Go on from what `state` returned."""
        for name, part in (("actor", self.actor_optimiser), ("critic", self.critic_optimiser)):
            if tensors is not None:
                part.load({key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")})

    def lines_of(self, log: Path) -> list[str]:
        """Metrics up to the step from which this goes on."""
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if json.loads(line)["step"] <= self.done]

    def finish(self, critic_out: Path, actor_out: Path, lines: list[str]) -> None:
        """Write the averaged actor, and the critic with the final features and its quality."""
        self.actor_optimiser.apply_average()
        self.actor.eval()
        features = compute_features(self.replay, self.actor)
        settings = replace(self.critic_fit, target=replace(self.critic_fit.target, stride=self.weighing.stride), held_out=0.0)
        x = torch.from_numpy(features)
        panel, fold = Panel(((self.critic.eval(),),)), np.zeros(len(features), np.int64)
        values = panel.values(x, fold)
        problem = CriticProblem.of(self.replay, self.critic.standardise(x), settings.target, held_out=0.0, seed=self.seed)
        quality = assess(values.z_v, values.v_e, problem)
        with whole_folder(critic_out) as folder:
            save_panel(folder, panel, settings, self.t_max)
            save_file({"features": x, "fold": torch.from_numpy(fold)}, folder / "features.safetensors")
            (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
            write_json(folder / "quality.json", quality | {"schedule": "interleaved", "in_sample": True})
        with whole_folder(actor_out) as folder:
            self.actor.save(folder)
            (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def _within_batch(strides: Strides, rows: Int64[np.ndarray, "B"]) -> Strides:
    """The strides of B drawn rows as a table of 2B: the rows, then the states that they look ahead to."""
    n = len(rows)
    ahead = np.arange(n, 2 * n)
    return Strides(
        row=np.concatenate([ahead, ahead]),
        steps=np.concatenate([strides.steps[rows], np.zeros(n, dtype=np.int64)]),
        terminal=np.concatenate([strides.terminal[rows], np.zeros(n, dtype=bool)]),
        stride=strides.stride,
    )
