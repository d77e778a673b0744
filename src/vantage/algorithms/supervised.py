"""Supervised fine-tuning, with which every algorithm begins: a policy that imitates demonstrations.

    worlds, operator ──collect──> 1-episodes ──label──> weigh (all 1) ──fit──> 5-actor

Its control is the same policy trained for more steps on the same demonstrations: it shows what extra gradient
steps alone are worth.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vantage import ranks
from vantage.algorithms.made import note_made
from vantage.collect.observe import facts_of_world, interface_in
from vantage.collect.operators import DemonstrateFrom
from vantage.collect.pool import Pool
from vantage.collect.recorded import check_recorded
from vantage.core.weights import Uniform
from vantage.disk.layout import Round, Source
from vantage.learn.start import FromCheckpoint, FromScratch
from vantage.learn.step import Compute
from vantage.policies.build import PolicySpec, build_policy
from vantage.policies.lerobot import LeRobotScratch
from vantage.policies.protocol import Interface
from vantage.seeding import seed_for
from vantage.stages.collect import Demonstrations, collect_demonstrations
from vantage.stages.fit_policy import PolicyFit, fit_policy
from vantage.stages.label import Labelling, label
from vantage.stages.weigh import Weighing, weigh
from vantage.worlds.spec import WorldSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """Round 0: demonstrations, and the policy that imitates them (SFT)."""

    demonstrations: Demonstrations = Demonstrations()
    supervised: PolicyFit = PolicyFit()
    """How long the policy is trained on them, and by what."""


def supervise_policy(
    current: Round,
    worlds: tuple[WorldSpec, ...],
    spec: PolicySpec,
    settings: Supervision,
    *,
    seed: int,
    pool: Pool,
    labelling: Labelling = Labelling(),
    compute: Compute = Compute(),
) -> None:
    """Do whatever of round 0 is not on disk yet: demonstrations, labels, weights, supervised policy."""
    interface = interface_in(spec, worlds[0])
    demonstrations = settings.demonstrations
    if not current.episodes.exists():
        check_beginning(worlds, spec, settings, seed=seed)
    collect_demonstrations(current, worlds, demonstrations, seed=seed, cameras=interface.cameras, pool=pool)
    note_made(current)

    label_round(current, labelling)
    weigh_demonstrations(current, interface)
    fit_supervised(current, spec, interface, settings.supervised, seed=seed, compute=compute)


def check_beginning(
    worlds: tuple[WorldSpec, ...], spec: PolicySpec, settings: Supervision, *, seed: int
) -> None:
    """Raise VantageError for what would show only after the demonstrations, or while they are brought."""
    if isinstance(spec, LeRobotScratch):
        # What LeRobot refuses, or would fetch from a network, shows only when it builds the policy.
        build_policy(spec, seed, facts_of_world(worlds[0]))
    demonstrations = settings.demonstrations
    if isinstance(demonstrations.operator, DemonstrateFrom):
        interface = interface_in(spec, worlds[0])
        check_recorded(demonstrations.operator, worlds, interface, demonstrations.per_world)


def label_round(current: Round, labelling: Labelling) -> None:
    """2-labels.parquet, where it is not there yet."""
    _label(current, labelling)
    note_made(current)


@ranks.first_alone
def _label(current: Round, labelling: Labelling) -> None:
    if not current.labels.exists():
        demos = current.number == 0
        label(current.episodes, current.labels, demos=demos, settings=labelling, judged_by_world=True)


def weigh_demonstrations(current: Round, interface: Interface) -> None:
    """4-weights.parquet of round 0: every demonstration counts 1."""
    weigh_sources(sources_up_to(current, interface), current.weights, interface)
    note_made(current)


def weigh_sources(sources: Sequence[Source], out: Path, interface: Interface) -> None:
    """Weights for imitation: every frame of a demonstration counts 1."""
    weigh(sources, None, out, Weighing(rule=Uniform()), horizon=interface.chunk, policy_version=0)


def fit_supervised(
    current: Round,
    spec: PolicySpec,
    interface: Interface,
    fit: PolicyFit,
    *,
    seed: int,
    compute: Compute = Compute(),
) -> None:
    """5-actor of round 0: a new policy, trained on the demonstrations."""
    fit_policy(
        sources_up_to(current, interface),
        current.weights,
        FromScratch(spec, seed_for("initial weights", seed)),
        current.actor,
        fit,
        seed=train_seed(current, seed),
        title="supervised policy",
        compute=compute,
    )
    note_made(current)


def train_control_policy(
    start: Round,
    out: Path,
    interface: Interface,
    fit: PolicyFit,
    *,
    rounds: int,
    seed: int,
    compute: Compute = Compute(),
) -> None:
    """Train the policy of round 0 further on its demonstrations, as long as `rounds` rounds of `fit` do.

    `out`: the checkpoint that is written.
    """
    fit_policy(
        sources_up_to(start, interface),
        start.weights,
        FromCheckpoint(start.actor),
        out,
        replace(fit, steps=fit.steps * rounds),
        seed=seed_for("control", seed),
        title="control: more SFT",
        compute=compute,
    )
    note_made(Round(out.parent))


def sources_up_to(current: Round, interface: Interface) -> list[Source]:
    """Everything that a round may train on: the demonstrations, and every round up to this one.

    With the pictures that the policy looks at.
    """
    cameras = interface.cameras
    sources: list[Source] = []
    for number in range(current.number + 1):
        past = Round.of(current.run, number)
        frames = past.frames(cameras) if cameras else None
        sources.append(Source(number, past.episodes, past.labels, frames))
    return sources


def train_seed(current: Round, seed: int) -> int:
    """Seed of everything learned in a round."""
    return seed_for("training", seed, current.number)
