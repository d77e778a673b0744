"""A run folder -> what it holds, in memory.

    read_run ──> Run(recipe, rounds, control)
                     └──> RoundFiles(labels, weights, quality, curves, trials, record, catalogue)

Files that are not there yet are None or empty; damaged ones are one sentence.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from vantage.core.stats import Interval, wilson
from vantage.data.sidecars import read_labels, read_ledger
from vantage.data.v3.meta import INFO_FILE, Episodes, read_episodes, read_info
from vantage.data.v3.schema import EVAL_COLUMNS
from vantage.disk.files import read_json
from vantage.disk.layout import Round, run_wanted
from vantage.disk.tables import Column, column_names, read_parquet
from vantage.types import VantageError

METHODS = {
    "HABC": "HABC",
    "HABCV": "HABC-V",
    "ImitRecap": "Imit-Recap",
    "ImitDAgger": "Imit-DAgger",
    "FilteredBC": "Filtered BC",
    "Uniform": "uniform weighting",
    "AWR": "AWR",
    "ExponentialWeights": "exponential weights",
    "RejectionTargets": "rejection targets",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """One policy's evaluation: N trials."""

    task: Shaped[np.ndarray, "N"]
    prompt: Shaped[np.ndarray, "N"]
    seed: Int64[np.ndarray, "N"]
    success: Bool[np.ndarray, "N"]
    steps: Int64[np.ndarray, "N"]
    """Actions executed; up to the success where there is one."""

    def __len__(self) -> int:
        return len(self.success)

    def at(self, rows: Int64[np.ndarray, "M"] | Bool[np.ndarray, "N"]) -> "Trials":
        """Some of the trials."""
        chosen = {name: getattr(self, name)[rows] for name in ("task", "prompt", "seed", "success", "steps")}
        return replace(self, **chosen)

    def rate(self) -> Interval:
        """Share of successes with Wilson's interval."""
        return wilson(int(self.success.sum()), len(self))

    @property
    def mean_steps(self) -> float:
        """Mean steps over the successes; NaN where there are none."""
        return float(self.steps[self.success].mean()) if self.success.any() else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFiles:
    """What one round folder holds."""

    number: int
    labels: Mapping[str, Column] | None
    weights: Mapping[str, Shaped[np.ndarray, "M"]] | None
    quality: Mapping[str, Any]
    critic_curve: Sequence[Mapping[str, Any]]
    actor_curve: Sequence[Mapping[str, Any]]
    checks: Sequence[Mapping[str, Any]]
    """Trials on the way of practice (chunked PPO); empty for rounds that learned from a data set."""
    trials: Trials | None
    record: Mapping[str, Any]
    catalogue: Episodes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run folder holds."""

    folder: Path
    recipe: Mapping[str, Any]
    rounds: Sequence[RoundFiles]
    control: Trials | None
    """The supervised policy after as many further gradient steps on demonstrations alone."""

    @property
    def method(self) -> str:
        """The weighting rule in the paper's words, as the recipe names it; "HABC" where it does not say."""
        groups = _groups(self.recipe)
        if any(group.get("is") == "ChunkedPPORun" for group in groups):
            return "Chunked PPO"

        rule = next((group for group in groups if group.get("is") in METHODS), None)
        if rule is None:
            return "HABC"
        return METHODS[str(rule["is"])] + ("+IR" if rule.get("reweight_interventions") else "")

    @property
    def beside(self) -> str:
        """What stands beside the policies of rounds when they are tried, in words; empty: nothing."""
        tried = next((group for group in _groups(self.recipe) if group.get("is") == "Evaluation"), {})
        match tried:
            case {"steering": {"is": "NoiseSteering"}}:
                return "were led by a small network, which chose the noise of the flow"
            case {"steering": {"is": "ChunkEdits"}}:
                return "were led by a small network, which edited their chunks"
            case {"best_of": int(count)}:
                return f"executed the most viable of {count} chunks, as a critic judged"
            case _:
                return ""


def _groups(settings: Any) -> list[Mapping[str, Any]]:
    """Every group of settings in a recipe, outermost first."""
    groups = list[Mapping[str, Any]]()
    if isinstance(settings, Mapping):
        groups.append(settings)
        for value in settings.values():
            groups += _groups(value)
    elif isinstance(settings, list):
        for value in settings:
            groups += _groups(value)
    return groups


def read_trials(path: Path) -> Trials:
    """Read a 6-eval.parquet."""
    columns = read_parquet(path, [name for name in EVAL_COLUMNS if name != "limit"])
    return Trials(
        task=columns["task"],
        prompt=columns["prompt"],
        seed=columns["seed"].astype(np.int64),
        success=columns["success"].astype(bool),
        steps=columns["steps"].astype(np.int64),
    )


def _read_curve(path: Path) -> list[dict[str, Any]]:
    """Lines of JSON; a last line cut short by a kill is left out."""
    if not path.is_file():
        return []

    rows = list[dict[str, Any]]()
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def _read_round(folder: Round) -> RoundFiles:
    episodes, info = folder.episodes, folder.episodes / INFO_FILE

    return RoundFiles(
        number=folder.number,
        labels=_read_labels(folder) if folder.labels.is_file() else None,
        weights=read_ledger(folder.weights) if folder.weights.is_file() else None,
        quality=_read_record(folder.critic / "quality.json", {}),
        critic_curve=_read_curve(folder.critic / "metrics.jsonl"),
        actor_curve=_read_curve(folder.actor / "metrics.jsonl"),
        checks=_read_record(folder.actor / "checks.json", []),
        trials=read_trials(folder.evaluation) if folder.evaluation.is_file() else None,
        record=_read_record(folder.record, {}),
        catalogue=read_episodes(read_info(episodes)) if info.is_file() else None,
    )


def _read_labels(folder: Round) -> Mapping[str, Column]:
    """The columns of 2-labels.parquet.

    Raises VantageError for one that was written before it held outcomes.
    """
    if "outcome" not in column_names(folder.labels):
        command = f"vantage label {shlex.quote(str(folder.episodes))} --out {shlex.quote(str(folder.labels))}"
        if folder.number == 0:
            command += " --demos"
        fault = f"{folder.labels} is of an older Vantage, which kept no outcomes in it"
        raise VantageError(f"{fault}; write it again with `{command}`")

    return read_labels(folder.labels)


def _read_record(path: Path, missing: Any) -> Any:
    """What a JSON file says, `missing` where there is none. Raises VantageError for one of another kind."""
    if not path.is_file():
        return missing
    record = read_json(path)
    if type(record) is not type(missing):
        kind = "an object" if isinstance(missing, dict) else "a list"
        remedies = {
            "recipe.json": "start the run again with its own settings, and it is written again",
            "round.json": "delete it, and the run, started again, writes it again",
        }
        remedy = remedies.get(path.name, f"delete {path.parent} and run its stage again")
        raise VantageError(f"{path} does not hold {kind}; {remedy}")
    return record


def read_run(folder: Path) -> Run:
    """Read what there is. Raises VantageError where there is no round at all, or where a file is damaged."""
    rounds = [Round.at(path) for path in folder.glob("round-[0-9][0-9]*") if path.is_dir()]
    if not rounds:
        raise VantageError(f"{folder} holds no round-00, round-01 ...; {run_wanted(folder)}")

    control = folder / "control-sft/6-eval.parquet"
    return Run(
        folder=folder,
        recipe=_read_record(folder / "recipe.json", {}),
        rounds=[_read_round(current) for current in sorted(rounds, key=lambda current: current.number)],
        control=read_trials(control) if control.is_file() else None,
    )
