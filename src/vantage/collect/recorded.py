"""Demonstrations that somebody recorded before: a LeRobotDataset -> episodes in the journal of round 0.

    data set ──check_recorded──> one sentence where it does not fit the world or the policy
             ──journal_recorded──> .journal/episode-000000 ..., as a demonstrator's would be

What is kept is a copy: a run does not change with the data set that it began from.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from vantage.collect.operators import DemonstrateFrom
from vantage.core.images import area_downsample, divides
from vantage.data.episodes import Episode, journalled, save_episode
from vantage.data.named import episodes_named
from vantage.data.stores.recording import read_recording
from vantage.data.v3.meta import read_episodes, read_info
from vantage.data.v3.pictures import read_pictures
from vantage.data.v3.read import Table, read_table
from vantage.errors import VantageError
from vantage.policies.protocol import Interface
from vantage.progress import bar, say
from vantage.worlds.spec import WorldSpec

Sizes = Mapping[str, tuple[int, int] | None]
"""Camera -> (height, width) that the policy must be given; None: as recorded."""


def check_recorded(
    settings: DemonstrateFrom, worlds: Sequence[WorldSpec], interface: Interface, wanted: int
) -> None:
    """Check that a data set holds `wanted` demonstrations of every world, as this policy needs them.

    Reads no picture. Raises VantageError where it holds fewer; where robot state, true state, actions or
    control rate are another robot's; where frames are missing inside an episode; and where a camera is
    missing or has another size than the policy can be given.
    """
    table = _table(settings)
    for world in worlds:
        _check_numbers(table, world, interface)
    _check_pictures(settings.dataset, worlds[0], interface.cameras)
    chosen(settings, worlds, wanted)


def chosen(settings: DemonstrateFrom, worlds: Sequence[WorldSpec], wanted: int) -> list[list[int]]:
    """For every world the numbers of its first `wanted` demonstrations: episodes whose task is its prompt,
    and that succeeded wherever the data set says how they ended.

    Raises VantageError where there are fewer, or where one of them cannot be a demonstration.
    """
    table = _table(settings)
    named = episodes_named(settings.episodes, "DemonstrateFrom.episodes")
    numbers = range(table.episodes) if named is True else sorted(named or ())
    if numbers and not 0 <= numbers[-1] < table.episodes:
        raise VantageError(
            f"there is no episode {numbers[-1]} in {settings.dataset}: it has 0 to {table.episodes - 1}"
        )

    found: list[list[int]] = []
    for world, prompt in zip(worlds, _prompts(tuple(worlds)), strict=True):
        of_task = [n for n in numbers if table.prompts[table.prompt[table.slices[n].start]] == prompt]
        good = [n for n in of_task if _succeeded(table, n)]
        if len(good) < wanted:
            raise VantageError(
                f"{settings.dataset} holds {_counted(len(good), len(of_task))} of {prompt!r}, which is the "
                f"prompt of {world.task}, fewer than the {wanted} wanted; {_remedy(table, of_task)}"
            )
        found.append(good[:wanted])
        for number in found[-1]:
            _check_episode(table, number, world)
    return found


def journal_recorded(
    settings: DemonstrateFrom, worlds: Sequence[WorldSpec], wanted: int, cameras: Sizes, journal: Path
) -> list[int]:
    """Copy the chosen episodes to the journal, what it holds already left out; returns their numbers there.

    Pictures are kept at the size that the policy must be given. Raises VantageError as `check_recorded` does,
    and for a picture that is missing or damaged.
    """
    table, per_world = _table(settings), chosen(settings, worlds, wanted)
    episodes = read_episodes(read_info(settings.dataset)) if cameras else None
    safe = journalled(journal)
    told = [(world, number) for world, numbers in zip(worlds, per_world, strict=True) for number in numbers]

    with bar("demonstrations", len(told), "episodes") as advance:
        for place, (world, number) in enumerate(told):
            if place not in safe:
                pictures = {} if episodes is None else read_pictures(episodes, number)
                images = {name: _sized(pictures[name], size) for name, size in cameras.items()}
                save_episode(journal, place, _episode(table, number, world, settings.dataset, images))
            advance(1, world.task)
    say(f"{len(told)} demonstrations are copied from {settings.dataset}")
    return list(range(len(told)))


# ------------------------------------------------------------------------------------------ the data set


def _table(settings: DemonstrateFrom) -> Table:
    return read_table(settings.dataset, demos=True)


@lru_cache(maxsize=16)
def _prompts(worlds: tuple[WorldSpec, ...]) -> tuple[str, ...]:
    """What a person would tell the robot in every world, which only the built world knows."""
    found: list[str] = []
    for world in worlds:
        built = world()
        found.append(built.prompt)
        built.close()
    return tuple(found)


def _succeeded(table: Table, number: int) -> bool:
    return table.success is None or bool(table.success[table.slices[number]].any())


def _counted(good: int, of_task: int) -> str:
    """`5 demonstrations` or, where some have failed, `5 demonstrations that worked (of 8)`."""
    noun = "demonstration" if good == 1 else "demonstrations"
    return f"{good} {noun}" if good == of_task else f"{good} {noun} that worked (of {of_task})"


def _remedy(table: Table, of_task: Sequence[int]) -> str:
    if of_task:
        return "ask for fewer with --demonstrations.per-world, or record more"
    there = ", ".join(repr(prompt) for prompt in table.prompts)
    return f"the tasks of its episodes are {there}; one of them must be the prompt, word for word"


# --------------------------------------------------------------------------------------------- the checks


def _check_numbers(table: Table, world: WorldSpec, interface: Interface) -> None:
    inputs, root = world.inputs, table.root
    if table.fps != world.fps:
        raise VantageError(
            f"{root} was recorded at {table.fps:g} Hz and {world.task} is controlled at {world.fps} Hz; "
            "a policy learns one of them"
        )
    seen = None if table.environment_state is None else table.environment_state.shape[1]
    if interface.environment_dim is not None and seen is None:
        raise VantageError(
            f"the policy looks at the true state, and {root} has no observation.environment_state; "
            "take a policy that looks at pictures"
        )
    for name, has, needs in (
        ("observation.state", table.state.shape[1], inputs.state_dim),
        ("observation.environment_state", seen, inputs.environment_dim),
        ("action", table.action.shape[1], inputs.action_dim),
    ):
        if has is not None and has != needs:
            raise VantageError(
                f"{name} of {root} has {has} dimensions, and {world.task} has {needs}; "
                "demonstrations must be of the robot that is played"
            )


def _check_pictures(dataset: Path, world: WorldSpec, cameras: Sizes) -> None:
    """Raise VantageError for a camera that is missing, or whose pictures the policy cannot be given."""
    if not cameras:
        return
    native = read_recording(dataset, dict(cameras)).native  # says what is missing, and what does not divide
    for name, size in cameras.items():
        shown = world.inputs.cameras.get(name)
        if size is None and native[name] != shown:
            raise VantageError(
                f"camera {name!r} of {dataset} is {native[name][1]} x {native[name][0]} px and that of "
                f"{world.task} {'missing' if shown is None else f'{shown[1]} x {shown[0]} px'}; "
                "set the world's image size to that of the recording"
            )


def _check_episode(table: Table, number: int, world: WorldSpec) -> None:
    rows = table.slices[number]
    steps = rows.stop - rows.start
    if table.cut[rows].any():
        raise VantageError(
            f"frames are missing in episode {number} of {table.root} (before frame "
            f"{int(table.cut[rows].argmax())}); leave it out with DemonstrateFrom.episodes"
        )
    if steps > world.limit:
        raise VantageError(
            f"episode {number} of {table.root} lasts {steps} control steps, and an episode of {world.task} "
            f"may last {world.limit}; allow {steps} with --worlds.limit, or leave it out with "
            "DemonstrateFrom.episodes"
        )


# --------------------------------------------------------------------------------------------- one episode


def _episode(
    table: Table, number: int, world: WorldSpec, dataset: Path, images: Mapping[str, np.ndarray]
) -> Episode:
    rows = table.slices[number]
    steps = rows.stop - rows.start
    success = np.zeros(steps, np.bool_)
    success[-1] = True
    if table.success is not None:
        success = table.success[rows]
    action = table.action[rows]
    return Episode(
        state=table.state[rows],
        environment_state=None if table.environment_state is None else table.environment_state[rows],
        action=action,
        policy_action=action,
        intervention=np.ones(steps, np.bool_),
        policy_version=np.full(steps, -1, np.int64),
        success=success,
        done=np.arange(steps) == steps - 1,
        prompt=table.prompts[table.prompt[rows.start]],
        images=images,
        task=world.task,
        info={"recorded_in": dataset.name, "episode": number},
    )


def _sized(pictures: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Pictures [T, h, w, 3] at the size that the policy must be given."""
    if size is None or pictures.shape[1:3] == size:
        return pictures
    assert divides((pictures.shape[1], pictures.shape[2]), size), "checked before the first episode"
    return np.stack([area_downsample(picture, size) for picture in pictures])
