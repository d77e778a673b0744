"""A critic and its learning problem in, the critic trained and its curve out.

    drawn frames ──> viability loss ──> viability head  ──┐
    drawn frames ──> efficiency loss ──> efficiency head ─┼── each stops where held-out episodes liked it best
                       ^ TD from a slow copy of the head  ┘

The two heads share no parameters once the features are fixed, so each is trained by itself: the viability
head overfits long before the efficiency head has converged.
"""

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from vantage.bounds import Count, Decay, NotNegative, Positive, Share, Whole, check
from vantage.core.losses import efficiency_loss, viability_loss
from vantage.core.returns import EfficiencyTarget, LookAhead, bootstrap, mix
from vantage.learn.critic.problem import CriticProblem
from vantage.learn.finite import BY_FEATURES, OF_CRITIC, LossWatch, Naming, no_number, rows_of
from vantage.learn.optim import constant_rate, move_towards
from vantage.learn.step import Compute, Learner, Part
from vantage.nets.critic import DualCritic
from vantage.progress import Bar, bar
from vantage.seeding import global_generator_kept
from vantage.threads import one_thread


@dataclass(frozen=True, slots=True)
class CriticFit:
    """How the dual-head critic is trained in the staged schedule."""

    steps: Whole = 250
    """Gradient steps of each head at most; it keeps its best."""
    batch: Count = 256
    """Frames per head and step."""
    lr: Positive = 2e-3
    weight_decay: NotNegative = 1e-2
    width: Count = 128
    dropout: Decay | None = None
    """None: early stopping is the only regulariser, besides weight decay."""
    target: EfficiencyTarget = EfficiencyTarget(stride=8, mc_share=0.5)
    """How V_e is taught."""
    polyak: Share = 0.01
    """Step of the target network that TD bootstraps from."""
    held_out: Decay = 0.2
    """Share of the episodes that choose the stopping point and report the quality."""
    check_every: Count = 10
    """Steps between looks at the held-out episodes."""
    patience: Count = 5
    """Looks without a better head after which training stops."""
    keep_best: bool = True
    """Leave each head where held-out episodes liked it best; False: where training ended."""
    folds: Count = 1
    """K > 1: cross-fitting. Episodes are dealt to K folds, and a frame is judged by critics that never saw
    its episode."""
    members: Count = 1
    """Critics per fold, from different initial weights and batches; their outputs are averaged."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


def train_critic(
    critic: DualCritic,
    problem: CriticProblem,
    settings: CriticFit,
    seed: int,
    compute: Compute = Compute(),
    named: Naming = rows_of,
) -> list[dict[str, float]]:
    """Minimise Eq. 4 and leave each head where held-out episodes liked it best.

    Moves `critic` to the device of `compute`. `named`: what rows of the problem are called. Returns the
    curve: one row per look at the held-out episodes. Raises `VantageError` at the step whose loss is NaN or
    infinite.
    """
    device = compute.torch_device()
    critic.to(device)
    problem = problem.to(device)
    _begin_at_the_mean(critic, problem)
    heads: tuple[_Head, ...] = (
        _Viability(critic, problem, settings, copy.deepcopy(critic.viability).eval()),
        _Efficiency(critic, problem, settings, copy.deepcopy(critic.efficiency).eval()),
    )

    curve: dict[int, dict[str, float]] = {}
    with one_thread(), global_generator_kept(), bar("critic", 2 * settings.steps, "steps") as advance:
        for number, head in enumerate(heads):
            if not len(head.frames):  # no success yet: nothing to learn steps from
                continue
            rng = np.random.default_rng([seed, 11, number])  # a published stream
            for step, row in _fit_head(head, settings, rng, compute, advance, named).items():
                curve.setdefault(step, {}).update(row)

    critic.eval()
    return [{"step": step} | curve[step] for step in sorted(curve)]


def _begin_at_the_mean(critic: DualCritic, problem: CriticProblem) -> None:
    """Start both heads at what knowing nothing of the state would say."""
    success_rate = problem.outcome[problem.viability_train].mean().item()
    steps = float(critic.t_max) / 2
    if len(problem.efficiency_train):
        steps = -problem.monte_carlo[problem.efficiency_train].mean().item()
    critic.begin_at(success_rate, steps)


@dataclass(frozen=True, slots=True)
class _Viability:
    """z_v, taught by the outcome, or by its mix with TD where the problem says so; judged by the outcome."""

    critic: DualCritic
    problem: CriticProblem
    settings: CriticFit
    slow: nn.Module
    """The slow copy of the head that TD bootstraps from."""
    title: str = "critic, viability head"
    loss_name: str = "loss_viability"
    check_name: str = "val_bce"

    @property
    def module(self) -> nn.Module:
        return self.critic.viability

    @property
    def frames(self) -> Int64[np.ndarray, "M"]:
        return self.problem.viability_train

    def before_step(self) -> None:
        if self.problem.viability_ahead is not None:
            move_towards(self.slow, self.critic.viability, self.settings.polyak)

    def loss(self, rows: Int64[Tensor, "B"], denominator: int) -> Float[Tensor, ""]:
        return self._cross_entropy(rows, self._targets(rows), denominator)

    def check(self) -> float:
        rows = torch.from_numpy(_thin_out(self.problem.viability_check)).to(self.problem.features.device)
        return self._cross_entropy(rows, self.problem.outcome[rows], len(rows)).item()

    def _cross_entropy(
        self,
        rows: Int64[Tensor, "B"],
        target: Float[Tensor, "B"],
        denominator: int,
    ) -> Float[Tensor, ""]:
        z_v = self.critic.z_v(self.problem.features[rows])
        return viability_loss(z_v, target, _all_of(rows), denominator)

    @torch.no_grad()
    def _targets(self, rows: Int64[Tensor, "B"]) -> Float[Tensor, "B"]:
        """The outcome, or its mix with TD, for the drawn rows only."""
        problem = self.problem
        if problem.viability_ahead is None:
            return problem.outcome[rows]

        later, gain, discount = _look_ahead(problem.viability_ahead, rows)
        p_v = torch.sigmoid(self.slow(problem.features[later]).squeeze(-1))
        return mix(bootstrap(gain, discount, p_v), problem.outcome[rows], problem.viability_mc_share)


@dataclass(frozen=True, slots=True)
class _Efficiency:
    """V_e, taught by Monte-Carlo, TD or their mix; judged by Monte-Carlo."""

    critic: DualCritic
    problem: CriticProblem
    settings: CriticFit
    slow: nn.Module
    """The slow copy of the head that TD bootstraps from."""
    title: str = "critic, efficiency head"
    loss_name: str = "loss_efficiency"
    check_name: str = "val_huber"

    @property
    def module(self) -> nn.Module:
        return self.critic.efficiency

    @property
    def frames(self) -> Int64[np.ndarray, "M"]:
        return self.problem.efficiency_train

    def before_step(self) -> None:
        move_towards(self.slow, self.critic.efficiency, self.settings.polyak)

    def loss(self, rows: Int64[Tensor, "B"], denominator: int) -> Float[Tensor, ""]:
        return self._huber(rows, self._targets(rows), denominator)

    def check(self) -> float:
        rows = torch.from_numpy(_thin_out(self.problem.efficiency_check)).to(self.problem.features.device)
        return self._huber(rows, self.problem.monte_carlo[rows], len(rows)).item()

    def _huber(
        self,
        rows: Int64[Tensor, "B"],
        target: Float[Tensor, "B"],
        denominator: int,
    ) -> Float[Tensor, ""]:
        v_e = self.critic.v_e(self.problem.features[rows])
        return efficiency_loss(
            v_e,
            target,
            _all_of(rows),
            denominator,
            unit=float(self.settings.target.stride),
        )

    @torch.no_grad()
    def _targets(self, rows: Int64[Tensor, "B"]) -> Float[Tensor, "B"]:
        """TD, Monte-Carlo or their mix, for the drawn rows only."""
        problem = self.problem
        later, gain, discount = _look_ahead(problem.ahead, rows)
        value = self.critic.steps_from(self.slow(problem.features[later]))
        return mix(bootstrap(gain, discount, value), problem.monte_carlo[rows], self.settings.target.mc_share)


_Head = _Viability | _Efficiency
"""One head of the critic and what teaches it."""


@dataclass(slots=True)
class _Best:
    """The weights of a module that held-out episodes liked best so far."""

    module: nn.Module
    score: float = float("inf")
    looks_since: int = 0
    weights: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.weights = copy.deepcopy(self.module.state_dict())

    def look(self, score: float) -> None:
        """Keep the weights as they are now if `score` is lower than ever before."""
        if score < self.score:
            self.score, self.looks_since = score, 0
            self.weights = copy.deepcopy(self.module.state_dict())
        else:
            self.looks_since += 1


def _fit_head(
    head: _Head,
    settings: CriticFit,
    rng: np.random.Generator,
    compute: Compute,
    advance: Bar,
    named: Naming,
) -> dict[int, dict[str, float]]:
    """Train one head until its held-out loss has not fallen for `patience` looks; leave it where it was
    lowest.

    Returns, for every step after which it was looked at, the loss of that step and the loss on held-out
    frames. Raises `VantageError` where one of them is NaN or infinite.
    """
    module = head.module
    optim = constant_rate(settings.lr, weight_decay=settings.weight_decay)
    learner = Learner(module, optim, compute=compute, whole=True)
    best = _Best(module)
    watch = LossWatch(learner.device)
    since_look: list[np.ndarray] = []  # rows of every batch
    curve: dict[int, dict[str, float]] = {}

    module.train()
    for step in range(1, settings.steps + 1):
        picked = head.frames[rng.integers(0, len(head.frames), settings.batch)]
        drawn = torch.from_numpy(picked).to(learner.device)
        head.before_step()

        def loss_of(part: Part, drawn: Tensor = drawn) -> Float[Tensor, ""]:
            return head.loss(drawn[part.of(settings.batch)], settings.batch)

        taken = learner.step(loss_of)
        watch.see(step, taken.loss)
        since_look.append(picked)
        looks = step % settings.check_every == 0 or step == settings.steps
        bad = watch.first_bad(wait=looks)
        if bad is not None:
            rows = since_look[bad - step - 1]
            raise no_number(head.title, bad - 1, named(rows), order=BY_FEATURES, remedy=OF_CRITIC)
        advance()
        if not looks:
            continue

        module.eval()
        with torch.no_grad():
            score = head.check()
        module.train()
        if not np.isfinite(score):  # the gradient overflowed
            what = "held-out loss"
            raise no_number(
                head.title, step - 1, named(picked), what=what, order=BY_FEATURES, remedy=OF_CRITIC
            )
        since_look.clear()
        curve[step] = {head.loss_name: taken.loss.item(), head.check_name: score}
        best.look(score)
        if best.looks_since >= settings.patience:
            break

    if settings.keep_best:
        module.load_state_dict(best.weights)
    return curve


def _look_ahead(
    ahead: LookAhead, rows: Int64[Tensor, "B"]
) -> tuple[Int64[Tensor, "B"], Float[Tensor, "B"], Float[Tensor, "B"]]:
    """(row, gain, discount) of these rows, on their device."""
    drawn, device = rows.cpu().numpy(), rows.device
    later = torch.from_numpy(ahead.row[drawn]).to(device)
    gain = torch.from_numpy(ahead.gain[drawn]).float().to(device)
    discount = torch.from_numpy(ahead.discount[drawn]).float().to(device)
    return later, gain, discount


def _all_of(rows: Int64[Tensor, "B"]) -> Tensor:
    """A mask that leaves none of these rows out."""
    return torch.ones(len(rows), dtype=torch.bool, device=rows.device)


def _thin_out(rows: Int64[np.ndarray, "M"], at_most: int = 2048) -> Int64[np.ndarray, "M2"]:
    """At most so many rows, evenly spaced."""
    if len(rows) <= at_most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, at_most).astype(int)]
