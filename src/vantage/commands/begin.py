"""Commands to start with: a recipe becomes a run, a run becomes a page, a checkpoint becomes a score.

Every command is a function; its docstring is its help, and the first line of it stands in the overview. What
is slow to import is imported where it is needed, so that help stays quick.
"""

from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from vantage.commands.options import (
    AsJson,
    Changed,
    Folder,
    RecipeName,
    Tracker,
    Workers,
    print_json,
    print_line,
    usually,
)

if TYPE_CHECKING:
    from vantage.disk.record import Verified


def quickstart(out: Path = Path("runs/quickstart"), seed: int = 0, workers: Workers = 0) -> None:
    """From nothing to a better policy and a report, in ten minutes.

    The recipe `quickstart`: demonstrations, a supervised policy, two rounds of HABC with rescues. `vantage
    run quickstart` is the same with every setting to change.

    Args:
        out: Folder of the run; an interrupted one goes on.
        seed: Seed of demonstrations, rollouts and training.
        workers: Processes that play episodes.
    """
    from dataclasses import replace

    from vantage.commands.runs import named_recipe, start

    start("quickstart", out, workers=workers, settings=replace(named_recipe("quickstart").value, seed=seed))


def run(
    recipe: RecipeName,
    /,
    out: Path,
    workers: Workers = 0,
    verify: bool = False,
    tracker: Tracker = "none",
    settings: Changed = None,
) -> None:
    """Run a recipe with any setting changed, or go on with a run.

    `vantage recipes` lists the recipes, and `vantage run RECIPE --help` every setting of one. A recipe of
    one's own is a function in a Python file (my_recipe.py:make); the JSON form of one is a file, too
    (runs/NAME/recipe.json). Started again, it goes on where it was.

    Args:
        recipe: Name of a recipe, my_recipe.py:make, or a recipe.json.
        out: Folder of the run.
        workers: Processes that play episodes.
        verify: Before going on, hold every byte of what is there against its checksum; else only what differs
            in size or time.
    """
    from vantage.commands.runs import start

    start(recipe, out, workers=workers, settings=settings, verify=verify, tracker=tracker)


def recipes(recipe: RecipeName = "", /, json: AsJson = False, settings: Changed = None) -> None:
    """List recipes and studies, or print one as JSON.

    What is printed can be kept in a file, changed there, and run: `vantage recipes debug > mine.json`,
    `vantage run mine.json --out r`.

    Args:
        recipe: Name of a recipe or of a study; without it all are listed.
    """
    from vantage.commands.listing import list_recipes, show_recipe

    if recipe:
        show_recipe(recipe, settings)
    else:
        list_recipes(as_json=json)


def report(
    run: Folder,
    /,
    out: Annotated[Path | None, usually("RUN/report.html")] = None,
    episodes: int = 6,
    json: AsJson = False,
) -> None:
    """Draw the page of a run: one self-contained HTML file.

    Args:
        run: Folder of the run.
        out: The page.
        episodes: Episodes shown with video and values.
    """
    from vantage.commands.numbers import run_numbers
    from vantage.disk.files import PAGE, check_replaces
    from vantage.errors import VantageError
    from vantage.report.page import write_report

    if episodes < 0:
        raise VantageError(f"--episodes is {episodes}; name a number of episodes to show, or 0 for none")
    check_replaces(out or run / "report.html", PAGE)
    page = write_report(run, out, episodes=episodes)
    if json:
        print_json({"page": page, **run_numbers(run)})
    else:
        print_line(page)


def explain(
    run: Folder,
    episode: int,
    /,
    round: int | None = None,
    rerun: Annotated[Path | None, usually("none", "FILE.rrd")] = None,
    json: AsJson = False,
) -> None:
    """Say in words why the frames of an episode count as they do.

    One paragraph for every stretch that one driver drove: what it teaches, how much it counts, and where
    the critic moved the weight. With --rerun, also a recording of the episode for Rerun's viewer.

    Args:
        run: Folder of the run.
        episode: Number of the episode in its round.
        round: Whose recordings; None: the last round's that were weighed. In a run of `vantage finetune`
            every data set is a round.
        rerun: Also write cameras, state, action, driver, credit, p_v, advantages and weight over time to this
            file (extra `viewer`; `rerun FILE.rrd` shows it).
    """
    from vantage.disk.files import RECORDING, check_replaces
    from vantage.report.explain import explain as explain_episode
    from vantage.report.folder import read_run

    if rerun is not None:
        check_replaces(rerun, RECORDING)
    files = read_run(run)
    told = explain_episode(files, episode, round)
    if rerun is not None:
        from vantage.report.recording import write_recording

        write_recording(files, episode, rerun, round)
    if json:
        print_json(told)
        return
    print_line(told.title)
    for stretch in told.stretches:
        print_line("")
        print_line(f"frames {stretch.first} to {stretch.last}, {stretch.driver}")
        for sentence in stretch.sentences:
            print_line(f"  {sentence}")


