"""Every experiment, at toy size, in this process: a study of one easy task, two seeds and three arms serves
three of them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from idle import functions_of

from experiments import (
    bimanual,
    critic_table,
    evening,
    expert_rates,
    lerobot_draws,
    pixel_gap,
    publish_study,
    quickstart_seeds,
    quickstart_table,
    rounding,
    shortest_times,
    training_start,
)
from experiments.publish_study import FIGURES, RESULTS
from vantage.algorithms.habc import HABCRun
from vantage.commands import runs
from vantage.commands.studies import find_study
from vantage.core.weights import FilteredBC
from vantage.data.v3.schema import EVAL_COLUMNS
from vantage.disk.tables import read_parquet, write_parquet
from vantage.learn.critic.fit import CriticFit
from vantage.recipes import RECIPES, STUDIES
from vantage.stages.collect import Demonstrations
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.weigh import Weighing
from vantage.study.cells import Cell, run_cell
from vantage.study.plan import Online, Study, StudyTask, Supervised
from vantage.worlds.metaworld.world import MetaWorld
from vantage.worlds.spec import MetaWorldSpec

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "experiments"
TASK = "reach-v3"


def toy_study() -> Study:
    """One round of six rollouts; the supervised policy learns enough to succeed now and then."""
    base = find_study("debug").base
    small = replace(
        base,
        supervision=replace(base.supervision, supervised=PolicyFit(steps=60, batch=32)),
        improvement=replace(base.improvement, fit=PolicyFit(steps=2, batch=8), critic=CriticFit(steps=2)),
        rollouts=replace(base.rollouts, per_world=6),
        evaluation=Evaluation(per_world=2, suite="development"),
    )
    return Study(
        base=small,
        tasks=(StudyTask(world=MetaWorldSpec(TASK, limit=80), demonstrations=3),),
        arms=(
            Supervised(),
            Online(name="habc", rounds=1),
            Online(name="filtered-bc", rounds=1, weighing=Weighing(rule=FilteredBC())),
        ),
    )


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[training_start.Plan, dict[str, np.ndarray]]:
    """The experiment that needs two seeds, and its rows; others look at what its study left in plan.work."""
    fits = (("further", 1), ("supervised", 1), ("scratch", 2))
    plan = training_start.Plan(
        study=toy_study(),
        arm="habc",
        tasks=(TASK,),
        seeds=(0, 1),
        fits=fits,
        batches=1,
        work=tmp_path_factory.mktemp("begun"),
    )
    return plan, training_start.measure(plan, workers=1)


def test_training_start(begun: tuple[training_start.Plan, dict[str, np.ndarray]]) -> None:
    plan, rows = begun
    assert list(zip(rows["seed"], rows["begin"], rows["steps"], strict=True)) == [
        (seed, *fit) for seed in (0, 1) for fit in plan.fits
    ]
    assert (rows["loss_seen"] > 0).all() and (rows["loss_unseen"] > 0).all(), (
        "both runs have successful rollouts"
    )
    assert (rows["loss_seen"][:3] != rows["loss_unseen"][:3]).all()
    assert training_start.table(rows, plan).count("\n| untrained weights | 2 | **") == 1


def test_critic_table(begun: tuple[training_start.Plan, dict[str, np.ndarray]]) -> None:
    plan, _ = begun
    critics = {name: replace(fit, steps=2) for name, fit in critic_table.variants(lengths=(1, 2)).items()}
    rows = critic_table.measure(plan.work / "work", plan.study, critics, number=1)
    assert rows["variant"].tolist() == [*critics] and len(critics) == 2 * 2 * 5 + 3
    assert np.isfinite(rows["bce"]).all()
    assert len(critic_table.table(rows).splitlines()) == 2 + len(critics)


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
def test_pixel_gap(begun: tuple[training_start.Plan, dict[str, np.ndarray]]) -> None:
    plan, _ = begun
    work = plan.work / "work"
    run_cell(plan.study, Cell(task=TASK, arm="filtered-bc", seed=0), work)
    rows = pixel_gap.measure({"state": work, "pixels": work}, TASK, number=1, seeds=(0,))
    assert set(rows["form"]) == {"state", "pixels"} and 2 <= len(rows["success"]) <= 12
    assert 0 < rows["success"].mean() < 1 and not rows["lifted"].any(), "nobody lifts the puck in reach"
    assert (rows["miss"] >= rows["miss_along_view"]).all() and rows["miss"].max() < 1000, (
        "millimetres on a table"
    )
    assert "| rollouts that nobody touched |" in pixel_gap.table(rows)


def test_expert_rates() -> None:
    rows = expert_rates.measure([("reach-v3", "stock"), ("push-v3", "alike")], seeds=1, workers=1)
    assert (
        rows["operator"].tolist() == ["demonstrator", "rescuer"] * 2 and rows["successes"].tolist() == [1] * 4
    )
    assert (
        expert_rates.table(rows)
        .splitlines()[2]
        .startswith("| reach-v3 | stock | demonstrator | 1.00 | 0.21 to 1.00 | 1 |")
    )


def test_lerobot_draws(recorded: Path) -> None:
    """The view and the plugin draw as Vantage does; the rollouts alone hold no demonstration."""
    lines = lerobot_draws.table_of(recorded / "round-02", chunk=8)
    rows = [[int(cell.strip(" %")) for cell in line.split("|")[2:5]] for line in lines]
    assert rows[0][0] == rows[1][0] == 0 and min(rows[0][1:]) > 10, "it draws what weighs nothing, and across"
    assert rows[1][1] == 0 < rows[1][2] and rows[2][2] == 0
    assert rows[3] == rows[4] == [25, 0, 0]


def test_shortest_times() -> None:
    """A hand that is free gets a centimetre a step along an axis, once it has speed; a path is straight."""
    world = MetaWorld(TASK)
    reach, speed = shortest_times.free_reach([world], 1)
    world.close()
    assert (speed > 0.0085).all() and (speed < 0.0125).all()
    assert (np.diff(reach, axis=2) > 0).all()

    even = np.full((2, 3, 1), 0.01) * np.arange(1, 101)
    assert shortest_times.steps_to(np.array([0.2, -0.1, 0.0]), 0.001, even) == 20, "axes move together"
    assert shortest_times.steps_to(np.array([0.0, -0.2, 0.0]), 0.051, even) == 15
    assert shortest_times.steps_to(np.zeros(3), 0.05, even) == 0

    rows = shortest_times.measure((TASK, "push-v3"), starts=2, poses=1)
    assert np.isfinite(rows["shortest"]).all() and (rows["shortest"] > 10).all()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the published pages and rows, in which an experiment may write."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def same_pages(folder: Path) -> None:
    for page in ("docs/results.md", "README.md"):
        assert (folder / page).read_text() == (ROOT / page).read_text(), page


PUBLISHED = [name for name in STUDIES if f"<!-- study-{name}:begin -->" in (ROOT / RESULTS).read_text()]


@pytest.mark.parametrize("name", PUBLISHED)
def test_publish_study_draws_what_is_published(name: str, copied: Path) -> None:
    """Tables line for line, figures byte for byte."""
    publish_study.main([name])
    same_pages(copied)
    figures = sorted((copied / FIGURES).glob(f"study-{name}-*.svg"))
    assert figures
    for figure in figures:
        published = ROOT / FIGURES / figure.name
        assert published.is_file(), f"{figure.name} is drawn and not published"
        assert figure.read_bytes() == published.read_bytes(), figure.name


def test_quickstart_table_of_a_run(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The published trials as the folders of a run: its table is the published one, and so are the pages when
    it is published."""
    rows, run = read_parquet(quickstart_table.KEPT), copied / "runs/quickstart"
    for arm in quickstart_table.ARMS:
        trials = {name: rows[name][rows["arm"] == arm] for name in EVAL_COLUMNS}
        write_parquet(run / arm / "6-eval.parquet", trials)

    quickstart_table.main([])
    published = capsys.readouterr().out
    quickstart_table.main([str(run)])
    assert capsys.readouterr().out == published

    quickstart_table.main(["--publish", str(run)])
    same_pages(copied)
    figure = copied / quickstart_table.FIGURE
    assert figure.read_bytes() == (ROOT / quickstart_table.FIGURE).read_bytes()


