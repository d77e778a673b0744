"""Chosen episodes -> the part of the page that shows their video beside the critic's values (Fig. 5)."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from vantage.data.v3.meta import Episodes
from vantage.data.v3.pictures import read_pictures, tile
from vantage.data.v3.video import encode
from vantage.report.charts import KIND_CLASS, WIDTHS
from vantage.report.episode import Ranges, Watch, choose, shared_ranges, story, traces
from vantage.report.folder import Run
from vantage.types import VantageError

SLOW = 20
"""Pictures per second of the stored videos, at most; the page's script plays them at the speed asked for."""
BUDGET = 7_000_000
"""Bytes of video in one page, before base64."""
SHOWN = ("p_v", "v_e", "a_v", "a_e", "g", "weight")
"""Values that the read-out beside the video shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One video for the page."""

    source: str
    """A data: address."""
    cameras: Sequence[tuple[str, int]]
    """Name and width of each camera's pictures, from left to right."""
    label: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """One episode as the page shows it."""

    watch: Watch
    cls: str
    """Colour class of how it went."""
    story: str
    film: Film | None
    note: str
    """Why there is no film."""
    drawings: Sequence[Markup]
    data: Mapping[str, object]
    """What the page's script needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewers:
    """Every chosen episode of one round."""

    round: int
    episodes: Sequence[Viewer]


def watch_section(run: Run, count: int) -> Viewers | None:
    """At most `count` episodes to watch; None where no ledger speaks of one."""
    watches = choose(run, count)
    if not watches:
        return None

    number = watches[0].round
    ranges = shared_ranges(watches)
    catalogue = next(one.catalogue for one in run.rounds if one.number == number)
    budget = BUDGET // len(watches)
    return Viewers(round=number, episodes=[_viewer(watch, ranges, catalogue, budget) for watch in watches])


def _viewer(watch: Watch, ranges: Ranges, catalogue: Episodes | None, budget: int) -> Viewer:
    robot_fps = catalogue.info.fps if catalogue else SLOW
    fps = min(robot_fps, SLOW)
    film, note = None, ""
    if catalogue is None:
        note = "The round's episodes are not in the folder, so there is no video."
    elif not catalogue.info.cameras:
        note = "This run plays from true state: no camera recorded it, so there is no video."
    else:
        try:
            film = _film(watch, catalogue, fps, budget)
        except VantageError as error:
            note = str(error)

    return Viewer(
        watch=watch,
        cls=KIND_CLASS[watch.kind],
        story=story(watch),
        film=film,
        note=note,
        drawings=[traces(watch, ranges, width) for width in WIDTHS],
        data=_data(watch, fps, robot_fps),
    )


def _film(watch: Watch, catalogue: Episodes, fps: float, budget: int) -> Film:
    """The episode's cameras side by side, coarser where that would need more than `budget` bytes."""
    recorded = read_pictures(catalogue, watch.number)
    pictures = {name: view[watch.first : watch.first + len(watch)] for name, view in recorded.items()}
    scale = max(1, 288 // max(view.shape[1] for view in pictures.values()))
    wall = tile(pictures, scale)

    content = b""
    for quality in (24, 30, 36, 42):
        content = encode(wall, fps, quality=quality)
        if len(content) <= budget:
            break

    return Film(
        source=f"data:video/mp4;base64,{base64.b64encode(content).decode()}",
        cameras=[(name, view.shape[2]) for name, view in pictures.items()],
        label=f"Episode {watch.number}, {', '.join(pictures)}",
        width=wall.shape[2],
        height=wall.shape[1],
    )


def _data(watch: Watch, fps: float, robot_fps: float) -> Mapping[str, object]:
    """`fps` is the film's number of pictures per second, `robot_fps` the robot's number of control steps."""
    values = {name: _rounded(watch.values[name]) for name in SHOWN}
    human = watch.human.astype(int).tolist()
    return {"frames": len(watch), "fps": fps, "robot_fps": robot_fps, "human": human, **values}


def _rounded(values: Float[np.ndarray, "T"]) -> Sequence[float | None]:
    return [None if np.isnan(value) else round(value, 3) for value in values.tolist()]
