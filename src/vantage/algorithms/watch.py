"""A recording and a critic in; when to call for help, `watch.json`, out.

    recording ──label──> outcomes ───────────────┐
              ──policy──> phi(s) ──critic──> p_v ┴──> Watch: an alarm, what it costs and saves, bounds
    Watch, checkpoint ──write_guarded──> a folder that stock lerobot-rollout runs (`--policy.path`)

p_v is asked where a running policy asks it: at every prediction, while it drives. The features phi(s) are
those of the policy that the critic was trained on, whichever policy is watched.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64

from vantage.core.alarm import Alarm, Calibration, Watched, calibrate
from vantage.core.limits import Limits
from vantage.core.weights import sigmoid
from vantage.data.experience import Experience, load_experience
from vantage.data.frames import make_frames
from vantage.disk.files import read_json, whole_folder, write_json
from vantage.disk.layout import CRITIC_WEIGHTS, Source
from vantage.disk.record import entering_actor
from vantage.learn.critic.panel import Panel, load_features, load_panel
from vantage.learn.features import compute_features
from vantage.learn.step import Compute
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy
from vantage.policies.small.network import read_config
from vantage.stages.label import label
from vantage.types import Reading, Trace, VantageError

NAME = "watch.json"
MARGIN = 0.1
"""By what share of itself the range of the recorded actions, and their largest step, is widened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is known about watching one critic's p_v."""

    critic: Path
    features_of: Path
    """The checkpoint whose features the critic reads."""
    execute: int
    """Control steps from one prediction to the next."""
    fps: float
    calibration: Calibration
    past: tuple[Watched, ...]
    """The episodes of the recording in which a policy began to drive."""
    seen: int
    """How many of them the critic was trained on, and is judged by nothing else."""
    limits: Limits
    names: tuple[str, ...]
    """Of the action's dimensions."""


def features_of(critic: Path) -> Path:
    """The checkpoint whose features a critic in a round of a run reads.

    Raises VantageError where it cannot be told.
    """
    if not (critic / CRITIC_WEIGHTS).is_file():
        raise VantageError(f"{critic} holds no critic; name a run or a round that has one, or its 3-critic")
    entered = entering_actor(critic.resolve().parent)
    if entered is None or not (entered / "config.json").is_file():
        raise VantageError(
            f"which policy's features {critic} reads cannot be told from its place; "
            "name that checkpoint with --features-of"
        )
    return entered


def watch(
    recording: Path,
    critic: Path,
    *,
    features_of: Path,
    outcomes: Path | None = None,
    demos: bool | Collection[int] = False,
    reading: Reading = Reading(),
    price: float = 0.05,
    compute: Compute = Compute(),
) -> Watch:
    """Choose an alarm on the episodes of a recording.

    `features_of`: the checkpoint whose features the critic reads. `price`: the share of the successes that it
    may lose. Raises VantageError where outcomes or the critic do not fit, or where there is nothing to choose
    by. Pictures are only looked at for episodes that the critic was not trained on.
    """
    with TemporaryDirectory(prefix="vantage-watch-") as scratch:
        labels = Path(scratch) / "2-labels.parquet"
        label(recording, labels, outcomes=outcomes, demos=demos, reading=reading)
        experience = load_experience([Source(0, recording, labels, None)])
        execute = _execute(features_of)
        p_v, seen = _viability(experience, critic, features_of, Path(scratch), compute)

    past = tuple(_watched(experience, p_v, execute))
    table = experience.tables[0]
    starts = experience.frames.stretch_starts(across_handover=False)
    known = [row for row, frame in enumerate(experience.frames.frame) if frame == 0]
    return Watch(
        critic=critic,
        features_of=features_of,
        execute=execute,
        fps=table.fps,
        calibration=calibrate(past, price),
        past=past,
        seen=int(seen[known].sum()),
        limits=Limits.of(table.action, starts, MARGIN),
        names=table.action_names or tuple(str(number) for number in range(table.action.shape[1])),
    )


def viability_of(
    recording: Path, critic: Path, *, features_of: Path, compute: Compute = Compute()
) -> Float64[np.ndarray, "N"]:
    """p_v of every frame of a recording, whoever drove and however it ended.

    Frames that the critic was trained on are judged as `watch` does; the policy at `features_of` looks at the
    pictures of the others. Raises VantageError where recording, critic and policy do not fit.
    """
    with TemporaryDirectory(prefix="vantage-viability-") as scratch:
        labels = Path(scratch) / "2-labels.parquet"
        # What p_v is does not depend on labels, and demonstrations need no outcome.
        label(recording, labels, demos=True)
        experience = load_experience([Source(0, recording, labels, None)])
        p_v, _ = _viability(experience, critic, features_of, Path(scratch), compute)
    return p_v


