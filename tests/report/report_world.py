"""A small honest run folder: a 2-D reaching world that is really played, recorded, labelled, weighed and
evaluated through the library.

A hand (square) must reach a goal (disc). The policy drifts, gets stuck at times and is better from round to
round; a rescuer takes over when it has been stuck. The critic is a known function of the distance, so that
every number of the report can be worked out by hand.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vantage.core.credit import join_labels, label_episode
from vantage.core.returns import stride_rows
from vantage.core.sampling import drawable, sampling_probability
from vantage.core.stats import auc, effective_sample_size, explained_variance, reliability
from vantage.core.timeline import timeline
from vantage.core.weights import HABC, gate, gather_evidence, normalise, sigmoid
from vantage.data.episodes import Episode, save_episode
from vantage.data.fingerprints import read_fingerprints
from vantage.data.v3.meta import read_info
from vantage.data.v3.schema import LABEL_COLUMNS, WEIGHT_COLUMNS
from vantage.data.v3.write import write_dataset
from vantage.disk.files import write_json
from vantage.disk.layout import Round
from vantage.disk.tables import write_parquet
from vantage.types import Labels, Route, Values

TASKS = {"reach-v3": "reach the <goal> & stop", "push-v3": "push the puck to the goal"}
SIDE, SPEED, LIMIT, STRIDE, FPS = 48, 0.018, 140, 8, 40


@dataclass(frozen=True)
class Played:
    """One episode of the little world."""

    positions: np.ndarray
    goal: np.ndarray
    actions: np.ndarray
    proposals: np.ndarray
    human: np.ndarray
    success: bool


def play(seed: int, skill: float, *, rescue: bool = False, demo: bool = False) -> Played:
    """Drive the hand to the goal. `skill` in [0, 1] is how seldom the policy gets stuck."""
    rng = np.random.default_rng(seed)
    hand, goal = rng.uniform(0.1, 0.35, 2), rng.uniform(0.55, 0.9, 2)
    trap = rng.uniform() > skill
    allowed, returns, patience, pace = (
        rescue and rng.uniform() < 0.6,
        rng.uniform() < 0.5,
        30,
        0.6 + 0.3 * skill,
    )
    positions, actions, proposals, human = [], [], [], []
    stuck, driving, helped = 0, demo, 0
    limit = LIMIT + (60 if allowed else 0)
    for _ in range(limit):
        gap = goal - hand
        ideal = gap / max(np.linalg.norm(gap), 1e-6) * SPEED
        lost = trap and np.linalg.norm(gap) < 0.34
        trap = trap and not (lost and rng.uniform() < 0.003)
        proposal = (
            (rng.normal(0, SPEED, 2) * 0.7 - 0.1 * ideal) if lost else ideal * pace + rng.normal(0, 0.006, 2)
        )
        stuck += lost
        if not demo:
            if allowed and not driving and stuck > patience:
                driving = True
            if driving:
                helped += 1
                if returns and helped > 8 and np.linalg.norm(gap) < 0.15:
                    driving, trap, allowed = False, False, False
        action = ideal + rng.normal(0, 0.003, 2) if driving else proposal
        for rows, value in (
            (positions, hand.copy()),
            (actions, action),
            (proposals, action if demo else proposal),
            (human, driving),
        ):
            rows.append(value)
        hand = np.clip(hand + action, 0, 1)
        if np.linalg.norm(goal - hand) < 0.04:
            return Played(*map(np.array, (positions, goal, actions, proposals, human)), True)
    return Played(*map(np.array, (positions, goal, actions, proposals, human)), False)


def paint(positions: np.ndarray, goal: np.ndarray, origin: np.ndarray, zoom: float) -> np.ndarray:
    """Pictures of the hand and the goal."""
    grid = (np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1) + 0.5) / SIDE / zoom
    pictures = np.full((len(positions), SIDE, SIDE, 3), (42, 48, 58), np.uint8)
    for picture, hand, corner in zip(
        pictures, positions, np.broadcast_to(origin, positions.shape), strict=True
    ):
        picture[np.linalg.norm(grid + corner - goal, axis=-1) < 0.05] = (90, 200, 140)
        picture[np.abs(grid + corner - hand).max(-1) < 0.035] = (240, 190, 90)
    return pictures


def record(played: Played, task: str, seed: int, version: int, pictures: bool) -> Episode:
    """The episode as the collector would have recorded it."""
    length = len(played.actions)
    last = np.arange(length) == length - 1
    state = played.positions.astype(np.float32)
    images = {
        "corner": paint(played.positions, played.goal, np.zeros(2), 1.0),
        "wrist": paint(played.positions, played.goal, played.positions - 0.2, 2.5),
    }
    return Episode(
        state=state,
        environment_state=np.concatenate([state, np.tile(played.goal, (length, 1))], 1).astype(np.float32),
        action=played.actions.astype(np.float32),
        policy_action=played.proposals.astype(np.float32),
        intervention=played.human,
        policy_version=np.full(length, version),
        success=last & played.success,
        done=last,
        prompt=TASKS[task],
        images=images if pictures else {},
        task=task,
        seed=seed,
    )


def write_round(run: Path, number: int, skill: float, episodes: int, pictures: bool) -> None:
    """1-episodes, 2-labels, 3-critic, 4-weights, 5-actor, 6-eval, round.json."""
    place = Round.of(run, number)
    played = []
    for i in range(episodes):
        task = list(TASKS)[i % 2]
        demo = number == 0
        played.append((play(1000 * number + i, skill, rescue=not demo, demo=demo), task, i))
    for i, (one, task, seed) in enumerate(played):
        save_episode(place.journal, i, record(one, task, seed, -1 if number == 0 else 100 * number, pictures))
    write_dataset(place.journal, range(len(played)), place.episodes, FPS)
    for path in place.journal.iterdir():
        path.unlink()
    place.journal.rmdir()
    traces = [
        record(one, task, seed, -1 if number == 0 else 100 * number, False).trace()
        for one, task, seed in played
    ]
    labels, frames = join_labels([label_episode(trace) for trace in traces]), timeline(traces)
    index = np.arange(len(frames))
    ledger = {"index": index, "episode_index": frames.episode, "frame_index": frames.frame}
    ledger |= {name: getattr(labels, name) for name in Labels.__dataclass_fields__}
    ledger |= {
        "attempt": np.zeros(len(frames), int),
        "fingerprint": read_fingerprints(read_info(place.episodes))[1],
    }
    ledger["outcome_source"] = np.full(len(frames), "demo" if number == 0 else "next.success")
    write_parquet(
        place.labels,
        {name: ledger[name] for name in LABEL_COLUMNS},
        nullable=("viability_target", "efficiency_target_mc"),
    )
    write_weights(place, number, played, labels, frames)
    write_eval(place.evaluation, skill)
    curve = [
        {"step": s, "loss": 0.2 + np.exp(-s / 80) * (1 + 0.1 * np.sin(s)), "lr": 1e-3, "grad_norm": 1.0}
        for s in range(10, 401, 10)
    ]
    place.actor.mkdir()
    (place.actor / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in curve))
    write_json(
        place.record,
        {"git_commit": "0123456789abcdef0123", "recipe": "toy", "seed": 7, "inputs": {"a": "ff" * 32}},
    )


def write_weights(place: Round, number: int, played: list, labels, frames) -> None:
    """4-weights.parquet, and 3-critic/ where there is a critic."""
    distance = np.concatenate([np.linalg.norm(one.positions - one.goal, axis=1) for one, *_ in played])
    lost = np.concatenate([_lost(one) for one, *_ in played])
    z_v = 2.4 + 0.4 * number - 2.5 * distance - 6.0 * lost
    v_e = -(distance / SPEED) * 1.25 - 20 * lost
    size, nan = len(frames), np.full(len(frames), np.nan)
    columns = {"round": np.full(size, number), "index": np.arange(size), "route": labels.route}
    columns["fingerprint"] = read_fingerprints(read_info(place.episodes))[1]
    if number == 0:
        columns |= dict.fromkeys(("z_v", "p_v", "v_e", "a_v", "a_e", "g"), nan)
        raw = np.ones(size)
        sampling = raw / size
    else:
        strides = stride_rows(frames.stretch_starts(), frames.success, STRIDE)
        evidence = gather_evidence(
            route=labels.route,
            outcome=frames.outcome,
            intervention=frames.intervention,
            values=Values(z_v=z_v, v_e=v_e),
            strides=strides,
        )
        raw = HABC()(evidence)
        sampling = sampling_probability(labels.route, drawable(raw, labels.route, np.ones(size, bool)))
        g = gate(evidence.p_v, evidence.a_v, evidence.a_e)
        columns |= {
            "z_v": z_v,
            "p_v": sigmoid(z_v),
            "v_e": v_e,
            "a_v": evidence.a_v,
            "a_e": evidence.a_e,
            "g": g,
        }
        write_critic(place, z_v, v_e, labels, frames)
    columns |= {"v_parent": nan, "a_parent": nan, "raw_weight": raw}
    columns |= {"weight": normalise(raw, sampling, labels.route == Route.DEMO), "sampling": sampling}
    write_parquet(place.weights, {n: columns[n] for n in WEIGHT_COLUMNS}, nullable=WEIGHT_COLUMNS[3:])


def _lost(one: Played) -> np.ndarray:
    """How lost the policy is: it rises while the policy proposes to stand still and falls while somebody
    helps."""
    level, found = 0.0, []
    toward = one.goal - one.positions
    for human, proposal, gap in zip(one.human, one.proposals, toward, strict=True):
        aimless = not human and float(proposal @ gap) < 0.5 * SPEED * float(np.linalg.norm(gap))
        level += 0.12 * ((1.0 if aimless else 0.0) - level)
        found.append(level)
    return np.array(found)


def write_critic(place: Round, z_v: np.ndarray, v_e: np.ndarray, labels, frames) -> None:
    """quality.json, config.json and metrics.jsonl."""
    known = labels.viability_mask
    p, y = sigmoid(z_v[known]), labels.viability_target[known].astype(bool)
    bins = reliability(p, y)
    table = zip(bins.edges[:-1], bins.edges[1:], bins.count, bins.predicted, bins.observed, strict=True)
    task = (frames.episode % 2)[known]
    rate, timed = np.clip(y.mean(), 0.01, 0.99), labels.efficiency_mask
    quality = {
        "auc": auc(p, y),
        "auc_by_task": {prompt: auc(p[task == i], y[task == i]) for i, prompt in enumerate(TASKS.values())},
        "ece": bins.error,
        "bce": float(-(y * np.log(p) + ~y * np.log1p(-p)).mean()),
        "bce_base_rate": float(-(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))),
        "explained_variance_v_e": explained_variance(
            v_e[timed], labels.efficiency_target_mc[timed].astype(np.float64)
        ),
        "reliability": [
            {"p_low": lo, "p_high": hi, "n": int(n), "mean_p": q, "rate": r} for lo, hi, n, q, r in table if n
        ],
    }
    write_json(place.critic / "quality.json", quality)
    write_json(place.critic / "config.json", {"stride": STRIDE, "t_max": LIMIT})
    lines = [
        {
            "step": s,
            "loss_viability": 0.3 + np.exp(-s / 60),
            "loss_efficiency": np.exp(-s / 90),
            "val_bce": 0.35 + np.exp(-s / 60),
        }
        for s in range(10, 301, 10)
    ]
    (place.critic / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))


def write_eval(path: Path, skill: float, trials: int = 30) -> None:
    """6-eval.parquet: the same starts for every policy."""
    rows = [
        (task, seed, play(10_000 + 100 * place + seed, skill))
        for place, task in enumerate(TASKS)
        for seed in range(trials)
    ]
    columns = {
        "task": np.array([task for task, *_ in rows]),
        "prompt": np.array([TASKS[task] for task, *_ in rows]),
        "seed": np.array([seed for _, seed, _ in rows]),
        "success": np.array([one.success for *_, one in rows]),
        "steps": np.array([len(one.actions) for *_, one in rows]),
        "limit": np.full(len(rows), LIMIT),
    }
    write_parquet(path, columns)


def write_run(run: Path, *, rounds: int = 2, episodes: int = 16, pictures: bool = True) -> Path:
    """The whole folder; without pictures it is a run on true state."""
    for number in range(rounds + 1):
        write_round(run, number, 0.42 + 0.2 * number, episodes, pictures)
    write_eval(run / "control-sft/6-eval.parquet", 0.47)
    recipe = {
        "is": "Recipe",
        "name": "toy <quick>",
        "seed": 7,
        "rule": {"is": "HABC", "reweight_interventions": False},
        "worlds": list(TASKS),
    }
    write_json(run / "recipe.json", recipe)
    return run


__all__ = ["TASKS", "effective_sample_size", "play", "write_run"]
