"""A real study, small: its cells stand on each other, are resumed, rebuilt and drawn."""

import io
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from PIL import Image
from tiny_base import OPERATOR, tiny_base

from vantage.algorithms.habc import fit_acting
from vantage.algorithms.made import meanings
from vantage.collect.pool import play_here
from vantage.commands.compare import study_merge, study_report
from vantage.commands.studies import check_cell, find_study, start_study, working_in
from vantage.core.stats import wilson
from vantage.core.weights import HABC, FilteredBC
from vantage.disk.files import sha256_file, sha256_folder
from vantage.disk.layout import Round
from vantage.disk.tables import read_arrow, read_parquet
from vantage.learn.critic.steering import NoiseSteering, SteeringFit
from vantage.stages.collect import Rollouts
from vantage.stages.evaluate import Evaluation, evaluate
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.weigh import Weighing
from vantage.study import cells
from vantage.study.arms import title
from vantage.study.cells import Cell, finished, forget, run_cell
from vantage.study.exhibit_rows import read_exhibits
from vantage.study.exhibits import make_exhibits
from vantage.study.figures.card import LIGHT
from vantage.study.figures.filmstrip import film_strip
from vantage.study.figures.groups import ArmGroup
from vantage.study.figures.success import success_by_method
from vantage.study.meanings import read_meanings
from vantage.study.measure import PATIENCE, _first_stop
from vantage.study.page import write_study
from vantage.study.places import kept_in
from vantage.study.plan import Acting, Gathered, MoreSupervised, Offline, Online, Study, Supervised
from vantage.study.provenance import processor
from vantage.study.rows import Results
from vantage.study.run import run_study, wanted_cells
from vantage.study.tables import estimate
from vantage.types import VantageError

TASK = "push-v3"