def write_watch(watch: Watch, out: Path) -> None:
    """Write watch.json: what stock lerobot-rollout needs to know, and what it was chosen by."""
    calibration, limits = watch.calibration, watch.limits
    record: dict[str, Any] = {
        "threshold": calibration.alarm.threshold,
        "patience": calibration.alarm.patience,
        "price": calibration.price,
        "features_of": str(watch.features_of.resolve()),
        "execute": watch.execute,
        "fps": watch.fps,
        "actions": {
            "names": list(watch.names),
            "low": limits.low.tolist(),
            "high": limits.high.tolist(),
            "rate": [float(rate) if np.isfinite(rate) else None for rate in limits.rate],
            "margin": MARGIN,
        },
        "episodes": len(watch.past),
        "episodes_the_critic_was_trained_on": watch.seen,
        "offers": [asdict(offer) for offer in calibration.offers],
    }
    write_json(out, record)


def read_watch(path: Path) -> tuple[Alarm, Limits, tuple[str, ...]]:
    """(alarm, bounds on actions, names of their dimensions) of a watch.json.

    Raises VantageError where it is not one.
    """
    record: Any = read_json(path) if path.is_file() else None
    try:
        actions = record["actions"]
        rate = [np.inf if value is None else value for value in actions["rate"]]
        limits = Limits(*(np.array(values, np.float32) for values in (actions["low"], actions["high"], rate)))
        return Alarm(record["threshold"], record["patience"]), limits, tuple(actions["names"])
    except (KeyError, TypeError, ValueError) as error:
        raise VantageError(
            f"{path} is no watch.json; make it with `vantage watch RECORDING --critic CRITIC`"
        ) from error


