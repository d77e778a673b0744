"""HABC, as its algorithm box reads: demonstrations, a supervised policy, then rounds of improvement.

    round-00   demonstrations ──> label ──> weigh (all 1) ──> fit policy ──> evaluate
    round-n    policy n-1 ──> collect (with rescues) ──> label
               ──> fit critic ──> weigh ──> fit policy ──> evaluate
    control    policy 0 ──> fit policy on demonstrations alone, for as many steps as all rounds ──> evaluate

Every arrow is a stage from files to files: what is on disk is not made again, so a run that was killed goes
on when it is started again. HABC in simulation is supervision, worlds and improvement; fine-tuning from
recordings is the improvement alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vantage.algorithms.improvement import Improvement, Improver
from vantage.algorithms.made import check_run, note_made
from vantage.algorithms.supervised import (
    Supervision,
    label_round,
    sources_up_to,
    supervise_policy,
    train_control_policy,
    train_seed,
)
from vantage.bounds import Whole, check
from vantage.collect.cluster import Ray
from vantage.collect.compatible import check_compatible
from vantage.collect.exploration import DoubtfulStart
from vantage.collect.observe import interface_in
from vantage.collect.operators import NoOne, OperatorSpec, Rescue, Rescues
from vantage.collect.pool import Pool, open_pool
from vantage.data.experience import Experience, load_experience
from vantage.disk.layout import Round
from vantage.disk.record import write_record
from vantage.errors import VantageError
from vantage.learn.critic.steering import NoiseSteering
from vantage.learn.step import Compute
from vantage.policies.build import PolicySpec
from vantage.policies.protocol import Interface
from vantage.policies.small.flow import FlowConfig
from vantage.stages.collect import Rollouts, collect_rollouts
from vantage.stages.evaluate import Evaluation, evaluate
from vantage.stages.fit_chunk_critic import fit_chunk_critic
from vantage.stages.fit_steering import fit_steering
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
    rescues: Rescues = "all"
    """In which rollouts the operator stands by: all; half of them, drawn by the episode's seed; none, where
    the outcome is all that is learned from."""
    improvement: Annotated[Improvement, tyro.conf.arg(name="")] = Improvement()
    """What every later round makes of what it recorded."""
    evaluation: Evaluation = Evaluation()
    control: bool = True
    """Also train the supervised policy for as many further steps on the demonstrations alone, and evaluate
    it."""
    compute: Compute = Compute()
    """On what policy and critic are trained, and on what policies act."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def check_compatible(self) -> None:
        """Raise VantageError where worlds, policy and operators do not fit, or where a device is missing."""
        self.compute.torch_device()

        operators = [self.supervision.demonstrations.operator]
        if self.rounds:
            operators.append(self.operator)
        noises = [self.evaluation.noise]
        if self.rounds:
            noises += [self.rollouts.noise, *self.rollouts.exploration.noises]
        check_compatible(self.policy, self.worlds, operators, noises)
        if isinstance(self.evaluation.steering, NoiseSteering) and not isinstance(self.policy, FlowConfig):
            raise VantageError(
                f"evaluation.steering NoiseSteering chooses the noise of a FlowConfig, and the policy is a "
                f"{type(self.policy).__name__}; give ChunkEdits, or leave evaluation.steering unset"
            )
        self._check_exploration()
        self._check_dimensions()
        self._check_taught()

    def _check_exploration(self) -> None:
        """Raise VantageError where rollouts would explore by what policy, rule or operator do not have."""
        explored = self.rollouts.exploration
        chunk = self.interface.chunk
        if too_long := [steps for steps in explored.executes if steps > chunk]:
            raise VantageError(
                f"rollouts.exploration.executes has {too_long[0]} steps of a chunk, and the policy predicts "
                f"{chunk}; give {chunk} at most"
            )
        if isinstance(explored.starts, DoubtfulStart) and not self.improvement.weighing.reads_values:
            rule = type(self.improvement.weighing.rule).__name__
            raise VantageError(
                f"doubtful starts are chosen by a critic, and {rule} trains none; "
                "give another rollouts.exploration.starts, or a rule with a critic (HABC)"
            )

    def _check_dimensions(self) -> None:
        """Raise VantageError for action dimensions that the worlds do not have."""
        count = self.worlds[0].inputs.action_dim
        for setting, fit in (("supervised", self.supervision.supervised), ("fit", self.improvement.fit)):
            strange = [name for name in fit.human_actions if name not in map(str, range(count))]
            if strange:
                raise VantageError(
                    f"{setting}.human_actions names {strange[0]!r}, and the actions of "
                    f"{self.worlds[0].task} are numbered 0 to {count - 1}; name some of those"
                )

    def _check_taught(self) -> None:
        """Raise VantageError where the policy would be taught actions of a rescue that were its own."""
        operator = self.operator
        if not isinstance(operator, Rescue) or not operator.actions:
            return

        wanted = [str(number) for number in sorted(operator.actions)]
        taught = self.improvement.fit.human_actions
        if sorted(taught) != sorted(wanted):
            numbers = " ".join(wanted)
            raise VantageError(
                f"the rescuer commands action dimensions {numbers}, and rescues would teach "
                f"{' '.join(taught) or 'all'}; give improvement.fit.human_actions the same numbers (and "
                "improvement.fit.whole_demonstrations, where demonstrations command every dimension)"
            )

    @property
    def operator(self) -> OperatorSpec:
        """Who may rescue: the operator of the rollouts, or nobody."""
        return NoOne() if self.rescues == "none" else self.rollouts.operator

    @property
    def t_max(self) -> int:
        """The longest possible episode, in control steps: the limit and what rescues may add to it."""
        return max(world.limit for world in self.worlds) + self.operator.extension

    @property
    def interface(self) -> Interface:
        """What the policy looks at and returns in these worlds."""
        return interface_in(self.policy, self.worlds[0])


