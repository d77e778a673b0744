"""A run folder -> what it holds, in memory. Files that are not there yet are None or empty; damaged ones are one sentence.

read_run ──> Run(recipe, rounds, control) ──> RoundFiles(labels, weights, quality, curves, trials, record, catalogue)
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from vantage.core.stats import Interval, wilson
from vantage.data.v3.meta import Episodes, read_episodes, read_info
from vantage.data.v3.schema import EVAL_COLUMNS, LABEL_COLUMNS, WEIGHT_COLUMNS
from vantage.disk.files import read_json
from vantage.disk.layout import Round
from vantage.disk.tables import Column, read_parquet
from vantage.types import VantageError

METHODS = {
    "HABC": "HABC",
    "HABCV": "HABC-V",
    "ImitRecap": "Imit-Recap",
    "ImitDAgger": "Imit-DAgger",
    "FilteredBC": "Filtered BC",
    "Uniform": "uniform weighting",
    "AWR": "AWR",
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
    weights: Mapping[str, Column] | None
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
        if any(each.get("is") == "ChunkedPPORun" for each in _parts(self.recipe)):
            return "Chunked PPO"
        rule = next((each for each in _parts(self.recipe) if each.get("is") in METHODS), None)
        if rule is None:
            return "HABC"
        return METHODS[str(rule["is"])] + ("+IR" if rule.get("reweight_interventions") else "")


def _parts(settings: Any) -> list[Mapping[str, Any]]:
    """Every group of settings in a recipe, outermost first."""
    inner = settings.values() if isinstance(settings, Mapping) else settings if isinstance(settings, list) else ()
    here: list[Mapping[str, Any]] = [settings] if isinstance(settings, Mapping) else []
    return here + [part for value in inner for part in _parts(value)]


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
    rows = list[dict[str, Any]]()
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def _read_round(place: Round) -> RoundFiles:
    quality = place.critic / "quality.json"
    return RoundFiles(
        number=place.number,
        labels=read_parquet(place.labels, LABEL_COLUMNS) if place.labels.is_file() else None,
        weights=read_parquet(place.weights, WEIGHT_COLUMNS) if place.weights.is_file() else None,
        quality=read_json(quality) if quality.is_file() else {},
        critic_curve=_read_curve(place.critic / "metrics.jsonl"),
        actor_curve=_read_curve(place.actor / "metrics.jsonl"),
        checks=read_json(place.actor / "checks.json") if (place.actor / "checks.json").is_file() else (),
        trials=read_trials(place.evaluation) if place.evaluation.is_file() else None,
        record=read_json(place.record) if place.record.is_file() else {},
        catalogue=read_episodes(read_info(place.episodes)) if (place.episodes / "meta/info.json").is_file() else None,
    )


def read_run(folder: Path) -> Run:
    """Read what there is. Raises VantageError where there is no round at all, or where a file is damaged."""
    places = sorted((Round.at(path) for path in folder.glob("round-[0-9][0-9]*") if path.is_dir()), key=lambda place: place.number)
    if not places:
        raise VantageError(f"{folder} holds no round-00, round-01 ...; name the folder that `vantage run` wrote")
    control, recipe = folder / "control-sft/6-eval.parquet", folder / "recipe.json"
    return Run(
        folder=folder,
        recipe=read_json(recipe) if recipe.is_file() else {},
        rounds=[_read_round(place) for place in places],
        control=read_trials(control) if control.is_file() else None,
    )
