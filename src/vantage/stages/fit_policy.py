"""Frames and their weights in; `5-actor/` out: a checkpoint in the policy's own format, trained by Eq. 1.

    (seed, step) ──> windows of the batch ──share──> part ──policy──> weighted loss ──> learn/step.py

Every batch is a pure function of (seed, step), and the training state is kept on disk, so that a killed fit
goes on exactly where it was, on as many processes as there are then.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from vantage import ranks
from vantage.batch import Batch
from vantage.bounds import Count, Whole, check
from vantage.config import to_json
from vantage.core.losses import flow_loss
from vantage.data.experience import Experience, load_experience
from vantage.data.fingerprints import UNKNOWN
from vantage.data.sidecars import read_ledger
from vantage.data.v3.schema import FINGERPRINT, INDEX, ROUND
from vantage.disk.checkpoint import load_state, save_state
from vantage.disk.files import sha256_file, whole_folder, write_whole
from vantage.disk.layout import Source
from vantage.disk.made import check_left
from vantage.learn.critic.extraction import JUDGED, Verdict, load_judged
from vantage.learn.finite import LossWatch, frames_of, no_number
from vantage.learn.optim import OptimConfig
from vantage.learn.start import Start, begin
from vantage.learn.step import Compute, Learner, Part, Step
from vantage.policies.protocol import Draw, Policy
from vantage.progress import bar
from vantage.seeding import global_generator_kept, seed_for, seed_global_generators
from vantage.tracking import curve_of, record
from vantage.types import VantageError

MEANING = 1
"""Raised by hand when the same input and settings are meant to give something else (tests/golden)."""


@dataclass(frozen=True, slots=True)
class PolicyFit:
    """How the policy is trained on weighted windows."""

    steps: Whole = 600
    """Gradient steps."""
    batch: Count = 128
    """B, windows per step."""
    optim: OptimConfig = OptimConfig()
    shift: Whole = 1
    """Random shift of the pictures by up to so many pixels."""
    human_actions: tuple[str, ...] = ()
    """Action dimensions that a person commands, by name or number, such as those of the one arm of two that
    has a leader; the others teach nothing while a person drives. Empty: all."""
    whole_demonstrations: bool = False
    """Demonstrations teach every action dimension, whatever `human_actions` says: whoever demonstrated
    commanded all of them, and only whoever rescued did not."""
    log_every: Count = 20
    """Steps between lines of metrics.jsonl."""
    save_every: Count = 200
    """Steps between saves of the training state."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


def fit_policy(
    sources: Sequence[Source],
    weights: Path,
    start: Start,
    out: Path,
    settings: PolicyFit,
    *,
    seed: int,
    title: str = "policy",
    compute: Compute = Compute(),
    chunk_critic: Path | None = None,
) -> None:
    """Train a policy on the frames of `sources` as the table `weights` says, and write the averaged weights
    to `out`.

    `start`: the checkpoint that is trained further, or the policy that is built from scratch. `compute`: on
    what, by how many parts. `chunk_critic`: where chunks were judged, the best of which are imitated instead
    of what rollouts executed; None: what was executed. Raises VantageError where the table does not describe
    exactly these frames, and at the step whose loss is NaN or infinite.
    """
    saved = _Saved(out.with_name(f".{out.name}.state"))
    if ranks.agreed(int(out.exists()), f"whether {out} is there"):
        if ranks.is_first():
            saved.forget()  # of a process that was killed before it did
        return
    experience = load_experience(sources)
    weight, sampling = read_weights(weights, experience)
    verdict = None if chunk_critic is None else load_judged(chunk_critic, experience)
    policy = begin(start, experience)
    learner = Learner(policy, settings.optim, settings.steps, compute, units=policy.units)
    made_of: dict[str, Any] = {
        "weights": sha256_file(weights),
        "start": start.described(),
        "settings": to_json(settings),
        "seed": seed,
    }
    if chunk_critic is not None:
        made_of["targets"] = sha256_file(chunk_critic / JUDGED)
    saved.check(made_of)
    lines = saved.load(learner)

    # Dropout draws from torch's global generator: every step from a seed of its own, as if never interrupted.
    first, share = learner.step_count, learner.share(settings.batch)
    loader = experience.loader(
        policy.chunk,
        policy.interface.cameras,
        settings.shift,
        settings.human_actions,
        policy.interface.history,
        whole_demonstrations=settings.whole_demonstrations,
    )
    batches = loader.stream(
        sampling, seed, range(first, settings.steps), settings.batch, rows=share, threads=compute.workers
    )
    policy.train()
    watch = LossWatch(learner.device)
    with global_generator_kept(), bar(title, settings.steps, "steps") as advance:
        advance(first)
        for step, batch in enumerate(batches, start=first):
            seed_global_generators(seed_for("dropout", seed, step, ranks.number()), learner.device)
            draw = policy.draw(settings.batch, torch.Generator().manual_seed(step * 1_000_003 + seed))
            if verdict is not None:
                batch = relabelled(batch, verdict)
            taken = weighted_step(learner, batch, draw.at(share), weight[batch.row], settings.batch)

            # What is saved is good: before that it is known whether every loss and weight was a number.
            ends = step + 1 == settings.steps
            logs = step % settings.log_every == 0 or ends
            saves = (step + 1) % settings.save_every == 0 and not ends
            watch.see(step, taken.loss)
            bad, what = watch.first_bad(wait=logs or saves), "loss"
            if bad is None and (saves or ends) and not learner.is_finite():
                bad, what = step, "gradient"
            if bad is not None:
                rows = loader.drawn(sampling, seed, bad, settings.batch).row
                kept = "the training state of before is kept; " if saved.state.exists() else ""
                raise no_number(title, bad, frames_of(experience, rows), what=what, remedy=f"{kept}{_REMEDY}")

            note = ""
            if logs:
                row = _row(taken)
                lines.append(json.dumps({"step": step + 1, **row}))
                record(curve_of(out), step + 1, row)
                note = f"loss {taken.loss.item():.3f}"
            if saves:
                saved.save(learner, lines)
            advance(1, note)

    learner.apply_average()
    learner.gather()
    if ranks.is_first():
        _write(policy.eval(), out, lines)
        saved.forget()
    ranks.wait()


