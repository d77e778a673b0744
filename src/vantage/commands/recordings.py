"""Commands for data sets of one's own: what is in them, and what an outcome says about every frame (see begin.py)."""

from pathlib import Path
from typing import Annotated

from vantage.commands.options import AsJson, Folder, print_json, usually
from vantage.errors import VantageError


def audit(
    dataset: Folder,
    /,
    outcomes: Annotated[Path | None, usually("next.success of the data set")] = None,
    labels: Annotated[Path | None, usually("none")] = None,
    weights: Annotated[Path | None, usually("none")] = None,
    demos: bool = False,
    json: AsJson = False,
) -> None:
    """Say what is in a data set: drivers, outcomes, problems.

    Counts hand-overs, outcomes, label coverage and weights of a LeRobotDataset, and names every problem that it finds.

    Args:
        dataset: Folder of a LeRobotDataset v3.
        outcomes: csv with the columns episode_index,success.
        labels: 2-labels.parquet of this data set.
        weights: 4-weights.parquet that covers it.
        demos: It holds demonstrations.
    """
    from vantage.data import audit as auditing
    from vantage.progress import print_table

    facts = auditing.audit(dataset, outcomes, labels, weights, demos=demos)
    if json:
        print_json(facts)
    else:
        print_table(auditing.render_audit(facts))


def label(
    what: Folder,
    /,
    outcomes: Annotated[Path | None, usually("next.success of the data set")] = None,
    out: Annotated[Path | None, usually("ROUND/2-labels.parquet")] = None,
    demos: bool = False,
) -> None:
    """Turn outcomes, one bit an episode, into labels for every frame.

    Works on any LeRobotDataset with an `intervention` column, and on a round (2-labels.parquet).

    Args:
        what: Folder of a LeRobotDataset v3, or of a round (runs/NAME/round-NN).
        outcomes: csv with the columns episode_index,success.
        out: Where to write the labels (required for a data set).
        demos: The data set holds demonstrations.
    """
    from vantage.disk.layout import Round
    from vantage.stages.label import label as label_stage

    if (what / "1-episodes").is_dir():
        round = Round.at(what)
        label_stage(round.episodes, out or round.labels, outcomes=outcomes, demos=demos or round.number == 0)
    elif out is None:
        raise VantageError("where should the labels go? Say --out LABELS.parquet")
    else:
        label_stage(what, out, outcomes=outcomes, demos=demos)