def metaworld(
    checkpoint: Folder,
    /,
    out: Path,
    suite: str = "MT10",
    per_task: int = 50,
    starts: Literal["evaluation", "development"] = "evaluation",
    workers: Workers = 0,
    json: AsJson = False,
) -> None:
    """Score a checkpoint on MT10 or MT50, by one pinned protocol.

    The protocol is docs/metaworld_protocol.md; everybody's rules are counted over the same trials.

    Args:
        checkpoint: Folder of a policy (ROUND/5-actor, or a LeRobot checkpoint).
        out: The trials, a parquet file; if it is there already it is only counted again.
        suite: MT10 or MT50.
        per_task: Trials per task.
        starts: Set of starts; `evaluation` is for reporting, `development` for choices.
        workers: Processes that play episodes.
    """
    from vantage.collect.pool import open_pool
    from vantage.commands import metaworld_score as protocol
    from vantage.commands.numbers import protocol_numbers
    from vantage.commands.runs import processes
    from vantage.disk.files import PARQUET, check_replaces
    from vantage.policies.small.network import read_config
    from vantage.progress import print_table
    from vantage.stages.evaluate import Evaluation

    check_replaces(out, PARQUET)
    read_config(checkpoint)  # a checkpoint that is none is said before the first trial
    settings = Evaluation(per_world=per_task, suite=starts)
    worlds = protocol.worlds_of(suite)
    with open_pool(processes(workers)) as pool:
        trials = protocol.play_suite(checkpoint, suite, out, settings, pool=pool)

    digest = protocol.starts_hash(worlds, settings)
    if json:
        print_json(
            {
                "suite": suite,
                "starts": starts,
                "per_task": per_task,
                "starts_sha256": digest,
                **protocol_numbers(trials),
            }
        )
    else:
        print_table(protocol.score_table(trials))
        print_line(f"starts: {suite}, {starts}, {per_task} a task, sha256 {digest}")


def verify(run: Folder, /, json: AsJson = False) -> None:
    """Hold every file of a run against the checksums kept with it.

    Exits with 1 where something was changed or is gone, and says what to delete so that the run
    makes it again.

    Args:
        run: Folder of the run.
    """
    from vantage.disk.layout import round_folders, run_wanted
    from vantage.disk.record import verify as verify_round
    from vantage.errors import VantageError

    verified = [result for folder in round_folders(run) if (result := verify_round(folder)) is not None]
    if not verified:
        if round_folders(run):
            raise VantageError(
                f"no round of {run} is finished, so there are no checksums yet; go on with the run"
            )
        raise VantageError(f"{run} holds no round-00, round-01 ...; {run_wanted(run)}")
    if json:
        print_json(verified)
    else:
        for result in verified:
            for line in _findings(result):
                print_line(line)
    if not all(result.whole for result in verified):
        raise SystemExit(1)


def _findings(result: "Verified") -> list[str]:
    """One line for a whole round; for any other, one for every product that is not as it was made."""
    if result.whole:
        return [f"{result.folder}: as it was made"]
    findings = {
        "changed since it was made": result.changed,
        "gone": result.gone,
        "was not there": result.new,
    }
    lines = [
        f"{normpath(result.folder / name)}: {what}" for what, names in findings.items() for name in names
    ]
    wrong = {name for names in findings.values() for name in names}
    if "../recipe.json" in wrong:
        lines.append("start the run again with its own settings, and recipe.json is written again")

    own = {name for name in wrong if not name.startswith("..")}
    if own == {"round.json"}:
        lines.append(f"start the run again, and {result.folder / 'round.json'} is written again")
    elif own:
        first = min(own)
        lines.append(
            f"delete {result.folder / 'round.json'}, {result.folder / first} and what stands behind it "
            "there, and later rounds; then start the run again"
        )
    return lines