def write_guarded(out: Path, checkpoint: Path, watch: Watch, settings: Path) -> None:
    """Write a folder that stock LeRobot runs in place of a checkpoint, and that watches it (`vantage_watch`).

    It refers to checkpoint, critic and watch.json (`settings`) where they are. Raises VantageError for a
    checkpoint that stock LeRobot would not run either.
    """
    config = cast(dict[str, Any], read_config(checkpoint))
    if "input_features" not in config:
        raise VantageError(
            f"{checkpoint} is no LeRobot checkpoint; make it one first: "
            f"`vantage export {checkpoint} --out FOLDER`"
        )
    if config.get("use_relative_actions") or config.get("temporal_ensemble_coeff") is not None:
        raise VantageError(
            f"{checkpoint} predicts relative actions or averages its chunks, and cannot be watched yet; "
            "leave use_relative_actions and temporal_ensemble_coeff out"
        )

    guarded = {
        "type": "vantage_watch",
        "n_obs_steps": 1,
        "input_features": config["input_features"],
        "output_features": config["output_features"],
        "device": config.get("device"),
        "policy_path": str(checkpoint.resolve()),
        "features_path": str(watch.features_of.resolve()),
        "critic_path": str(watch.critic.resolve()),
        "watch_path": str(settings.resolve()),
    }
    device = {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}}
    before = [
        {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
        {"registry_name": "to_batch_processor", "config": {}},
        device,
    ]
    with whole_folder(out) as folder:
        write_json(folder / "config.json", guarded)
        write_json(folder / "policy_preprocessor.json", {"name": "policy_preprocessor", "steps": before})
        write_json(folder / "policy_postprocessor.json", {"name": "policy_postprocessor", "steps": [device]})


def viability(panel: Panel, features: Float32[np.ndarray, "N D"]) -> Float64[np.ndarray, "N"]:
    """p_v of frames that no critic of the panel has seen: sigmoid of the mean logit of all of them."""
    shown = torch.from_numpy(features)
    rounds = [panel.values(shown, np.full(len(shown), fold)).z_v for fold in range(len(panel.folds))]
    return sigmoid(np.stack(rounds).mean(0, dtype=np.float64))


def _execute(checkpoint: Path) -> int:
    """Control steps from one prediction to the next, as a checkpoint's config.json says."""
    read: Any = read_config(checkpoint)
    config = cast(dict[str, Any], read) if isinstance(read, dict) else {}
    net: Any = config.get("net")
    own = cast(dict[str, Any], net).get("execute") if isinstance(net, dict) else None
    steps = config.get("n_action_steps") or own
    if type(steps) is not int or steps < 1:
        raise VantageError(
            f"{checkpoint} does not say after how many steps it predicts again (n_action_steps)"
        )
    return steps


def _viability(
    experience: Experience, critic: Path, checkpoint: Path, scratch: Path, compute: Compute
) -> tuple[Float64[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
    """(p_v of every frame, whether the critic was trained on its episode).

    Frames that the critic was trained on have their features beside it, and are judged by the critics that
    did not see them where it was cross-fitted.
    """
    panel = load_panel(critic)
    kept = load_features(critic, panel)
    if kept.fingerprint is None:
        raise VantageError(
            f"{critic} does not say which frames it was trained on, as earlier versions did not; "
            "delete it and train the critic again"
        )
    rows = _kept_rows(kept.fingerprint, experience)
    seen = rows >= 0
    p_v = np.full(len(experience), np.nan)
    if seen.any():
        places = torch.from_numpy(rows[seen])
        values = panel.values(kept.features[places], kept.fold[places.numpy()])
        p_v[seen] = sigmoid(values.z_v.astype(np.float64))

    if not seen.all():
        policy = load_policy(checkpoint)
        _check_width(policy, kept.features.shape[1], checkpoint, critic)
        _check_robot(policy, experience, checkpoint)
        if policy.interface.cameras:
            source = experience.sources[0]
            make_frames(source.episodes, scratch / "frames", policy.interface.cameras)
            experience = load_experience([Source(0, source.episodes, source.labels, scratch / "frames")])
        p_v[~seen] = viability(panel, compute_features(experience, policy, compute)[~seen])
    return p_v, seen if len(panel.folds) == 1 else np.zeros_like(seen)


def _check_width(policy: Policy, width: int, checkpoint: Path, critic: Path) -> None:
    if policy.feature_dim != width:
        raise VantageError(
            f"{critic} reads {width} features and {checkpoint} has {policy.feature_dim}; "
            "name the checkpoint that the critic was trained on with --features-of"
        )


def _check_robot(policy: Policy, experience: Experience, checkpoint: Path) -> None:
    """Raise VantageError for recordings of a robot that the policy does not know."""
    table, wanted = experience.tables[0], policy.interface
    known = None if table.environment_state is None else table.environment_state.shape[1]
    if wanted.state_dim is not None and table.state.shape[1] != wanted.state_dim:
        raise VantageError(
            f"{checkpoint} looks at a state of {wanted.state_dim} numbers and {table.root} has "
            f"{table.state.shape[1]}; name a recording of the same robot"
        )
    if wanted.environment_dim is not None and known != wanted.environment_dim:
        raise VantageError(
            f"{checkpoint} looks at observation.environment_state of {wanted.environment_dim} numbers, which "
            f"{table.root} lacks; name a recording that has it"
        )


def _kept_rows(kept: Int64[np.ndarray, "M"], experience: Experience) -> Int64[np.ndarray, "N"]:
    """Where the features of every frame are kept; -1: nowhere. Episodes are found by their content."""
    edges = np.append(np.flatnonzero(np.diff(kept, prepend=kept[:1] - 1)), len(kept))
    place = {int(kept[a]): (int(a), int(b)) for a, b in pairwise(edges)}

    rows = np.full(len(experience), -1, np.int64)
    for part in experience.tables[0].slices:
        a, b = place.get(int(experience.fingerprint[part.start]), (0, 0))
        if b - a == part.stop - part.start:
            rows[part] = np.arange(a, b)
    return rows


def _watched(experience: Experience, p_v: Float64[np.ndarray, "N"], execute: int) -> list[Watched]:
    """What a policy drove at the start of every attempt."""
    starts = np.flatnonzero(experience.frames.frame == 0)
    watched: list[Watched] = []
    for start, trace in zip(starts.tolist(), experience.traces, strict=True):
        steps = _driven(trace)
        if trace.demo or not steps:
            continue
        taken_over = steps < len(trace.intervention)
        at = np.arange(0, steps, execute)
        watched.append(
            Watched(
                episode=int(experience.tables[0].episode_index[start]),
                p_v=p_v[start + at],
                at=at,
                steps=steps,
                solved=False if taken_over else trace.outcome,
                taken_over=taken_over,
            )
        )
    return watched


def _driven(trace: Trace) -> int:
    """Control steps from the start until a person took over, or the end."""
    human = np.flatnonzero(trace.intervention)
    return int(human[0]) if len(human) else len(trace.intervention)
