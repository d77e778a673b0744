"""HABC, as its algorithm box reads: demonstrations, a supervised policy, then rounds of collect, label, fit critic, weigh, fit policy.

    round-00   demonstrations ──> label ──> weigh (all 1) ──> fit policy ──> evaluate
    round-n    policy n-1 ──> collect (with rescues) ──> label ──> fit critic ──> weigh ──> fit policy ──> evaluate
    control    policy 0 ──> fit policy on demonstrations alone, for as many steps as all rounds together ──> evaluate

Every arrow is a stage from files to files: what is on disk is not made again, so a run that was killed goes on when it is started again.
HABC in simulation is supervision, worlds and improvement; fine-tuning from recordings is the improvement alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vantage.algorithms.improvement import Improvement, Improver
from vantage.algorithms.supervised import Supervision, sources_up_to, supervise_policy, train_control_policy, train_seed
from vantage.collect.compatible import check_compatible
from vantage.collect.observe import interface_in
from vantage.collect.pool import Pool, open_pool
from vantage.config import Whole, check
from vantage.data.experience import Experience, load_experience
from vantage.disk.layout import Round
from vantage.disk.record import write_record
from vantage.learn.step import Compute
from vantage.policies.build import PolicySpec
from vantage.policies.protocol import Interface
from vantage.policies.small.flow import FlowConfig
from vantage.stages.collect import Rollouts, collect_rollouts
from vantage.stages.evaluate import Evaluation, evaluate
from vantage.stages.label import label
from vantage.worlds.spec import WorldSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class HABCRun:
    """Everything that decides what a run does; its JSON form is recipe.json."""

    worlds: tuple[WorldSpec, ...]
    """The tasks, each a world."""
    seed: Whole = 0
    """Of demonstrations, rollouts and training; evaluation starts do not depend on it."""
    policy: PolicySpec = FlowConfig()
    supervision: Annotated[Supervision, tyro.conf.arg(name="")] = Supervision()
    """Round 0: demonstrations, and supervised fine-tuning on them."""
    rounds: Whole = 2
    rollouts: Rollouts = Rollouts()
    improvement: Annotated[Improvement, tyro.conf.arg(name="")] = Improvement()
    """What every later round makes of what it recorded."""
    evaluation: Evaluation = Evaluation()
    control: bool = True
    """Also give the supervised policy as many further steps on the demonstrations alone, and evaluate that."""
    compute: Compute = Compute()
    """On what policy and critic are trained; episodes are played on the CPU."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def check_compatible(self) -> None:
        """Raise VantageError where worlds, policy and operators do not fit together."""
        operators = [self.supervision.demonstrations.operator, *([self.rollouts.operator] if self.rounds else [])]
        check_compatible(self.policy, self.worlds, operators)

    @property
    def t_max(self) -> int:
        """The longest possible episode, in control steps: the limit and what rescues may add to it."""
        return max(world.limit for world in self.worlds) + self.rollouts.operator.extension

    @property
    def interface(self) -> Interface:
        """What the policy looks at and returns in these worlds."""
        return interface_in(self.policy, self.worlds[0])


def run_habc(run: Path, settings: HABCRun, *, workers: int) -> None:
    """Do whatever of the run is not on disk yet. Raises VantageError for settings that do not fit together, before anything is played."""
    settings.check_compatible()
    with open_pool(workers) as pool:
        supervise(run, settings, pool)
        for number in range(1, settings.rounds + 1):
            improve(run, number, settings, pool)
        if settings.control:
            train_control(run, settings, pool)


def supervise(run: Path, settings: HABCRun, pool: Pool) -> None:
    """Round 0: demonstrations, the supervised policy, and its evaluation."""
    here = Round.of(run, 0)
    supervise_round(here, settings, pool)
    evaluate_round(here, settings, pool)
    write_record(here.folder, settings.seed)


def supervise_round(here: Round, settings: HABCRun, pool: Pool) -> None:
    """Demonstrations, and the policy that imitates them."""
    supervise_policy(
        here,
        settings.worlds,
        settings.policy,
        settings.supervision,
        seed=settings.seed,
        pool=pool,
        labelling=settings.improvement.labelling,
        compute=settings.compute,
    )


def improve(run: Path, number: int, settings: HABCRun, pool: Pool) -> None:
    """Round n >= 1: one turn of HABC, and its evaluation."""
    here = Round.of(run, number)
    improve_policy(here, settings, pool)
    evaluate_round(here, settings, pool)
    write_record(here.folder, settings.seed)


def improve_policy(here: Round, settings: HABCRun, pool: Pool) -> None:
    """One turn of HABC: from the policy of the round before to a better one."""
    collect_round(here, settings, pool)
    label_round(here, settings)
    improver(here, settings).learn()


def collect_round(here: Round, settings: HABCRun, pool: Pool) -> None:
    """1-episodes, played by the policy of the round before."""
    collect_rollouts(
        here,
        settings.worlds,
        settings.rollouts,
        policy=before(here).actor,
        policy_version=version_entering(here, settings),
        seed=settings.seed,
        cameras=settings.interface.cameras,
        pool=pool,
    )


def label_round(here: Round, settings: HABCRun) -> None:
    """2-labels.parquet."""
    if not here.labels.exists():
        label(here.episodes, here.labels, demos=here.number == 0, settings=settings.improvement.labelling)


def experience_of(here: Round, settings: HABCRun) -> Experience:
    """Everything that a round trains on, read and checked."""
    return load_experience(sources_up_to(here, settings.interface))


def improver(here: Round, settings: HABCRun) -> Improver:
    """What turns a round's labelled episodes into a policy."""
    return Improver(
        here=here,
        entering=before(here).actor,
        sources=sources_up_to(here, settings.interface),
        spec=settings.policy,
        interface=settings.interface,
        settings=settings.improvement,
        t_max=settings.t_max,
        version=version_entering(here, settings),
        seed=settings.seed,
        train_seed=train_seed(here, settings.seed),
        compute=settings.compute,
    )


def evaluate_round(here: Round, settings: HABCRun, pool: Pool) -> None:
    """6-eval.parquet."""
    evaluate(here.actor, here.evaluation, settings.worlds, settings.evaluation, pool=pool, title=f"evaluation, round {here.number}")


def train_control(run: Path, settings: HABCRun, pool: Pool) -> None:
    """The fair comparison: the supervised policy with as many further gradient steps, on the demonstrations alone."""
    control = Round.control(run)
    fit = settings.improvement.fit
    train_control_policy(
        Round.of(run, 0),
        control.actor,
        settings.interface,
        fit,
        rounds=settings.rounds,
        seed=settings.seed,
        compute=settings.compute,
    )
    evaluate(control.actor, control.evaluation, settings.worlds, settings.evaluation, pool=pool, title="evaluation, control")
    write_record(control.folder, settings.seed)


def before(here: Round) -> Round:
    """The round whose policy enters this one."""
    return Round.of(here.run, here.number - 1)


def version_entering(here: Round, settings: HABCRun) -> int:
    """Policy updates since the supervised checkpoint, when the round begins; where every round begins anew, of all rounds before."""
    return max(here.number - 1, 0) * settings.improvement.fit.steps
