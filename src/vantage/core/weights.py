"""What the critic says -> how much each frame counts in the actor's loss. All rules side by side.

    values, strides ──> a_v, a_e (Eq. 5, 6) ──> gate g (Eq. 7) ──> rule ──> raw weight
    raw weight ──normalise (Eq. 8)──> weight

A rule is a value: what you configure, print and call. It also says whose routes it goes by (`credit`) and
which heads it reads. Rules give 1 to demonstrations and 0 to policy frames without a label.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Shaped

from vantage.bounds import Count, Positive, Share, check
from vantage.core.returns import LookAhead, Strides, efficiency_ahead
from vantage.core.stats import effective_sample_size
from vantage.types import Credit, Evidence, Route, Values, VantageError


def sigmoid(z: Float[np.ndarray, "N"]) -> Float64[np.ndarray, "N"]:
    """p_v = sigmoid(z_v) (Eq. 2), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * z.astype(np.float64)))


def viability_advantage(z_v: Float[np.ndarray, "N"], strides: Strides) -> Float64[np.ndarray, "N"]:
    """A_v = z_v(s_{t+k}) - z_v(s_t), in logits (Eq. 5 at k = 1).

    Near a success up to its frame, so 0 on it; NaN where nothing follows.
    """
    z = z_v.astype(np.float64)
    return np.where(strides.defined, z[strides.row] - z, np.nan)


def efficiency_advantage(v_e: Float[np.ndarray, "N"], strides: Strides) -> Float64[np.ndarray, "N"]:
    """A_e = (-k + V_e(s_{t+k}) - V_e(s_t)) / k: steps gained per control step (Eq. 6 at k = 1).

    Fewer than k steps before the success frame T - 1: (-(T - 1 - t) - V_e(s_t)) / k. Where a stretch ends
    otherwise, k shrinks to the k' steps that are left, and so does the divisor; NaN where k' = 0.
    """
    v = v_e.astype(np.float64)
    divisor = np.where(strides.terminal, strides.stride, np.maximum(strides.steps, 1))
    return (efficiency_ahead(strides)(v) - v) / divisor


def parent_advantage(v_parent: Float[np.ndarray, "N"], ahead: LookAhead) -> Float64[np.ndarray, "N"]:
    """TD residual of the parent head (App. B): A = r + gamma (1 - d) V(s') - V(s).

    Over `ParentTarget.stride` steps; NaN where unknown.
    """
    return ahead(v_parent) - v_parent


def gate(
    p_v: Float[np.ndarray, "N"], a_v: Float[np.ndarray, "N"], a_e: Float[np.ndarray, "N"]
) -> Float64[np.ndarray, "N"]:
    """g = 1 + tanh((1 - p_v) A_v + p_v A_e), in (0, 2) (Eq. 7).

    1 where both advantages are 0; HABC-V's gate at p_v = 0; NaN where an advantage is NaN.
    """
    p = p_v.astype(np.float64)
    return 1.0 + np.tanh((1.0 - p) * a_v + p * a_e)


def gather_evidence(
    *,
    route: Shaped[np.ndarray, "N"],
    outcome: Float[np.ndarray, "N"],
    intervention: Bool[np.ndarray, "N"],
    values: Values,
    strides: Strides,
    parent: LookAhead | None = None,
    a_chunk: Float[np.ndarray, "N"] | None = None,
) -> Evidence:
    """Everything a rule may look at, from the critic's values at stride k.

    Without a parent head `a_parent` is NaN. `a_chunk`: what a critic of chunks says, where one was asked.
    """
    a_parent = np.full(len(route), np.nan)
    if parent is not None and values.v_parent is not None:
        a_parent = parent_advantage(values.v_parent, parent)

    return Evidence(
        route=route,
        outcome=outcome,
        intervention=intervention,
        p_v=sigmoid(values.z_v),
        a_v=viability_advantage(values.z_v, strides),
        a_e=efficiency_advantage(values.v_e, strides),
        a_parent=a_parent,
        a_chunk=a_chunk,
    )


def warmed_up(step: int, n_wu: int = 500) -> bool:
    """Whether the critic may be listened to: from gradient step N_wu on, counted from 0."""
    return step >= n_wu


def hide_advantages(evidence: Evidence) -> Evidence:
    """The evidence during warm-up: no p_v, A_v or A_e, hence g = 1 everywhere; failures keep weight 0.

    The parent head enters pretrained.
    """
    unknown = np.full(len(evidence.route), np.nan)
    return replace(evidence, p_v=unknown, a_v=unknown, a_e=unknown)


