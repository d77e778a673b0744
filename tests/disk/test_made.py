"""What a run goes on from is held against what was made: every file of a finished run removed, cut,
exchanged and filled with garbage, and everything hidden that an interrupted stage leaves."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "algorithms"))
from tiny import fingerprint, tiny

import vantage.stages.fit_policy as fit_stage
from vantage.algorithms import made as noted
from vantage.algorithms.habc import HABCRun, experience_of, improver, run_habc
from vantage.algorithms.made import check_run
from vantage.batch import Batch
from vantage.disk.checkpoint import load_state
from vantage.disk.files import read_json, write_json
from vantage.disk.layout import Round
from vantage.disk.made import MADE, Stage, check_left, check_made, let_go
from vantage.errors import VantageError
from vantage.learn.step import Learner, Step
from vantage.policies.protocol import Draw
from vantage.stages.label import Labelling


def small() -> HABCRun:
    """One round, so small that what is made of it can be made again in a test."""
    settings = tiny()
    improvement = settings.improvement
    return replace(
        settings,
        rounds=1,
        supervision=replace(
            settings.supervision,
            demonstrations=replace(settings.supervision.demonstrations, per_world=2),
            supervised=replace(settings.supervision.supervised, steps=2),
        ),
        rollouts=replace(settings.rollouts, per_world=2),
        improvement=replace(
            improvement,
            labelling=Labelling(demo_viability=True),
            critic=replace(improvement.critic, steps=2, check_every=1),
            fit=replace(improvement.fit, steps=2),
        ),
        evaluation=replace(settings.evaluation, per_world=1),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("made") / "run"
    run_habc(run, small(), workers=1)
    return run


def remove(path: Path, run: Path) -> None:
    path.unlink()


def cut(path: Path, run: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def exchange(path: Path, run: Path) -> None:
    """The same file of another round, or else another file of this one, with its own time."""
    folder = path.relative_to(run).parts[0]
    other = {"round-00": "round-01", "round-01": "round-00", "control-sft": "round-00"}[folder]
    instead = run / other / path.relative_to(run / folder)
    if not instead.is_file() or instead.read_bytes() == path.read_bytes():
        instead = run / folder / ("2-labels.parquet" if "parquet" not in path.name else "5-actor/config.json")
    if not instead.is_file() or instead == path:
        instead = run / "round-00/5-actor/model.safetensors"
    shutil.copy2(instead, path)


def garbage(path: Path, run: Path) -> None:
    """As many bytes as there were."""
    path.write_bytes(b"\x07garbage"[:8].ljust(8, b"x") * (path.stat().st_size // 8 + 1))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 8 * 8)


@pytest.mark.parametrize("damage", [remove, cut, exchange, garbage], ids=lambda damage: damage.__name__)
def test_every_file_of_a_run(finished: Path, tmp_path: Path, damage: Callable[[Path, Path], None]) -> None:
    whole = fingerprint(finished)
    files = [path.relative_to(finished) for path in sorted(finished.rglob("*")) if path.is_file()]
    assert len(files) > 25
    remade = []
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for name in files:
        before = times(run)
        before.pop(run / name)
        damage(run / name, run)
        try:
            run_habc(run, small(), workers=1)
        except VantageError as error:
            said = str(error)
            assert str(run / name) in said or str(run / name.parts[0]) in said, said
            assert "delete" in said or "write it again" in said, said
            after = times(run)
            after.pop(run / name, None)
            assert after == before, "nothing was built"
            shutil.copy2(finished / name, run / name)
        else:
            remade.append(str(name))
            assert fingerprint(run) == whole, name
            shutil.rmtree(run)
            shutil.copytree(finished, run)

    # Products of one file that are gone are made again, notes and records are written again.
    alone = {f"{folder}/{file}" for folder in ("round-00", "round-01", "control-sft") for file in ALONE}
    assert set(remade) <= alone, set(remade) - alone


def times(run: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}


ALONE = (MADE, "2-labels.parquet", "4-weights.parquet", "6-eval.parquet", "round.json")


def test_a_sentence_says_what_happened_and_what_to_delete(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def said(damage: Callable[[Path, Path], None], name: str) -> str:
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(finished, run)
        damage(run / name, run)
        with pytest.raises(VantageError) as error:
            check_run(run)
        return str(error.value)

    assert f"{run}/round-01/5-actor/model.safetensors is gone; delete {run}/round-01/5-actor" in said(
        remove, "round-01/5-actor/model.safetensors"
    )
    text = said(cut, "round-00/1-episodes/meta/info.json")
    assert " bytes and had " in text and "what was made of it (round-00/2-labels.parquet" in text
    assert "round-01, control-sft)" in text
    assert "was exchanged: it holds other bytes than were made" in said(
        garbage, "round-01/3-critic/config.json"
    )


def test_sizes_and_times_first_bytes_where_they_differ_or_on_demand(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    path = run / "round-01/4-weights.parquet"
    entry, content = path.stat(), path.read_bytes()
    import os

    path.write_bytes(content[:-1] + b"?")
    os.utime(path, ns=(entry.st_atime_ns, entry.st_mtime_ns))
    check_run(run)
    with pytest.raises(VantageError, match=r"4-weights\.parquet was exchanged"):
        check_run(run, thorough=True)

    path.write_bytes(content)  # the bytes that were made, at another time, as after a copy
    check_run(run)
    assert read_json(path.with_name(MADE))[path.name]["files"][""][1] == path.stat().st_mtime_ns


def test_a_product_made_again_otherwise_is_not_built_upon(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    first = Round.of(run, 1)
    first.labels.unlink()
    check_run(run)  # it is made again
    shutil.copy(Round.of(run, 0).labels, first.labels)
    with pytest.raises(VantageError, match=r"2-labels\.parquet was made again and is not what it was"):
        noted.note_made(first)

    # Where only the record stands behind it, that is written again.
    first.labels.write_bytes((finished / "round-01/2-labels.parquet").read_bytes())
    shutil.copy(Round.of(run, 0).evaluation.with_name("2-labels.parquet"), first.evaluation)
    noted.note_made(first)
    assert not first.record.exists()


def test_a_run_from_before_notes_is_held_by_its_records(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for path in run.glob(f"*/{MADE}"):
        path.unlink()
    check_run(run)
    garbage(run / "round-01/3-critic/critic.safetensors", run)
    with pytest.raises(VantageError, match="3-critic was changed, cut or exchanged since its round"):
        check_run(run)


def test_a_round_made_of_another_policy(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    record = read_json(run / "round-01/round.json")
    record["sha256"]["../round-00/5-actor"] = "0" * 64
    write_json(run / "round-01/round.json", record)
    with pytest.raises(VantageError, match="was made of another round-00/5-actor than stands there now"):
        check_run(run)


def test_an_older_meaning_of_a_stage_is_said(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    monkeypatch.setitem(noted.STAGES, "3-critic", Stage("fit critic", 2))  # type: ignore[attr-defined]
    with pytest.raises(
        VantageError, match=r"`fit critic` meant something else \(meaning 1, now 2\)"
    ) as error:
        run_habc(run, small(), workers=1)
    assert f"delete {run}/round-01/3-critic and what was made of it (round-01/4-weights.parquet" in str(
        error.value
    )


def test_what_is_let_go_is_not_missed(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    path = run / "round-01/3-critic/features.safetensors"
    let_go(path)
    path.unlink()
    check_made(path.parents[1], {})


# ------------------------------------------------------------------------------- what is left of a stage


def test_left_overs_say_what_they_were_begun_with(tmp_path: Path) -> None:
    left = tmp_path / ".journal"
    check_left(left, {"policy": "a", "seed": 1})
    check_left(left, {"policy": "b", "seed": 1})  # nothing was left yet
    (left / "episode-000000.safetensors").write_bytes(b"")
    check_left(left, {"policy": "b", "seed": 1})
    with pytest.raises(VantageError, match="was interrupted, with another policy and seed; delete it"):
        check_left(left, {"policy": "c", "seed": 2})
    (left / "begun.json").unlink()
    with pytest.raises(VantageError, match="interrupted, and does not say of what; delete it"):
        check_left(left, {"policy": "b", "seed": 1})


def test_a_journal_of_another_policy_is_refused(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    first = Round.of(run, 1)
    shutil.rmtree(first.folder)
    shutil.rmtree(run / "control-sft")
    first.journal.mkdir(parents=True)
    (first.journal / "episode-000000.safetensors").write_bytes(b"")
    write_json(first.journal / "begun.json", {"policy": "of another run", "seed": 0})
    with pytest.raises(VantageError, match=r"\.journal was left by a stage .* with another policy"):
        run_habc(run, small(), workers=1)
    assert not first.episodes.exists()


def test_training_state_of_other_weights_is_refused(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    first = Round.of(run, 1)
    shutil.rmtree(first.actor)
    state = first.folder / ".5-actor.state"
    state.mkdir()
    shutil.copy(Round.of(run, 0).actor / "model.safetensors", state / "state.safetensors")
    write_json(state / "begun.json", {"weights": "others"})
    with pytest.raises(VantageError, match=r"\.5-actor\.state was left by a stage .* with another weights"):
        run_habc(run, small(), workers=1)
    assert not first.actor.exists()


def test_a_loss_that_is_no_number_stops_at_its_step(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At step 4 of 6 with a save every 2: the state of step 2 is kept, and the batch's frames are named."""
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    first, settings = Round.of(run, 1), small()
    shutil.rmtree(first.actor)
    fit = replace(settings.improvement.fit, steps=6, save_every=2)
    settings = replace(settings, improvement=replace(settings.improvement, fit=fit))
    step, steps = fit_stage.weighted_step, []

    def poisoned(learner: Learner, batch: Batch, draw: Draw, weight: np.ndarray, size: int) -> Step:
        steps.append(batch.row)
        weight = weight * np.float32("nan") if len(steps) == 4 else weight
        return step(learner, batch, draw, weight, size)

    monkeypatch.setattr(fit_stage, "weighted_step", poisoned)
    with pytest.raises(VantageError, match="policy, round 1: the loss of step 4 is NaN or infinite") as error:
        improver(first, settings).fit_policy()
    assert len(steps) == 4 and "the training state of before is kept" in str(error.value)
    assert f"frame {experience_of(first, settings).index[steps[-1]].max()}" in str(error.value) or (
        "more" in str(error.value)
    )
    assert not first.actor.exists()
    kept = load_state(first.folder / ".5-actor.state/state.safetensors")
    assert kept is not None and all(bool(torch.isfinite(tensor).all()) for tensor in kept.values())
