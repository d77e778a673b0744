"""Commands for data sets of one's own: what is in them, and what an outcome says about every frame.

Each function is a command (see begin.py).
"""

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

    Counts hand-overs, outcomes, label coverage and weights of a LeRobotDataset, and names every problem that
    it finds.

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
    from vantage.stages.label import Labelling
    from vantage.stages.label import label as label_stage

    if (what / "1-episodes").is_dir():
        from vantage.commands.rounds import labelling_of

        round = Round.at(what.resolve())
        out, demos, settings = out or round.labels, demos or round.number == 0, labelling_of(round.run)
        if out == round.labels and out.exists():
            raise VantageError(f"{out} is there already; delete it (and what was made from it) to make it again")
        episodes = round.episodes
    elif out is None:
        raise VantageError("where should the labels go? Say --out LABELS.parquet")
    else:
        episodes, settings = what, Labelling()

    labels = label_stage(episodes, out, outcomes=outcomes, demos=demos, settings=settings)
    print(f"{out}: {len(labels.route):,} frames labelled, {int(labels.viability_mask.sum()):,} of them with an outcome")
