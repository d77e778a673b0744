"""Which critic should one train? Every target of V_e, and how long, on the same recorded rounds.

    python -m experiments.critic_table runs/study-state          docs/results/critic.parquet, and the table

The data: the last HABC round of the study's cells (seed 0 of every task), with the features of the actor that
entered it. Each critic is judged on the fifth of the episodes that it never saw. `last` heads are those where
training ended; `best` those that held-out episodes liked best, chosen on the very episodes that judge them,
hence slightly flattered.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vantage.algorithms.habc import HABCRun, before, experience_of
from vantage.commands.studies import find_study
from vantage.core.returns import EfficiencyTarget
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet, write_parquet
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.panel import train_panel
from vantage.learn.critic.quality import assess
from vantage.learn.features import compute_features
from vantage.policies.load import load_policy
from vantage.progress import silence
from vantage.study.cells import Cell
from vantage.study.plan import Study
from vantage.threads import one_thread

OUT = Path("docs/results/critic.parquet")
SEEDS = (0,)
LAST = CriticFit(patience=10_000, keep_best=False)


def variants(lengths: Sequence[int] = (500, 2500)) -> dict[str, CriticFit]:
    """Name -> settings; each target is trained for so many gradient steps."""
    critics: dict[str, CriticFit] = {}
    for steps in lengths:
        for stride in (1, 8):
            for mc_share, method in ((0.0, "TD"), (0.5, "TD + MC"), (1.0, "MC")):
                for polyak, target in ((0.01, "slow target"), (1.0, "no target network")):
                    if mc_share == 1.0 and polyak == 1.0:
                        continue  # Monte-Carlo has nothing to bootstrap from
                    bootstrap = target if mc_share < 1 else "no bootstrap"
                    name = f"{method}, stride {stride}, {bootstrap}, {steps} steps, last"
                    returns = EfficiencyTarget(stride=stride, mc_share=mc_share)
                    critics[name] = replace(LAST, steps=steps, target=returns, polyak=polyak)
    critics["TD + MC, stride 8, slow target, best (Vantage)"] = CriticFit()
    critics["the same, 5 folds"] = CriticFit(folds=5)
    critics["the same, 4 members"] = CriticFit(members=4)
    return critics


def measure(
    work: Path,
    study: Study,
    critics: Mapping[str, CriticFit],
    number: int = 3,
    seeds: Sequence[int] = SEEDS,
) -> dict[str, np.ndarray]:
    """One row per cell of a study's arm `habc` and critic, on round `number`. `work`: the folder in which the
    study worked."""
    rows: list[dict[str, object]] = []
    with silence(), one_thread():
        for task in study.tasks:
            for seed in seeds:
                folder = Cell(task=task.name, arm="habc", seed=seed).folder(work)
                settings = study.settings(study.arm("habc"), task, seed)
                assert isinstance(settings, HABCRun)
                rows += _measure_round(Round.of(folder, number), settings, critics)
                print(task.name, seed, file=sys.stderr)
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def _measure_round(
    recorded: Round, settings: HABCRun, critics: Mapping[str, CriticFit]
) -> list[dict[str, object]]:
    """How good each critic is on what a round has recorded."""
    experience = experience_of(recorded, settings)
    features = compute_features(experience, load_policy(before(recorded).actor))
    rows: list[dict[str, object]] = []
    for name, fit in critics.items():
        panel, fold, _, problem = train_panel(
            experience, features, fit, t_max=settings.t_max, seed=settings.seed
        )
        values = panel.values(torch.from_numpy(features), fold)
        quality = assess(values.z_v, values.v_e, problem)
        measures = ("auc", "bce", "bce_base_rate", "ece", "explained_variance_v_e")
        row: dict[str, object] = {"task": settings.worlds[0].task, "seed": settings.seed, "variant": name}
        rows.append(row | {key: quality[key] for key in measures})
    return rows


def table(rows: dict[str, np.ndarray]) -> str:
    """Mean over cells; the range of the explained variance, because a mean hides a collapse."""
    lines = [
        "| critic | BCE of p_v (base rate) | AUC | calibration error | explained variance of V_e "
        "| lowest to highest |",
        "|---|---|---|---|---|---|",
    ]

    for name in dict.fromkeys(rows["variant"].tolist()):
        cells = rows["variant"] == name
        mean = {
            key: float(rows[key][cells].mean())
            for key in ("bce", "bce_base_rate", "auc", "ece", "explained_variance_v_e")
        }
        spread = rows["explained_variance_v_e"][cells]
        lines.append(
            f"| {name} | {mean['bce']:.2f} ({mean['bce_base_rate']:.2f}) | {mean['auc']:.2f} | "
            f"{mean['ece']:.2f} | {mean['explained_variance_v_e']:.2f} | "
            f"{spread.min():.2f} to {spread.max():.2f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Train and judge every critic where a study's folder is named; print the table."""
    if arguments:
        write_parquet(OUT, measure(Path(arguments[0]), find_study("state"), variants()))
    print(table(read_parquet(OUT)))


if __name__ == "__main__":
    main(sys.argv[1:])
