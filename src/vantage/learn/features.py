"""Frames in, phi(s) out: what a critic reads, computed once per frame by the policy as it stands."""

import numpy as np
from jaxtyping import Float32

from vantage.data.experience import Experience
from vantage.policies.protocol import Policy
from vantage.progress import bar


def compute_features(experience: Experience, policy: Policy, batch: int = 256) -> Float32[np.ndarray, "N D"]:
    """phi(s) of every frame, in float32 on the host, whatever the policy's device and precision. `batch`: frames per pass."""
    features = np.empty((len(experience), policy.feature_dim), dtype=np.float32)
    policy.eval()
    loader = experience.loader(policy.chunk, policy.interface.cameras)

    with bar("features", len(experience), "frames") as advance:
        for rows in loader.runs(batch):
            observation = loader.observe(rows).to(policy.device)
            features[rows] = policy.features(observation).float().cpu().numpy()
            advance(len(rows))
    return features
