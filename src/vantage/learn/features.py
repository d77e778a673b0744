"""Frames in, phi(s) out: what a critic reads, computed once per frame by the policy as it stands."""

import numpy as np
import torch
from jaxtyping import Float32

from vantage import ranks
from vantage.data.experience import Experience
from vantage.learn.step import Compute
from vantage.policies.protocol import Policy
from vantage.progress import bar


def compute_features(
    experience: Experience,
    policy: Policy,
    compute: Compute = Compute(),
    batch: int = 256,
) -> Float32[np.ndarray, "N D"]:
    """phi(s) of every frame, in float32 on the host.

    Moves `policy` to the device of `compute`. `batch`: frames per pass; several processes deal the passes
    among themselves, and each of them is given all features.
    """
    device = compute.torch_device()
    policy.to(device).eval()
    loader = experience.loader(policy.chunk, policy.interface.cameras, history=policy.interface.history)
    features = np.zeros((len(experience), policy.feature_dim), dtype=np.float32)

    with bar("features", len(experience), "frames") as advance:
        for number, rows in enumerate(loader.runs(batch)):
            if number % ranks.count() == ranks.number():
                observation = loader.observe(rows).to(device)
                with compute.autocast(device):
                    features[rows] = policy.features(observation).float().cpu().numpy()
            advance(len(rows))  # others do the rest meanwhile
    return ranks.total(torch.from_numpy(features)).numpy()