def relabelled(batch: Batch, verdict: Verdict) -> Batch:
    """The same windows, but where chunks were judged their last C steps are the best one, all of it valid.

    A window of a policy that looks back begins with the steps before its present, which stay.
    """
    row = verdict.target[batch.row]
    exchanged = torch.from_numpy(row >= 0)[:, None, None]
    best = torch.from_numpy(verdict.best[row])  # any where none was judged
    steps = best.shape[1]
    actions, mask = batch.actions.clone(), batch.mask.clone()
    actions[:, -steps:] = torch.where(exchanged, best, actions[:, -steps:])
    mask[:, -steps:] |= exchanged
    return replace(batch, actions=actions, mask=mask)


_REMEDY = "look at those frames, or lower optim.lr, and delete the stage's hidden state"
"""After a loss that is no number."""


def weighted_step(
    learner: Learner,
    batch: Batch,
    draw: Draw,
    weight: Float32[np.ndarray, "B"],
    denominator: int,
) -> Step:
    """One gradient step on this process's share of a batch of `denominator` windows.

    `draw`: of these windows; `weight`: of each of them.
    """

    def loss_of(part: Part) -> Float[Tensor, ""]:
        rows = part.of(len(batch.row))
        windows = batch.at(rows).to(learner.device)
        elementwise = learner.model(windows, draw.at(rows).to(learner.device)).elementwise
        weights = torch.from_numpy(weight[rows]).to(learner.device)
        return flow_loss(elementwise, windows.mask, weights, denominator)

    return learner.step(loss_of)


def _row(taken: Step) -> dict[str, float]:
    """What metrics.jsonl keeps of a step."""
    return {"loss": taken.loss.item(), "lr": taken.lr, "grad_norm": taken.grad_norm.item()}


def _write(policy: Policy, out: Path, lines: list[str]) -> None:
    """5-actor/: the checkpoint and its curve."""
    with whole_folder(out) as folder:
        policy.save(folder)
        (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True, slots=True)
class _Saved:
    """What a killed fit goes on from: state.safetensors, and metrics.jsonl up to it."""

    folder: Path

    @property
    def state(self) -> Path:
        """Tensors of the learner."""
        return self.folder / "state.safetensors"

    @property
    def log(self) -> Path:
        """Metrics so far."""
        return self.folder / "metrics.jsonl"

    @ranks.first_alone
    def check(self, of: dict[str, Any]) -> None:
        """Raise VantageError where what is kept was begun with something else."""
        if self.state.exists():
            check_left(self.folder, of)
            return
        self.forget()
        check_left(self.folder, of)

    def load(self, learner: Learner) -> list[str]:
        """Put the learner where it was, if anything was saved; returns the metrics up to there."""
        state = load_state(self.state)
        if state is not None:
            learner.load(state)
        ranks.agreed(learner.step_count, f"the training state they see in {self.folder}")

        return [] if state is None else lines_up_to(self.log, learner.step_count)

    def save(self, learner: Learner, lines: list[str]) -> None:
        """Keep the learner as it is now; all processes must call it, the first one writes."""
        state = learner.state()
        if ranks.is_first():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.log, ("\n".join(lines) + "\n").encode())
            save_state(self.state, state)

    def forget(self) -> None:
        """Delete what is kept."""
        shutil.rmtree(self.folder, ignore_errors=True)


def lines_up_to(log: Path, step: int) -> list[str]:
    """Lines of a metrics.jsonl up to a step; none where there is no file. Raises VantageError where it is
    damaged."""
    try:
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if json.loads(line)["step"] <= step]
    except (ValueError, KeyError, TypeError) as error:
        raise VantageError(
            f"{log} is damaged ({error}); delete {log.parent}, and that stage begins again"
        ) from error


def read_weights(
    path: Path,
    experience: Experience,
) -> tuple[Float32[np.ndarray, "N"], Float64[np.ndarray, "N"]]:
    """(weight, sampling) of every frame, in the order of `experience`.

    Raises VantageError for a table of other frames: sampling probabilities of a part of it would not add up.
    """
    columns = read_ledger(path)
    index, count = columns[INDEX], len(experience)
    alike = len(index) == count and not (columns[ROUND] != experience.round).any()
    if not alike or (index != experience.index).any():
        raise VantageError(
            f"{path.name} covers {len(index):,} frames and there are {count:,} to train on; "
            f"run `vantage weigh {path.parent}`"
        )

    described = columns[FINGERPRINT]
    other = (described != experience.fingerprint) & (described != UNKNOWN)
    if other.any():
        raise VantageError(
            f"{path.name} was made from other recordings than there are now ({int(other.sum()):,} of "
            f"{count:,} frames); delete it and run `vantage weigh {path.parent}`"
        )
    return columns["weight"].astype(np.float32), columns["sampling"]
