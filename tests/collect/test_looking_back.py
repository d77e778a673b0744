"""A policy that looks at several observations acts in our loop as in LeRobot's own `select_action`,
hand-overs included: there lerobot-rollout resets the policy, and nothing seen before is shown again."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_lerobot import ACTION, STATE, tiny

from vantage.batch import Observation
from vantage.collect.episode import run_episode
from vantage.collect.handover import Event, Phase
from vantage.collect.observe import Memory
from vantage.collect.operators import NoOne, Rescue
from vantage.policies.lerobot.adapter import LeRobotAdapter
from vantage.policies.load import load_policy

STEPS, SEED = 11, 3


class Hall:
    """A world whose pictures and joints depend on where the actions led, and that nobody solves."""

    task, prompt, fps, cameras = "hall", "pick the cube", 10, ("front", "wrist")
    action_low, action_high = -np.full(ACTION, np.inf, np.float32), np.full(ACTION, np.inf, np.float32)

    def reset(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.x, self.walls = rng.standard_normal(STATE), rng.integers(0, 256, (2, 48, 48, 3), np.uint8)

    def step(self, action: np.ndarray) -> bool:
        self.x[:ACTION] += 0.1 * np.clip(action, -9, 9)
        self.walls = np.roll(self.walls, 1 + int(abs(action[0]) * 10) % 5, axis=2)
        return False

    def proprioception(self) -> np.ndarray:
        return self.x.astype(np.float32)

    def environment_state(self) -> np.ndarray:
        return np.zeros(1, np.float32)

    def images(self) -> dict[str, np.ndarray]:
        return dict(zip(self.cameras, self.walls, strict=True))

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Pusher(Rescue):
    """Drives from step 5 until before step 8."""

    def __call__(self, task: str, limit: int, rng: np.random.Generator) -> "Pusher":
        return self

    def watch(self, phase: Phase, t: int, state: np.ndarray) -> Event | None:
        return {5: Event.TAKE_OVER, 8: Event.HAND_BACK}.get(t)

    def act(self, state: np.ndarray) -> np.ndarray:
        return np.ones(ACTION, np.float32)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    tiny("multi_task_dit", "n_obs_steps=3", "n_action_steps=4").save(folder)
    return folder


def acted_by_lerobot(folder: Path, human: np.ndarray, executed: np.ndarray) -> np.ndarray:
    """What stock LeRobot asks for at every step of an episode in which `executed` was done."""
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    config = PreTrainedConfig.from_pretrained(folder)
    policy = get_policy_class(config.type).from_pretrained(folder, config=config)
    before, after = make_pre_post_processors(
        config, pretrained_path=str(folder), preprocessor_overrides={"device_processor": {"device": "cpu"}}
    )
    world = Hall()
    world.reset(SEED)
    asked = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        for t, action in enumerate(executed):
            if t and human[t] != human[t - 1]:
                policy.reset()
            raw = {
                "observation.state": torch.from_numpy(world.proprioception())[None],
                "task": [world.prompt],
            }
            for name, picture in world.images().items():
                raw[f"observation.images.{name}"] = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
            asked.append(after(policy.select_action(before(raw)))[0].numpy())
            world.step(action)
    return np.stack(asked)


@pytest.mark.parametrize("operator", [NoOne(), Pusher()], ids=["alone", "handed over"])
@pytest.mark.parametrize("pictures", [True, False])
def test_our_loop_asks_for_what_select_action_does(
    operator: NoOne | Rescue, pictures: bool, saved: Path
) -> None:
    policy = load_policy(saved)
    assert policy.interface.history == 3 and policy.execute == 4
    episode = run_episode(Hall(), policy, operator, task="hall", seed=SEED, limit=STEPS, pictures=pictures)
    assert episode.intervention.any() == isinstance(operator, Rescue)
    theirs = acted_by_lerobot(saved, episode.intervention, episode.action)
    np.testing.assert_allclose(episode.policy_action, theirs, atol=1e-5)


def test_a_memory_repeats_the_first_observation_and_forgets() -> None:
    def seen(number: int) -> Observation:
        state = torch.tensor([[float(number)]])
        return Observation(images={}, state=state, environment_state=None, prompts=("go",))

    def numbers(shown: Observation) -> list[float]:
        return [then.state.item() for then in (*shown.earlier, shown)]

    memory = Memory(3)
    assert [numbers(memory.recall(seen(t))) for t in range(4)] == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]
    memory.forget()
    assert numbers(memory.recall(seen(7))) == [7, 7, 7]
    assert Memory(1).recall(seen(2)).earlier == ()


def test_an_episode_shows_nothing_of_the_one_before(saved: Path) -> None:
    policy = load_policy(saved)
    assert isinstance(policy, LeRobotAdapter)
    first, second = (run_episode(Hall(), policy, NoOne(), task="hall", seed=SEED, limit=6) for _ in range(2))
    assert np.array_equal(first.policy_action, second.policy_action)
