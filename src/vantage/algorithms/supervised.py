"""Supervised fine-tuning, which every algorithm here begins with: demonstrations, and the policy that imitates them.

    worlds, operator ──collect──> 1-episodes ──label──> weigh (all 1) ──fit──> 5-actor

Its control is the same policy trained for more steps on the same demonstrations: what extra gradient steps alone are worth.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from vantage.collect.observe import interface_in
from vantage.collect.pool import Pool
from vantage.core.weights import Uniform
from vantage.disk.layout import Round, Source
from vantage.learn.start import FromCheckpoint, FromScratch
from vantage.learn.step import Compute
from vantage.policies.build import PolicySpec
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
    here: Round,
    worlds: tuple[WorldSpec, ...],
    spec: PolicySpec,
    settings: Supervision,
    *,
    seed: int,
    pool: Pool,
    labelling: Labelling = Labelling(),
    compute: Compute = Compute(),
) -> None:
    """Do whatever of round 0 is not on disk yet: demonstrations, labels, weights, and the policy that imitates them."""
    interface = interface_in(spec, worlds[0])
    collect_demonstrations(here, worlds, settings.demonstrations, seed=seed, cameras=interface.cameras, pool=pool)
    if not here.labels.exists():
        label(here.episodes, here.labels, demos=True, settings=labelling)
    weigh_demonstrations(here, interface)
    fit_supervised(here, spec, interface, settings.supervised, seed=seed, compute=compute)


def weigh_demonstrations(here: Round, interface: Interface) -> None:
    """4-weights.parquet of round 0: every demonstration counts 1."""
    sources = sources_up_to(here, interface)
    weigh(sources, None, here.weights, Weighing(rule=Uniform()), horizon=interface.chunk, policy_version=0)


def fit_supervised(
    here: Round,
    spec: PolicySpec,
    interface: Interface,
    fit: PolicyFit,
    *,
    seed: int,
    compute: Compute = Compute(),
) -> None:
    """5-actor of round 0: a new policy, trained on the demonstrations."""
    fit_policy(
        sources_up_to(here, interface),
        here.weights,
        FromScratch(spec, seed_for("initial weights", seed)),
        here.actor,
        fit,
        seed=train_seed(here, seed),
        title="supervised policy",
        compute=compute,
    )


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
    """`out`: the policy of round 0 after as many further steps on its demonstrations as `rounds` rounds of `fit` have."""
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


def sources_up_to(here: Round, interface: Interface) -> list[Source]:
    """Everything that a round may train on: the demonstrations, and every round up to this one, with the pictures that are looked at."""
    cameras = interface.cameras
    rounds = [Round.of(here.run, number) for number in range(here.number + 1)]
    return [Source(past.number, past.episodes, past.labels, past.frames(cameras) if cameras else None) for past in rounds]


def train_seed(here: Round, seed: int) -> int:
    """Seed of everything learned in a round."""
    return seed_for("training", seed, here.number)
