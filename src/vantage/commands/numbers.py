"""What a page or a table shows -> plain records, for `--json`: the same numbers, not rounded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vantage.commands.metaworld_score import CAP, RULES
from vantage.disk.tables import Column
from vantage.report.folder import read_run
from vantage.report.numbers import Arm, collected, common_starts, compare
from vantage.study.caps import score
from vantage.study.rows import Results
from vantage.study.statistics import hold_together
from vantage.study.tables import estimate


def run_numbers(folder: Path) -> dict[str, Any]:
    """Success of every policy of a run on the starts they share, each beside the supervised one, and what was
    collected."""
    run = read_run(folder)
    policies = common_starts(run)
    first = policies[0] if policies else None

    return {
        "run": folder,
        "method": run.method,
        "policies": [_policy(policy) for policy in policies],
        "differences": [_difference(policy, first) for policy in policies[1:] if first is not None],
        "collected": collected(run),
    }


def _policy(policy: Arm) -> dict[str, Any]:
    trials = policy.trials
    by_task = {
        str(task): trials.at(trials.task == task).rate() for task in dict.fromkeys(trials.task.tolist())
    }
    return {
        "name": policy.name,
        "success": trials.rate(),
        "steps_of_successes": trials.mean_steps,
        "by_task": by_task,
    }


def _difference(ours: Arm, theirs: Arm) -> dict[str, Any]:
    comparison = compare(ours, theirs)

    return {
        "ours": ours.name,
        "theirs": theirs.name,
        "success": comparison.difference,
        "only_ours": comparison.only_ours,
        "only_theirs": comparison.only_theirs,
        "steps_both_solve": comparison.steps_difference,
    }


def protocol_numbers(trials: Mapping[str, Column]) -> dict[str, Any]:
    """MetaWorld trials as everybody's rules count them, and every task at the full cap."""
    tasks = dict.fromkeys(trials["task"].tolist())
    by_task = {
        task: {name: column[trials["task"] == task] for name, column in trials.items()} for task in tasks
    }
    return {
        "rules": {rules.name: score(trials, rules.cap) for rules in RULES},
        "tasks": {str(task): score(rows, CAP) for task, rows in by_task.items()},
    }


def study_numbers(folder: Path, own: Mapping[str, type[Any]] | None = None) -> dict[str, Any]:
    """Success of every arm of a study, and every comparison of its plan.

    `own`: classes from outside Vantage that the plan holds.
    """
    results = Results.read(folder, own)
    estimates = estimate(results)
    differences = estimates.contrasts

    return {
        "results": folder,
        "cells": len(results.done()),
        "arms": estimates.rates,
        "differences": differences,
        "stands_after_holm": hold_together(differences),
    }
