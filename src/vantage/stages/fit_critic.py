"""Labels and the backbone's features in; `3-critic/` out: a viability head, an efficiency head, and how far to trust them.

The features phi(s) of the actor that entered the round are computed once per frame and kept beside the critic, so that a critic step costs
a millisecond and `weigh` need not look at a picture again.
"""

import json
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from safetensors.torch import save_file

from vantage.data.experience import Experience
from vantage.disk.files import whole_folder, write_json
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.panel import save_panel, train_panel
from vantage.learn.critic.quality import assess
from vantage.learn.parent import ParentFit, save_parent, train_parent
from vantage.policies.protocol import Policy
from vantage.progress import bar


def fit_critic(
    replay: Experience, actor: Policy, out: Path, settings: CriticFit, *, t_max: int, seed: int, parent: ParentFit | None = None
) -> None:
    """Train the critic on every labelled frame of `replay` and write it, its features, its curve and its quality.

    `t_max`: the longest possible episode in control steps. `parent`: also train the parent head (Imit-Recap, AWR). Raises VantageError if
    no frame carries an outcome.
    """
    if out.exists():
        return
    features = compute_features(replay, actor)
    panel, fold, curve, problem = train_panel(replay, features, settings, t_max=t_max, seed=seed)
    values = panel.values(torch.from_numpy(features), fold)
    head = None if parent is None else train_parent(replay, features, parent, seed)
    with whole_folder(out) as folder:
        if head is not None:
            save_parent(folder, head)
        save_panel(folder, panel, settings, t_max)
        save_file({"features": torch.from_numpy(features), "fold": torch.from_numpy(fold)}, folder / "features.safetensors")
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in curve))
        write_json(folder / "quality.json", assess(values.z_v, values.v_e, problem))


def compute_features(replay: Experience, actor: Policy, batch: int = 256) -> Float32[np.ndarray, "N D"]:
    """phi(s) of every frame, by the actor as it stands."""
    features = np.empty((len(replay), actor.feature_dim), dtype=np.float32)
    actor.eval()
    loader = replay.loader(actor.chunk, actor.cameras)
    with bar("features", len(replay), "frames") as advance:
        for start in range(0, len(replay), batch):
            rows = np.arange(start, min(start + batch, len(replay)))
            features[rows] = actor.features(loader.observe(rows)).float().numpy()
            advance(len(rows))
    return features
