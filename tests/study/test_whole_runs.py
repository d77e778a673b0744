"""Studies of whole runs, HABC beside chunked PPO and PPO on a suite of worlds, small and real, from the plan
to the page; and the published study of PPO."""

import json
import re
import shutil
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.algorithms.habc import HABCRun
from vantage.algorithms.run import last_round, run_algorithm, supervised_part
from vantage.algorithms.supervised import Supervision
from vantage.collect.operators import DemonstrateStock
from vantage.commands.studies import check_cell, find_study
from vantage.config import from_json, to_json
from vantage.core.self_bc import NoSelfBC
from vantage.core.weights import HABC, FilteredBC
from vantage.disk.files import read_json, sha256_file
from vantage.disk.tables import read_parquet
from vantage.practice.settings import Checks, Play
from vantage.recipes.debug import debug, debug_ppo
from vantage.stages.collect import Demonstrations
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.weigh import Weighing
from vantage.study.arms import Family, describe
from vantage.study.caps import score, within
from vantage.study.cells import Cell, run_cell, share_start
from vantage.study.estimate import LONGER, OVERHEAD, PRACTICE, Speeds, cell_seconds
from vantage.study.page import write_study
from vantage.study.places import kept_in
from vantage.study.plan import Online, Study, StudyTask, Suite, Supervised, WholeRun
from vantage.study.rows import Results
from vantage.study.run import run_study, wanted_cells
from vantage.study.statistics import cells_in, contrast, grids, rate
from vantage.study.view import Curves, PracticeView, Shown
from vantage.types import VantageError
from vantage.worlds.spec import MetaWorldSpec

ROOT = Path(__file__).parent.parent.parent
PUSH, CLOSE = (MetaWorldSpec(task, limit=90) for task in ("push-v3", "window-close-v3"))
SUPERVISION = Supervision(
    demonstrations=Demonstrations(per_world=1, operator=DemonstrateStock()),
    supervised=PolicyFit(steps=20, batch=16),
)
TRIALS = 90
"""Control steps of a trial."""


def tiny_ppo() -> ChunkedPPORun:
    run = debug_ppo()
    practice = replace(
        run.practice,
        steps=700,
        play=Play(episodes=4, limit=60, side_by_side=4),
        fit=replace(run.practice.fit, epochs=1, warm_up=0, batch=64, bc_batch=16),
        self_bc=NoSelfBC(),
        checks=Checks(every=400, per_world=2, limit=60),
    )
    evaluation = Evaluation(per_world=2)
    return replace(
        run, worlds=(), supervision=SUPERVISION, practice=practice, evaluation=evaluation, limit=TRIALS
    )


def tiny_habc() -> HABCRun:
    run = debug()
    improvement = replace(
        run.improvement, fit=PolicyFit(steps=10, batch=16), critic=replace(run.improvement.critic, steps=10)
    )
    return replace(
        run,
        worlds=(),
        supervision=SUPERVISION,
        rounds=1,
        rollouts=replace(run.rollouts, per_world=2),
        improvement=improvement,
        evaluation=Evaluation(per_world=2),
    )


def supervised(run: ChunkedPPORun) -> ChunkedPPORun:
    return replace(run, practice=replace(run.practice, steps=0))


def tiny_suite() -> Study:
    """Two whole runs on a suite of two worlds that begin alike: one goes on practising, one does not."""
    practised = Shown(arm="1 demo, PPO", words="PPO")
    return Study(
        tasks=(Suite(name="two", worlds=(PUSH, CLOSE)),),
        arms=(
            WholeRun(name="SFT, 1 demo", run=supervised(tiny_ppo())),
            WholeRun(name="1 demo, PPO", run=tiny_ppo()),
        ),
        contrasts=(("1 demo, PPO", "SFT, 1 demo"),),
        view=PracticeView(
            caps=(60, TRIALS),
            paced=("1 demo, PPO",),
            short=(Shown(arm="1 demo, PPO", words="practised"),),
            curves=(Curves(name="steps", column="length", words="Steps", arms=(practised,)),),
        ),
    )


def tiny_mixture() -> Study:
    """Arms of an HABC run beside a whole run of PPO, on one world."""
    return Study(
        base=tiny_habc(),
        tasks=(StudyTask(world=PUSH, demonstrations=2),),
        arms=(Supervised(), Online(name="habc", rounds=1), WholeRun(name="ppo", run=tiny_ppo())),
        order=("sft", "habc"),
        contrasts=(("ppo", "habc"),),
    )


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """The suite's study, every cell of it run in this process: (work, results)."""
    folder = tmp_path_factory.mktemp("suite")
    study = tiny_suite()
    results = Results.open(folder / "results", study)
    for arm in study.arms:
        results.add(run_cell(study, Cell(task="two", arm=arm.name, seed=0), folder / "work"))
    return folder / "work", results


