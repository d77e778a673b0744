"""The pixel form of the bimanual tasks: three cameras are looked through in every stage of a run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vantage.algorithms.habc import HABCRun, improve_policy, supervise_round
from vantage.collect.pool import Job, play, play_here
from vantage.data.episodes import load_episode
from vantage.disk.layout import Round
from vantage.policies.load import load_policy
from vantage.recipes.bimanual import (
    PICTURES,
    bimanual_bag_pixels,
    bimanual_pouch_pixels,
    bimanual_sack_pixels,
)
from vantage.stages.collect import Demonstrations, Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.worlds.bimanual.spec import BimanualSpec

CAMERAS = BimanualSpec.cameras
AT_ONCE = 5
"""Steps after which the policy of this test is called stuck."""


@pytest.mark.parametrize("recipe", [bimanual_bag_pixels, bimanual_pouch_pixels, bimanual_sack_pixels])
def test_a_recipe_looks_through_the_cameras_of_its_world(recipe: Callable[[], HABCRun]) -> None:
    settings = recipe()
    settings.check_compatible()
    sight = settings.policy.net.sight
    assert sight.cameras == settings.worlds[0].cameras and sight.size == PICTURES


def test_a_round_from_pixels(tmp_path: Path) -> None:
    fit, recipe = PolicyFit(steps=3, batch=16), bimanual_bag_pixels()
    operator = replace(recipe.rollouts.operator, permission=1.0, stuck_after=AT_ONCE, extension=0)
    settings = replace(
        recipe,
        worlds=(BimanualSpec("bag-bottle", limit=250, image_size=PICTURES),),
        supervision=replace(recipe.supervision, demonstrations=Demonstrations(per_world=1), supervised=fit),
        rounds=1,
        rollouts=Rollouts(per_world=2, operator=replace(operator, permission=0.5)),
        improvement=replace(recipe.improvement, critic=replace(recipe.improvement.critic, steps=3), fit=fit),
        evaluation=Evaluation(per_world=1),
        control=False,
    )
    supervise_round(Round.of(tmp_path, 0), settings, play_here)
    improve_policy(Round.of(tmp_path, 1), settings, play_here)

    policy = load_policy(Round.of(tmp_path, 1).actor)
    assert policy.config.net.sight.cameras == CAMERAS
    played = play(
        Job(
            0,
            settings.worlds[0],
            Round.of(tmp_path, 1).actor,
            operator,
            seed=1,
            journal=tmp_path,
            pictures=True,
        )
    )
    episode = load_episode(tmp_path, 0)
    assert played.human_steps > 0 and set(episode.images) == set(CAMERAS)
    for camera in CAMERAS:
        pictures = episode.images[camera]
        assert pictures.shape[1:] == (PICTURES, PICTURES, 3)
        assert (pictures[0] != pictures[-1]).mean() > 0.05, f"{camera} shows that something moved"
    assert np.isfinite(episode.policy_action).all()