def tiny_study() -> Study:
    debug = find_study("debug")
    return Study(
        base=tiny_base(),
        tasks=(replace(debug.tasks[0], demonstrations=3),),
        arms=(
            Supervised(),
            MoreSupervised(name="sft-more", rounds=1),
            Online(name="habc", rounds=2),
            Online(
                name="habc+ir",
                after="habc",
                rounds=1,
                weighing=Weighing(rule=HABC(reweight_interventions=True)),
            ),
            Acting(name="habc-zero-noise", after="habc"),
            Acting(name="habc-led", after="habc", steering=NoiseSteering(fit=SteeringFit(steps=3))),
            Acting(name="sft-more-zero-noise", after="sft-more"),
            Gathered(name="shared", rollouts=Rollouts(per_world=8, operator=OPERATOR)),
            Offline(name="shared-habc", after="shared"),
            Offline(name="shared-filtered-bc", after="shared", weighing=Weighing(rule=FilteredBC())),
        ),
        order=("sft", "sft-more", "habc", "habc+ir"),
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """The study with one seed: (work, results). One of its workers is killed on the way."""
    here = tmp_path_factory.mktemp("study")
    results = Results.open(here / "results", tiny_study())
    others = set(multiprocessing.active_children())
    in_the_middle = here / "work" / TASK / "seed-00" / "habc" / "round-01"

    def kill() -> None:
        while not in_the_middle.exists():
            time.sleep(0.02)
        worker = (set(multiprocessing.active_children()) - others).pop()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        (here / "killed").touch()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    run_study(results.study, results, here / "work", seeds=[0], workers=2)
    killer.join(timeout=5)
    return here / "work", results


def trials_of(results: Results, arm: str) -> dict[str, np.ndarray]:
    rows = results.tables["trials"]
    return {name: column[rows["arm"] == arm] for name, column in rows.items()}


def test_every_arm_has_its_trials_on_the_same_starts(done: tuple[Path, Results]) -> None:
    work, results = done
    assert (work.parent / "killed").exists(), "a worker was lost, and nothing with it"
    assert results.done() == {Cell(task=TASK, arm=arm.name, seed=0) for arm in results.study.arms}
    for arm in results.study.arms:
        assert len(trials_of(results, arm.name)["trial"]) == (0 if isinstance(arm, Gathered) else 4), arm.name
    seeds = [read_parquet(path, ("seed",))["seed"].tolist() for path in work.glob("*/*/*/*/6-eval.parquet")]
    assert len(seeds) > 5 and all(each == seeds[0] for each in seeds)


def test_a_policy_that_is_led_is_led_by_what_its_parent_recorded(done: tuple[Path, Results]) -> None:
    work = done[0] / TASK / "seed-00"
    trained = Round.of(work / "habc", 2)
    settings = tiny_study().settings(tiny_study().arm("habc"), tiny_study().tasks[0], 0)
    again = Round(work / "again")
    fit_acting(trained, again, settings, Evaluation(steering=NoiseSteering(fit=SteeringFit(steps=3))))
    kept = work / "habc-led" / "more" / "5-steering" / "steering.safetensors"
    assert kept.read_bytes() == (again.steering / kept.name).read_bytes()
    assert not (trained.folder / "5-steering").exists() and not (trained.folder / "5-chunk-critic").exists()


def test_arms_share_what_they_stand_on_and_nothing_else(done: tuple[Path, Results]) -> None:
    work = done[0] / TASK / "seed-00"
    assert (work / "habc/round-00").resolve() == work / "sft/round-00"
    assert (work / "habc+ir/round-02").resolve() == work / "habc/round-02"
    assert not (work / "habc+ir/round-03").is_symlink()
    ours, theirs = work / "shared-habc/round-01", work / "shared-filtered-bc/round-01"
    assert (
        (ours / "1-episodes").resolve()
        == (theirs / "1-episodes").resolve()
        == work / "shared/round-01/1-episodes"
    )
    assert sha256_file(ours / "4-weights.parquet") != sha256_file(theirs / "4-weights.parquet")
    assert (ours / "5-actor").exists() and not (work / "shared/round-01/5-actor").exists()


def test_zero_noise_changes_the_noise_and_not_the_policy(done: tuple[Path, Results]) -> None:
    work = done[0] / TASK / "seed-00"
    assert (work / "habc-zero-noise/round-02").resolve() == work / "habc/round-02", "the very same checkpoint"
    assert (
        not (work / "habc-zero-noise/more/5-actor").exists()
        and len(trials_of(done[1], "habc-zero-noise")["steps"]) == 4
    )


@pytest.mark.parametrize(
    ("arm", "policy"),
    [("habc-zero-noise", "habc/round-02"), ("sft-more-zero-noise", "sft-more/more")],
)
def test_zero_noise_tries_the_last_policy_of_its_parent(
    done: tuple[Path, Results], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: str, policy: str
) -> None:
    work, results = done
    shutil.copytree(work, tmp_path / "work", symlinks=True)
    tried: list[tuple[Path, float | None]] = []

    def look(
        actor: Path, out: Path, worlds: object, settings: Evaluation, *, pool: object, steering: Path
    ) -> None:
        tried.append((actor.resolve(), settings.noise))
        assert settings.steering is None and not steering.exists()
        evaluate(actor, out, results.study.tasks[0].worlds, settings, pool=play_here)

    monkeypatch.setattr(cells, "evaluate", look)
    cell = Cell(task=TASK, arm=arm, seed=0)
    forget(cell, tmp_path / "work")
    run_cell(results.study, cell, tmp_path / "work")
    assert tried == [(tmp_path / "work" / TASK / "seed-00" / policy / "5-actor", 0.0)]


def test_a_stored_study_has_nothing_left_to_do_and_grows_by_seeds(
    done: tuple[Path, Results], tmp_path: Path
) -> None:
    work, results = done
    again = Results.open(results.folder, results.study)
    kept = kept_in(results.study, work)
    assert wanted_cells(results.study, [0], kept, again.done()).cells == ()
    more = wanted_cells(results.study, [0, 1], kept, again.done(), arms=("habc+ir",))
    assert [cell.arm for cell in more.cells] == ["sft", "habc", "habc+ir"] and not more.again
    elsewhere = wanted_cells(
        results.study,
        [0],
        kept_in(results.study, tmp_path),
        again.done() - {Cell(task=TASK, arm="habc+ir", seed=0)},
    )
    assert [cell.arm for cell in elsewhere.cells] == ["sft", "habc", "habc+ir"], (
        "checkpoints that are gone are made again"
    )
    assert {cell.arm for cell in elsewhere.again} == {"sft", "habc"}, "and their rows are not stored twice"


def test_cells_keep_the_meanings_of_their_stages(done: tuple[Path, Results]) -> None:
    """Neither practice nor the interleaved schedule made any of them."""
    cells = read_parquet(done[1].folder / "cells.parquet")
    today = {name: n for name, n in meanings().items() if name not in ("practice", "interleaved")}
    assert len(today) == 6 and all(read_meanings(said) == today for said in cells["meanings"])


def test_cells_keep_on_what_they_were_made(done: tuple[Path, Results]) -> None:
    """All of them began at the one supervised checkpoint of their task and seed."""
    cells = read_parquet(done[1].folder / "cells.parquet")
    checkpoint = sha256_folder(done[0] / TASK / "seed-00/sft/round-00/5-actor")
    assert set(cells["supervised"]) == {checkpoint}
    assert set(cells["processor"]) == {processor()} and processor().endswith(
        torch.backends.cpu.get_cpu_capability()
    )
    libraries = f"torch {torch.__version__}, numpy {np.__version__}, mujoco {version('mujoco')}"
    assert set(cells["libraries"]) == {libraries}


def test_rows_that_a_kill_left_behind_are_not_counted_twice(
    done: tuple[Path, Results], tmp_path: Path
) -> None:
    work, results = done
    torn = Results(tmp_path, results.study, {name: dict(table) for name, table in results.tables.items()})
    keep = (
        torn.tables["cells"]["arm"] != "habc"
    )  # killed after its trials were written and before its cell was
    torn.tables["cells"] = {name: column[keep] for name, column in torn.tables["cells"].items()}
    torn.add(run_cell(results.study, Cell(task=TASK, arm="habc", seed=0), work))
    assert len(trials_of(torn, "habc")["trial"]) == 4
    assert sorted(trials_of(torn, "habc")["steps"]) == sorted(trials_of(results, "habc")["steps"])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def exchange(path: Path) -> None:
    path.write_bytes(path.with_name("starts.parquet").read_bytes())


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        (table, damage)
        for table in ("cells", "trials", "rounds")
        for damage in (cut, exchange, Path.unlink)
        if (table, damage) != ("cells", Path.unlink)  # a study without its list of cells has none
    ],
)
def test_rows_that_are_not_whole_are_noticed(
    damage: Callable[[Path], None], table: str, done: tuple[Path, Results], tmp_path: Path
) -> None:
    results = done[1]
    folder = Path(shutil.copytree(results.folder, tmp_path / "rows"))
    damage(folder / f"{table}.parquet")
    for read in (Results.read, lambda folder: Results.open(folder, results.study)):
        with pytest.raises(VantageError, match=rf"{table}\.parquet .*or delete {folder} and"):
            read(folder)


