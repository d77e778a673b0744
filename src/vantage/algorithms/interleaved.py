"""The interleaved schedule, as the paper's Algorithm 1 orders one update: critic and actor move together in
every gradient step.

    draw B_S, B_I, B_O ─> f_v on the labelled part of B_O ─> f_e on the successful parts of B_O and B_I
                       ─> past N_wu: g from detached outputs ─> raw weights ─> unit mean ─> actor step (Eq. 1)

It writes `3-critic` and `5-actor`; the weights table is made afterwards by the final critic, for reading. The
staged schedule (stages/) is the default: there the critic stops on held-out episodes and the weights can be
read before they are used.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from safetensors.torch import save_file
from torch import Tensor

from vantage import ranks
from vantage.batch import Batch, Observation
from vantage.bounds import Positive, Whole, check
from vantage.config import to_json
from vantage.core.losses import critic_loss, efficiency_loss, flow_loss, viability_loss
from vantage.core.returns import Strides, bootstrap, efficiency_ahead, stride_rows
from vantage.core.sampling import drawable
from vantage.core.weights import fresh, gather_evidence, hide_advantages, normalise_batch, warmed_up
from vantage.data.experience import Experience, load_experience
from vantage.data.loader import augmentation, prefetch
from vantage.disk.checkpoint import load_state, save_state
from vantage.disk.files import whole_folder, write_json, write_whole
from vantage.disk.layout import Source
from vantage.disk.made import check_left
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.panel import Panel, save_panel
from vantage.learn.critic.problem import CriticProblem
from vantage.learn.critic.quality import assess
from vantage.learn.features import compute_features
from vantage.learn.finite import frames_of, no_number
from vantage.learn.optim import constant_rate
from vantage.learn.start import Start, begin
from vantage.learn.step import Compute, Learner, under, whole
from vantage.nets.critic import DualCritic
from vantage.policies.protocol import Policy
from vantage.progress import bar
from vantage.seeding import global_generator_kept, seed_for, seed_global_generators
from vantage.stages.fit_policy import PolicyFit, lines_up_to
from vantage.stages.weigh import Weighing, anchors, sampling_of
from vantage.tracking import curve_of, record
from vantage.types import Values, VantageError

MEANING = 1
"""Raised by hand when the same input and settings are meant to give something else (tests/golden)."""


@dataclass(frozen=True, slots=True)
class Interleaved:
    """The paper's schedule: one-step, pure TD, critic and actor in the same update.

    Of the critic's own settings it reads `width` and `weight_decay`: it trains on the actor's batches, at
    `critic_lr`, towards the target of Eq. 3, with no slow copy, no dropout and nobody held out.
    """

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
    compute: Compute = Compute(),
) -> None:
    """Train policy and critic together on the frames of `sources`. Goes on exactly where it was killed.

    Failures are drawn (they teach f_v) and unlabelled windows are not. `policy_version`: policy updates so
    far, for the stale cutoff. Raises VantageError for what this schedule does not have: a parent head,
    several critics, a batch in parts (the weights of a batch have mean 1 within it), several processes; and
    at the step whose loss is NaN or infinite.
    """
    resume = actor_out.with_name(".interleaved.safetensors")
    if critic_out.exists() and actor_out.exists():
        _forget(resume)  # of a process that was killed before it did
        return
    _check_possible(weighing, critic_fit, compute)

    experience = load_experience(sources)
    policy = begin(start, experience)
    learner = Together(
        experience,
        policy,
        schedule,
        weighing,
        fit,
        critic_fit,
        t_max=t_max,
        policy_version=policy_version,
        seed=seed,
        compute=compute,
    )
    made_of = {
        "start": start.described(),
        "recordings": hashlib.sha256(experience.fingerprint.tobytes()).hexdigest(),
        "schedule": to_json(schedule),
        "weighing": to_json(weighing),
        "settings": to_json(fit),
        "critic": to_json(critic_fit),
        "seed": seed,
    }
    check_left(resume, made_of, _begun(resume))
    learner.load(load_state(resume))
    first, lines = learner.done, lines_up_to(resume.with_suffix(".jsonl"), learner.done)

    policy.train()
    batches = prefetch(learner.batch_at, range(first, fit.steps), threads=compute.workers)
    with global_generator_kept(), bar("actor and critic", fit.steps, "steps") as advance:
        advance(first)
        for step, batch in enumerate(batches, start=first):
            seed_global_generators(seed_for("dropout", seed, step, 0), learner.device)  # of the one process
            row = learner.update(step, *batch)
            if step % fit.log_every == 0 or step + 1 == fit.steps:
                lines.append(json.dumps(row))
                record(curve_of(actor_out), step + 1, row)
            saves = (step + 1) % fit.save_every == 0 and step + 1 < fit.steps
            if saves or step + 1 == fit.steps:
                learner.check_weights(step, batch[0].row)  # what is kept is good
            if saves:
                write_whole(resume.with_suffix(".jsonl"), ("\n".join(lines) + "\n").encode())
                save_state(resume, learner.state())
            # A rule without a gate has no g.
            gate = f", g {row['mean_g']:.2f}" if math.isfinite(row["mean_g"]) else ""
            advance(1, f"loss {row['loss']:.3f}{gate}")
    learner.finish(critic_out, actor_out, lines)
    _forget(resume)


def _forget(resume: Path) -> None:
    """Delete what a killed training would have gone on from."""
    resume.unlink(missing_ok=True)
    resume.with_suffix(".jsonl").unlink(missing_ok=True)
    _begun(resume).unlink(missing_ok=True)


def _begun(resume: Path) -> Path:
    """What the training that left `resume` was begun with."""
    return resume.with_suffix(".begun.json")


def _check_possible(weighing: Weighing, critic_fit: CriticFit, compute: Compute) -> None:
    """Raise VantageError for what this schedule does not have."""
    if weighing.rule.reads_parent:
        raise VantageError(
            "the interleaved schedule trains no parent head; use `Staged` for Imit-Recap and AWR"
        )
    if weighing.rule.judged_chunks:
        raise VantageError(
            "the interleaved schedule trains no critic of chunks; "
            "use `Staged` for rejection targets and exponential weights"
        )
    if critic_fit.folds > 1 or critic_fit.members > 1:
        raise VantageError("the interleaved schedule trains one critic; use `Staged` for folds and members")
    if compute.accumulate > 1 or ranks.count() > 1:
        raise VantageError(
            "the interleaved schedule weighs every batch as a whole; "
            "use `Staged` for compute.accumulate and for several processes"
        )


_REMEDY = (
    "what was saved before is kept; look at those frames, or lower optim.lr or critic_lr, and delete "
    ".interleaved.* to begin again"
)
"""After a loss that is no number."""


class Together:
    """Policy and critic, one update of both at a time."""

    def __init__(
        self,
        experience: Experience,
        policy: Policy,
        schedule: Interleaved,
        weighing: Weighing,
        fit: PolicyFit,
        critic_fit: CriticFit,
        *,
        t_max: int,
        policy_version: int,
        seed: int,
        compute: Compute = Compute(),
    ) -> None:
        self.experience, self.policy = experience, policy
        self.schedule, self.weighing, self.fit, self.critic_fit = schedule, weighing, fit, critic_fit
        self.t_max, self.seed, self.compute = t_max, seed, compute

        # What may be drawn, and how often.
        frames, route = experience.frames, experience.labels.route
        self.strides = stride_rows(frames.stretch_starts(), frames.success, weighing.stride)
        self.ahead = efficiency_ahead(self.strides)
        valid = anchors(experience, route, weighing, policy.chunk)
        valid &= fresh(frames.policy_version, policy_version, weighing.stale_after)
        may_draw = drawable(np.zeros(len(experience)), route, valid, draw_zero_weight=True)
        self.sampling = sampling_of(experience, route, may_draw, weighing)
        self.loader = experience.loader(
            policy.chunk,
            policy.interface.cameras,
            fit.shift,
            fit.human_actions,
            policy.interface.history,
            whole_demonstrations=fit.whole_demonstrations,
        )

        # What learns. TD bootstraps from the critic itself: this schedule has no slow copy of it.
        with global_generator_kept(seed):  # a published stream
            self.critic = DualCritic(policy.feature_dim, t_max, critic_fit.width)
        of_critic = constant_rate(schedule.critic_lr, weight_decay=critic_fit.weight_decay, clip=10.0)
        self.policy_learner = Learner(policy, fit.optim, fit.steps, compute)
        self.critic_learner = Learner(self.critic, of_critic, compute=compute, whole=True)
        self.device = self.policy_learner.device

    @property
    def done(self) -> int:
        """Updates made so far."""
        return self.policy_learner.step_count

    def batch_at(self, step: int) -> tuple[Batch, Observation]:
        """Windows of this step, and what was seen at the states their advantages look ahead to."""
        batch = self.loader.drawn(self.sampling, self.seed, step, self.fit.batch)
        return batch, self.loader.observe(self.strides.row[batch.row], augmentation(self.seed, step))

    def update(self, step: int, batch: Batch, later: Observation) -> dict[str, float]:
        """One turn of Algorithm 1."""
        rows = batch.row
        draw = self.policy.draw(len(rows), torch.Generator().manual_seed(step * 1_000_003 + self.seed))
        windows = batch.to(self.device)

        # Features of both states, of the pass that the policy's loss is of.
        with self.policy_learner.autocast():
            elementwise, now = self.policy(windows, draw.to(self.device))
            then = self.policy.features(later.to(self.device))
        now, then = now.float(), then.float()
        # Before the critic reads its features: where the policy is no number, nothing else is.
        self._check_number("policy", step, elementwise.detach()[windows.mask].sum(), rows)

        viability, efficiency = self._critic_losses(rows, now, then)
        self._check_number("critic", step, critic_loss(viability, efficiency), rows)
        self.critic_learner.step(whole(critic_loss(viability, efficiency)))

        # The weights are the new critic's.
        raw, mean_g = self._raw_weights(step, rows, now, then)
        weight = normalise_batch(raw, self.experience.demo[rows]).astype(np.float32)
        loss = flow_loss(elementwise, windows.mask, torch.from_numpy(weight).to(self.device), len(rows))
        self._check_number("policy", step, loss, rows)
        taken = self.policy_learner.step(whole(loss))
        return {
            "step": step + 1,
            "lr": taken.lr,
            "grad_norm": taken.grad_norm.item(),
            "mean_g": mean_g,
            "loss": loss.item(),
            "loss_viability": viability.item(),
            "loss_efficiency": efficiency.item(),
        }

    def _check_number(
        self, title: str, step: int, loss: Float[Tensor, ""], rows: Int64[np.ndarray, "B"]
    ) -> None:
        """Raise VantageError for a loss that is NaN or infinite, before a step is taken by it."""
        if not torch.isfinite(loss):
            frames = frames_of(self.experience, rows)
            raise no_number(f"interleaved training, {title}", step, frames, remedy=_REMEDY)

    def check_weights(self, step: int, rows: Int64[np.ndarray, "B"]) -> None:
        """Raise VantageError where a step by a loss that was a number has left weights that are none."""
        for title, learner in (("policy", self.policy_learner), ("critic", self.critic_learner)):
            if not learner.is_finite():
                frames = frames_of(self.experience, rows)
                title = f"interleaved training, {title}"
                raise no_number(title, step, frames, what="gradient", remedy=_REMEDY)

    def _critic_losses(
        self,
        rows: Int64[np.ndarray, "B"],
        now: Tensor,
        then: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The two terms of Eq. 4 on this batch; V_e by pure TD (Eq. 3)."""
        labels, device = self.experience.labels, self.device
        z_v, v_e = self.critic(now)
        with torch.no_grad():
            _, v_then = self.critic(then)

        labelled = torch.from_numpy(labels.viability_mask[rows]).to(device)
        outcome = torch.from_numpy(np.nan_to_num(labels.viability_target[rows])).to(device)
        viability = viability_loss(z_v, outcome, labelled, int(labelled.sum()))

        gain = torch.from_numpy(self.ahead.gain[rows]).float().to(device)
        discount = torch.from_numpy(self.ahead.discount[rows]).float().to(device)
        progressing = torch.from_numpy(labels.efficiency_mask[rows]).to(device) & torch.isfinite(gain)
        target = bootstrap(gain, discount, v_then)
        count = int(progressing.sum())
        return viability, efficiency_loss(v_e, target, progressing, count, unit=self.schedule.unit)

    @torch.no_grad()
    def _raw_weights(
        self,
        step: int,
        rows: Int64[np.ndarray, "B"],
        now: Tensor,
        then: Tensor,
    ) -> tuple[Float[np.ndarray, "B"], float]:
        """The rule on this batch, and the mean g on its successful rollouts (NaN without any)."""
        z_v, v_e = self.critic(torch.cat([now, then]))
        both = np.concatenate([rows, rows])
        evidence = gather_evidence(
            route=self.experience.labels.route[both],
            outcome=self.experience.frames.outcome[both],
            intervention=self.experience.frames.intervention[both],
            values=Values(z_v=z_v.cpu().numpy(), v_e=v_e.cpu().numpy()),
            strides=_within_batch(self.strides, rows),
        )
        if not warmed_up(step, self.schedule.warm_up):
            evidence = hide_advantages(evidence)

        raw = self.weighing.rule(evidence)[: len(rows)]
        succeeded = evidence.route[: len(rows)] == "rollout_success"
        return raw, float(raw[succeeded].mean()) if succeeded.any() else float("nan")

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on exactly."""
        tensors = {f"policy/{name}": tensor for name, tensor in self.policy_learner.state().items()}
        return tensors | {f"critic/{name}": tensor for name, tensor in self.critic_learner.state().items()}

    def load(self, tensors: dict[str, Tensor] | None) -> None:
        """Go on from what `state` returned."""
        if tensors is not None:
            self.policy_learner.load(under("policy/", tensors))
            self.critic_learner.load(under("critic/", tensors))

    def finish(self, critic_out: Path, actor_out: Path, lines: list[str]) -> None:
        """Write the averaged policy, and the critic with the final features and its quality."""
        self.policy_learner.apply_average()
        x = torch.from_numpy(compute_features(self.experience, self.policy, self.compute))
        panel, fold = Panel(((self.critic.eval(),),)), np.zeros(len(x), np.int64)
        values = panel.values(x, fold)

        target = replace(self.critic_fit.target, stride=self.weighing.stride)
        settings = replace(self.critic_fit, target=target, held_out=0.0, dropout=None)
        standardised = self.critic.standardise(x.to(self.device)).cpu()
        problem = CriticProblem.of(self.experience, standardised, target, held_out=0.0, seed=self.seed)
        quality = assess(values.z_v, values.v_e, problem)

        with whole_folder(critic_out) as folder:
            save_panel(folder, panel, settings, self.t_max)
            kept = {
                "features": x,
                "fold": torch.from_numpy(fold),
                "fingerprint": torch.from_numpy(self.experience.fingerprint),
            }
            save_file(kept, folder / "features.safetensors")
            (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
            write_json(folder / "quality.json", quality | {"schedule": "interleaved", "in_sample": True})
        with whole_folder(actor_out) as folder:
            self.policy.save(folder)
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