def rows_of(results: Results, table: str, arm: str) -> dict[str, np.ndarray]:
    rows = results.tables[table]
    return {name: column[rows["arm"] == arm] for name, column in rows.items()}


def test_habc_and_ppo_stand_in_one_study(tmp_path: Path) -> None:
    study = tiny_mixture()
    assert [describe(study, arm.name).family for arm in study.arms] == [
        Family.SUPERVISED,
        Family.HABC,
        Family.PRACTICE,
    ]
    assert [study.gradient_steps(arm) for arm in study.arms] == [0, 10, None]
    of_task = {
        study.settings(arm, study.tasks[0], 7).supervision.demonstrations.per_world for arm in study.arms
    }
    assert of_task == {2}, "the task says how many demonstrations, of whole runs too"

    results = Results.open(tmp_path / "results", study)
    run_study(study, results, tmp_path / "work", seeds=[0], workers=1)
    for arm in study.arms:
        trials = rows_of(results, "trials", arm.name)
        assert trials["trial"].tolist() == [0, 1] and set(trials["limit"]) == {TRIALS}
    assert rows_of(results, "rounds", "habc")["round"].tolist() == [1], "what HABC measures is there"
    assert set(results.tables["checks"]["arm"]) == set(results.tables["practice"]["arm"]) == {"ppo"}, (
        "and PPO's"
    )

    write_study(tmp_path / "results", tmp_path / "page")
    words = (tmp_path / "page/results.md").read_text()
    assert "3 cells, 1 seed, 2 trials a cell (suite evaluation)" in words
    assert "| HABC − SFT |" in words and "| ppo − HABC |" in words
    assert "reinforcement learning" in (tmp_path / "page/differences.svg").read_text()


def test_the_study_in_the_docs_stands() -> None:
    names: dict[str, object] = {
        kind.__name__: kind
        for kind in (Study, StudyTask, MetaWorldSpec, Supervised, Online, WholeRun, debug, debug_ppo)
    }
    page = (ROOT / "docs/study.md").read_text()
    (example,) = re.findall(r"^    (Study\(.*?^    \))$", page, re.MULTILINE | re.DOTALL)
    study = eval(textwrap.dedent(example), names)
    assert isinstance(study, Study) and study.pairs == (("habc", "sft"), ("ppo", "habc"))


def test_every_run_has_its_trials_in_every_world(suite: tuple[Path, Results]) -> None:
    work, results = suite
    assert results.done() == {Cell(task="two", arm=arm.name, seed=0) for arm in results.study.arms}
    for arm in results.study.arms:
        trials = rows_of(results, "trials", arm.name)
        assert trials["world"].tolist() == ["push-v3"] * 2 + ["window-close-v3"] * 2
        assert trials["trial"].tolist() == [0, 1, 0, 1]
        assert set(trials["task"]) == {"two"} and set(trials["limit"]) == {TRIALS}

    again = Results.open(results.folder, results.study)
    assert wanted_cells(results.study, [0], kept_in(results.study, work), again.done()).cells == ()


def test_the_rows_are_those_of_a_run_by_itself(suite: tuple[Path, Results], tmp_path: Path) -> None:
    _, results = suite
    arm = results.study.arm("1 demo, PPO")
    settings = results.study.settings(arm, results.study.tasks[0], 0)
    run_algorithm(tmp_path / "run", settings, workers=1)
    alone = read_parquet(last_round(tmp_path / "run", settings).evaluation, ("steps", "success"))
    stored = rows_of(results, "trials", arm.name)
    for column in ("steps", "success"):
        assert alone[column].tolist() == stored[column].tolist()

    logged = read_json(tmp_path / "run/round-01/5-actor/checks.json")
    checks = rows_of(results, "checks", arm.name)
    assert checks["steps"].tolist() == [check["steps"] for check in logged] and checks["steps"][-1] >= 700
    assert checks["success"].tolist() == [check["success"] for check in logged]
    speed = read_json(tmp_path / "run/round-01/speed.json")
    assert rows_of(results, "practice", arm.name)["env_steps"].tolist() == [speed["steps"]]
    assert rows_of(results, "pace", arm.name)["world"].tolist() == ["push-v3", "window-close-v3"]


