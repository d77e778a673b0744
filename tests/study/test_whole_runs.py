"""A study of whole runs: chunked PPO and HABC on a suite of worlds, small and real, from the plan to the page; and the published one."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.algorithms.run import last_round, run_algorithm, supervised_part
from vantage.algorithms.supervised import Supervision
from vantage.collect.operators import DemonstrateStock
from vantage.commands.studies import check_cell, find_study
from vantage.config import from_json, to_json
from vantage.core.self_bc import NoSelfBC
from vantage.disk.files import read_json, sha256_file
from vantage.disk.tables import read_parquet
from vantage.practice.settings import Checks, Play
from vantage.recipes.debug import debug, debug_ppo
from vantage.stages.collect import Demonstrations
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.study.arms import Family, describe
from vantage.study.caps import score, within
from vantage.study.cells import Cell, share_start
from vantage.study.estimate import LONGER, PRACTICE, Speeds, cell_seconds
from vantage.study.page import write_study
from vantage.study.plan import Curves, Online, PracticeView, Shown, Study, StudyTask, Suite, Supervised, Whole
from vantage.study.rows import Results
from vantage.study.run import run_study, wanted_cells
from vantage.study.statistics import cells_in, contrast, grids, rate
from vantage.types import VantageError
from vantage.worlds.spec import MetaWorldSpec

ROOT = Path(__file__).parent.parent.parent
PUSH, CLOSE = (MetaWorldSpec(task, limit=120) for task in ("push-v3", "window-close-v3"))
SUPERVISION = Supervision(
    demonstrations=Demonstrations(per_world=1, operator=DemonstrateStock()),
    supervised=PolicyFit(steps=20, batch=16),
)


def tiny_run() -> ChunkedPPORun:
    run = debug_ppo()
    return replace(
        run,
        worlds=(),
        supervision=SUPERVISION,
        practice=replace(
            run.practice,
            steps=700,
            play=Play(episodes=4, limit=60, side_by_side=4),
            fit=replace(run.practice.fit, epochs=1, warm_up=0, batch=64, bc_batch=16),
            checks=Checks(every=400, per_world=2, limit=60),
        ),
        evaluation=Evaluation(per_world=2),
        limit=80,
    )


def tiny_study() -> Study:
    """Two whole runs that begin alike: one goes on practising, one does not."""
    run = tiny_run()
    return Study(
        tasks=(Suite(name="two", worlds=(PUSH, CLOSE)),),
        arms=(
            Whole(name="SFT, 1 demo", run=replace(run, practice=replace(run.practice, steps=0))),
            Whole(name="1 demo, PPO", run=replace(run, practice=replace(run.practice, self_bc=NoSelfBC()))),
        ),
        contrasts=(("1 demo, PPO", "SFT, 1 demo"),),
        view=PracticeView(
            caps=(60, 80),
            paced=("1 demo, PPO",),
            short=(Shown(arm="1 demo, PPO", words="practised"),),
            curves=(Curves(name="steps", column="length", words="Steps", arms=(Shown(arm="1 demo, PPO", words="PPO"),)),),
        ),
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """The study with one seed: (work, results)."""
    folder = tmp_path_factory.mktemp("study")
    results = Results.open(folder / "results", tiny_study())
    run_study(results.study, results, folder / "work", seeds=[0], workers=1)
    return folder / "work", results


def rows_of(results: Results, table: str, arm: str) -> dict[str, np.ndarray]:
    rows = results.tables[table]
    return {name: column[rows["arm"] == arm] for name, column in rows.items()}


def test_every_run_has_its_trials_in_every_world(done: tuple[Path, Results]) -> None:
    work, results = done
    assert results.done() == {Cell(task="two", arm=arm.name, seed=0) for arm in results.study.arms}
    for arm in results.study.arms:
        trials = rows_of(results, "trials", arm.name)
        assert trials["world"].tolist() == ["push-v3"] * 2 + ["window-close-v3"] * 2
        assert trials["trial"].tolist() == [0, 1, 0, 1] and set(trials["task"]) == {"two"} and set(trials["limit"]) == {80}
    assert wanted_cells(results.study, [0], work, Results.open(results.folder, results.study).done()).cells == ()


def test_the_rows_are_those_of_a_run_by_itself(done: tuple[Path, Results], tmp_path: Path) -> None:
    _, results = done
    arm = results.study.arm("1 demo, PPO")
    settings = results.study.settings(arm, results.study.tasks[0], 0)
    run_algorithm(tmp_path / "run", settings, workers=1)
    alone = read_parquet(last_round(tmp_path / "run", settings).evaluation, ("steps", "success"))
    stored = rows_of(results, "trials", arm.name)
    assert alone["steps"].tolist() == stored["steps"].tolist() and alone["success"].tolist() == stored["success"].tolist()

    logged = read_json(tmp_path / "run/round-01/5-actor/checks.json")
    checks = rows_of(results, "checks", arm.name)
    assert checks["steps"].tolist() == [check["steps"] for check in logged] and checks["steps"][-1] >= 700
    assert checks["success"].tolist() == [check["success"] for check in logged]
    speed = read_json(tmp_path / "run/round-01/speed.json")
    assert rows_of(results, "practice", arm.name)["env_steps"].tolist() == [speed["steps"]]
    assert rows_of(results, "pace", arm.name)["world"].tolist() == ["push-v3", "window-close-v3"]


def test_runs_that_begin_alike_share_round_0(done: tuple[Path, Results]) -> None:
    work, results = done
    cells = [Cell(task="two", arm=arm.name, seed=0).folder(work) for arm in results.study.arms]
    assert len({folder.name for folder in cells}) == 2 and not any(" " in folder.name for folder in cells)
    begun = {(folder / "round-00").resolve() for folder in cells}
    assert len(begun) == 1 and not (cells[0] / "round-01").exists() and (cells[1] / "round-01").exists()

    other = replace(tiny_run(), worlds=(PUSH, CLOSE), supervision=replace(SUPERVISION, supervised=PolicyFit(steps=21, batch=16)))
    first, second = (supervised_part(run) for run in (replace(tiny_run(), worlds=(PUSH, CLOSE)), other))
    assert first != second and supervised_part(first) == first
    shutil.copytree(cells[0].parent, work / "again", symlinks=True)
    share_start(other, work / "again/other")
    assert (work / "again/other/round-00").resolve() not in begun
    actors = [folder / "round-00/5-actor/model.safetensors" for folder in (cells[0], work / "again/other")]
    assert sha256_file(actors[0]) != sha256_file(actors[1])


def test_the_page_shows_them(done: tuple[Path, Results], tmp_path: Path) -> None:
    _, results = done
    write_study(results.folder, tmp_path)
    words = (tmp_path / "results.md").read_text()
    assert "2 cells, 1 seeds, 4 trials a cell (suite `evaluation`)" in words
    assert "| SFT, 1 demo | 1 |" in words and "| practised | 1 |" in words
    assert {path.stem for path in tmp_path.glob("*.svg")} == {"success", "steps", "differences", "cells"}
    assert "PPO (n = 1)" in (tmp_path / "steps.svg").read_text()


def test_a_cell_of_a_whole_run_is_made_again(done: tuple[Path, Results], tmp_path: Path) -> None:
    assert check_cell(done[1].study, Cell(task="two", arm="SFT, 1 demo", seed=0), tmp_path, done[1].folder)


def test_habc_and_ppo_stand_in_one_study(tmp_path: Path) -> None:
    habc = debug()
    run = replace(
        habc,
        worlds=(),
        supervision=SUPERVISION,
        rounds=1,
        rollouts=replace(habc.rollouts, per_world=2),
        improvement=replace(habc.improvement, fit=PolicyFit(steps=10, batch=16), critic=replace(habc.improvement.critic, steps=10)),
        evaluation=Evaluation(per_world=2),
    )
    supervised = replace(tiny_run(), practice=replace(tiny_run().practice, steps=0), limit=120)
    arms = (Whole(name="habc", run=run), Whole(name="sft", run=supervised))
    plan = Study(tasks=(StudyTask(world=PUSH, demonstrations=2),), arms=arms, order=("sft", "habc"))
    assert [describe(plan, arm.name).family for arm in arms] == [Family.HABC, Family.SUPERVISED]
    assert [plan.gradient_steps(arm) for arm in arms] == [10, 0]
    assert {plan.settings(arm, plan.tasks[0], 7).supervision.demonstrations.per_world for arm in arms} == {2}, "the task says how many"

    results = Results.open(tmp_path / "rows", plan)
    run_study(plan, results, tmp_path / "work", seeds=[0], workers=1)
    assert rows_of(results, "rounds", "habc")["round"].tolist() == [1], "its rounds are measured"
    assert not results.tables["checks"]["arm"].size if results.tables["checks"] else True
    write_study(tmp_path / "rows", tmp_path / "page")
    assert "HABC − SFT" in (tmp_path / "page/results.md").read_text()


def test_a_suite_is_one_task_whose_worlds_count_the_same() -> None:
    rows: dict[str, list[object]] = {name: [] for name in ("task", "world", "arm", "seed", "trial", "success", "steps", "limit")}
    success = {"a": [[[1, 1], [1, 0]], [[1, 1], [1, 1]]], "b": [[[1, 0], [0, 0]], [[1, 1], [1, 0]]]}
    for arm, worlds in success.items():
        for (world, seed, trial), won in np.ndenumerate(np.array(worlds)):
            for column, value in zip(rows.values(), ("suite", f"w{world}", arm, seed, trial, bool(won), 5, 9), strict=True):
                column.append(value)
    trials = {name: np.array(column) for name, column in rows.items()}

    found = contrast(trials, "a", "b")
    assert found is not None and found.difference.n == 2 and cells_in(grids(trials, "a")) == 2, "a cell is a seed of the suite"
    # worlds: 3/4 - 1/4 and 4/4 - 3/4; seeds: (1 - 1/2 + 1 - 1)/2 and (1/2 - 0 + 1 - 1/2)/2, both above 0: 2 of 4 ways are as far
    assert found.difference.estimate == pytest.approx((0.5 + 0.25) / 2) == pytest.approx(found.by_task["suite"])
    assert found.p == 0.5
    measured = rate(trials, "a")
    assert measured is not None and measured.by_task.keys() == {"suite"} and measured.by_task["suite"].n == 2
    assert measured.by_task["suite"].estimate == pytest.approx(7 / 8) == pytest.approx(measured.overall.estimate)


def test_a_shorter_limit_counts_the_same_trials_by_hand() -> None:
    trials = {
        "task": np.array(["a", "a", "b", "b"]),
        "success": np.array([True, True, False, True]),
        "steps": np.array([10, 40, 50, 20]),
        "limit": np.full(4, 50),
    }
    found = score(trials, 30)
    assert found.success.estimate == 0.5 and found.steps == pytest.approx((10 + 20) / 2) and found.cost == (10 + 30 + 30 + 20) / 4
    assert within(trials, 30)["steps"].tolist() == [10, 30, 30, 20]
    with pytest.raises(VantageError, match="stopped after 50 steps"):
        score(trials, 60)


def test_what_a_whole_run_takes_by_hand() -> None:
    study, speeds = tiny_study(), Speeds(demonstration=2.0, rollout=9.0, trial=4.0, step=0.1, control=0.01)
    trials, first = 2 * 2 * 4 * 0.75, 2 * 1 * 2 + 20 * 0.1
    supervised, practised = (cell_seconds(study, arm, speeds) for arm in study.arms)
    assert supervised == pytest.approx(LONGER * (first + trials))
    assert practised == pytest.approx(LONGER * (first + 2 * trials + PRACTICE * 700 * 0.01))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Suite(name="s", worlds=()), "has no worlds"),
        (lambda: Suite(name="s", worlds=(PUSH, PUSH)), "two worlds called 'push-v3'"),
        (lambda: replace(tiny_study(), arms=(Supervised(),)), "'sft' is part of a run that the study does not have"),
        (lambda: replace(tiny_study(), tasks=(Suite(name="s", worlds=(PUSH,)), StudyTask(world=PUSH, demonstrations=1))), "'push-v3'"),
        (lambda: replace(find_study("debug"), arms=(Whole(name="w", run=tiny_run()), Online(name="o", after="w")), order=()), "'o' cannot"),
        (lambda: replace(tiny_study(), view=PracticeView(caps=(1,), paced=("nobody",))), "compares 'nobody'"),
        (lambda: PracticeView(caps=()), "needs a cap"),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused(make: object, says: str) -> None:
    with pytest.raises(VantageError, match=says):
        make()


@pytest.mark.parametrize("name", ["state", "screen", "pixels", "mt10-ppo"])
def test_published_rows_belong_to_their_study(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / f"docs/results/study-{name}", tmp_path / name)
    study = find_study(name)
    results = Results.open(tmp_path / name, study)
    assert len(results.done()) == {"state": 983, "screen": 140, "pixels": 86, "mt10-ppo": 122}[name]
    assert from_json(Study, json.loads(json.dumps(to_json(study)))) == study == Results.read(tmp_path / name).study


def test_the_published_tables_and_figures_of_ppo_are_what_the_report_draws(tmp_path: Path) -> None:
    folder = ROOT / "docs/results/study-mt10-ppo"
    write_study(folder, tmp_path)
    for figure in tmp_path.glob("*.svg"):
        published = ROOT / f"docs/figures/study-mt10-ppo-{figure.name}"
        assert published.read_bytes() == figure.read_bytes(), f"{figure.name} is not what its command draws"

    page, front = (ROOT / "docs/results.md").read_text(), (ROOT / "README.md").read_text()
    rows = [line for line in (tmp_path / "results.md").read_text().splitlines() if line.startswith("|")]
    assert len(rows) == 87 and all(line in page or line in front for line in rows)
