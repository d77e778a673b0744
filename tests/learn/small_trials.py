"""Made-up trials of a chunk policy, as PPO learns from: noise really drawn by the policy, episodes of a few
chunks."""

import numpy as np
import torch

from vantage.policies.protocol import StochasticPolicy
from vantage.practice.trials import Trials

LIMIT = 60


def small_trials(policy: StochasticPolicy, seed: int, episodes: int = 10) -> Trials:
    """Ten episodes of two tasks; about 60 % succeed."""
    draw = np.random.default_rng(seed)
    per_episode = draw.integers(2, 6, episodes)
    chunks = int(per_episode.sum())
    episode = np.repeat(np.arange(episodes), per_episode)
    last = np.append(episode[1:] != episode[:-1], True)

    executed = np.ones((chunks, policy.chunk), bool)
    executed[last, policy.chunk // 2 :] = False
    steps = np.array([executed[episode == number].sum() for number in range(episodes)])
    begun = np.concatenate([np.arange(count) for count in per_episode]) * policy.chunk

    seen = policy.interface.fake_observation(chunks)
    images = {
        camera: draw.integers(0, 256, pictures.shape, dtype=np.uint8)
        for camera, pictures in seen.images.items()
    }
    truth = draw.standard_normal((chunks, 39)).astype(np.float32)
    state = draw.standard_normal((chunks, 4)).astype(np.float32)
    observation = type(seen)(
        images={camera: torch.from_numpy(pictures) for camera, pictures in images.items()},
        state=torch.from_numpy(state),
        environment_state=torch.from_numpy(truth),
        prompts=("push it",) * chunks,
    )
    noise = torch.stack(
        [policy.exploration(torch.Generator().manual_seed(number)) for number in range(chunks)]
    )
    path = policy.explore(observation.to(policy.device), noise.to(policy.device)).cpu().numpy()
    return Trials(
        task=draw.integers(0, 2, episodes),
        seed=np.arange(episodes),
        success=draw.random(episodes) < 0.6,
        steps=steps,
        spent=steps,
        limit=np.full(episodes, LIMIT),
        led=np.zeros(episodes, bool),
        end_state=draw.standard_normal((episodes, 39)).astype(np.float32),
        episode=episode,
        elapsed=(begun / LIMIT).astype(np.float32),
        state=state,
        environment_state=truth,
        images=images,
        path=path,
        action=draw.uniform(-1, 1, (chunks, policy.chunk, 4)).astype(np.float32),
        executed=executed,
    )