@pytest.mark.parametrize("lost", ["cells.parquet", "the folder"])
def test_rows_that_are_lost_come_back_from_the_work_folder(
    lost: str, done: tuple[Path, Results], tmp_path: Path
) -> None:
    work, results = done
    folder = tmp_path / "rows"
    if lost == "cells.parquet":
        shutil.copytree(results.folder, folder)
        (folder / lost).unlink()

    again = Results.open(folder, results.study)
    assert not again.done()
    run_study(results.study, again, work, seeds=[0], workers=1)
    assert again.done() == results.done()
    for name, column in results.tables["trials"].items():
        assert sorted(again.tables["trials"][name]) == sorted(column)


def test_a_cell_is_rebuilt_from_recipe_and_seed(done: tuple[Path, Results], tmp_path: Path) -> None:
    assert check_cell(
        done[1].study, Cell(task=TASK, arm="habc-zero-noise", seed=0), tmp_path / "cell", done[1].folder
    )
    fresh = read_parquet(
        tmp_path / "cell" / TASK / "seed-00/habc/round-02/6-eval.parquet", ("steps", "success")
    )
    stored = trials_of(done[1], "habc")
    assert (
        fresh["steps"].tolist() == stored["steps"].tolist()
        and fresh["success"].tolist() == stored["success"].tolist()
    )


def with_other_steps(study: Study) -> Study:
    """The same study with one more gradient step a round."""
    improvement = replace(study.base.improvement, fit=PolicyFit(steps=21, batch=32))
    return replace(study, base=replace(study.base, improvement=improvement))


