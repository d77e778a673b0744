"""Fast pictures beside MuJoCo's own: the same scene, fewer triangles, and physics untouched."""

import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest
from metaworld.env_dict import ALL_V3_ENVIRONMENTS

from vantage.worlds.metaworld.world import CAMERAS, TASKS, MetaWorld
from vantage.worlds.render import decimate_meshes


def test_pictures_resemble_full_quality_ones() -> None:
    world = MetaWorld("pick-place-v3")
    world.reset(0)
    full = mujoco.Renderer(world._model, 96, 96)
    full.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
    full.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
    expected = {}
    for camera in CAMERAS:
        full.update_scene(world._data, camera)
        picture = full.render()
        expected[camera] = picture[::-1, ::-1] if camera == "corner4" else picture.copy()
    full.close()
    for camera, picture in world.images().items():
        assert np.abs(picture.astype(float) - expected[camera]).mean() < 6
    world.close()


def test_decimation_leaves_collisions_and_physics_alone() -> None:
    paths = []
    for decimate in (False, True):
        env = ALL_V3_ENVIRONMENTS["pick-place-v3"]()
        if decimate:
            before, after = decimate_meshes(env.model)
            assert after < 0.25 * before
        mujoco.mj_resetData(env.model, env.data)
        for i in range(300):
            env.data.ctrl[:] = np.sin(i / 20)
            mujoco.mj_step(env.model, env.data)
        paths.append(env.data.qpos.copy())
    assert np.array_equal(*paths)


@pytest.mark.parametrize(
    ("task", "alike"), [("pick-place-v3", True), ("peg-insert-side-v3", False), ("door-open-v3", False)]
)
def test_copies_of_a_world_share_a_context_and_nothing_else(task: str, alike: bool) -> None:
    def alone(seed: int) -> dict[str, np.ndarray]:
        world = MetaWorld(task, alike=alike)
        world.reset(seed)
        pictures = world.images()
        world.close()
        return pictures

    expected = [alone(seed) for seed in (1, 2, 3)]
    worlds = [MetaWorld(task, alike=alike) for _ in expected]
    for seed, world in enumerate(worlds, start=1):
        world.reset(seed)
    for _ in range(2):  # in turn, and again after all have been drawn
        for world, pictures in zip(worlds, expected, strict=True):
            for camera, picture in world.images().items():
                np.testing.assert_array_equal(picture, pictures[camera])
    assert len({id(world._renderer) for world in worlds}) == 1
    assert not np.array_equal(expected[0]["corner4"], expected[1]["corner4"])
    worlds[0].close()
    np.testing.assert_array_equal(worlds[1].images()["corner4"], expected[1]["corner4"])


def test_two_sizes_are_drawn_side_by_side() -> None:
    """Several renderers of one process gave pictures of each other's shape; one that is closed leaves the
    other as it was."""
    large, small = MetaWorld("push-v3", image_size=96), MetaWorld("push-v3", image_size=32)
    for world in (large, small):
        world.reset(0)
    first = large.images()
    for _ in range(2):
        assert {picture.shape for picture in small.images().values()} == {(32, 32, 3)}
        for camera, picture in large.images().items():
            np.testing.assert_array_equal(picture, first[camera])
    small.close()
    np.testing.assert_array_equal(large.images()["corner4"], first["corner4"])
    large.close()


@pytest.mark.parametrize("task", TASKS[::7])
def test_tasks_render_something(task: str) -> None:
    world = MetaWorld(task, image_size=64)
    world.reset(0)
    for picture in world.images().values():
        assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8 and picture.std() > 10
    world.close()


def test_a_script_may_import_its_simulator_first() -> None:
    """MuJoCo chooses its graphics library when it is imported, and without MUJOCO_GL one that needs a
    screen."""
    program = (
        "import mujoco; from vantage.worlds.render import FastRenderer\n"
        "model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><light/><geom size=\".1\"/>'"
        '\'<camera name="c" pos="0 0 1"/></worldbody></mujoco>\')\n'
        "data = mujoco.MjData(model); mujoco.mj_forward(model, data)\n"
        "picture = FastRenderer(model, (16, 24))(model, data, 'c'); print(picture.shape, picture.max() > 20)"
    )
    bare = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env=bare, capture_output=True, text=True
    )
    assert done.stdout.strip() == "(16, 24, 3) True", done.stderr
