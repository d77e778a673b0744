"""Labels, a policy and a critic of chunks on its features in; a folder with what leads the policy out.

Trained on every labelled state of the rollouts, by critics that never saw the state's episode.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vantage import ranks
from vantage.data.experience import load_experience
from vantage.disk.files import whole_folder
from vantage.disk.layout import Source
from vantage.learn.critic.chunks import load_chunk_critic
from vantage.learn.critic.problem import deal_folds
from vantage.learn.critic.steering import RecordedStates, Steering, save_steerer, train_steering
from vantage.learn.features import compute_features
from vantage.learn.step import Compute
from vantage.policies.load import load_policy


def fit_steering(
    sources: Sequence[Source],
    policy: Path,
    critic: Path,
    out: Path,
    settings: Steering,
    *,
    noise: float | None,
    seed: int,
    compute: Compute = Compute(),
) -> None:
    """Train what leads `policy` when it acts; write it and its curve. Several processes compute the features
    together, and the first one trains it alone.

    `critic`: a critic of chunks trained on the same sources, seed and policy. `noise`: the scale of the noise
    that the policy acts from; None: its own. Raises VantageError for a policy that cannot be led so.
    """
    if ranks.agreed(int(out.exists()), f"whether {out} is there"):
        return
    experience, actor = load_experience(sources), load_policy(policy)
    if noise is not None:
        actor = actor.with_noise(noise)
    judge = load_chunk_critic(critic)
    features = compute_features(experience, actor, compute)

    @ranks.first_alone
    def train_and_write() -> None:
        states = RecordedStates(
            experience=experience,
            features=features,
            rows=np.flatnonzero(experience.labels.viability_mask),
            policy=actor.cpu(),
            critic=judge,
            fold=deal_folds(experience, len(judge.panel.folds), seed),
        )
        steerer, curve = train_steering(states, settings, seed=seed)
        with whole_folder(out) as folder:
            save_steerer(folder, steerer, settings)
            (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in curve))

    train_and_write()
