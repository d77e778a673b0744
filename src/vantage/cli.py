"""Words typed in, stages run: the command line. Every command is a function here; its docstring is its help."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table as RichTable

from vantage.errors import VantageError

GROUPS: dict[str, dict[str, str]] = {
    "Start here": {
        "quickstart": "ten minutes: demonstrations, HABC with rescues, report",
        "run": "run a recipe, or go on with one that was interrupted",
        "report": "draw the page of a run again",
        "metaworld": "score a checkpoint on MT10 or MT50, one pinned protocol",
    },
    "Which method is better, and by how much": {
        "study": "methods x tasks x seeds on identical data and budget, resumable cell by cell",
        "study-report": "draw a study again from its stored rows",
        "study-merge": "take over finished cells from other machines",
        "study-exhibits": "keep a few episodes of a finished cell for the figures that show one",
        "study-cell": "run one cell again from nothing and hold it against the stored one",
    },
    "Your own recordings": {
        "audit": "what is in a data set: drivers, hand-overs, outcomes, problems",
        "label": "turn outcomes (one bit an episode) into labels for every frame",
    },
    "One stage of a round (runs/NAME/round-NN)": {
        "collect": "1-episodes: play the policy of the round before, with rescues",
        "label": "2-labels.parquet: credit that never crosses a hand-over",
        "fit-critic": "3-critic: viability and efficiency",
        "weigh": "4-weights.parquet: the credit ledger",
        "fit-actor": "5-actor: weighted flow matching",
        "evaluate": "6-eval.parquet: one row per trial",
    },
}


def main() -> None:
    """Entry point of `vantage`. Exit codes: 0 done, 2 bad input (one sentence on stderr), 130 interrupted."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "500")  # threads that spin long while they wait starve what runs beside them
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa draws small pictures in the thread that asks; its own would crowd the other workers
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        overview()
        raise SystemExit(0)
    command = words[0].replace("_", "-")
    commands: dict[str, Callable[..., None]] = {
        "quickstart": quickstart,
        "run": run,
        "report": report,
        "metaworld": metaworld,
        "study": study,
        "study-report": study_report,
        "study-merge": study_merge,
        "study-cell": study_cell,
        "study-exhibits": study_exhibits,
        "audit": audit,
        "label": label,
        "collect": collect,
        "fit-critic": fit_critic,
        "weigh": weigh,
        "fit-actor": fit_actor,
        "evaluate": evaluate,
    }
    try:
        if command in ("--version", "version"):
            from vantage import __version__

            print(__version__)
        elif command in commands:
            tyro.cli(commands[command], prog=f"vantage {command}", args=words[1:])
        else:
            raise VantageError(f"there is no command {words[0]!r}{_nearest(words[0], list(commands))}; `vantage --help` lists them")
    except VantageError as error:
        Console(stderr=True).print(f"[bold red]vantage:[/] {error}", highlight=False, soft_wrap=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; run the same command again to go on")
        raise SystemExit(130) from None


def overview() -> None:
    """Print what Vantage can do, on one screen."""
    console = Console()
    console.print(
        "\n[bold]vantage[/] fine-tunes vision-language-action robot policies from one bit per episode: it worked, or it did not.\n"
    )
    for title, commands in GROUPS.items():
        table = RichTable(box=None, show_header=False, padding=(0, 2), title=title, title_justify="left", title_style="bold")
        for name, what in commands.items():
            table.add_row(f"[cyan]{name:<14}", what)
        console.print(table)
        console.print()
    console.print("[dim]vantage COMMAND --help tells the rest.   Docs: docs/tour.md[/]\n")


def _nearest(word: str, known: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


Workers = Annotated[int, tyro.conf.arg(help="Processes that play episodes; 0: one per core.")]


def quickstart(out: Path = Path("runs/quickstart"), seed: int = 0, workers: Workers = 0) -> None:
    """From nothing to a better policy and a report, in ten minutes: the recipe `quickstart`.

    Args:
        out: Folder of the run; an interrupted one goes on.
        seed: Seed of demonstrations, rollouts and training.
        workers: Processes that play episodes.
    """
    run("quickstart", out=out, seed=seed, workers=workers)


def run(recipe: Annotated[str, tyro.conf.Positional], /, out: Path, seed: int = 0, workers: Workers = 0) -> None:
    """Run a recipe into a folder of rounds and draw its report. Started again, it goes on where it was.

    Args:
        recipe: Name of a recipe: debug (a minute), quickstart (ten), paper (the quickstart with the paper's own choices), vantage (with
            what the study found to be better), metaworld-mt10-ppo-state (chunked PPO from true state, ten minutes; -long: half an hour),
            metaworld-mt50-ppo-state, metaworld-mt10-ppo (from pixels, 71 minutes; -flow: from true state with a flow policy), debug-ppo.
        out: Folder of the run.
        seed: Seed of demonstrations, rollouts and training.
        workers: Processes that play episodes.
    """
    from vantage.commands.runs import start

    start(recipe, out, seed=seed, workers=workers)


def report(run: Annotated[Path, tyro.conf.Positional], /, out: Path | None = None, episodes: int = 6) -> None:
    """Draw the page of a run: one self-contained HTML file.

    Args:
        run: Folder of the run.
        out: The page; default RUN/report.html.
        episodes: Episodes shown with video and values.
    """
    from vantage.report.page import write_report

    print(write_report(run, out, episodes=episodes))


def metaworld(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    /,
    out: Path,
    suite: str = "MT10",
    per_task: int = 50,
    starts: str = "evaluation",
    workers: Workers = 0,
) -> None:
    """Score a checkpoint on MetaWorld under the protocol of docs/metaworld_protocol.md.

    Args:
        checkpoint: Folder of a policy (ROUND/5-actor, or a LeRobot checkpoint).
        out: The trials, a parquet file; if it is there already it is only counted again.
        suite: MT10 or MT50.
        per_task: Trials per task.
        starts: Set of starts; `evaluation` is for reporting, `development` for choices.
        workers: Processes that play episodes.
    """
    from vantage.collect.pool import open_pool
    from vantage.commands.runs import cores
    from vantage.stages import metaworld_protocol as protocol
    from vantage.stages.evaluate import Evaluation

    settings = Evaluation(per_world=per_task, suite=starts)
    worlds = protocol.worlds_of(suite)
    with open_pool(workers or cores()) as pool:
        trials = protocol.play_suite(checkpoint, suite, out, settings, pool=pool)
    console = Console()
    console.print(protocol.score_table(trials))
    print(f"starts: {suite}, {starts}, {per_task} a task, sha256 {protocol.starts_hash(worlds, settings)}")


def study(
    recipe: Annotated[str, tyro.conf.Positional],
    /,
    seeds: int = 3,
    first_seed: int = 0,
    out: Path | None = None,
    results: Path | None = None,
    workers: Annotated[int, tyro.conf.arg(help="Cells that run at once, one core each; 0: one per core.")] = 0,
    arms: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
) -> None:
    """Run the cells of a study that are not stored yet: every arm on every task with every seed. Started again, it goes on.

    Args:
        recipe: Name of a study: debug (two minutes), state, screen, pixels.
        seeds: How many seeds.
        first_seed: The first of them.
        out: Folder to work in; default runs/study-RECIPE.
        results: Folder of the rows; default docs/results/study-RECIPE.
        workers: Cells that run at once.
        arms: Only these arms (and what they stand on).
        tasks: Only these tasks.
    """
    from vantage.commands.studies import start_study

    work, rows = out or Path(f"runs/study-{recipe}"), results or Path(f"docs/results/study-{recipe}")
    start_study(recipe, work, rows, seeds=seeds, first_seed=first_seed, workers=workers, arms=arms, tasks=tasks)


def study_merge(
    recipe: Annotated[str, tyro.conf.Positional],
    others: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    results: Path | None = None,
) -> None:
    """Take over finished cells from other folders of rows: what several machines have run becomes one study.

    Args:
        recipe: Name of a study.
        others: Folders of rows.
        results: Folder of the rows that grows; default docs/results/study-RECIPE.
    """
    from vantage.commands.studies import find_study
    from vantage.study.rows import Results

    mine = Results.open(results or Path(f"docs/results/study-{recipe}"), find_study(recipe))
    for other in others:
        print(f"{mine.merge(Results.read(other))} cells from {other}")


def study_report(results: Annotated[Path, tyro.conf.Positional], /, out: Path | None = None) -> None:
    """Draw every table and figure of a study from its stored rows: results.md, one SVG per figure, and a page.

    Args:
        results: Folder of the rows (docs/results/study-NAME).
        out: Folder to draw into; default RESULTS.
    """
    from vantage.study.page import write_study

    print(write_study(results, out or results))


def study_exhibits(
    recipe: Annotated[str, tyro.conf.Positional],
    task: Annotated[str, tyro.conf.Positional],
    seed: Annotated[int, tyro.conf.Positional],
    /,
    out: Path | None = None,
    results: Path | None = None,
) -> None:
    """Keep a few episodes of a finished HABC cell for the figures that show one: RESULTS/exhibits.parquet.

    Args:
        recipe: Name of a study.
        task: Name of a task of it.
        seed: The seed.
        out: Folder that the study worked in; default runs/study-RECIPE.
        results: Folder of the rows; default docs/results/study-RECIPE.
    """
    from vantage.commands.studies import find_study
    from vantage.study.exhibits import make_exhibits

    work, rows = out or Path(f"runs/study-{recipe}"), results or Path(f"docs/results/study-{recipe}")
    print(make_exhibits(find_study(recipe), work, rows, task, seed))


def study_cell(
    recipe: Annotated[str, tyro.conf.Positional],
    task: Annotated[str, tyro.conf.Positional],
    arm: Annotated[str, tyro.conf.Positional],
    seed: Annotated[int, tyro.conf.Positional],
    /,
    out: Path = Path("runs/study-cell"),
    results: Path | None = None,
) -> None:
    """Run one cell of a study again, from nothing but its recipe and seed, and say whether it lands in the stored interval.

    Args:
        recipe: Name of a study.
        task: Name of a task of it.
        arm: Name of an arm of it.
        seed: The seed.
        out: Folder to work in; what the cell made there before is deleted.
        results: Folder of the rows; default docs/results/study-RECIPE.
    """
    from vantage.commands.studies import check_cell
    from vantage.study.cells import Cell

    inside = check_cell(recipe, Cell(task=task, arm=arm, seed=seed), out, results or Path(f"docs/results/study-{recipe}"))
    raise SystemExit(0 if inside else 1)


def audit(
    dataset: Annotated[Path, tyro.conf.Positional],
    /,
    outcomes: Path | None = None,
    labels: Path | None = None,
    weights: Path | None = None,
    demos: bool = False,
) -> None:
    """Say what is in a LeRobotDataset: drivers, hand-overs, outcomes, label coverage, weights, and every problem found.

    Args:
        dataset: Folder of a LeRobotDataset v3.
        outcomes: csv with the columns episode_index,success.
        labels: 2-labels.parquet of this data set.
        weights: 4-weights.parquet that covers it.
        demos: It holds demonstrations.
    """
    from vantage.data import audit as auditing

    Console().print(auditing.render_audit(auditing.audit(dataset, outcomes, labels, weights, demos=demos)))


def label(
    what: Annotated[Path, tyro.conf.Positional], /, outcomes: Path | None = None, out: Path | None = None, demos: bool = False
) -> None:
    """Turn outcomes into labels for every frame. Works on any LeRobotDataset with an `intervention` column, and on a round.

    Args:
        what: Folder of a LeRobotDataset v3, or of a round (runs/NAME/round-NN).
        outcomes: csv with the columns episode_index,success; without it the data set's next.success is used.
        out: Where to write the labels (required for a data set).
        demos: The data set holds demonstrations.
    """
    from vantage.disk.layout import Round
    from vantage.stages.label import label as label_stage

    if (what / "1-episodes").is_dir():
        here = Round.at(what)
        label_stage(here.episodes, out or here.labels, outcomes=outcomes, demos=demos or here.number == 0)
    elif out is None:
        raise VantageError("where should the labels go? Say --out LABELS.parquet")
    else:
        label_stage(what, out, outcomes=outcomes, demos=demos)


def collect(round: Annotated[Path, tyro.conf.Positional], /, workers: Workers = 0) -> None:
    """Play the policy of the round before, with an operator standing by, into ROUND/1-episodes.

    Args:
        round: Folder of the round, inside a run.
        workers: Processes that play episodes.
    """
    from vantage.commands.runs import one_stage

    one_stage("collect", round, workers=workers)


def fit_critic(round: Annotated[Path, tyro.conf.Positional], /) -> None:
    """Train the dual-head critic of a round into ROUND/3-critic.

    Args:
        round: Folder of the round, inside a run.
    """
    from vantage.commands.runs import one_stage

    one_stage("fit-critic", round, workers=1)


def weigh(round: Annotated[Path, tyro.conf.Positional], /) -> None:
    """Weigh everything that a round trains on into ROUND/4-weights.parquet.

    Args:
        round: Folder of the round, inside a run.
    """
    from vantage.commands.runs import one_stage

    one_stage("weigh", round, workers=1)


def fit_actor(round: Annotated[Path, tyro.conf.Positional], /) -> None:
    """Train the policy of a round into ROUND/5-actor.

    Args:
        round: Folder of the round, inside a run.
    """
    from vantage.commands.runs import one_stage

    one_stage("fit-actor", round, workers=1)


def evaluate(round: Annotated[Path, tyro.conf.Positional], /, workers: Workers = 0, videos: int = 0) -> None:
    """Try the policy of a round on the evaluation starts, into ROUND/6-eval.parquet.

    Args:
        round: Folder of the round, inside a run.
        workers: Processes that play episodes.
        videos: Trials per world whose video is kept in ROUND/videos.
    """
    from vantage.commands.runs import one_stage

    one_stage("evaluate", round, workers=workers, videos=videos)
