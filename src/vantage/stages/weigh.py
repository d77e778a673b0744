"""A critic's values and a rule in; `4-weights.parquet`, the credit ledger, out: how much every frame counts, and why."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from vantage.core.credit import join_labels
from vantage.core.returns import Strides, stride_rows
from vantage.core.sampling import PoolShares, drawable, sampling_probability
from vantage.core.weights import HABC, Rule, fresh, gate, gather_evidence, normalise
from vantage.core.windows import WindowRule, valid_anchors
from vantage.data.replay import Replay
from vantage.data.schema import WEIGHT_COLUMNS
from vantage.data.sidecar import write_parquet
from vantage.learn.critic import load_critic
from vantage.types import Evidence, Values


@dataclass(frozen=True, slots=True)
class Weighing:
    """How values become weights, and weights a sampler."""

    rule: Rule = HABC()
    """One of the weighting rules; methods differ in this value."""
    stride: int = 8
    """k, control steps between the two states of an advantage; 1 is the paper."""
    shares: PoolShares = PoolShares()
    """Batch mix of demonstrations, interventions and rollouts."""
    windows: WindowRule = WindowRule()
    """Which frames may anchor a window."""
    draw_zero_weight: bool = False
    """Draw failed rollouts too (their weight stays 0 and counts in the mean)."""
    stale_after: int = 10_000
    """Actor updates after which a rollout is no longer sampled."""


def weigh(replay: Replay, critic: Path | None, out: Path, settings: Weighing, *, horizon: int, policy_version: int) -> None:
    """Write one row per frame of `replay`. `critic` None: supervised fine-tuning, no values. `horizon`: H, the chunk.

    `policy_version`: actor updates so far, for the stale cutoff. Raises VantageError if no valid window is left.
    """
    if out.exists():
        return
    strides = stride_rows(replay.frames.stretch_starts(), replay.frames.success, settings.stride)
    values = None if critic is None else critic_values(critic)
    evidence = _evidence(replay, settings, strides, values)
    raw = settings.rule(evidence)
    route = evidence.route
    valid = valid_anchors(replay.segment_end, route, horizon, settings.windows)
    valid &= fresh(replay.frames.policy_version, policy_version, settings.stale_after)
    sampling = sampling_probability(route, drawable(raw, route, valid, draw_zero_weight=settings.draw_zero_weight), settings.shares)
    g = gate(evidence.p_v, evidence.a_v, evidence.a_e)
    empty = np.full(len(replay), np.nan)
    columns = {
        "round": replay.round,
        "index": replay.index,
        "route": replay.labels.route,
        "z_v": empty if values is None else values.z_v,
        "p_v": evidence.p_v,
        "v_e": empty if values is None else values.v_e,
        "a_v": evidence.a_v,
        "a_e": evidence.a_e,
        "g": g,
        "v_parent": empty if values is None or values.v_parent is None else values.v_parent,
        "a_parent": evidence.a_parent,
        "raw_weight": raw,
        "weight": normalise(raw, sampling, replay.demo, valid),
        "sampling": sampling,
    }
    nullable = ("z_v", "p_v", "v_e", "a_v", "a_e", "g", "v_parent", "a_parent")
    write_parquet(out, {name: columns[name] for name in WEIGHT_COLUMNS}, nullable=nullable)


def critic_values(critic: Path) -> Values:
    """The critic's outputs on the features that were kept beside it."""
    features = load_file(critic / "features.safetensors")["features"]
    with torch.no_grad():
        z_v, v_e = load_critic(critic)(features)
    return Values(z_v=z_v.numpy(), v_e=v_e.numpy())


def _evidence(replay: Replay, settings: Weighing, strides: Strides, values: Values | None) -> Evidence:
    route = join_labels([settings.rule.label(trace) for trace in replay.traces]).route
    if values is None:
        nothing = np.full(len(replay), np.nan)
        values = Values(z_v=nothing, v_e=nothing)
    return gather_evidence(
        route=route,
        outcome=replay.frames.outcome,
        intervention=replay.frames.intervention,
        values=values,
        strides=strides,
    )
