"""Labels, the backbone's features and what was executed in; `3-chunk-critic/` out: viability and steps of a
state and a chunk, and how far to trust them.

It stands beside `3-critic/`, which knows the state alone. `quality.json` has the same numbers, so that the
two can be compared line by line.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vantage import ranks
from vantage.core.weights import sigmoid
from vantage.data.experience import load_experience
from vantage.disk.files import whole_folder, write_json
from vantage.disk.layout import Source
from vantage.learn.critic.chunks import (
    ChunkCriticFit,
    executed_chunks,
    save_chunk_critic,
    train_chunk_critic,
)
from vantage.learn.critic.extraction import JUDGED, judge_recorded, save_judged
from vantage.learn.critic.quality import assess
from vantage.learn.features import compute_features
from vantage.learn.step import Compute
from vantage.policies.load import load_policy


def fit_chunk_critic(
    sources: Sequence[Source],
    policy: Path,
    out: Path,
    settings: ChunkCriticFit,
    *,
    t_max: int,
    seed: int,
    compute: Compute = Compute(),
    judged_chunks: int = 0,
) -> None:
    """Train the critic of states and chunks on every labelled window of `sources`; write it, its curve and
    its quality on episodes that the judging critics never saw. Several processes compute the features
    together, and the first one trains it alone.

    `judged_chunks`: also draw so many chunks of the policy at every labelled state, and keep which of them is
    the most viable, and how much more viable than their mean what was executed is (judged.safetensors).

    `policy`: the checkpoint that played; the critic reads its features and judges chunks of the steps that it
    executes. `t_max`: the longest possible episode in control steps. Raises VantageError if no frame carries
    an outcome.
    """
    if ranks.agreed(int(out.exists()), f"whether {out} is there"):
        return
    experience, actor = load_experience(sources), load_policy(policy)
    features = compute_features(experience, actor, compute)

    @ranks.first_alone
    def train_and_write() -> None:
        critic, trained = train_chunk_critic(
            experience, features, settings, length=actor.execute, t_max=t_max, seed=seed, compute=compute
        )
        values = critic.values(features, executed_chunks(experience, critic.length), trained.fold)

        with whole_folder(out) as folder:
            save_chunk_critic(folder, critic, settings, t_max)
            (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in trained.curve))
            write_json(folder / "quality.json", assess(values.z_v, values.v_e, trained.problem))
            if judged_chunks:
                rows = np.flatnonzero(experience.labels.viability_mask)
                judged = judge_recorded(
                    experience, rows, actor, critic, trained.fold, count=judged_chunks, seed=seed
                )
                save_judged(folder / JUDGED, judged, sigmoid(values.z_v[rows]), experience.fingerprint)

    train_and_write()