def fresh(
    policy_version: Int64[np.ndarray, "N"], current_version: int, cutoff: int = 10_000
) -> Bool[np.ndarray, "N"]:
    """Frames that may still be sampled.

    Demonstrations (version -1), and those whose policy is fewer than `cutoff` actor updates old.
    """
    return (policy_version < 0) | (current_version - policy_version < cutoff)


def tempered(advantage: Float[np.ndarray, "N"], effective: float) -> tuple[Float64[np.ndarray, "N"], float]:
    """(w, T) with w = exp((A - max A) / T) and T such that the effective sample size of w is a share
    `effective` of N.

    The size grows with T, from the number of largest advantages to N, so T is found by bisection; where the
    share cannot be had, T is at the nearer end. Kish's size is `stats.effective_sample_size`. At a share of 1
    every frame counts the same and T is infinite, as in imitation; so it is where all advantages are equal.
    """
    if len(advantage) == 0:
        return np.ones(0), float("inf")

    below = advantage.astype(np.float64) - advantage.max()
    spread = float(-below.min())
    if spread == 0 or effective >= 1:
        return np.ones(len(below)), float("inf")

    low, high = np.log(spread * 1e-6), np.log(spread * 1e6)
    for _ in range(60):
        middle = (low + high) / 2
        weight = np.exp(below / np.exp(middle))
        if effective_sample_size(weight) < effective * len(below):
            low = middle
        else:
            high = middle
    return np.exp(below / np.exp(high)), float(np.exp(high))


def normalise(
    raw: Float[np.ndarray, "N"],
    sampling: Float[np.ndarray, "N"],
    demo: Bool[np.ndarray, "N"],
    valid: Bool[np.ndarray, "N"] | None = None,
    *,
    eps: float = 1e-6,
) -> Float64[np.ndarray, "N"]:
    """Unit-mean weights (Eq. 8): raw / max(c, eps), with c the mean raw weight as the sampler draws.

    c = sum(sampling * raw) / sum(sampling) over non-demonstration frames; where none is ever drawn, c = 1.
    Demonstrations stay 1. Frames that are not `valid` anchors get 0 (their `sampling` is 0, so they are not
    in c).
    """
    drawn = np.where(demo, 0.0, sampling)
    total = drawn.sum()
    mean = np.dot(drawn, raw) / total if total > 0 else 1.0
    weight = np.where(demo, 1.0, raw / max(mean, eps))
    return weight if valid is None else np.where(valid, weight, 0.0)


def normalise_batch(
    raw: Float[np.ndarray, "B"], demo: Bool[np.ndarray, "B"], *, eps: float = 1e-6
) -> Float64[np.ndarray, "B"]:
    """Eq. 8 as printed, for one batch that the sampler has drawn.

    c is the plain mean over its non-demonstration windows.
    """
    return normalise(raw, np.ones(len(raw)), demo, eps=eps)


def passing_threshold(a_parent: Float[np.ndarray, "N"], share: float = 0.25) -> float:
    """The eps that lets `share` of these advantages pass (NaN ignored).

    Give it a held-out set, as App. B selects eps. Raises `VantageError` if there is no advantage to rank.
    """
    known = a_parent[~np.isnan(a_parent)]
    if len(known) == 0:
        fault = "no frame has a parent advantage, so no share of them can pass"
        raise VantageError(f"{fault}; fit the parent head on labelled rollouts first")
    return float(np.quantile(known, 1.0 - share))


def _by_route(
    evidence: Evidence,
    *,
    success: Float[np.ndarray, "N"] | float,
    failure: Float[np.ndarray, "N"] | float = 0.0,
    intervention: Float[np.ndarray, "N"] | float = 1.0,
) -> Float64[np.ndarray, "N"]:
    """Raw weights of a rule that goes by the route: demonstrations 1, unlabelled 0."""
    route = evidence.route
    routes = (Route.DEMO, Route.ROLLOUT_SUCCESS, Route.ROLLOUT_FAILURE, Route.INTERVENTION)
    cases = [route == name for name in routes]
    return np.select(cases, [1.0, success, failure, intervention], default=0.0)


def _neutral(weight: Float[np.ndarray, "N"]) -> Float64[np.ndarray, "N"]:
    """1 where nothing could be computed: a frame without evidence is neither favoured nor punished."""
    return np.where(np.isnan(weight), 1.0, weight)


