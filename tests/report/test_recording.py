"""An episode for Rerun's viewer holds what the dataset, the labels and the ledger hold, frame by frame."""

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rerun.experimental import RrdReader

from vantage.cli import dispatch, main
from vantage.data.v3.meta import read_episodes, read_info
from vantage.data.v3.pictures import read_pictures
from vantage.data.v3.read import read_table
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet
from vantage.report.recording import CURVES


def read_back(path: Path) -> Mapping[str, Mapping[str, list[Any]]]:
    """Entity -> column -> values, by Rerun's own reader."""
    entities: dict[str, dict[str, list[Any]]] = {}
    for chunk in RrdReader(path).stream().to_chunks():
        columns = entities.setdefault(chunk.entity_path.removeprefix("/"), {})
        for name, values in chunk.to_record_batch().to_pydict().items():
            columns.setdefault(name, []).extend(values)
    return entities


def test_every_value_of_an_episode_is_in_the_recording(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Episode 8: the policy, a person, the policy, a person, the policy."""
    out, here = tmp_path / "episode.rrd", Round.of(recorded, 1)
    dispatch(["explain", str(recorded), "8", "--round", "1", "--rerun", str(out)])
    printed = capsys.readouterr().out
    held, table = read_back(out), read_table(here.episodes)
    rows = table.slices[8]

    for name, expected in (("observation.state", table.state), ("action", table.action)):
        assert held[name]["frame_index"] == [*range(50)]
        seconds = [at.total_seconds() for at in held[name]["timestamp"]]
        np.testing.assert_allclose(seconds, table.timestamp[rows], atol=1e-6)
        np.testing.assert_array_equal(np.array(held[name]["Scalars:scalars"]), expected[rows])
    assert np.ravel(held["driver"]["Scalars:scalars"]).tolist() == table.intervention[rows].tolist()

    ledger = read_parquet(here.weights)
    own = np.flatnonzero(ledger["round"] == 1)[rows]
    for column, name in CURVES.items():
        values = ledger[column][own].astype(np.float64)
        known = np.flatnonzero(~np.isnan(values))
        assert held[name]["frame_index"] == known.tolist(), column
        np.testing.assert_array_equal(np.ravel(held[name]["Scalars:scalars"]), values[known], err_msg=column)

    credit = held["credit"]
    assert credit["frame_index"] == [0, 10, 20, 30, 38]
    said = [text for (text,) in credit["TextLog:text"]]
    routes = ["unlabelled", "intervention", "unlabelled", "intervention", "rollout_success"]
    assert said == [f"{route}, outcome: success" for route in routes]
    ((text,),) = held["explanation"]["TextDocument:text"]
    assert all(line.strip() in text for line in printed.splitlines())


def test_pictures_are_those_of_the_episode(toy_run: Path, tmp_path: Path) -> None:
    out, root = tmp_path / "episode.rrd", Round.of(toy_run, 2).episodes
    dispatch(["explain", str(toy_run), "3", "--round", "2", "--rerun", str(out)])
    held, info = read_back(out), read_info(root)
    pictures = read_pictures(read_episodes(info), 3)
    assert pictures
    for camera in info.cameras.values():
        columns = held[camera.column]
        assert columns["frame_index"] == [*range(len(pictures[camera.name]))]
        assert columns["EncodedImage:media_type"][0] == ["image/jpeg"]
        for (content,), picture in zip(columns["EncodedImage:blob"], pictures[camera.name], strict=True):
            with Image.open(io.BytesIO(bytes(content))) as image:
                shown = np.asarray(image.convert("RGB")).astype(int)
            assert np.abs(shown - picture).mean() < 4, "JPEG"


def test_without_the_viewer_one_sentence_says_what_to_install(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)  # as Python marks a module that cannot be imported
    words = ["explain", str(recorded), "8", "--round", "1", "--rerun", str(tmp_path / "episode.rrd")]
    monkeypatch.setattr(sys, "argv", ["vantage", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    told = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 2 and "needs rerun" in told and "pip install 'vantage[viewer]'" in told
    assert not [*tmp_path.iterdir()]
