"""Commands for data sets of one's own: what is in them, and what an outcome says about every frame.

Each function is a command (see begin.py).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from vantage.commands.options import AsJson, Folder, print_json, print_line, usually
from vantage.data.named import ALL, episodes_named
from vantage.errors import VantageError

if TYPE_CHECKING:
    from vantage.types import Labels


Demonstrations = Annotated[str, usually("none", "[EPISODES]")]
DrivenBy = Literal["recorded", "policy", "human"]
ColumnName = Annotated[str | None, usually("intervention, or another name that is known", "NAME")]


def spelled(words: Sequence[str]) -> list[str]:
    """The words with `--demos` followed by what it means where nothing does: it may stand alone."""
    completed: list[str] = []
    for position, word in enumerate(words):
        completed.append(word)
        following = words[position + 1] if position + 1 < len(words) else ""
        if word == "--demos" and not _names_episodes(following):
            completed.append(ALL)
    return completed


def _names_episodes(word: str) -> bool:
    """Whether a word after `--demos` is meant for it: numbers, or what begins like them and is no data set's
    folder."""
    like_numbers = word[:1].isdigit() and not Path(word).exists()
    return word == ALL or like_numbers or bool(_NUMBERS.fullmatch(word))


_NUMBERS = re.compile(r"[\d,\s-]+")


def audit(
    dataset: Folder,
    /,
    outcomes: Annotated[
        Path | None, usually("what was said on the page of `vantage outcomes`, or the data set records")
    ] = None,
    labels: Annotated[Path | None, usually("none")] = None,
    weights: Annotated[Path | None, usually("none")] = None,
    demos: Demonstrations = "",
    driver: DrivenBy = "recorded",
    intervention_column: ColumnName = None,
    pictures: bool = False,
    html: Annotated[Path | None, usually("none")] = None,
    json: AsJson = False,
) -> None:
    """Say what is in a data set, and all that is wrong with it.

    Counts hand-overs and outcomes, says what each head of the critic would learn from and what to record
    next, and names every failure and every oddity of a LeRobotDataset. Exit code 1 where there is a failure:
    a later stage would refuse it, or learn something wrong.

    Args:
        dataset: Folder of a LeRobotDataset v3.
        outcomes: csv with the columns episode_index,success (and from,to: several attempts in an episode).
        labels: 2-labels.parquet of this data set.
        weights: 4-weights.parquet that covers it.
        demos: It holds demonstrations; with numbers such as 0-4,9: those episodes are.
        driver: Who drove: as recorded, or the policy alone (recordings without take-overs have no
            such column).
        intervention_column: The column that says who drove, if it is not called intervention.
        pictures: Decode every video, to find cameras that are stuck.
        html: A page to hand around.
    """
    from vantage.data import audit as auditing
    from vantage.disk.files import PAGE, check_replaces
    from vantage.progress import print_table
    from vantage.report.audit_view import render_audit, write_audit_page
    from vantage.types import Reading

    if html is not None:
        check_replaces(html, PAGE)
    audited = auditing.audit(
        dataset,
        outcomes,
        labels,
        weights,
        demos=episodes_named(demos),
        reading=Reading(driver, intervention_column),
        pictures=pictures,
    )
    if html is not None:
        write_audit_page(audited, html)

    if json:
        print_json(audited)
    else:
        print_table(render_audit(audited))
    if audited.failures:
        raise SystemExit(1)


def label(
    what: Folder,
    /,
    outcomes: Annotated[
        Path | None, usually("what was said on the page of `vantage outcomes`, or the data set records")
    ] = None,
    out: Annotated[Path | None, usually("ROUND/2-labels.parquet")] = None,
    demos: Demonstrations = "",
    driver: DrivenBy = "recorded",
    intervention_column: ColumnName = None,
) -> None:
    """Turn outcomes, one bit an episode, into labels for every frame.

    Works on any LeRobotDataset with an `intervention` column, and on a round (2-labels.parquet).

    Args:
        what: Folder of a LeRobotDataset v3, or of a round (runs/NAME/round-NN).
        outcomes: csv with the columns episode_index,success (and from,to: several attempts in an episode).
        out: Where to write the labels (required for a data set).
        demos: It holds demonstrations; with numbers such as 0-4,9: those episodes are.
        driver: Who drove: as recorded, or the policy alone (recordings without take-overs have no
            such column).
        intervention_column: The column that says who drove, if it is not called intervention.
    """
    from vantage.disk.files import PARQUET, check_replaces
    from vantage.disk.layout import Round
    from vantage.stages.label import Labelling
    from vantage.stages.label import label as label_stage
    from vantage.types import Reading

    if (what / "1-episodes").is_dir():
        from vantage.commands.rounds import labelling_of

        round = Round.at(what.resolve())
        out, settings = out or round.labels, labelling_of(round.run)
        demos = demos or (ALL if round.number == 0 else "")
        if out == round.labels and out.exists():
            raise VantageError(
                f"{out} is there already; delete it (and what was made from it) to make it again"
            )
        episodes, judged_by_world = round.episodes, outcomes is None
    elif out is None:
        raise VantageError("where should the labels go? Say --out LABELS.parquet")
    else:
        episodes, settings, judged_by_world = what, Labelling(), False

    check_replaces(out, PARQUET)
    reading = Reading(driver, intervention_column)
    labels = label_stage(
        episodes,
        out,
        outcomes=outcomes,
        demos=episodes_named(demos),
        settings=settings,
        reading=reading,
        judged_by_world=judged_by_world,
    )
    if (out.parent / "1-episodes").is_dir():
        from vantage.algorithms.made import note_made

        note_made(Round(out.parent))
    for line in describe_labels(labels, out):
        print_line(line)


def describe_labels(labels: "Labels", out: Path) -> list[str]:
    """What was labelled, in three lines: outcomes, what every frame may teach, and what teaches nothing."""
    import numpy as np

    outcome = labels.outcome
    routes, counts = np.unique(labels.route, return_counts=True)
    share = ", ".join(f"{route} {count:,}" for route, count in zip(routes, counts, strict=True))
    judged = int(np.isfinite(outcome).sum())
    silent = int((labels.route == "unlabelled").sum())
    viable, efficient = int(labels.viability_mask.sum()), int(labels.efficiency_mask.sum())
    return [
        f"{out}: {len(outcome):,} frames labelled, {judged:,} of them in episodes with an outcome",
        f"routes: {share}",
        f"{viable:,} frames teach viability and {efficient:,} efficiency; {silent:,} teach nothing",
    ]
