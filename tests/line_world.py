"""A known world: a point on a line, a goal, 0.1 per step at most. Its fastest policy can be written down.

Beside it a policy that creeps, and demonstrations that hurry.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vantage.batch import Observation
from vantage.data.episodes import Episode, save_episode
from vantage.data.v3.write import write_dataset
from vantage.disk.layout import Round, Source
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.gaussian import GaussianConfig, GaussianPolicy
from vantage.stages.label import label
from vantage.worlds.spec import MetaWorldSpec


class Line:
    """Implements `World`."""

    task = "line"
    fps = 10
    cameras = ()
    prompt = "go"
    action_low, action_high = -np.ones(1, np.float32), np.ones(1, np.float32)

    def reset(self, seed: int) -> None:
        self.x, self.goal = np.random.default_rng(seed).uniform(-1, 1, 2)

    def step(self, action: np.ndarray) -> bool:
        self.x += 0.1 * float(np.clip(action[0], -1, 1))
        return bool(abs(self.x - self.goal) < 0.1)

    def proprioception(self) -> np.ndarray:
        return np.array([self.x], np.float32)

    def environment_state(self) -> np.ndarray:
        return np.array([self.x, self.goal], np.float32)

    def images(self) -> dict:
        return {}

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LineSpec(MetaWorldSpec):
    """Builds it."""

    def __call__(self) -> Line:
        return Line()


def line_actor(tmp_path: Path) -> GaussianPolicy:
    """A policy that creeps towards the goal at a quarter of the speed that it could have."""
    config = GaussianConfig(
        net=NetConfig(
            sight=TrueState(dim=2, width=32), state_dim=1, action_dim=1, chunk=4, execute=4, width=32
        ),
        correlation=0.5,
    )
    actor = GaussianPolicy(config, seed=0)
    rng = np.random.default_rng(0)
    state = rng.uniform(-1, 1, (512, 2)).astype(np.float32)
    actor.fit_normaliser(state[:, :1], np.ones((512, 1), np.float32), state)
    adam = torch.optim.Adam(actor.parameters(), lr=3e-3)
    for _ in range(150):
        seen = Observation(
            images={},
            state=torch.from_numpy(state[:, :1]),
            environment_state=torch.from_numpy(state),
            prompts=("go",) * 512,
        )
        away = torch.from_numpy(np.sign(state[:, 1] - state[:, 0]))
        loss = (actor.mean(seen) - 0.25 * away[:, None, None]).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    actor.save(tmp_path)
    return actor


def record_line_demonstrations(here: Round, count: int) -> list[Source]:
    """Write demonstrations that go straight to the goal, and their labels."""
    for number in range(count):
        save_episode(here.journal, number, line_demonstration(seed=500 + number))
    write_dataset(here.journal, range(count), here.episodes, Line.fps)
    shutil.rmtree(here.journal)
    label(here.episodes, here.labels, demos=True)
    return [Source(0, here.episodes, here.labels, None)]


def line_demonstration(seed: int) -> Episode:
    """Full speed towards the goal, from the start of this seed; one step at least."""
    world, rows, success = Line(), [], False
    world.reset(seed)
    while not success:
        truth, state = world.environment_state(), world.proprioception()
        action = np.sign(truth[1:] - truth[:1])
        success = world.step(action)
        rows.append((state, truth, action))
    state, truth, action = (np.stack(column).astype(np.float32) for column in zip(*rows, strict=True))
    last = np.arange(len(rows)) == len(rows) - 1
    return Episode(
        state=state,
        environment_state=truth,
        action=action,
        policy_action=action,
        intervention=np.ones(len(rows), bool),
        policy_version=np.full(len(rows), -1),
        success=last,
        done=last,
        prompt=Line.prompt,
        task=Line.task,
        seed=seed,
    )