def test_quickstart_of_several_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two seeds of a quickstart of seconds, and by hand what its table says of them."""

    def toy() -> HABCRun:
        debug = RECIPES["debug"]()
        assert isinstance(debug, HABCRun)
        short = PolicyFit(steps=4, batch=8)
        return replace(
            debug,
            worlds=(MetaWorldSpec(TASK, limit=60),),
            supervision=replace(
                debug.supervision, demonstrations=Demonstrations(per_world=2), supervised=short
            ),
            rollouts=replace(debug.rollouts, per_world=2),
            improvement=replace(debug.improvement, critic=CriticFit(steps=4), fit=short),
            evaluation=Evaluation(per_world=2),
            control=True,
        )

    monkeypatch.setattr(runs, "RECIPES", {**RECIPES, "quickstart": toy})
    rows = tmp_path / "rows.parquet"
    quickstart_seeds.run(tmp_path / "runs", seeds=2, workers=1, rows=rows)
    told = capsys.readouterr().out
    kept = read_parquet(rows)
    assert len(kept["success"]) == 2 * 4 * 2 and set(kept["seed"]) == {0, 1}
    for seed in (0, 1):
        means = [
            kept["success"][(kept["arm"] == arm) & (kept["seed"] == seed)].mean()
            for arm in quickstart_table.ARMS
        ]
        assert f"| {seed} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |" in told
    assert "2 seeds, 2 starts each" in told and "of 2 seeds" in told
    quickstart_seeds.table(rows)
    assert capsys.readouterr().out in told

    # The same demonstrations again: two fits that differ in the order of sums, and two in their batches.
    fits = {"briefly": PolicyFit(steps=3, batch=8)}
    trials = tmp_path / "rounding.parquet"
    rounding.run(
        tmp_path / "runs",
        seeds=1,
        workers=1,
        recipe=toy(),
        variants=fits,
        per_world=1,
        out=tmp_path / "out",
        rows=trials,
    )
    kept = read_parquet(trials)
    assert kept["pair"].tolist() == ["threads", "batches"]
    losses = [
        [json.loads(line)["loss"] for line in path.read_text().splitlines()]
        for path in sorted((tmp_path / "out").rglob("metrics.jsonl"))
    ]
    assert [len(loss) for loss in losses] == [3, 3, 3]
    assert kept["step"][1] == 1, "other batches have another loss from the first step on"
    told = capsys.readouterr().out
    assert (
        "| briefly | batches | 1 |" in told and "1 seeds (their rates in this order), 1 development" in told
    )


def test_stored_rows_are_drawn_again(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evening.table(copied / "docs/results/evening.parquet")
    assert capsys.readouterr().out.strip() in (copied / "docs/results.md").read_text()
    training_start.main([])
    quickstart_seeds.table()
    rounding.table()
    same_pages(copied)
    for experiment, words in ((critic_table, []), (expert_rates, ["--print"]), (shortest_times, ["--print"])):
        capsys.readouterr()
        experiment.main(words)
        assert capsys.readouterr().out in (copied / "docs/results.md").read_text()


@pytest.mark.parametrize("task", bimanual.TASKS)
def test_bimanual(task: str, tmp_path: Path) -> None:
    table = bimanual.rates(task, seeds=1, limit=4)
    who = [tuple(line.strip("| ").split(" | ")[::3]) for line in table.splitlines()[2:]]
    assert who == [(operator, "1") for operator in bimanual.operators(task)]
    assert "with three 96 px pictures every 8 steps" in bimanual.speed(task, steps=8)
    bimanual.gallery(tmp_path, task, size=48, limit=3)
    videos = {f"{task}-{name}.mp4" for name in ("success", "failure", "rescue")}
    assert {path.name for path in tmp_path.iterdir()} == videos | {f"{task}-stages.png"}


def test_bimanual_says_what_it_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["rates", "no-such-task"]):
        bimanual.main(words)
        assert "python -m experiments.bimanual rates" in capsys.readouterr().out


def test_every_experiment_ran(ran: set[str], request: pytest.FixtureRequest) -> None:
    """A module that is added to experiments/ needs a test that runs it: here, or in a file of its own, which
    may be another process's (conftest.py)."""
    folder = Path(__file__).parent
    collected = {item.path for item in request.session.items}
    if not set(folder.glob("test_*.py")) <= collected:
        pytest.skip("tells nothing where only some tests of experiments/ are run")
    modules = {name.partition(".")[0] for name in functions_of(FOLDER)}
    elsewhere = {path.stem.removeprefix("test_") for path in folder.glob("test_*.py")}
    assert modules - elsewhere - {name.partition(".")[0] for name in ran} == set()