def test_runs_that_begin_alike_share_round_0(suite: tuple[Path, Results]) -> None:
    work, results = suite
    cells = [Cell(task="two", arm=arm.name, seed=0).folder(work) for arm in results.study.arms]
    assert len({folder.name for folder in cells}) == 2 and not any(" " in folder.name for folder in cells)
    begun = {(folder / "round-00").resolve() for folder in cells}
    assert len(begun) == 1, "one round 0 for both"
    assert [(folder / "round-01").exists() for folder in cells] == [False, True]

    run = replace(tiny_ppo(), worlds=(PUSH, CLOSE))
    longer = replace(run, supervision=replace(SUPERVISION, supervised=PolicyFit(steps=21, batch=16)))
    assert supervised_part(run) != supervised_part(longer)
    assert supervised_part(supervised_part(run)) == supervised_part(run)
    share_start(longer, work / "two/seed-00/longer")
    assert (work / "two/seed-00/longer/round-00").resolve() not in begun
    policies = [
        folder / "round-00/5-actor/model.safetensors" for folder in (cells[0], work / "two/seed-00/longer")
    ]
    assert sha256_file(policies[0]) != sha256_file(policies[1])


def test_the_page_shows_practice(suite: tuple[Path, Results], tmp_path: Path) -> None:
    _, results = suite
    write_study(results.folder, tmp_path)
    words = (tmp_path / "results.md").read_text()
    assert "2 cells, 1 seed, 4 trials a cell (suite evaluation)" in words
    assert "| SFT, 1 demo | 1 |" in words and "| practised | 1 |" in words
    drawn = {path.stem for path in tmp_path.glob("*.svg")}
    assert drawn == {"success", "steps", "cells"}, "one pair of cells is too few for differences"
    assert "PPO (n = 1)" in (tmp_path / "steps.svg").read_text()


def test_a_cell_of_a_whole_run_is_made_again(suite: tuple[Path, Results], tmp_path: Path) -> None:
    _, results = suite
    assert check_cell(results.study, Cell(task="two", arm="SFT, 1 demo", seed=0), tmp_path, results.folder)


def test_the_family_of_a_whole_run_is_that_of_its_method() -> None:
    habc = tiny_habc()
    rules = {"habc": HABC(), "filtered": FilteredBC()}
    runs = {
        name: replace(habc, improvement=replace(habc.improvement, weighing=Weighing(rule=rule)))
        for name, rule in rules.items()
    }
    runs["stops at once"] = replace(habc, rounds=0)
    arms = tuple(WholeRun(name=name, run=run) for name, run in runs.items())
    study = Study(tasks=(StudyTask(world=PUSH, demonstrations=1),), arms=arms)
    families = [describe(study, name).family for name in runs]
    assert families == [Family.HABC, Family.BASELINE, Family.SUPERVISED]


def test_a_suite_is_one_task_whose_worlds_count_the_same() -> None:
    columns = ("task", "world", "arm", "seed", "trial", "success", "steps", "limit")
    rows: dict[str, list[object]] = {name: [] for name in columns}
    success = {"a": [[[1, 1], [1, 0]], [[1, 1], [1, 1]]], "b": [[[1, 0], [0, 0]], [[1, 1], [1, 0]]]}
    for arm, worlds in success.items():
        for (world, seed, trial), won in np.ndenumerate(np.array(worlds)):
            row = ("suite", f"w{world}", arm, seed, trial, bool(won), 5, 9)
            for column, value in zip(rows.values(), row, strict=True):
                column.append(value)
    trials = {name: np.array(column) for name, column in rows.items()}

    found = contrast(trials, "a", "b")
    assert found is not None and found.difference.n == 2, "a cell is a seed of the suite"
    assert cells_in(grids(trials, "a")) == 2

    # worlds: 3/4 - 1/4 and 4/4 - 3/4
    assert (
        found.difference.estimate == pytest.approx((0.5 + 0.25) / 2) == pytest.approx(found.by_task["suite"])
    )
    # seeds: (1 - 1/2 + 1 - 1)/2 and (1/2 - 0 + 1 - 1/2)/2, both above 0, so 2 of 4 ways to set signs are as
    # far
    assert found.p == 0.5
    measured = rate(trials, "a")
    assert measured is not None and measured.by_task.keys() == {"suite"}
    by_suite = measured.by_task["suite"]
    assert by_suite.n == 2 and by_suite.estimate == pytest.approx(7 / 8) == pytest.approx(
        measured.overall.estimate
    )


