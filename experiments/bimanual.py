"""What the bimanual worlds and their operators can do: rates, stability, speed, pictures (docs/bimanual.md).

    python -m experiments.bimanual rates            100 seeds of each operator -> a table (or of those named)
    python -m experiments.bimanual random           1,000 episodes of random targets: warnings, NaN, speeds
    python -m experiments.bimanual speed            control steps a second, with and without pictures
    python -m experiments.bimanual gallery OUT      stages, and videos of a success, a failure, a rescue

`rates`: the demonstrator starts at the beginning. The rescuer takes over somewhere in a demonstration, after
20 steps in which both arms strayed by up to 0.15 rad a joint and each hand, one time in four, let go. After
flailing he takes over after 40 steps of targets from anywhere within the joints' limits, which often knock
the bottle over. One-armed is a demonstrator whose left arm stays at home and who believes that the bag is
open. No seed is left out.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from PIL import Image

from vantage.core.stats import wilson
from vantage.worlds.bimanual.bag_bottle import OPEN_ANGLE, BagBottle
from vantage.worlds.bimanual.experts import Expert, View
from vantage.worlds.metaworld.experts.style import DEMONSTRATOR, RESCUER

LIMIT = 400
OPERATORS = ("demonstrator", "rescuer", "rescuer after flailing", "one-armed")
STRAYING, FLAILING = 20, 40
"""Control steps of random targets before a rescuer takes over."""
STRAY = 0.15
"""Radians a joint by which a demonstration goes astray."""
RIGHT_ONLY = 7
"""Actions of the left arm come first."""


class OneArmed(Expert):
    """An expert who believes that the left arm holds the bag open."""

    def view(self, state: np.ndarray) -> View:
        """What it believes."""
        return replace(super().view(state), lip_held=True, front=OPEN_ANGLE)


def play(
    world: BagBottle,
    operator: str,
    seed: int,
    look: Callable[[int], None] | None = None,
    limit: int = LIMIT,
) -> tuple[bool, int]:
    """One episode: whether it succeeded, and the operator's control steps. `look`: called before every step
    with its number."""
    rng = np.random.default_rng([seed, 1])
    expert = OneArmed() if operator == "one-armed" else Expert()
    expert.reset(rng, DEMONSTRATOR)
    world.reset(seed)
    home = world.environment_state()[14 : 14 + RIGHT_ONLY]

    # When trouble begins, and when the rescuer takes over.
    trouble = rescue = 0
    if operator == "rescuer":
        trouble = int(rng.integers(10, 150))
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


def random_target(world: BagBottle, rng: np.random.Generator) -> np.ndarray:
    """Joint angles and grips, anywhere within the limits."""
    return rng.uniform(world.action_low, world.action_high).astype(np.float32)


def rates(operators: Sequence[str] = OPERATORS, seeds: int = 100, limit: int = LIMIT) -> str:
    """Markdown: a line per operator."""
    lines = ["| operator | success | 95 % interval | n | steps of successes |", "|---|---|---|---|---|"]
    world = BagBottle()
    for operator in operators:
        played = [play(world, operator, seed, limit=limit) for seed in range(seeds)]
        steps = [count for success, count in played if success]
        rate = wilson(len(steps), seeds)
        length = f"{np.mean(steps):.0f}" if steps else "-"
        lines.append(
            f"| {operator} | {rate.estimate:.2f} | {rate.low:.2f} to {rate.high:.2f} | {seeds} | {length} |"
        )
    return "\n".join(lines)


def random_play(episodes: int = 1000, steps: int = LIMIT) -> str:
    """One sentence: what happened under random targets, each held for 1 to 25 control steps."""
    world = BagBottle()
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
        f"{episodes} episodes of {steps} random steps: {warned} with a warning of MuJoCo's, {broken} with a "
        f"number that is not finite; fastest joint or body {fastest:.0f} rad/s or m/s"
    )


def speed(steps: int = 400, chunk: int = 8) -> str:
    """One sentence: control steps a second of a core, alone and with pictures every `chunk` steps."""
    world, expert = BagBottle(), Expert()
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
        f"control steps per second of one core's time: {again(None):.0f} alone, {again(chunk):.0f} with "
        f"three 96 px pictures every {chunk} steps, {again(1):.0f} with them at every step, "
        f"{steps / thought:.0f} with the expert at the controls"
    )


def gallery(out: Path, size: int = 240, seeds: Sequence[int] = (3, 11, 2), limit: int = LIMIT) -> None:
    """Pictures of a success's stages, and videos of a success, a failure (one arm only) and a rescue."""
    out.mkdir(parents=True, exist_ok=True)
    world, expert = BagBottle(image_size=size), Expert()
    world.cameras = ("view", *BagBottle.cameras)
    for name, operator, seed in zip(
        ("success", "failure", "rescue"), ("demonstrator", "one-armed", "rescuer"), seeds, strict=True
    ):
        frames: list[np.ndarray] = []
        reached: dict[int, np.ndarray] = {}

        def look(t: int, frames: list[np.ndarray] = frames, reached: dict[int, np.ndarray] = reached) -> None:
            pictures = world.images()
            frames.append(np.concatenate([pictures[camera] for camera in world.cameras], axis=1))
            reached.setdefault(expert.stage(world.environment_state()), frames[-1])

        success, steps = play(world, operator, seed, look, limit)
        look(steps)
        write_video(out / f"bag-bottle-{name}.mp4", frames, world.fps)
        print(f"{name}: {operator}, seed {seed}, {'success' if success else 'failure'} after {steps} steps")
        if name == "success":
            Image.fromarray(np.concatenate([reached[stage] for stage in sorted(reached)])).save(
                out / "bag-bottle-stages.png"
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
    match arguments:
        case ["rates", *operators]:
            print(rates(operators or OPERATORS))
        case ["random"]:
            print(random_play())
        case ["speed"]:
            print(speed())
        case ["gallery", out]:
            gallery(Path(out))
        case _:
            print(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
