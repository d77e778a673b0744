"""What the bimanual worlds and their operators can do: rates, stability, speed, pictures (docs/bimanual.md).

    python -m experiments.bimanual rates [TASK] [SEEDS]      100 seeds of each operator -> a table
    python -m experiments.bimanual random [TASK] [EPISODES]  1,000 episodes of random targets: warnings, NaN
    python -m experiments.bimanual speed [TASK]              control steps a second, with and without pictures
    python -m experiments.bimanual gallery OUT               stages; videos of a success, a failure, a rescue

Without a TASK: of every task. `rates`: the demonstrator starts at the beginning. The rescuer takes over
somewhere in a demonstration, after 20 steps in which both arms strayed by up to 0.15 rad a joint and each
hand, one time in four, let go. After flailing he takes over after 40 steps of targets from anywhere within
the joints' limits, which often knock things over. The last operator of a task is a demonstrator who lacks a
hand: whose left arm stays at home while he believes that it holds the bag open, who does not open the pouch
for the marker, or who does not hold the sack while he draws the string. No seed is left out.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from vantage.core.stats import wilson
from vantage.worlds.bimanual import bag_bottle_expert, pouch_zip_expert, sack_draw_expert
from vantage.worlds.bimanual.bag_bottle import OPEN_ANGLE
from vantage.worlds.bimanual.build import build_expert, build_world
from vantage.worlds.bimanual.hands import BimanualExpert, Goal
from vantage.worlds.bimanual.kinematics import Pose
from vantage.worlds.bimanual.spec import LIMITS, TASKS
from vantage.worlds.bimanual.world import BimanualWorld
from vantage.worlds.metaworld.experts.style import DEMONSTRATOR, RESCUER

RESCUERS = ("rescuer", "rescuer after flailing")
STRAYING, FLAILING = 20, 40
"""Control steps of random targets before a rescuer takes over."""
STRAY = 0.15
"""Radians a joint by which a demonstration goes astray."""
RIGHT_ONLY = 7
"""Actions of the left arm come first."""


class OneArmed(bag_bottle_expert.Expert):
    """An expert of the bag who believes that the left arm holds it open."""

    def view(self, state: np.ndarray) -> bag_bottle_expert.View:
        """What it believes."""
        return replace(super().view(state), lip_held=True, front=OPEN_ANGLE)


class NotHolding(sack_draw_expert.Expert):
    """An expert of the sack who draws the string without holding the sack."""

    def view(self, state: np.ndarray) -> sack_draw_expert.View:
        """He believes that he holds it as soon as the snacks are in."""
        view = super().view(state)
        return replace(view, handle_held=True) if all(view.inside) else view

    def _goals(self, view: sack_draw_expert.View) -> tuple[Goal, Goal]:
        left, right = super()._goals(view)
        away = Pose(np.array([-0.25, 0.5, 0.25]), left.pose.axes)
        return (Goal(away, 0.6) if all(view.inside) else left), right


class NotOpening(pouch_zip_expert.Expert):
    """An expert of the pouch who lays the marker on the mouth without opening it."""

    def _goals(self, view: pouch_zip_expert.View) -> tuple[Goal, Goal]:
        left, _ = super()._goals(view)
        # The right arm believes that the mouth is open.
        tab = np.array([0.0, -0.02, 0.0])
        _, right = super()._goals(replace(view, tab_held=True, tab=tab))
        away = Pose(np.array([-0.25, 0.5, 0.25]), left.pose.axes)
        return (left if view.marker_in else Goal(away, 0.6)), right


LACKING: dict[str, tuple[str, type[BimanualExpert[Any]]]] = {
    "bag-bottle": ("one-armed", OneArmed),
    "pouch-zip": ("not opening", NotOpening),
    "sack-draw": ("not holding", NotHolding),
}
"""Task -> a demonstrator who lacks a hand, and what he is called."""
TROUBLE = {"bag-bottle": (10, 150), "pouch-zip": (10, 250), "sack-draw": (10, 350)}
"""Task -> control steps of a demonstration in which it goes astray."""


def operators(task: str) -> tuple[str, ...]:
    """Who is tried at a task."""
    return ("demonstrator", *RESCUERS, LACKING[task][0])


def play(
    world: BimanualWorld,
    operator: str,
    seed: int,
    look: Callable[[int], None] | None = None,
    limit: int | None = None,
) -> tuple[bool, int]:
    """One episode: whether it succeeded, and the operator's control steps. `look`: called before every step
    with its number. `limit`: None is the task's usual one."""
    limit = LIMITS[world.task] if limit is None else limit
    rng = np.random.default_rng([seed, 1])
    lacking, believer = LACKING[world.task]
    expert = believer() if operator == lacking else build_expert(world.task)
    expert.reset(rng, DEMONSTRATOR)
    world.reset(seed)
    home = world.environment_state()[14 : 14 + RIGHT_ONLY]

    # When trouble begins, and when the rescuer takes over.
    trouble = rescue = 0
    if operator == "rescuer":
        trouble = int(rng.integers(*TROUBLE[world.task]))
        rescue = trouble + STRAYING
    elif operator == "rescuer after flailing":
        rescue = FLAILING

    action = world.action_low
    for t in range(rescue + limit):
        if look is not None:
            look(t)
        state = world.environment_state()
        if t == rescue and rescue:
            expert.reset(rng, RESCUER)

        if t < trouble or t >= rescue:
            action = expert.act(state)
        elif operator == "rescuer":
            action = astray(state[14:28], rng) if t == trouble else action
        elif t % 10 == 0:
            action = random_target(world, rng)

        if operator == "one-armed":
            action[:RIGHT_ONLY] = home
        if world.step(action):
            return True, t + 1 - rescue
    return False, limit


