"""Frames and their weights in; `5-actor/` out: a checkpoint in the actor's own format, trained by Eq. 1.

Every batch is a pure function of (seed, step), and the training state is kept on disk, so that a killed fit goes on exactly where it was.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Float64

from vantage.config import Count, Whole, check
from vantage.core.losses import flow_loss
from vantage.data.experience import Experience, load_experience
from vantage.data.v3.schema import INDEX, ROUND
from vantage.disk.checkpoint import load_state, save_state
from vantage.disk.files import whole_folder
from vantage.disk.layout import Source
from vantage.disk.tables import read_parquet
from vantage.learn.optim import OptimConfig, Optimiser
from vantage.learn.start import Start, begin
from vantage.progress import bar
from vantage.types import VantageError


@dataclass(frozen=True, slots=True)
class PolicyFit:
    """How the actor is trained on weighted windows."""

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
    sources: Sequence[Source], weights: Path, start: Start, out: Path, settings: PolicyFit, *, seed: int, title: str = "policy"
) -> None:
    """Train a policy on the frames of `sources` as the table `weights` says, and write the averaged weights to `out`.

    `start`: the checkpoint that is trained further, or the policy that is built from scratch. Raises VantageError where the table does not
    describe exactly these frames.
    """
    if out.exists():
        return
    replay = load_experience(sources)
    weight, sampling = read_weights(weights, replay)
    actor = begin(start, replay)
    resume = out.with_name(f".{out.name}.state")
    optimiser = Optimiser(actor, settings.optim, settings.steps)
    log = resume / "metrics.jsonl"
    state = load_state(resume / "state.safetensors")
    if state is not None:
        optimiser.load(state)
    lines = _lines_before(log, optimiser.step_count)

    loader = replay.loader(actor.chunk, actor.interface.cameras, settings.shift)
    batches = loader.stream(sampling, seed, range(optimiser.step_count, settings.steps), settings.batch)
    actor.train()
    with bar(title, settings.steps, "steps") as advance:
        advance(optimiser.step_count)
        for step, batch in enumerate(batches, start=optimiser.step_count):
            draw = actor.draw(settings.batch, torch.Generator().manual_seed(step * 1_000_003 + seed))
            loss = flow_loss(actor(batch, draw).elementwise, batch.mask, torch.from_numpy(weight[batch.row]), settings.batch)
            lr, norm = optimiser.step(loss)
            if step % settings.log_every == 0 or step + 1 == settings.steps:
                lines.append(json.dumps({"step": step + 1, "loss": loss.item(), "lr": lr, "grad_norm": norm}))
            if (step + 1) % settings.save_every == 0 and step + 1 < settings.steps:
                resume.mkdir(parents=True, exist_ok=True)
                log.write_text("\n".join(lines) + "\n")
                save_state(resume / "state.safetensors", optimiser.state())
            advance(1, f"loss {loss.item():.3f}")
    optimiser.apply_average()
    actor.eval()
    with whole_folder(out) as folder:
        actor.save(folder)
        (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    _forget(resume)


def read_weights(path: Path, replay: Experience) -> tuple[Float32[np.ndarray, "N"], Float64[np.ndarray, "N"]]:
    """(weight, sampling) of every frame of the replay, in its order."""
    columns = read_parquet(path, (ROUND, INDEX, "weight", "sampling"))
    if len(columns[INDEX]) != len(replay) or (columns[ROUND] != replay.round).any() or (columns[INDEX] != replay.index).any():
        raise VantageError(
            f"{path.name} covers {len(columns[INDEX]):,} frames and there are {len(replay):,} to train on; "
            f"run `vantage weigh {path.parent}`"
        )
    return columns["weight"].astype(np.float32), columns["sampling"]


def _lines_before(log: Path, step: int) -> list[str]:
    """Metrics that a killed fit had written up to the step from which this one goes on."""
    if not log.exists():
        return []
    return [line for line in log.read_text().splitlines() if json.loads(line)["step"] <= step]


def _forget(resume: Path) -> None:
    for path in sorted(resume.glob("*")):
        path.unlink()
    if resume.exists():
        resume.rmdir()