def _spread(advantage: Float[np.ndarray, "M"]) -> float:
    """Standard deviation of what is known; 1 where nothing is, or nothing varies."""
    known = advantage[~np.isnan(advantage)]
    spread = float(known.std()) if len(known) else 0.0
    return spread if spread > 1e-6 else 1.0


class _Rule:
    """What a rule says about itself, beside its weights."""

    __slots__ = ()
    credit: ClassVar[Credit] = Credit.AWARE
    """How outcomes are attributed to frames: which routes of 2-labels.parquet it goes by."""
    reads_critic: ClassVar[bool] = False
    """Whether it needs the dual-head critic (z_v, V_e)."""
    reads_parent: ClassVar[bool] = False
    """Whether it needs the parent head."""
    relabels: ClassVar[bool] = False
    """Whether windows of rollouts imitate the chunk that the critic of chunks finds most viable, not what was
    executed."""

    @property
    def judged_chunks(self) -> int:
        """Chunks of the policy that the critic of chunks judges at every labelled state; 0: it needs no such
        critic."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform(_Rule):
    """Every labelled frame counts 1, failures too. On demonstrations alone: supervised fine-tuning."""

    def __call__(self, evidence: Evidence) -> Float64[np.ndarray, "N"]:
        """Raw weights."""
        return _by_route(evidence, success=1.0, failure=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredBC(_Rule):
    """Successes and interventions count 1, failures 0; no critic. What HABC does during its warm-up."""

    def __call__(self, evidence: Evidence) -> Float64[np.ndarray, "N"]:
        """Raw weights."""
        return _by_route(evidence, success=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImitDAgger(_Rule):
    """Demonstrations and interventions count 1, rollouts 0.

    The paper draws them half and half (`PoolShares`).
    """

    def __call__(self, evidence: Evidence) -> Float64[np.ndarray, "N"]:
        """Raw weights."""
        return _by_route(evidence, success=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HABC(_Rule):
    """The method: g on successful rollouts, 0 on failed ones, 1 on demonstrations and interventions.

    Source: the paper's "Training Procedure".
    """

    reads_critic: ClassVar[bool] = True

    reweight_interventions: bool = False
    """IR: g on interventions too. Only after a first HABC phase has trained the critic."""
    self_normalised: bool = False
    """Beyond the paper: divide A_v and A_e by their standard deviation over successful rollouts before they
    enter the gate."""
    rising_failures: bool = False
    """Beyond the paper: a failed frame whose viability was still rising counts p_v max(0, tanh A_v) instead
    of 0."""
    certainty_price: float = 0.0
    """Beyond the paper: subtracted from A_e, so that states whose success is certain count less, and the
    doubtful ones more (docs/log)."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def __call__(self, evidence: Evidence) -> Float64[np.ndarray, "N"]:
        """Raw weights; where an advantage is missing, g (Eq. 7) is that of advantages of 0."""
        a_v, a_e = evidence.a_v, evidence.a_e
        if self.self_normalised:
            succeeded = evidence.route == Route.ROLLOUT_SUCCESS
            a_v, a_e = a_v / _spread(a_v[succeeded]), a_e / _spread(a_e[succeeded])

        # Certainty has its price also where nothing else is known: such a frame would be favoured otherwise.
        missing = np.isnan(a_v) | np.isnan(a_e)
        known_v, known_e = np.where(missing, 0.0, a_v), np.where(missing, 0.0, a_e)
        g = _neutral(gate(evidence.p_v, known_v, known_e - self.certainty_price))
        rising = np.nan_to_num(evidence.p_v * np.maximum(np.tanh(a_v), 0.0)) if self.rising_failures else 0.0
        correction = g if self.reweight_interventions else 1.0
        return _by_route(evidence, success=g, failure=rising, intervention=correction)


