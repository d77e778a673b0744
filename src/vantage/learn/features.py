"""Frames in, phi(s) out: what a critic reads, computed once per frame by the policy as it stands."""

import time

import numpy as np
import torch
from jaxtyping import Float32

from vantage import ranks
from vantage.batch import Observation
from vantage.data.experience import Experience
from vantage.learn.step import Compute
from vantage.policies.protocol import Policy
from vantage.progress import bar

TOGETHER = 256
"""Frames of one pass."""
PATIENCE = 8.0
"""Seconds that a pass may take which is only timed."""


def compute_features(
    experience: Experience,
    policy: Policy,
    compute: Compute = Compute(),
    batch: int = TOGETHER,
) -> Float32[np.ndarray, "N D"]:
    """phi(s) of every frame, in float32 on the host.

    Moves `policy` to the device of `compute`. `batch`: frames per pass; several processes deal the passes
    among themselves, and each of them is given all features.
    """
    policy.to(compute.torch_device()).eval()
    loader = experience.loader(policy.chunk, policy.interface.cameras, history=policy.interface.history)
    features = np.zeros((len(experience), policy.feature_dim), dtype=np.float32)

    with bar("features", len(experience), "frames") as advance:
        for number, rows in enumerate(loader.runs(batch)):
            if number % ranks.count() == ranks.number():
                features[rows] = _features(policy, loader.observe(rows), compute)
            advance(len(rows))  # others do the rest meanwhile
    return ranks.total(torch.from_numpy(features)).numpy()


def time_features(policy: Policy, frames: int, compute: Compute = Compute()) -> float:
    """Seconds that `compute_features` takes for a frame, measured on made-up frames.

    A small pass warms up; the one that counts is as large as those of `compute_features`, or as `PATIENCE`
    allows on a slow machine, where size matters less. What is left out is reading the pictures. Moves
    `policy` to the device of `compute`.
    """
    policy.to(compute.torch_device()).eval()
    small = min(8, frames)
    warm = _timed(policy, small, compute)
    rows = min(TOGETHER, frames, max(small, int(PATIENCE / warm * small)))
    return _timed(policy, rows, compute) / rows


def _timed(policy: Policy, rows: int, compute: Compute) -> float:
    """Seconds of one pass over so many made-up frames."""
    observation = policy.interface.fake_batch(rows).observation
    began = time.perf_counter()
    _features(policy, observation, compute)
    return time.perf_counter() - began


def _features(policy: Policy, observation: Observation, compute: Compute) -> Float32[np.ndarray, "B D"]:
    """phi(s) of some frames, on the host, so that the pass has ended."""
    device = compute.torch_device()
    with compute.autocast(device):
        return policy.features(observation.to(device)).float().cpu().numpy()
