"""Curves elsewhere: what a stage records arrives in TensorBoard and wandb, and changes nothing of a run."""

import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vantage import tracking
from vantage.errors import VantageError, missing_extra
from vantage.tracking import Tracker, record, tracked


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Curve -> (step, value) of every point, as TensorBoard reads them."""
    events = EventAccumulator(str(run / tracking.FOLDER))
    events.Reload()
    return {
        name: [(point.step, round(point.value, 6)) for point in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def test_tensorboard_has_every_finite_number_at_its_step(tmp_path: Path) -> None:
    record("round-01/5-actor", 1, {"loss": 9.0})  # nobody watches yet
    with tracked("tensorboard", tmp_path, {}):
        record("round-01/5-actor", 20, {"step": 20, "loss": 0.5, "lr": 1e-3, "note": "x", "worst": None})
        record("round-01/5-actor", 40, {"loss": 0.25, "lr": float("nan")})
        record("evaluation", 1, {"success": 0.75})
    record("evaluation", 2, {"success": 1.0})  # nor any more

    # A run that goes on adds to its curves.
    with tracked("tensorboard", tmp_path, {}):
        record("evaluation", 2, {"success": 0.875})
    assert curves(tmp_path) == {
        "round-01/5-actor/loss": [(20, 0.5), (40, 0.25)],
        "round-01/5-actor/lr": [(20, 0.001)],
        "evaluation/success": [(1, 0.75), (2, 0.875)],
    }


def test_wandb_keeps_a_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    with tracked("wandb", tmp_path / "arm", {"rounds": 1}):
        record("round-01/5-actor", 20, {"loss": 0.5})
        record("round-01/3-critic", 10, {"loss": 0.7})
    (kept,) = (tmp_path / "arm" / tracking.FOLDER / "wandb").glob("offline-run-*/*.wandb")
    words = (b"round-01/5-actor/loss", b"round-01/5-actor/step", b"round-01/3-critic/loss", b"rounds")
    until = time.monotonic() + 60  # wandb's own process writes, and may still be at it
    while (missing := [word for word in words if word not in kept.read_bytes()]) and time.monotonic() < until:
        time.sleep(0.1)
    assert not missing


def test_a_tracker_that_fails_ends_the_curves_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Gone:
        told, closed = 0, False

        def log(self, curve: str, step: int, values: object) -> None:
            self.told += 1
            raise ConnectionError("no route to the server")

        def close(self) -> None:
            self.closed = True

    tracker = Gone()
    assert isinstance(tracker, Tracker)
    monkeypatch.setattr(tracking, "_begin", lambda *_: tracker)
    with tracked("wandb", tmp_path, {}):
        record("evaluation", 0, {"success": 0.5})
        record("evaluation", 1, {"success": 0.5})
    assert tracker.told == 1
    assert "no route to the server" in capfd.readouterr().err


def test_a_tracker_that_does_not_begin_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, run: Path, settings: object) -> Tracker:
        (run / tracking.FOLDER).mkdir(parents=True)
        raise RuntimeError("No API key configured.\nLong advice.")

    monkeypatch.setattr(tracking, "_begin", refuse)
    with (
        pytest.raises(
            VantageError, match=r"^the tracker wandb does not begin \(No API key configured\.\); mend"
        ),
        tracked("wandb", tmp_path / "arm", {}),
    ):
        pytest.fail("the run began")
    assert not list((tmp_path / "arm").iterdir())


def test_what_is_not_installed_is_named() -> None:
    assert missing_extra(ModuleNotFoundError(name="wandb")).endswith("pip install 'vantage[track]'")
    assert missing_extra(ModuleNotFoundError(name="trackio")).endswith("pip install trackio")
