"""The pixel form of the bimanual tasks: three cameras are looked through in every stage of a run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vantage.algorithms.habc import HABCRun, improve_policy, supervise_round
from vantage.batch import Observation
from vantage.collect.pool import Job, play, play_here
from vantage.data.episodes import Episode, load_episode
from vantage.disk.layout import Round
from vantage.policies.load import load_policy
from vantage.recipes.bimanual import (
    PICTURES,
    bimanual_bag_pixels,
    bimanual_pouch_pixels,
    bimanual_sack_pixels,
)
from vantage.stages.collect import Demonstrations, Rollouts
from vantage.stages.fit_policy import PolicyFit
from vantage.worlds.bimanual.spec import BimanualSpec

CAMERAS = BimanualSpec.cameras


@pytest.mark.parametrize("recipe", [bimanual_bag_pixels, bimanual_pouch_pixels, bimanual_sack_pixels])
def test_a_recipe_looks_through_the_cameras_of_its_world(recipe: Callable[[], HABCRun]) -> None:
    settings = recipe()
    settings.check_compatible()
    sight = settings.policy.net.sight
    assert sight.cameras == settings.worlds[0].cameras and sight.size == PICTURES


def test_a_round_from_pixels(tmp_path: Path) -> None:
    fit, recipe = PolicyFit(steps=3, batch=16), bimanual_bag_pixels()
    operator = replace(recipe.rollouts.operator, stuck_after=5, extension=0)
    settings = replace(
        recipe,
        worlds=(BimanualSpec("bag-bottle", limit=250, image_size=PICTURES),),
        supervision=replace(recipe.supervision, demonstrations=Demonstrations(per_world=1), supervised=fit),
        rollouts=Rollouts(per_world=2, operator=operator),
        improvement=replace(recipe.improvement, critic=replace(recipe.improvement.critic, steps=3), fit=fit),
    )
    first, second = Round.of(tmp_path, 0), Round.of(tmp_path, 1)
    supervise_round(first, settings, play_here)
    improve_policy(second, settings, play_here)

    rescued = replace(operator, permission=1.0)
    job = Job(0, settings.worlds[0], second.actor, rescued, seed=1, journal=tmp_path, pictures=True)
    assert play(job).human_steps > 0
    episode, policy = load_episode(tmp_path, 0), load_policy(second.actor)
    assert episode.images.keys() == set(CAMERAS)
    before, after = observation_of(episode, 0), observation_of(episode, len(episode) - 1)
    with torch.no_grad():
        seen = policy.features(before)
        for camera in CAMERAS:
            pictures = episode.images[camera]
            assert pictures.shape[1:] == (PICTURES, PICTURES, 3)
            assert (pictures[0] != pictures[-1]).mean() > 0.05, f"{camera} shows that something moved"
            moved = replace(before, images={**before.images, camera: after.images[camera]})
            assert (policy.features(moved) - seen).abs().max() > 1e-3, f"{camera} is looked through"

    eyes = [load_policy(each.actor).state_dict() for each in (first, second)]
    for camera in CAMERAS:
        names = [name for name in eyes[0] if f"eyes.{camera}." in name and name.endswith("weight")]
        assert names and any(not torch.equal(eyes[0][name], eyes[1][name]) for name in names), camera


def observation_of(episode: Episode, step: int) -> Observation:
    """What a policy sees at a step."""
    return Observation(
        images={camera: torch.from_numpy(shown[step : step + 1]) for camera, shown in episode.images.items()},
        state=torch.from_numpy(episode.state[step : step + 1]),
        environment_state=None,
        prompts=(episode.prompt,),
    )