def run_habc(run: Path, settings: HABCRun, *, workers: int | Ray) -> None:
    """Do whatever of the run is not on disk yet.

    Raises VantageError for settings that do not fit together, and where what is on disk is not what was made
    there, before anything is played.
    """
    settings.check_compatible()
    check_run(run)
    with open_pool(workers) as pool:
        supervise(run, settings, pool)
        for number in range(1, settings.rounds + 1):
            improve(run, number, settings, pool)
        if settings.control:
            train_control(run, settings, pool)


def supervise(run: Path, settings: HABCRun, pool: Pool) -> None:
    """Round 0: demonstrations, the supervised policy, and its evaluation."""
    current = Round.of(run, 0)
    supervise_round(current, settings, pool)
    evaluate_round(current, settings, pool)
    write_record(current.folder, settings.seed)


def supervise_round(current: Round, settings: HABCRun, pool: Pool) -> None:
    """Demonstrations, and the policy that imitates them."""
    supervise_policy(
        current,
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
    current = Round.of(run, number)
    improve_policy(current, settings, pool)
    evaluate_round(current, settings, pool)
    write_record(current.folder, settings.seed)


def improve_policy(current: Round, settings: HABCRun, pool: Pool) -> None:
    """One turn of HABC: from the policy of the round before to a better one."""
    collect_round(current, settings, pool)
    label_round(current, settings.improvement.labelling)
    improver(current, settings).learn()


def collect_round(current: Round, settings: HABCRun, pool: Pool) -> None:
    """1-episodes, played by the policy of the round before."""
    collect_rollouts(
        current,
        settings.worlds,
        settings.rollouts,
        policy=before(current).actor,
        policy_version=version_entering(current, settings),
        seed=settings.seed,
        cameras=settings.interface.cameras,
        pool=pool,
        device=settings.compute.acting,
        rescues=settings.rescues,
    )
    note_made(current)


def experience_of(current: Round, settings: HABCRun) -> Experience:
    """Everything that a round trains on, read and checked."""
    return load_experience(sources_up_to(current, settings.interface))


def improver(current: Round, settings: HABCRun) -> Improver:
    """What turns a round's labelled episodes into a policy."""
    return Improver(
        current=current,
        entering=before(current).actor,
        sources=sources_up_to(current, settings.interface),
        spec=settings.policy,
        interface=settings.interface,
        settings=settings.improvement,
        t_max=settings.t_max,
        version=version_entering(current, settings),
        seed=settings.seed,
        train_seed=train_seed(current, settings.seed),
        compute=settings.compute,
    )


def evaluate_round(current: Round, settings: HABCRun, pool: Pool) -> None:
    """6-eval.parquet, and before it the critic that chooses when acting, or what leads the policy, where one
    is asked for."""
    if current.number:
        fit_acting(current, current, settings, settings.evaluation)
    _evaluate(current, settings, pool, title=f"evaluation, round {current.number}")


def fit_acting(trained: Round, kept: Round, settings: HABCRun, tried: Evaluation) -> None:
    """What stands beside the policy of the round `trained` when it is `tried`, if anything does: a critic
    that chooses, or what leads it, on all that was recorded up to there. It is kept in the folder of `kept`.
    """
    if tried.best_of is None and tried.steering is None:
        return

    sources, seed = sources_up_to(trained, settings.interface), train_seed(trained, settings.seed)
    fit_chunk_critic(
        sources,
        trained.actor,
        kept.acting_critic,
        settings.improvement.chunk_critic,
        t_max=settings.t_max,
        seed=seed,
        compute=settings.compute,
    )
    note_made(kept)
    if tried.steering is not None:
        fit_steering(
            sources,
            trained.actor,
            kept.acting_critic,
            kept.steering,
            tried.steering,
            noise=tried.noise,
            seed=seed,
            compute=settings.compute,
        )
        note_made(kept)


def train_control(run: Path, settings: HABCRun, pool: Pool) -> None:
    """The control: the supervised policy after as many further gradient steps on the demonstrations alone."""
    control = Round.control(run)
    train_control_policy(
        Round.of(run, 0),
        control.actor,
        settings.interface,
        settings.improvement.fit,
        rounds=settings.rounds,
        seed=settings.seed,
        compute=settings.compute,
    )

    _evaluate(control, settings, pool, title="evaluation, control")
    write_record(control.folder, settings.seed)


def _evaluate(tried: Round, settings: HABCRun, pool: Pool, *, title: str) -> None:
    evaluate(
        tried.actor,
        tried.evaluation,
        settings.worlds,
        settings.evaluation,
        pool=pool,
        title=title,
        device=settings.compute.acting,
        chunk_critic=tried.acting_critic if tried.acting_critic.is_dir() else None,
        steering=tried.steering if tried.steering.is_dir() else None,
    )
    note_made(tried)


def before(current: Round) -> Round:
    """The round whose policy enters this one."""
    return Round.of(current.run, current.number - 1)


def version_entering(current: Round, settings: HABCRun) -> int:
    """Policy updates since the supervised checkpoint, when the round begins.

    With training from scratch each round: those of all rounds before.
    """
    return max(current.number - 1, 0) * settings.improvement.fit.steps