@dataclass(frozen=True, slots=True, kw_only=True)
class HABCV(_Rule):
    """HABC-V, the ablation without V_e: g = 1 + tanh(A_v), which is Eq. 7 at p_v = 0."""

    reads_critic: ClassVar[bool] = True

    reweight_interventions: bool = False
    """IR, as in `HABC`."""

    def __call__(self, evidence: Evidence) -> Float64[np.ndarray, "N"]:
        """Raw weights; g is 1 where A_v is missing."""
        nothing = np.zeros(len(evidence.route))
        g = _neutral(gate(nothing, evidence.a_v, nothing))
        return _by_route(evidence, success=g, intervention=g if self.reweight_interventions else 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """A threshold at the quantile that lets this share of the autonomous windows pass.

    The paper's thresholds passed 22, 27 and 19 of 100.
    """

    share: Share = 0.25

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def eps(self, a_parent: Float[np.ndarray, "N"]) -> float:
        """The threshold for these autonomous windows."""
        return passing_threshold(a_parent, self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Above:
    """A threshold given as a number, e.g. `passing_threshold` of a held-out set."""

    value: float

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def eps(self, a_parent: Float[np.ndarray, "N"]) -> float:
        """The number, whatever the windows."""
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class ImitRecap(_Rule):
    """Hard filter (App. B): 1[A_parent >= eps] on every autonomous window, 1 on human ones.

    No intervention-aware credit: it looks at the driver and the whole episode's outcome, never at the route
    (demonstrations excepted). A window without a parent advantage does not pass; nor does one of an episode
    without an outcome.
    """

    credit: ClassVar[Credit] = Credit.WHOLE
    reads_parent: ClassVar[bool] = True

    threshold: Passing | Above = Passing()
    """How eps is chosen."""

    def __call__(self, evidence: Evidence) -> Float64[np.ndarray, "N"]:
        """Raw weights."""
        imitated = (evidence.route == Route.DEMO) | (evidence.route == Route.INTERVENTION)
        autonomous = ~evidence.intervention & ~imitated & ~np.isnan(evidence.outcome)
        a = np.where(autonomous, evidence.a_parent, np.nan)
        passing = a >= self.threshold.eps(a) if autonomous.any() else autonomous
        return np.where(imitated | passing, 1.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AWR(_Rule):
    """Advantage-weighted regression: min(exp(A_parent / temperature), clip) on rollouts.

    Source: Peng et al. 2019, on one scalar advantage. Failures count too, by their advantage; human frames 1.
    Like Imit-Recap it credits whole episodes, so it is HABC without its two ideas.
    """

    credit: ClassVar[Credit] = Credit.WHOLE
    reads_parent: ClassVar[bool] = True

    temperature: Positive = 1.0
    """In units of return; towards infinity every labelled frame counts 1."""
    clip: Positive = 20.0
    """Largest weight; Peng et al.'s."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def __call__(self, evidence: Evidence) -> Float64[np.ndarray, "N"]:
        """Raw weights."""
        imitated = (evidence.route == Route.DEMO) | (evidence.route == Route.INTERVENTION)
        tilted = np.exp(np.minimum(evidence.a_parent / self.temperature, np.log(self.clip)))
        autonomous = ~evidence.intervention & ~np.isnan(evidence.outcome)
        return np.where(imitated, 1.0, np.where(autonomous, _neutral(tilted), 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialWeights(_Rule):
    """exp(A / T) on rollouts, failures included, by the critic of states and chunks; beyond the paper.

    A is the viability of what was executed minus the mean viability of `count` chunks of the policy that
    played. T is chosen by the effective sample size (`tempered`). Demonstrations and human frames 1.
    """

    effective: Share = 0.5
    """Effective sample size of the rollouts' weights, as a share of their frames; at 1 all count the same."""
    count: Count = 8
    """Chunks of the policy at each state."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    @property
    def judged_chunks(self) -> int:
        """Chunks that are judged."""
        return self.count

    def __call__(self, evidence: Evidence) -> Float64[np.ndarray, "N"]:
        """Raw weights; 1 on every rollout where no chunk was judged."""
        weight = np.ones(len(evidence.route))
        if evidence.a_chunk is not None:
            known = ~np.isnan(evidence.a_chunk)
            weight[known], _ = tempered(evidence.a_chunk[known], self.effective)
        return _by_route(evidence, success=weight, failure=weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionTargets(_Rule):
    """Every labelled window of a rollout counts 1, failures too, and imitates the most viable of `count`
    chunks of the policy that played instead of what was executed; beyond the paper.

    Rejection sampling by a critic of states and chunks, as in Q-chunking (arXiv 2507.07969). Acting stays as
    it was: no critic stands beside the policy. Demonstrations and human frames count 1 and stay as they are.
    """

    relabels: ClassVar[bool] = True

    count: Count = 8
    """Chunks of the policy at each state; 1: the policy imitates itself, and nothing is chosen."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    @property
    def judged_chunks(self) -> int:
        """Chunks that are judged."""
        return self.count

    def __call__(self, evidence: Evidence) -> Float64[np.ndarray, "N"]:
        """Raw weights."""
        return _by_route(evidence, success=1.0, failure=1.0)


Rule = (
    Uniform | FilteredBC | HABC | HABCV | ImitRecap | ImitDAgger | AWR | ExponentialWeights | RejectionTargets
)
