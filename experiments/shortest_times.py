"""How near chunked PPO is to the shortest possible time -> docs/results/shortest-times.parquet, and its table
in docs/results.md.

    python -m experiments.shortest_times            measure (ten seconds), keep, print
    python -m experiments.shortest_times --print    print what was kept

For every start of the evaluation suite of MT10, the time of a hand that moves at top speed all the way and
touches things where the demonstrator's hand does, from what is measured here:

    the hand begins at rest ──straight──> where it may touch ──straight, at top speed──> where the task counts

How far the hand gets in n steps of full action, from rest, along each axis: the farthest of several starts
and all directions. It touches when the middle between the fingers is as near to the object as it ever was in
the demonstrations of that task when the object had begun to move (the farthest of them). Nothing is counted
for closing the fingers, for turning around, for going around the object, or for gathering speed again, so
that a real hand needs more. One that touches with another part of itself may need less; how many do is
printed.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from experiments.publish_study import between
from vantage.disk.tables import read_parquet, write_parquet
from vantage.seeding import seed_for
from vantage.worlds.metaworld.experts import DEMONSTRATOR, Expert
from vantage.worlds.metaworld.tasks import MT10
from vantage.worlds.metaworld.world import MetaWorld
from vantage.worlds.spec import MetaWorldSpec, place_of

KEPT = Path("docs/results/shortest-times.parquet")
TRIALS = Path("docs/results/study-mt10-ppo/trials.parquet")
ARMS = ("SFT, 10 demos", "10 demos, 2 M steps, PPO alone", "10 demos, 11 M steps, PPO alone, two cores")

STARTS, LIMIT = 50, 500
POSES, DRIVEN, FREE, LONGEST = 3, 30, 15, 100
"""Starts of each of `EMPTY` from which the hand is driven, for how many steps, how many of them are measured,
and how many a task may take."""
EMPTY = ("reach-v3", "button-press-topdown-v3")
"""Tasks where nothing is near the hand when it begins, one for each of the two places where it does."""
FINGERS = np.array([0.0, 0.0, -0.045])
"""The middle between the fingers, from the hand's position."""
MOVED = 0.01
"""Metres after which an object has begun to move: the peg sinks by seven millimetres on its own."""
WITHIN = {"reach-v3": 0.05, "push-v3": 0.05, "pick-place-v3": 0.07}
"""Metres from the goal at which these tasks count, in any direction. In the others something moves along one
line, and how far is seen where the demonstration of the same start succeeds."""
OVERSHOT = 0.01
"""Metres by which that demonstration may have been beyond where the task begins to count: one step's way."""


def free_reach(
    worlds: Sequence[MetaWorld], poses: int
) -> tuple[Float64[np.ndarray, "2 3 T"], Float64[np.ndarray, "2 3"]]:
    """(reach, speed) of the hand along each axis, backwards and forwards, in metres.

    Reach: how far it gets in 1 to T steps of full action from rest, the farthest of `poses` starts of every
    world and of all 26 directions in which each axis is driven fully or not at all. It is measured for `FREE`
    steps, before anything is in the way, and goes on from there at top speed: the most metres per step over
    any five steps in a row.
    """
    directions = [way for way in itertools.product((-1, 0, 1), repeat=3) if any(way)]
    gone = np.zeros((len(worlds) * poses * len(directions), 3, DRIVEN + 1))
    for row, (world, seed, way) in enumerate(itertools.product(worlds, range(poses), directions)):
        world.reset(seed)
        begin, action = world.environment_state()[:3], np.array([*way, 0], np.float32)
        for step in range(1, DRIVEN + 1):
            world.step(action)
            gone[row, :, step] = world.environment_state()[:3] - begin

    both = np.stack([-gone, gone])
    speed = ((both[..., 5:] - both[..., :-5]) / 5).max(axis=(1, 3))
    measured = both.max(axis=1)[..., 1 : FREE + 1]
    further = measured[..., -1:] + speed[..., None] * np.arange(1, LONGEST - FREE + 1)
    return np.concatenate([measured, further], axis=2), speed


class Demonstration:
    """What the scripted operator did from one start."""

    def __init__(self, world: MetaWorld, expert: Expert, seed: int, limit: int) -> None:
        """Play it."""
        world.reset(seed)
        expert.reset(np.random.default_rng(seed), DEMONSTRATOR)
        states = [world.environment_state().astype(float)]
        self.succeeds = False
        while not self.succeeds and len(states) <= limit:
            self.succeeds = world.step(expert.act(states[-1].astype(np.float32)))
            states.append(world.environment_state().astype(float))

        self.fingers = states[0][:3] + FINGERS
        self.object, self.goal = states[0][4:7], states[0][36:39]
        self.travel = states[-1][4:7] - self.object
        """How far the object was from where it began when the task counted."""
        gone = [np.linalg.norm(state[4:7] - self.object) for state in states]
        first = next((step for step, distance in enumerate(gone) if distance > MOVED), 0)
        self.touch = float(np.linalg.norm(states[first][:3] + FINGERS - states[first][4:7]))
        """From fingers to object when it began to move."""


