"""A critic's values and a rule in; `4-weights.parquet`, the credit ledger, out.

The ledger says how much every frame counts, and why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Shaped

from vantage import ranks
from vantage.bounds import Count, Positive, Whole, check
from vantage.core.returns import stride_rows
from vantage.core.sampling import PoolShares, SharesByNeed, drawable, sampling_probability
from vantage.core.weights import HABC, Rule, fresh, gate, gather_evidence, normalise
from vantage.core.windows import WindowRule, near_handover, valid_anchors
from vantage.data.experience import Experience, load_experience
from vantage.data.v3.schema import FINGERPRINT, WEIGHT_COLUMNS
from vantage.disk.layout import Source
from vantage.disk.tables import write_parquet
from vantage.learn.critic.extraction import load_judged
from vantage.learn.critic.panel import load_features, load_panel
from vantage.learn.parent import ParentFit, parent_values
from vantage.types import Values, VantageError

MEANING = 1
"""Raised by hand when the same input and settings are meant to give something else (tests/golden)."""


@dataclass(frozen=True, slots=True)
class Weighing:
    """How values become weights, and weights a sampler."""

    rule: Rule = HABC()
    """One of the weighting rules; methods differ in this value."""
    stride: Count = 8
    """k, control steps between the two states of an advantage; 1 is the paper."""
    shares: PoolShares | SharesByNeed = PoolShares()
    """Batch mix of demonstrations, interventions and rollouts."""
    recency: Positive = 1.0
    """How likely a frame is drawn relative to one of its pool that was recorded a round later (beyond the
    paper; 1: equally)."""
    windows: WindowRule = WindowRule()
    """Which frames may anchor a window."""
    draw_zero_weight: bool = False
    """Draw failed rollouts too (their weight stays 0 and counts in the mean)."""
    stale_after: Whole = 10_000
    """Actor updates after which a rollout is no longer sampled."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    @property
    def reads_values(self) -> bool:
        """Whether the rule needs a critic at all."""
        return self.rule.reads_critic or self.rule.reads_parent


@ranks.first_alone
def weigh(
    sources: Sequence[Source],
    critic: Path | None,
    out: Path,
    settings: Weighing,
    *,
    horizon: int,
    policy_version: int,
    parent: ParentFit = ParentFit(),
    chunk_critic: Path | None = None,
) -> None:
    """Write one row per frame of `sources`.

    `critic` None: a rule that needs no values. `chunk_critic`: where chunks were judged, for rules that need
    that. `horizon`: H, the chunk. `policy_version`: actor updates so
    far, for the stale cutoff. Raises VantageError if no valid window is left.
    """
    if out.exists():
        return

    replay = load_experience(sources)
    values = _no_values(replay)
    if critic is not None:
        values = critic_values(critic, replay, parent if settings.rule.reads_parent else None)

    strides = stride_rows(replay.frames.stretch_starts(), replay.frames.success, settings.stride)
    ahead = parent.target.ahead(replay.frames) if values.v_parent is not None else None
    evidence = gather_evidence(
        route=replay.labels.credited(settings.rule.credit),
        outcome=replay.frames.outcome,
        intervention=replay.frames.intervention,
        values=values,
        strides=strides,
        parent=ahead,
        a_chunk=None if chunk_critic is None else load_judged(chunk_critic, replay).advantage,
    )
    raw = settings.rule(evidence)
    route = evidence.route

    recent = fresh(replay.frames.policy_version, policy_version, settings.stale_after)
    valid = anchors(replay, route, settings, horizon) & recent
    may_draw = drawable(raw, route, valid, draw_zero_weight=settings.draw_zero_weight)
    sampling = sampling_of(replay, route, may_draw, settings)

    columns = {
        "round": replay.round,
        "index": replay.index,
        "route": route,
        "z_v": values.z_v,
        "p_v": evidence.p_v,
        "v_e": values.v_e,
        "a_v": evidence.a_v,
        "a_e": evidence.a_e,
        "g": gate(evidence.p_v, evidence.a_v, evidence.a_e),
        "v_parent": np.full(len(replay), np.nan) if values.v_parent is None else values.v_parent,
        "a_parent": evidence.a_parent,
        "raw_weight": raw,
        "weight": normalise(raw, sampling, replay.demo, valid),
        "sampling": sampling,
        FINGERPRINT: replay.fingerprint,
    }

    nullable = ("z_v", "p_v", "v_e", "a_v", "a_e", "g", "v_parent", "a_parent")
    write_parquet(out, {name: columns[name] for name in WEIGHT_COLUMNS}, nullable=nullable)


def anchors(
    replay: Experience, route: Shaped[np.ndarray, "N"], settings: Weighing, horizon: int
) -> Bool[np.ndarray, "N"]:
    """Frames that may anchor a window of `horizon` steps."""
    valid = valid_anchors(replay.segment_end, route, horizon, settings.windows)
    if settings.windows.margin:
        valid &= ~near_handover(replay.frames.intervention, replay.frames.episode, settings.windows.margin)
    return valid


def sampling_of(
    replay: Experience, route: Shaped[np.ndarray, "N"], may_draw: Bool[np.ndarray, "N"], settings: Weighing
) -> Float64[np.ndarray, "N"]:
    """Probability that one draw picks each window, by pool, and inside a pool by round."""
    shares = settings.shares
    if isinstance(shares, SharesByNeed):
        shares = shares(success_alone(replay))

    emphasis = None
    if settings.recency != 1:
        emphasis = settings.recency ** (replay.round.max() - replay.round).astype(np.float64)
    return sampling_probability(route, may_draw, shares, emphasis)


def success_alone(replay: Experience) -> float:
    """Share of the last round's episodes that the policy solved without help."""
    frames = replay.frames
    starts = np.flatnonzero(frames.frame == 0)
    helped = np.add.reduceat(frames.intervention.astype(np.int64), starts) > 0

    begins = starts[replay.round[starts] == replay.round.max()]
    alone = (frames.outcome[begins] == 1) & ~helped[frames.episode[begins]]
    return float(alone.mean())


def critic_values(critic: Path, replay: Experience, parent: ParentFit | None = None) -> Values:
    """The critic's outputs on the features that were kept beside it; the parent head's too, if asked for.

    Raises VantageError where those are features of other frames.
    """
    panel = load_panel(critic)
    kept = load_features(critic, panel)
    count = len(kept.features)
    same = count == len(replay) and (
        kept.fingerprint is None or bool((kept.fingerprint == replay.fingerprint).all())
    )
    if not same:
        raise VantageError(
            f"{critic} holds features of {count:,} frames that are not the {len(replay):,} frames here now; "
            f"delete it, and run `vantage fit-critic {critic.parent}`"
        )

    values = panel.values(kept.features, kept.fold)
    if parent is None:
        return values
    return replace(values, v_parent=parent_values(critic, kept.features, parent))


def _no_values(replay: Experience) -> Values:
    nothing = np.full(len(replay), np.nan, dtype=np.float32)
    return Values(z_v=nothing, v_e=nothing)
