"""A small VLA that reads its prompt: on identical first frames, another sentence makes another movement."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vantage.algorithms.habc import HABCRun, run_habc
from vantage.algorithms.supervised import Supervision
from vantage.batch import Observation
from vantage.collect.operators import Demonstrate
from vantage.core.images import area_downsample
from vantage.disk.layout import Round
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy
from vantage.stages.collect import Demonstrations
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.worlds.metaworld.world import MetaWorld
from vantage.worlds.spec import MetaWorldSpec

SEEDS = range(50_000, 50_012)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a minute of supervised fine-tuning on reach and push, drawn alike."""
    run = tmp_path_factory.mktemp("prompt")
    settings = HABCRun(
        worlds=(MetaWorldSpec("reach-v3", alike=True), MetaWorldSpec("push-v3", alike=True)),
        supervision=Supervision(
            demonstrations=Demonstrations(per_world=10, operator=Demonstrate(clean_share=1.0)),
            supervised=PolicyFit(steps=400, batch=64),
        ),
        rounds=0,
        evaluation=Evaluation(per_world=1),
        control=False,
    )
    run_habc(run, replace(settings, seed=3), workers=1)
    return Round.of(run, 0).actor


def chunk(actor: Policy, world: MetaWorld, prompt: str, noise: int, samples: int = 16) -> np.ndarray:
    """The first eight actions that the policy proposes, averaged over its own noise."""
    images = {c: torch.from_numpy(area_downsample(p, 48)[None].copy()) for c, p in world.images().items()}
    state = torch.from_numpy(world.proprioception())[None]
    observation = Observation(
        images={c: p.expand(samples, -1, -1, -1) for c, p in images.items()},
        state=state.expand(samples, -1),
        environment_state=None,
        prompts=(prompt,) * samples,
    )
    return actor.act(observation, torch.Generator().manual_seed(noise))[:, :8].mean(0).numpy()


@pytest.mark.timeout(240)
def test_a_swapped_prompt_changes_the_actions_on_identical_first_frames(policy: Path) -> None:
    reach, push = (MetaWorld(task, alike=True) for task in ("reach-v3", "push-v3"))
    actor, right, swapped = load_policy(policy), 0, 0
    for seed in SEEDS:
        reach.reset(seed)
        push.reset(seed)
        assert all(
            np.array_equal(a, b) for a, b in zip(reach.images().values(), push.images().values(), strict=True)
        )
        told_reach, told_push = (chunk(actor, reach, world.prompt, 0) for world in (reach, push))
        other_noise = chunk(actor, reach, reach.prompt, 1)
        swapped += np.abs(told_reach - told_push).mean() > 2 * np.abs(told_reach - other_noise).mean()
        # The pole stands beyond the puck: reaching goes forward (y) at once, pushing first goes down (z) to
        # the puck.
        right += (
            told_reach[:, 1].sum() > told_push[:, 1].sum() and told_push[:, 2].sum() < told_reach[:, 2].sum()
        )
    reach.close()
    push.close()
    assert swapped >= len(SEEDS) - 2, f"the prompt moved the actions in only {swapped} of {len(SEEDS)} starts"
    assert right >= len(SEEDS) - 2, (
        f"the prompt moved them the right way in only {right} of {len(SEEDS)} starts"
    )
