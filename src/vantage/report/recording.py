"""One recorded episode and the credit ledger -> a recording for the viewer of Rerun (https://rerun.io), which
LeRobot's own `lerobot-dataset-viz` shows episodes in.

    cameras, state, action                 as the dataset has them, under LeRobot's names
    driver, credit, p_v, v_e, advantage/*,
    g, weight                              as labels and ledger have them (docs/data.md)
    explanation                            the sentences of `vantage explain`

Everything lies on two timelines, `frame_index` and `timestamp`. Pictures are JPEG; a value that the ledger
does not know is left out of its curve.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped, UInt8

from vantage.data.fingerprints import fingerprints
from vantage.data.sidecars import match
from vantage.data.stores.compressed import encode_picture
from vantage.data.v3.meta import read_episodes, read_info
from vantage.data.v3.pictures import read_pictures
from vantage.data.v3.read import Table, read_table
from vantage.data.v3.schema import ACTION, EPISODE, STATE
from vantage.disk.files import whole_file
from vantage.disk.layout import Round
from vantage.report.explain import Explanation, explain, weighed
from vantage.report.folder import Run
from vantage.report.numbers import values_of
from vantage.types import Controller, Reading, VantageError

QUALITY = 90
"""Of the JPEGs."""
CURVES = {
    "p_v": "p_v",
    "v_e": "v_e",
    "a_v": "advantage/a_v",
    "a_e": "advantage/a_e",
    "g": "g",
    "weight": "weight",
}
"""Column of the ledger -> name in the recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """T frames of one episode."""

    name: str
    frame: Int64[np.ndarray, "T"]
    timestamp: Float[np.ndarray, "T"]
    """Seconds."""
    vectors: Mapping[str, Float[np.ndarray, "T _"]]
    """State and action."""
    names: Mapping[str, Sequence[str]]
    """Of their dimensions."""
    pictures: Mapping[str, UInt8[np.ndarray, "T _h _w 3"]]
    """Column of the dataset -> what that camera saw."""
    human: Bool[np.ndarray, "T"]
    credit: Shaped[np.ndarray, "T"]
    """What the outcome says of the frame, in words."""
    curves: Mapping[str, Float[np.ndarray, "T"]]
    """Name -> value; NaN where nothing is known."""
    explanation: str
    """Markdown."""


def write_recording(run: Run, episode: int, out: Path, round_number: int | None = None) -> None:
    """Write one episode of a round, by default of the last one that was weighed, as an .rrd file.

    Raises VantageError as `explain` does, and where the dataset is not there any more or is another one.
    """
    shown = _shown(run, episode, round_number)
    with whole_file(out) as temporary:
        _write(shown, temporary)


def _shown(run: Run, episode: int, round_number: int | None) -> Shown:
    """Everything that is known about an episode."""
    told = explain(run, episode, round_number)
    one = weighed(run, round_number)
    labels, values = one.labels, values_of(one)
    assert labels is not None and values is not None, "a round that was weighed has both"
    folder = Round.of(run.folder, one.number)
    if not folder.episodes.exists():
        raise VantageError(f"{folder.episodes} is gone; put the recordings back where they were")

    info = read_info(folder.episodes)
    table = read_table(folder.episodes, reading=Reading("policy"), videos=False)
    contents = fingerprints(table.action, table.state, table.starts)[table.episode_index]
    # Episodes may have other numbers now than in the labels, which are what `episode` means.
    row = np.arange(len(labels[EPISODE]))
    own = match(folder.labels, {**labels, "row": row}, table.index, contents, "label the recordings again")
    here = own[EPISODE] == episode
    rows = own["row"][here]

    names = {camera.name: camera.column for camera in info.cameras.values()}
    number = int(table.episode_index[here][0])
    pictures = read_pictures(read_episodes(info), number) if names else {}
    return Shown(
        name=f"{run.folder.resolve().name}, round {one.number}, episode {episode}",
        frame=table.frame_index[here],
        timestamp=table.timestamp[here],
        vectors={STATE: table.state[here], ACTION: table.action[here]},
        names={STATE: _names(table, STATE), ACTION: _names(table, ACTION)},
        pictures={names[camera]: shown for camera, shown in pictures.items()},
        human=own["controller"][here] == Controller.HUMAN,
        credit=_credit(own["route"][here], own["outcome"][here]),
        curves={name: values[column][rows] for column, name in CURVES.items()},
        explanation=_markdown(told),
    )