def test_a_shorter_limit_counts_the_same_trials_by_hand() -> None:
    trials = {
        "task": np.array(["a", "a", "b", "b"]),
        "success": np.array([True, True, False, True]),
        "steps": np.array([10, 40, 50, 20]),
        "limit": np.full(4, 50),
    }
    found = score(trials, 30)
    assert found.success.estimate == 0.5
    assert found.steps == pytest.approx((10 + 20) / 2) and found.cost == (10 + 30 + 30 + 20) / 4
    assert within(trials, 30)["steps"].tolist() == [10, 30, 30, 20]
    with pytest.raises(VantageError, match="stopped after 50 steps"):
        score(trials, 60)


def test_what_a_whole_run_takes_by_hand() -> None:
    speeds = Speeds(demonstration=2.0, rollout=9.0, trial=4.0, step=0.1, control=0.01)
    trials, first = 2 * 2 * 4 * 0.75, 2 * 1 * 2 + 20 * 0.1
    suite = tiny_suite()
    alone, practised = (cell_seconds(suite, arm, speeds) for arm in suite.arms)
    assert alone == pytest.approx(LONGER * (first + trials))
    assert practised == pytest.approx(LONGER * (first + 2 * trials + PRACTICE * 700 * 0.01))

    habc = replace(suite, arms=(WholeRun(name="habc", run=tiny_habc()),), contrasts=(), view=None)
    played, update = 2 * 2 * 9 * 0.75, 10 * 0.1 + OVERHEAD
    assert cell_seconds(habc, habc.arms[0], speeds) == pytest.approx(
        LONGER * (first + trials + played + update + trials)
    )


def other_limit() -> Study:
    mixture = tiny_mixture()
    return replace(
        mixture, arms=(*mixture.arms[:2], WholeRun(name="ppo", run=replace(tiny_ppo(), limit=500)))
    )


def name_twice() -> Study:
    tasks = (Suite(name="s", worlds=(PUSH,)), StudyTask(world=PUSH, demonstrations=1))
    return replace(tiny_suite(), tasks=tasks)


def after_a_whole_run() -> Study:
    arms = (WholeRun(name="w", run=tiny_ppo()), Online(name="o", after="w"))
    return replace(tiny_mixture(), arms=arms, order=(), contrasts=())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Suite(name="s", worlds=()), "has no worlds"),
        (lambda: Suite(name="s", worlds=(PUSH, PUSH)), "two worlds called 'push-v3'"),
        (
            lambda: replace(tiny_suite(), arms=(Supervised(),)),
            "'sft' is part of a run that the study does not",
        ),
        (lambda: tiny_suite().shared, "whole runs only"),
        (name_twice, "two tasks of the study have 'push-v3'"),
        (after_a_whole_run, "'o' cannot come after 'w'"),
        (other_limit, "'ppo' and 'habc' on push-v3 end after 500 and 90 control steps"),
        (lambda: replace(tiny_suite(), view=PracticeView(caps=(1,), paced=("nobody",))), "compares 'nobody'"),
        (lambda: PracticeView(caps=()), "needs a cap"),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(VantageError, match=says):
        make()


@pytest.mark.parametrize("name", ["state", "screen", "pixels", "mt10-ppo"])
def test_published_rows_belong_to_their_study(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / f"docs/results/study-{name}", tmp_path / name)
    study = find_study(name)
    results = Results.open(tmp_path / name, study)
    assert len(results.done()) == {"state": 1043, "screen": 140, "pixels": 86, "mt10-ppo": 128}[name]
    assert (
        from_json(Study, json.loads(json.dumps(to_json(study))))
        == study
        == Results.read(tmp_path / name).study
    )


def test_the_published_tables_and_figures_of_ppo_are_what_the_report_draws(tmp_path: Path) -> None:
    folder = ROOT / "docs/results/study-mt10-ppo"
    write_study(folder, tmp_path)
    for figure in tmp_path.glob("*.svg"):
        published = ROOT / f"docs/figures/study-mt10-ppo-{figure.name}"
        assert published.read_bytes() == figure.read_bytes(), f"{figure.name} is not what its command draws"

    page, front = (ROOT / "docs/results.md").read_text(), (ROOT / "README.md").read_text()
    rows = [line for line in (tmp_path / "results.md").read_text().splitlines() if line.startswith("|")]
    assert len(rows) == 93 and all(line in page or line in front for line in rows)