def test_a_report_does_not_touch_the_folder_of_the_rows(
    done: tuple[Path, Results],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is drawn into runs/, which git ignores: whoever draws the published studies again has a clean clone
    afterwards."""
    monkeypatch.chdir(tmp_path)
    rows = done[1].folder
    before = {path: path.stat().st_mtime_ns for path in rows.rglob("*")}
    study_report(rows, json=True)
    numbers = json.loads(capsys.readouterr().out)
    assert (tmp_path / "runs" / f"{rows.name}-report" / "study.html").is_file()
    assert {path: path.stat().st_mtime_ns for path in rows.rglob("*")} == before
    assert numbers["cells"] == len(done[1].done()) and numbers["arms"]["sft"]["overall"]["n"] >= 1


def test_machines_are_merged_cell_by_cell(done: tuple[Path, Results], tmp_path: Path) -> None:
    mine = Results.open(tmp_path / "mine", done[1].study)
    assert mine.merge(done[1]) == len(done[1].done()) and mine.merge(done[1]) == 0
    again = Results.open(tmp_path / "mine", done[1].study)
    assert again.done() == done[1].done()
    for name, table in done[1].tables.items():
        assert {key: column.tolist() for key, column in again.tables[name].items()}.keys() == table.keys()
        if table:
            assert len(next(iter(again.tables[name].values()))) == len(next(iter(table.values()))), name
    other = with_other_steps(done[1].study)
    with pytest.raises(VantageError, match="other settings"):
        Results.open(tmp_path / "other", other).merge(done[1])
    with pytest.raises(
        VantageError, match=r"other settings have made \(improvement\.fit\.steps: \d+, now \d+\)"
    ):
        Results.open(tmp_path / "mine", other)


def test_a_folder_that_other_settings_made_is_made_again(done: tuple[Path, Results], tmp_path: Path) -> None:
    cell, study = Cell(task=TASK, arm="sft", seed=0), done[1].study
    shorter = replace(study.base.supervision, supervised=PolicyFit(steps=5, batch=32))
    other = replace(study, base=replace(study.base, supervision=shorter))
    assert finished(study, cell, done[0]) and not finished(other, cell, done[0])
    shutil.copytree(cell.folder(done[0]), cell.folder(tmp_path))
    checkpoint = cell.folder(tmp_path) / "round-00/5-actor/model.safetensors"
    before = sha256_file(checkpoint)
    run_cell(other, cell, tmp_path)
    assert finished(other, cell, tmp_path) and sha256_file(checkpoint) != before


def test_two_studies_do_not_write_to_one_folder(done: tuple[Path, Results], tmp_path: Path) -> None:
    """Neither two on one folder of rows, nor two on one folder of cells, nor a merge beside a study."""
    work, study = done[0], done[1].study
    with Results.alone(done[1].folder, study):
        with pytest.raises(VantageError, match=r"process \d+ on .* is writing to .*with --results"):
            start_study(study, tmp_path / "work", done[1].folder, seeds=1, workers=1)
        with pytest.raises(VantageError, match=rf"process {os.getpid()} on .* is writing to"):
            study_merge("debug", (done[1].folder,), results=done[1].folder)
    with working_in(work), pytest.raises(VantageError, match=r"is writing to .*with --out"):
        start_study(study, work, tmp_path / "rows", seeds=1, workers=1)
    assert not (tmp_path / "rows").exists()
    start_study(study, work, done[1].folder, seeds=1, workers=1)


def test_rows_are_read_when_nobody_else_can_write_any_more(
    done: tuple[Path, Results], tmp_path: Path
) -> None:
    """A second study that begins as the first one ends knows the first one's last row."""
    first, second = tmp_path / "rows", Results.alone(tmp_path / "rows", done[1].study)
    with Results.alone(first, done[1].study) as growing:
        growing.merge(done[1])
    with second as stored:
        assert stored.done() == done[1].done()


def test_rows_of_other_settings_are_refused(done: tuple[Path, Results]) -> None:
    other = with_other_steps(done[1].study)
    with pytest.raises(VantageError, match=r"rows of '.*' on push-v3 that other settings have made"):
        Results.open(done[1].folder, other)
    with pytest.raises(VantageError, match=r"study\.json is missing"):
        Results.read(done[0])


def test_everything_is_drawn_from_the_rows_alone_and_the_same_twice(
    done: tuple[Path, Results], tmp_path: Path
) -> None:
    first, second = write_study(done[1].folder, tmp_path / "a"), write_study(done[1].folder, tmp_path / "b")
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names >= {
        "study.html",
        "results.md",
        "fig3-success.svg",
        "fig3-steps.svg",
        "differences.svg",
        "app-g.svg",
        "stops.svg",
    }
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    words = (tmp_path / "a/results.md").read_text()
    assert "HABC − SFT, equal steps" in words and "10 cells, 1 seed, 4 trials a cell" in words
    assert first.read_text().count("<svg") >= 7 and second.exists()
    cells, trials = (tmp_path / "a/cells.svg").read_text(), done[1].tables["trials"]
    for arm in np.unique(trials["arm"]):
        won = trials["success"][(trials["arm"] == arm) & (trials["seed"] == 0)]
        assert (
            f"{title(done[1].study, str(arm))}, {TASK}, seed 0: {wilson(int(won.sum()), len(won))}<" in cells
        )


def test_a_method_with_fewer_seeds_is_drawn_hollow(done: tuple[Path, Results]) -> None:
    trials = done[1].tables["trials"]
    mine = trials["arm"] == "habc"
    again = {name: column[mine] for name, column in trials.items()} | {"seed": np.ones(mine.sum(), np.int64)}
    more = Results(
        done[1].folder,
        done[1].study,
        {"trials": {k: np.concatenate([v, again[k]]) for k, v in trials.items()}},
    )
    groups = [ArmGroup(heading="", arms=("sft", "habc"))]
    drawn = [success_by_method(results, estimate(results).rates, groups) for results in (more, done[1])]
    assert ["Hollow: fewer seeds" in figure for figure in drawn] == [True, False], (
        "habc has two seeds there, sft one"
    )
    rings = {
        name: [figure.count(f"fill: {LIGHT['card']}; stroke: {LIGHT[name]}") for figure in drawn]
        for name in ("grey", "blue")
    }
    assert rings == {"grey": [1, 0], "blue": [0, 0]}


def test_measured_rounds_agree_with_the_ledger(done: tuple[Path, Results]) -> None:
    work, results = done
    here = work / TASK / "seed-00/habc/round-02"
    ledger = read_parquet(here / "4-weights.parquet", ("round", "route", "g"))
    mine = (ledger["round"] == 2) & (ledger["route"] == "rollout_success")
    rounds = results.tables["rounds"]
    row = (rounds["arm"] == "habc") & (rounds["round"] == 2)
    stored = float(rounds["mean_g_success"][row][0])
    assert (np.isnan(stored) and not mine.any()) or stored == pytest.approx(
        np.nanmean(ledger["g"][mine]), rel=1e-5
    )
    starts = results.tables["starts"]
    assert ((starts["arm"] == "habc") & (starts["round"] == 2)).sum() == 8, "one row per rollout"


def test_exhibits_replay_what_was_recorded(done: tuple[Path, Results], tmp_path: Path) -> None:
    work, results = done
    path = make_exhibits(results.study, work, tmp_path, TASK, 0)
    table = read_arrow(path)
    names = set(table.column("exhibit").to_pylist())
    assert names & {"fig4-episode", "fig5-rollout"}, "something worth showing was recorded"
    for name in names:
        part = table.filter(pc.equal(table.column("exhibit"), name))
        pictures = [
            Image.open(io.BytesIO(picture)) for picture in part.column("picture").to_pylist() if picture
        ]
        assert len(pictures) == 8 and {picture.size for picture in pictures} == {(192, 192)}
        assert part.column("step").to_pylist() == list(range(len(part)))
    exhibits = read_exhibits(tmp_path)
    assert {exhibit.name for exhibit in exhibits} == names
    assert all(film_strip(exhibit).count("<image") == 8 for exhibit in exhibits)
    for exhibit in exhibits:
        strip, helped = film_strip(exhibit), bool(exhibit.human.any())
        assert ("Faint: not used." in strip) == helped and ("stroke-opacity: 0.45" in strip) == helped
    with pytest.raises(VantageError, match="plays no rollouts"):
        make_exhibits(results.study, work, tmp_path, TASK, 0, arm="sft-more")


def test_the_first_stop_by_hand() -> None:
    low = np.zeros(60, bool)
    low[5 : 5 + PATIENCE - 1] = True
    assert _first_stop(low) > 60, "not long enough"
    low[30 : 30 + PATIENCE] = True
    assert _first_stop(low) == 30 + PATIENCE
    assert _first_stop(np.ones(3, bool)) > 60
