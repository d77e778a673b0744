"""Which critic should one train? Every target of V_e, and how long, on the same recorded rounds.

    python -m experiments.critic_table runs/study-state          docs/results/critic.parquet, and the table

The data: the last HABC round of the study's cells (seed 0 of every task), with the features of the actor that entered it. Each critic is
judged on the fifth of the episodes that it never saw. `last` heads are those where training ended; `best` those that held-out episodes
liked best, chosen on the very episodes that judge them, hence slightly flattered.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vantage.algorithms.habc import before, experience_of
from vantage.commands.studies import find_study
from vantage.core.returns import EfficiencyTarget
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet, write_parquet
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.panel import train_panel
from vantage.learn.critic.quality import assess
from vantage.learn.features import compute_features
from vantage.policies.load import load_policy
from vantage.progress import console
from vantage.study.cells import Cell

OUT = Path("docs/results/critic.parquet")
SEEDS = (0,)
LAST = CriticFit(patience=10_000, keep_best=False)


def variants() -> dict[str, CriticFit]:
    """Name -> settings."""
    found: dict[str, CriticFit] = {}
    for steps in (500, 2500):
        for stride in (1, 8):
            for mc_share, words in ((0.0, "TD"), (0.5, "TD + MC"), (1.0, "MC")):
                for polyak, target in ((0.01, "slow target"), (1.0, "no target network")):
                    if mc_share == 1.0 and polyak == 1.0:
                        continue  # Monte-Carlo has nothing to bootstrap from
                    name = f"{words}, stride {stride}, {target if mc_share < 1 else 'no bootstrap'}, {steps} steps, last"
                    wanted = EfficiencyTarget(stride=stride, mc_share=mc_share)
                    found[name] = replace(LAST, steps=steps, target=wanted, polyak=polyak)
    found["TD + MC, stride 8, slow target, best (Vantage)"] = CriticFit()
    found["the same, 5 folds"] = CriticFit(folds=5)
    found["the same, 4 members"] = CriticFit(members=4)
    return found


def measure(work: Path) -> dict[str, np.ndarray]:
    """One row per cell and variant."""
    torch.set_num_threads(1)
    console.quiet = True
    study, rows = find_study("state"), dict[str, list[object]]()
    for task in study.tasks:
        for seed in SEEDS:
            folder = Cell(task=task.world.task, arm="habc", seed=seed).folder(work)
            here, settings = Round.of(folder, 3), study.settings(study.arm("habc"), task, seed)
            replay = experience_of(here, settings)
            features = compute_features(replay, load_policy(before(here).actor))
            for name, fit in variants().items():
                panel, fold, _, problem = train_panel(replay, features, fit, t_max=settings.t_max, seed=seed)
                values = panel.values(torch.from_numpy(features), fold)
                found = assess(values.z_v, values.v_e, problem)
                row = {"task": task.world.task, "seed": seed, "variant": name}
                row |= {key: found[key] for key in ("auc", "bce", "bce_base_rate", "ece", "explained_variance_v_e")}
                for key, value in row.items():
                    rows.setdefault(key, []).append(value)
            print(task.world.task, seed, file=sys.stderr)
    return {key: np.array(column) for key, column in rows.items()}


def table(rows: dict[str, np.ndarray]) -> str:
    """Mean over cells; the range of the explained variance, because a mean hides a collapse."""
    lines = [
        "| critic | BCE of p_v (base rate) | AUC | calibration error | explained variance of V_e | lowest to highest |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(rows["variant"].tolist()):
        mine = rows["variant"] == name
        mean = {key: float(rows[key][mine].mean()) for key in ("bce", "bce_base_rate", "auc", "ece", "explained_variance_v_e")}
        spread = rows["explained_variance_v_e"][mine]
        lines.append(
            f"| {name} | {mean['bce']:.2f} ({mean['bce_base_rate']:.2f}) | {mean['auc']:.2f} | {mean['ece']:.2f} | "
            f"{mean['explained_variance_v_e']:.2f} | {spread.min():.2f} to {spread.max():.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write_parquet(OUT, measure(Path(sys.argv[1])))
    print(table(read_parquet(OUT)))