def _names(table: Table, column: str) -> list[str]:
    names, values = (
        (table.state_names, table.state) if column == STATE else (table.action_names, table.action)
    )
    return list(names or (f"{column}_{dimension}" for dimension in range(values.shape[1])))


def _credit(route: Shaped[np.ndarray, "T"], outcome: Float[np.ndarray, "T"]) -> Shaped[np.ndarray, "T"]:
    """Route and outcome of every frame in words."""
    ended = np.select([outcome == 1, outcome == 0], ["success", "failure"], "not recorded")
    return np.array([f"{how}, outcome: {end}" for how, end in zip(route, ended, strict=True)])


def _markdown(told: Explanation) -> str:
    """What `vantage explain` prints."""
    parts = [f"**{told.title}**"]
    for stretch in told.stretches:
        sentences = "\n".join(f"- {sentence}" for sentence in stretch.sentences)
        parts.append(f"frames {stretch.first} to {stretch.last}, {stretch.driver}\n\n{sentences}")
    return "\n\n".join(parts)


def _write(shown: Shown, path: Path) -> None:
    import rerun as rr  # an extra, and slow to import

    recording: Any = rr.RecordingStream("vantage", recording_id=shown.name)
    recording.save(path, default_blueprint=_layout(shown))
    recording.send_recording_name(shown.name)

    def times(rows: Int64[np.ndarray, "_"] | slice = slice(None)) -> list[Any]:
        return [
            rr.TimeColumn("frame_index", sequence=shown.frame[rows]),
            rr.TimeColumn("timestamp", duration=shown.timestamp[rows]),
        ]

    for name, pictures in shown.pictures.items():
        jpegs = [encode_picture(picture, QUALITY) for picture in pictures]
        columns = rr.EncodedImage.columns(blob=jpegs, media_type=["image/jpeg"] * len(jpegs))
        recording.send_columns(name, times(), columns)
    for name, vectors in shown.vectors.items():
        columns = rr.Scalars.columns(scalars=vectors.ravel())
        lengths = np.full(len(vectors), vectors.shape[1])
        recording.send_columns(name, times(), columns.partition(lengths))
    for name, curve in {"driver": shown.human.astype(np.float64), **shown.curves}.items():
        known = np.flatnonzero(~np.isnan(curve))
        if len(known):
            recording.send_columns(name, times(known), rr.Scalars.columns(scalars=curve[known]))

    changes = np.flatnonzero(np.append(True, shown.credit[1:] != shown.credit[:-1]))
    recording.send_columns("credit", times(changes), rr.TextLog.columns(text=shown.credit[changes].tolist()))
    text = rr.TextDocument(shown.explanation, media_type=rr.MediaType.MARKDOWN)
    recording.log("explanation", text, static=True)
    recording.flush()
    recording.disconnect()


def _layout(shown: Shown) -> Any:
    """What the viewer shows first: cameras above, values below, words beside them."""
    import rerun as rr
    import rerun.blueprint as rrb

    cameras = [rrb.Spatial2DView(origin=name, name=name) for name in shown.pictures]
    motion = [
        rrb.TimeSeriesView(origin=name, name=name, overrides={name: rr.SeriesLines(names=list(names))})
        for name, names in shown.names.items()
    ]
    values = [
        rrb.TimeSeriesView(origin="/", contents=["/p_v", "/driver"], name="p_v, and driver (1: a person)"),
        rrb.TimeSeriesView(origin="/", contents=["/advantage/**"], name="advantages"),
        rrb.TimeSeriesView(origin="/", contents=["/weight", "/g"], name="weight, and gate g"),
        rrb.TimeSeriesView(origin="/", contents=["/v_e"], name="v_e, minus the steps to success"),
    ]
    words = [
        rrb.TextDocumentView(origin="explanation", name="explanation"),
        rrb.TextLogView(origin="credit", name="credit"),
    ]
    left = (
        rrb.Vertical(rrb.Horizontal(*cameras), rrb.Grid(*values, *motion))
        if cameras
        else rrb.Grid(*values, *motion)
    )
    return rrb.Blueprint(rrb.Horizontal(left, rrb.Vertical(*words), column_shares=[3, 1]))
