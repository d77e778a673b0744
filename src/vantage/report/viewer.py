"""Chosen episodes -> the part of the page where their video and the critic's values are scrubbed together (Fig. 5)."""

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
"""Pictures per second that the videos are slowed to where the robot is faster."""
BUDGET = 7_000_000
"""Bytes of video in one page, before base64."""
SHOWN = ("p_v", "v_e", "a_v", "a_e", "g")
"""Values that the read-out beside the video shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One video for the page."""

    source: str
    """A data: address."""
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
    """Why there is no film, where that is a surprise."""
    slowed: str
    """How much slower than the robot the film plays; empty at its own speed."""
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
    fps = min(catalogue.info.fps, SLOW) if catalogue else SLOW
    film, note = None, ""
    try:
        film = _film(watch, catalogue, fps, budget) if catalogue else None
    except VantageError as error:
        note = str(error)

    slowed = ""
    if film and catalogue and catalogue.info.fps > fps:
        slowed = f"shown at 1/{catalogue.info.fps / fps:.2g} of the robot's speed"

    return Viewer(
        watch=watch,
        cls=KIND_CLASS[watch.kind],
        story=story(watch),
        film=film,
        note=note,
        slowed=slowed,
        drawings=[traces(watch, ranges, width) for width in WIDTHS],
        data=_data(watch, fps),
    )


def _film(watch: Watch, catalogue: Episodes, fps: float, budget: int) -> Film | None:
    """The episode's cameras side by side; None for a run without cameras.

    Coarser where it would not fit its share of the page, `budget` bytes.
    """
    pictures = read_pictures(catalogue, watch.number)
    if not pictures:
        return None

    scale = max(1, 288 // max(view.shape[1] for view in pictures.values()))
    wall = tile(pictures, scale)

    content = b""
    for quality in (24, 30, 36, 42):
        content = encode(wall, fps, quality=quality)
        if len(content) <= budget:
            break

    return Film(
        source=f"data:video/mp4;base64,{base64.b64encode(content).decode()}",
        label=f"Episode {watch.number}, {', '.join(pictures)}",
        width=wall.shape[2],
        height=wall.shape[1],
    )


def _data(watch: Watch, fps: float) -> Mapping[str, object]:
    values = {name: _rounded(watch.values[name]) for name in SHOWN}
    return {"frames": len(watch), "fps": fps, "human": watch.human.astype(int).tolist(), **values}


def _rounded(values: Float[np.ndarray, "T"]) -> Sequence[float | None]:
    return [None if np.isnan(value) else round(value, 3) for value in values.tolist()]
