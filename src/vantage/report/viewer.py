"""Chosen episodes -> the part of the page where their video and the critic's values are scrubbed together (the paper's Fig. 5)."""

import base64
import json
from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float

from vantage.data.v3.pictures import Catalogue, encode, read_pictures, tile
from vantage.report import charts
from vantage.report.episodes import VALUE_NAMES, Ranges, Watch, choose, shared_ranges, story, traces
from vantage.report.folder import Run
from vantage.report.markup import section
from vantage.types import VantageError

SLOW = 20
"""Pictures per second that the videos are slowed to where the robot is faster."""
BUDGET = 7_000_000
"""Bytes of video in one page, before base64."""


def watch_section(run: Run, count: int) -> str:
    """Chips and viewers; empty where no ledger speaks of an episode."""
    watches = choose(run, count)
    if not watches:
        return ""
    ranges = shared_ranges(watches)
    catalogue = next(each.catalogue for each in run.rounds if each.number == watches[0].round)
    chips = "".join(_chip(watch, place) for place, watch in enumerate(watches))
    viewers = "".join(_viewer(watch, place, ranges, catalogue, BUDGET // len(watches)) for place, watch in enumerate(watches))
    intro = (
        f"Episodes of round {watches[0].round}, with what the critic said at every step: drag on the plot, press play, or use the "
        "arrow keys. They were picked by rule for having much to see (the largest rise under a human's hands, the deepest dip, the "
        "largest fall), so they show how the method works, not how often."
    )
    tabs = f'<div class="chips" role="tablist" aria-label="Episodes">{chips}</div>'
    return section("episodes", "Watch it through the critic's eyes", intro, tabs + viewers)


def _chip(watch: Watch, place: int) -> str:
    kind = f'<i class="{charts.KIND_CLASS[watch.kind]}"></i>{escape(str(watch.kind)).capitalize()}'
    return (
        f'<button type="button" role="tab" id="tab-{place}" aria-controls="viewer-{place}" aria-selected="{str(place == 0).lower()}">'
        f"{kind}<small>episode {watch.number}{f' · {escape(watch.prompt)}' if watch.prompt else ''}</small></button>"
    )


def _viewer(watch: Watch, place: int, ranges: Ranges, catalogue: Catalogue | None, budget: int) -> str:
    fps = min(catalogue.fps, SLOW) if catalogue else SLOW
    film, note = "", ""
    try:
        film = _film(watch, catalogue, fps, budget) if catalogue else ""
    except VantageError as error:
        note = f'<p class="note">{escape(str(error))}</p>'
    slowed = f"shown at 1/{catalogue.fps / fps:.2g} of the robot's speed" if film and catalogue and catalogue.fps > fps else ""
    drawn = "".join(traces(watch, ranges, width) for width in charts.WIDTHS)
    return (
        f'<article class="viewer" id="viewer-{place}" role="tabpanel" aria-labelledby="tab-{place}">'
        f"<p>{f'<b>{escape(watch.prompt)}</b> · ' if watch.prompt else ''}{escape(story(watch))}</p>"
        f'<div class="stage{"" if film else " bare"}">{film}{note}{_readout()}</div>'
        f'<div class="play"><button type="button">Play</button><span class="note">{slowed}</span></div>'
        f'<div class="scrub fig" role="slider" tabindex="0" aria-label="Control step" aria-valuemin="0" aria-valuemax="{len(watch) - 1}" '
        f'aria-valuenow="0">{drawn}</div>'
        f'<script type="application/json">{_data(watch, fps)}</script></article>'
    )


def _readout() -> str:
    cells = [
        ("step", "Step"),
        ("driver", "Driver"),
        ("p_v", "Viability <i>p</i><sub>v</sub>"),
        ("v_e", "Steps to go, −<i>V</i><sub>e</sub>"),
        ("a_v", "Viability gained <i>A</i><sub>v</sub>"),
        ("a_e", "Steps gained <i>A</i><sub>e</sub>"),
        ("g", "Gate <i>g</i>"),
    ]
    return '<dl class="readout">' + "".join(f'<div><dt>{words}</dt><dd data-cell="{name}">–</dd></div>' for name, words in cells) + "</dl>"


def _film(watch: Watch, catalogue: Catalogue, fps: int, budget: int) -> str:
    """The video element; empty for a run without cameras. Coarser where it would not fit its share of the page."""
    pictures = read_pictures(catalogue, watch.number)
    if not pictures:
        return ""
    scale = max(1, 288 // max(view.shape[1] for view in pictures.values()))
    wall = tile(pictures, scale)
    content = b""
    for quality in (24, 30, 36, 42):
        content = encode(wall, fps, quality=quality)
        if len(content) <= budget:
            break
    label = f"Episode {watch.number}, {', '.join(pictures)}"
    source = base64.b64encode(content).decode()
    return (
        f'<video src="data:video/mp4;base64,{source}" aria-label="{escape(label)}" width="{wall.shape[2]}" height="{wall.shape[1]}" '
        "muted playsinline controls preload=auto></video>"
    )


def _data(watch: Watch, fps: int) -> str:
    """What the script needs, as JSON that cannot end its own element."""
    record = {"frames": len(watch), "fps": fps, "human": watch.human.astype(int).tolist()}
    record |= {name: _rounded(watch.values[name]) for name in VALUE_NAMES}
    return json.dumps(record, separators=(",", ":")).replace("<", "\\u003c")


def _rounded(values: Float[np.ndarray, "T"]) -> Sequence[float | None]:
    return [None if np.isnan(value) else round(value, 3) for value in values.tolist()]
