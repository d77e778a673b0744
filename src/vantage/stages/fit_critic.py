"""Labels and the backbone's features in; `3-critic/` out: a viability head, an efficiency head, and how far
to trust them.

The features phi(s) of the actor that entered the round are computed once per frame and kept beside the
critic, so that a critic step costs a millisecond and `weigh` need not look at a picture again.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from vantage import ranks
from vantage.data.experience import load_experience
from vantage.disk.files import whole_folder, write_json
from vantage.disk.layout import Source
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.panel import save_panel, train_panel
from vantage.learn.critic.quality import assess
from vantage.learn.features import compute_features
from vantage.learn.parent import ParentFit, save_parent, train_parent
from vantage.learn.step import Compute
from vantage.policies.load import load_policy
from vantage.tracking import curve_of, record

MEANING = 1
"""Raised by hand when the same input and settings are meant to give something else (tests/golden)."""


def fit_critic(
    sources: Sequence[Source],
    policy: Path,
    out: Path,
    settings: CriticFit,
    *,
    t_max: int,
    seed: int,
    parent: ParentFit | None = None,
    compute: Compute = Compute(),
) -> None:
    """Train the critic on every labelled frame of `sources` and write it, its features, its curve and its
    quality.

    `policy`: the checkpoint whose features the critic reads. `t_max`: the longest possible episode in control
    steps. `parent`: also train the parent head (Imit-Recap, AWR). Several processes compute the features
    together; the critic is so small that the first one trains it alone. Raises VantageError if no frame
    carries an outcome.
    """
    if ranks.agreed(int(out.exists()), f"whether {out} is there"):
        return
    experience = load_experience(sources)
    features = compute_features(experience, load_policy(policy), compute)

    @ranks.first_alone
    def train_and_write() -> None:
        panel, fold, curve, problem = train_panel(
            experience,
            features,
            settings,
            t_max=t_max,
            seed=seed,
            compute=compute,
        )
        for row in curve:
            record(
                curve_of(out),
                int(row["step"]),
                {name: value for name, value in row.items() if name != "step"},
            )
        values = panel.values(torch.from_numpy(features), fold)
        head = None if parent is None else train_parent(experience, features, parent, seed, compute)
        kept = {
            "features": torch.from_numpy(features),
            "fold": torch.from_numpy(fold),
            "fingerprint": torch.from_numpy(experience.fingerprint),
        }

        with whole_folder(out) as folder:
            if head is not None:
                save_parent(folder, head)
            save_panel(folder, panel, settings, t_max)
            save_file(kept, folder / "features.safetensors")
            (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in curve))
            write_json(folder / "quality.json", assess(values.z_v, values.v_e, problem))

    train_and_write()
