"""One of several processes that improve a recorded run together (test_processes.py starts them).

    shared_fit.py RUN COMPUTE [RUN COMPUTE ...]

RUN: recordings of `recorded.py` with a supervised policy. COMPUTE: settings of `Compute`, as JSON.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import recorded

from vantage import ranks
from vantage.config import from_json
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet, write_parquet
from vantage.learn.critic.chunks import ChunkCriticFit
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.steering import ChunkEdits, SteeringFit
from vantage.learn.start import FromCheckpoint, FromScratch
from vantage.learn.step import Compute
from vantage.policies.lerobot.spec import LeRobotScratch
from vantage.stages.fit_chunk_critic import fit_chunk_critic
from vantage.stages.fit_policy import PolicyFit, fit_policy
from vantage.stages.fit_steering import fit_steering
from vantage.types import VantageError

ACT = LeRobotScratch(
    type="act",
    true_state=True,
    settings=(
        f"chunk_size={recorded.CHUNK}",
        "n_action_steps=4",
        "dim_model=16",
        "n_heads=2",
        "dim_feedforward=16",
        "n_encoder_layers=1",
        "n_decoder_layers=1",
        "use_vae=false",
        "dropout=0",
    ),
)


def improve(run: Path, compute: Compute) -> None:
    """Round 1 by all of HABC's stages, an ACT of LeRobot's on its weights, and what leads its policy."""
    replace(recorded.improver(run, 1), compute=compute).learn()

    current = Round.of(run, 1)
    fit = PolicyFit(steps=12, batch=32, log_every=1)
    start = FromScratch(ACT, 0)
    sources = recorded.sources(run, 1)
    fit_policy(sources, current.weights, start, run / "act", fit, seed=1, compute=compute)

    few = ChunkCriticFit(critic=CriticFit(steps=4, folds=2, batch=16))
    critic, edits = current.acting_critic, ChunkEdits(fit=SteeringFit(steps=3, batch=16))
    fit_chunk_critic(sources, current.actor, critic, few, t_max=100, seed=1, compute=compute)
    fit_steering(sources, current.actor, critic, current.steering, edits, noise=0.0, seed=1, compute=compute)


def overflow(run: Path, compute: Compute) -> None:
    """Train round 1's policy where every tenth frame weighs more than a loss can hold, and print what this
    process is told.

    Batches are so small that the first bad frame is in the share of one process alone.
    """
    weights = run / "heavy.parquet"
    if ranks.is_first():
        columns = read_parquet(Round.of(run, 1).weights)
        heavy = columns["index"] % 10 == 6
        columns["weight"] = np.where(heavy, 3e38, columns["weight"]).astype(np.float32)
        write_parquet(weights, columns, nullable=columns)
    ranks.wait()

    fit = PolicyFit(steps=20, batch=2 * compute.accumulate, save_every=1)
    start, frames = FromCheckpoint(Round.of(run, 0).actor), recorded.sources(run, 1)
    try:
        fit_policy(frames, weights, start, run / "bad", fit, seed=2, compute=compute)
    except VantageError as error:
        print(json.dumps({"run": str(run), "told": str(error)}))


if __name__ == "__main__":
    with ranks.joined():
        for run, compute in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
            settings = from_json(Compute, json.loads(compute))
            improve(Path(run), settings)
            overflow(Path(run), settings)
