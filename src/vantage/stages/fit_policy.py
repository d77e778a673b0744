"""Frames and their weights in; `5-actor/` out: a checkpoint in the policy's own format, trained by Eq. 1.

    (seed, step) ──> windows of the batch ──share──> part ──policy──> weighted loss ──> learn/step.py

Every batch is a pure function of (seed, step), and the training state is kept on disk, so that a killed fit
goes on exactly where it was, on as many processes as there are then.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from vantage import ranks
from vantage.config import Count, Whole, check
from vantage.core.losses import flow_loss
from vantage.data.experience import Experience, load_experience
from vantage.data.v3.schema import INDEX, ROUND
from vantage.disk.checkpoint import load_state, save_state
from vantage.disk.files import whole_folder
from vantage.disk.layout import Source
from vantage.disk.tables import read_parquet
from vantage.learn.optim import OptimConfig
from vantage.learn.start import Start, begin
from vantage.learn.step import Compute, Learner, Part, Step
from vantage.policies.protocol import Draw, Policy
from vantage.progress import bar
from vantage.seeding import global_generator_kept, seed_for
from vantage.types import Batch, VantageError


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
) -> None:
    """Train a policy on the frames of `sources` as the table `weights` says, and write the averaged weights
    to `out`.

    `start`: the checkpoint that is trained further, or the policy that is built from scratch. `compute`: on
    what, by how many parts. Raises VantageError where the table does not describe exactly these frames.
    """
    if ranks.agreed(int(out.exists()), f"whether {out} is there"):
        return
    experience = load_experience(sources)
    weight, sampling = read_weights(weights, experience)
    policy = begin(start, experience)
    learner = Learner(policy, settings.optim, settings.steps, compute, units=policy.units)
    saved = _Saved(out.with_name(f".{out.name}.state"))
    lines = saved.load(learner)

    # Dropout draws from torch's global generator: every step from a seed of its own, as if never interrupted.
    first, share = learner.step_count, learner.share(settings.batch)
    loader = experience.loader(policy.chunk, policy.interface.cameras, settings.shift)
    batches = loader.stream(sampling, seed, range(first, settings.steps), settings.batch, rows=share)
    policy.train()
    with global_generator_kept(), bar(title, settings.steps, "steps") as advance:
        advance(first)
        for step, batch in enumerate(batches, start=first):
            torch.manual_seed(seed_for("dropout", seed, step, ranks.number()))
            draw = policy.draw(settings.batch, torch.Generator().manual_seed(step * 1_000_003 + seed))
            taken = _step(learner, batch, draw.at(share), weight[batch.row], settings.batch)

            note = ""  # reading a loss waits for the device, so only those are read that are written down
            if step % settings.log_every == 0 or step + 1 == settings.steps:
                lines.append(_line(step, taken))
                note = f"loss {taken.loss.item():.3f}"
            if (step + 1) % settings.save_every == 0 and step + 1 < settings.steps:
                saved.save(learner, lines)
            advance(1, note)

    learner.apply_average()
    learner.gather()
    if ranks.is_first():
        _write(policy.eval(), out, lines)
        saved.forget()
    ranks.wait()


def _step(
    learner: Learner,
    batch: Batch,
    draw: Draw,
    weight: Float32[np.ndarray, "B"],
    denominator: int,
) -> Step:
    """One gradient step on this process's share of a batch of `denominator` windows."""

    def loss_of(part: Part) -> Float[Tensor, ""]:
        rows = part.of(len(batch.row))
        windows = batch.at(rows).to(learner.device)
        elementwise = learner.model(windows, draw.at(rows).to(learner.device)).elementwise
        weights = torch.from_numpy(weight[rows]).to(learner.device)
        return flow_loss(elementwise, windows.mask, weights, denominator)

    return learner.step(loss_of)


def _line(step: int, taken: Step) -> str:
    """A line of metrics.jsonl."""
    row = {
        "step": step + 1,
        "loss": taken.loss.item(),
        "lr": taken.lr,
        "grad_norm": taken.grad_norm.item(),
    }
    return json.dumps(row)


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

    def load(self, learner: Learner) -> list[str]:
        """Put the learner where it was, if anything was saved; returns the metrics up to there."""
        state = load_state(self.state)
        if state is not None:
            learner.load(state)
        ranks.agreed(learner.step_count, f"the training state they see in {self.folder}")

        if state is None or not self.log.exists():
            return []
        lines = self.log.read_text().splitlines()
        return [line for line in lines if json.loads(line)["step"] <= learner.step_count]

    def save(self, learner: Learner, lines: list[str]) -> None:
        """Keep the learner as it is now; all processes must call it, the first one writes."""
        state = learner.state()
        if ranks.is_first():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.log.write_text("\n".join(lines) + "\n")
            save_state(self.state, state)

    def forget(self) -> None:
        """Delete what is kept."""
        shutil.rmtree(self.folder, ignore_errors=True)


def read_weights(
    path: Path,
    experience: Experience,
) -> tuple[Float32[np.ndarray, "N"], Float64[np.ndarray, "N"]]:
    """(weight, sampling) of every frame, in the order of `experience`."""
    columns = read_parquet(path, (ROUND, INDEX, "weight", "sampling"))
    index, count = columns[INDEX], len(experience)
    alike = len(index) == count and not (columns[ROUND] != experience.round).any()
    if not alike or (index != experience.index).any():
        raise VantageError(
            f"{path.name} covers {len(index):,} frames and there are {count:,} to train on; run `vantage weigh {path.parent}`"
        )
    return columns["weight"].astype(np.float32), columns["sampling"]