def astray(targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Targets near those of now, and now and then an open hand."""
    action = targets + rng.uniform(-STRAY, STRAY, 14)
    for grip in (6, 13):
        action[grip] = 1.0 if rng.random() < 0.25 else targets[grip]
    return action.astype(np.float32)


def random_target(world: BimanualWorld, rng: np.random.Generator) -> np.ndarray:
    """Joint angles and grips, anywhere within the limits."""
    return rng.uniform(world.action_low, world.action_high).astype(np.float32)


def rates(task: str, who: Sequence[str] = (), seeds: int = 100, limit: int | None = None) -> str:
    """Markdown: a line per operator."""
    lines = [f"| {task} | success | 95 % interval | n | steps of successes |", "|---|---|---|---|---|"]
    world = build_world(task)
    for operator in who or operators(task):
        played = [play(world, operator, seed, limit=limit) for seed in range(seeds)]
        steps = [count for success, count in played if success]
        rate = wilson(len(steps), seeds)
        length = f"{np.mean(steps):.0f}" if steps else "-"
        lines.append(
            f"| {operator} | {rate.estimate:.2f} | {rate.low:.2f} to {rate.high:.2f} | {seeds} | {length} |"
        )
    return "\n".join(lines)


def random_play(task: str, episodes: int = 1000, steps: int = 400) -> str:
    """One sentence: what happened under random targets, each held for 1 to 25 control steps."""
    world = build_world(task)
    warned = broken = 0
    fastest = 0.0
    for seed in range(episodes):
        rng = np.random.default_rng([seed, 2])
        hold = int(rng.integers(1, 26))
        world.reset(seed)
        action = random_target(world, rng)
        for t in range(steps):
            if t % hold == 0:
                action = random_target(world, rng)
            world.step(action)
            fastest = max(fastest, float(np.abs(world.data.qvel).max()))
        warned += any(int(warning.number) for warning in world.data.warning)
        broken += not np.isfinite(world.environment_state()).all()
    return (
        f"{task}: {episodes} episodes of {steps} random steps: {warned} with a warning of MuJoCo's, {broken} "
        f"with a number that is not finite; fastest joint or body {fastest:.0f} rad/s or m/s"
    )


def speed(task: str, steps: int = 400, chunk: int = 8) -> str:
    """One sentence: control steps a second of a core, alone and with pictures every `chunk` steps."""
    world, expert = build_world(task), build_expert(task)
    world.reset(0)
    expert.reset(np.random.default_rng(0), DEMONSTRATOR)
    actions: list[np.ndarray] = []
    thinking = time.process_time()
    for _ in range(steps):
        actions.append(expert.act(world.environment_state()))
        world.step(actions[-1])
    thought = time.process_time() - thinking

    def again(every: int | None) -> float:
        world.reset(0)
        world.images()
        start = time.process_time()
        for t, action in enumerate(actions):
            if every and t % every == 0:
                world.images()
            world.step(action)
        return steps / (time.process_time() - start)

    return (
        f"{task}: control steps per second of one core's time: {again(None):.0f} alone, {again(chunk):.0f} "
        f"with three 96 px pictures every {chunk} steps, {again(1):.0f} with them at every step, "
        f"{steps / thought:.0f} with the expert at the controls"
    )


def gallery(
    out: Path, task: str, size: int = 240, seeds: Sequence[int] = (3, 11, 2), limit: int | None = None
) -> None:
    """Pictures of a success's stages, and videos of a success, a failure (a hand lacks) and a rescue."""
    out.mkdir(parents=True, exist_ok=True)
    world, expert = build_world(task, size), build_expert(task)
    world.cameras = ("view", *world.cameras)
    for name, operator, seed in zip(
        ("success", "failure", "rescue"), ("demonstrator", LACKING[task][0], "rescuer"), seeds, strict=True
    ):
        frames: list[np.ndarray] = []
        reached: dict[int, np.ndarray] = {}

        def look(t: int, frames: list[np.ndarray] = frames, reached: dict[int, np.ndarray] = reached) -> None:
            pictures = world.images()
            frames.append(np.concatenate([pictures[camera] for camera in world.cameras], axis=1))
            reached.setdefault(expert.stage(world.environment_state()), frames[-1])

        success, steps = play(world, operator, seed, look, limit)
        look(steps)
        write_video(out / f"{task}-{name}.mp4", frames, world.fps)
        outcome = "success" if success else "failure"
        print(f"{task}, {name}: {operator}, seed {seed}, {outcome} after {steps} steps")
        if name == "success":
            Image.fromarray(np.concatenate([reached[stage] for stage in sorted(reached)])).save(
                out / f"{task}-stages.png"
            )


def write_video(path: Path, frames: Sequence[np.ndarray], fps: int) -> None:
    """H.264, small."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def main(arguments: Sequence[str]) -> None:
    """Do what was asked, and print it."""
    tasks = tuple(task for task in TASKS if task in arguments[1:]) or TASKS
    counts = [int(word) for word in arguments[1:] if word.isdigit()]
    known = all(word in TASKS or word.isdigit() for word in arguments[1:])
    match arguments:
        case ["rates", *_] if known:
            print("\n\n".join(rates(task, seeds=counts[0] if counts else 100) for task in tasks))
        case ["random", *_] if known:
            print("\n".join(random_play(task, counts[0] if counts else 1000) for task in tasks))
        case ["speed", *_] if known:
            print("\n".join(speed(task) for task in tasks))
        case ["gallery", out]:
            for task in TASKS:
                gallery(Path(out), task)
        case _:
            print(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