def steps_to(offset: Float64[np.ndarray, "3"], within: float, reach: Float64[np.ndarray, "2 3 T"]) -> int:
    """Steps until something `offset` away may be nearer than `within`: the axes move at the same time."""
    if np.linalg.norm(offset) <= within:
        return 0
    along = reach[(offset > 0).astype(int), range(3)]
    left = np.linalg.norm(np.maximum(np.abs(offset)[:, None] - along, 0), axis=0)
    return int((left <= within).argmax()) + 1


def shortest(
    shown: Demonstration,
    task: str,
    touch: float,
    reach: Float64[np.ndarray, "2 3 T"],
    speed: Float64[np.ndarray, "2 3"],
) -> float:
    """The shortest possible steps from one start; NaN where the demonstration does not say how far.

    `touch`: metres between fingers and object at which it may begin to move.
    """
    if task == "reach-v3":
        return steps_to(shown.goal - shown.fingers, WITHIN[task], reach)
    if task not in WITHIN and not shown.succeeds:
        return np.nan

    to_touch = steps_to(shown.object - shown.fingers, touch, reach)
    if task in WITHIN:
        way, within = shown.goal - shown.object, WITHIN[task]
    else:
        way, within = shown.travel, OVERSHOT
    at_speed = speed[..., None] * np.arange(1, LONGEST + 1)
    return to_touch + steps_to(way, within, at_speed)


def measure(
    tasks: Sequence[str] = MT10, starts: int = STARTS, poses: int = POSES, limit: int = LIMIT
) -> dict[str, np.ndarray]:
    """One row per task and evaluation start."""
    free = [MetaWorld(task) for task in EMPTY]
    reach, speed = free_reach(free, poses)
    for world in free:
        world.close()

    rows: list[tuple[str, int, float, float]] = []
    for task in tasks:
        world, expert = MetaWorld(task), Expert(task)
        place = place_of(MetaWorldSpec(task))
        shown = [
            Demonstration(world, expert, seed_for("evaluation", place, trial), limit)
            for trial in range(starts)
        ]
        world.close()
        touch = max(one.touch for one in shown)
        for trial, one in enumerate(shown):
            rows.append((task, trial, shortest(one, task, touch, reach, speed), touch))

    names = ("world", "trial", "shortest", "touch")
    return {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def table(rows: Mapping[str, np.ndarray], trials: Mapping[str, np.ndarray]) -> str:
    """Markdown: a line per task, of the starts that each policy solves."""
    of_start = {
        (task, trial): steps
        for task, trial, steps in zip(rows["world"], rows["trial"], rows["shortest"], strict=True)
    }
    starts = zip(trials["world"], trials["trial"], strict=True)
    least = np.array([of_start.get(start, np.nan) for start in starts])
    counted = trials["success"] & np.isfinite(least)

    lines = [
        "| steps of successes / shortest possible | shortest | " + " | ".join(ARMS) + " |",
        "|---|---|" + "---|" * len(ARMS),
    ]
    means: list[list[float]] = []
    for task in dict.fromkeys(rows["world"].tolist()):
        of_task = counted & (trials["world"] == task)
        cells = [_steps_and_ratio(of_task & (trials["arm"] == arm), trials, least) for arm in ARMS]
        means.append([float(np.nanmean(rows["shortest"][rows["world"] == task])), *itertools.chain(*cells)])
    for task, row in [
        *zip(dict.fromkeys(rows["world"].tolist()), means, strict=True),
        ("mean", np.mean(means, 0)),
    ]:
        shortest_here, *pairs = row
        cells = [f"{steps:.1f} / {ratio:.2f}" for steps, ratio in itertools.batched(pairs, 2)]
        lines.append(f"| {task} | {shortest_here:.1f} | " + " | ".join(cells) + " |")

    known = np.isfinite(rows["shortest"])
    ours = counted & np.isin(trials["arm"], ARMS)
    below = trials["world"][ours & (trials["steps"] < least)]
    per_task = [f"{task} ({int((below == task).sum())})" for task in dict.fromkeys(below.tolist())]
    lines += [
        "",
        "Mean steps, and the mean of steps over the shortest time of the same start. "
        f"{int(known.sum())} of {len(known)} starts have a shortest time; {len(below)} of "
        f"{int(ours.sum()):,} successes are shorter than it: {', '.join(per_task) or 'none'}.",
    ]
    return "\n".join(lines)


def _steps_and_ratio(
    of: Bool[np.ndarray, "K"], trials: Mapping[str, np.ndarray], least: Float64[np.ndarray, "K"]
) -> tuple[float, float]:
    """Mean steps of these successes, and the mean of steps over the shortest time of the same start."""
    steps = trials["steps"][of]
    return float(steps.mean()), float((steps / least[of]).mean())


def main(arguments: Sequence[str]) -> None:
    """Measure, unless it is only to be printed; put the table into docs/results.md."""
    if "--print" not in arguments:
        write_parquet(KEPT, measure())
    drawn = table(read_parquet(KEPT), read_parquet(TRIALS))
    print(drawn)
    between(Path("docs/results.md"), "shortest-times", drawn, "### Beside the shortest possible time")


if __name__ == "__main__":
    main(sys.argv[1:])
