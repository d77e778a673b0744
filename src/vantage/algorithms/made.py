"""What the products of a run are noted as, and whether all that a run builds upon is as it was made.

Every stage has a number beside it, its meaning, which is raised by hand when the same input and settings are
meant to give something else. Settings do not see such a change; these numbers do.
"""

from collections.abc import Mapping
from pathlib import Path

from vantage import ranks
from vantage.algorithms import interleaved
from vantage.disk.layout import Round, round_folders
from vantage.disk.made import Stage, check_made, note
from vantage.practice import trainer as practice
from vantage.stages import collect, evaluate, fit_critic, fit_policy, label, weigh

STAGES: Mapping[str, Stage] = {
    "1-episodes": Stage("collect", collect.MEANING),
    "2-labels.parquet": Stage("label", label.MEANING),
    "3-critic": Stage("fit critic", fit_critic.MEANING),
    "4-weights.parquet": Stage("weigh", weigh.MEANING),
    "5-actor": Stage("fit policy", fit_policy.MEANING),
    "6-eval.parquet": Stage("evaluate", evaluate.MEANING),
}
"""What makes a product, unless another algorithm does."""
INTERLEAVED = Stage("interleaved", interleaved.MEANING)
"""Makes 3-critic and 5-actor together."""
PRACTICE = Stage("practice", practice.MEANING)
"""Makes 5-actor by PPO."""


def meanings() -> dict[str, int]:
    """Stage -> the meaning that it has today."""
    return {stage.name: stage.meaning for stage in (*STAGES.values(), INTERLEAVED, PRACTICE)}


@ranks.first_alone
def note_made(current: Round, **others: Stage) -> None:
    """Note what every product of a round is, where that is not noted yet.

    `others`: `critic` and `actor`, where another stage than the usual one made them. Raises VantageError for
    a product that was made again and is not what others were made of.
    """
    names = {"critic": current.critic.name, "actor": current.actor.name}
    note(current.folder, {**STAGES, **{names[which]: stage for which, stage in others.items()}})


@ranks.first_alone
def check_run(run: Path, *, thorough: bool = False) -> None:
    """Raise VantageError where anything that a run would build upon is gone, cut or exchanged, or was made
    when its stage meant something else.

    `thorough`: compare bytes even where sizes and times are the same.
    """
    for folder in round_folders(run):
        check_made(folder, meanings(), thorough=thorough)
