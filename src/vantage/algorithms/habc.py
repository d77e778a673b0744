"""HABC, as its algorithm box reads: demonstrations, a supervised policy, then rounds of collect, label, fit critic, weigh, fit actor.

    round-00   demonstrations ──> label ──> weigh (all 1) ──> fit actor ──> evaluate
    round-n    actor n-1 ──> collect (with rescues) ──> label ──> fit critic ──> weigh ──> fit actor ──> evaluate
    control    actor 0 ──> fit actor on demonstrations alone, for as many steps as all rounds together ──> evaluate

Every arrow is a stage from files to files: what is on disk is not made again, so a run that was killed goes on when it is started again.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from vantage.algorithms.interleaved import Interleaved, fit_interleaved
from vantage.collect.pool import Pool, open_pool
from vantage.config import Whole, check
from vantage.core.weights import Uniform
from vantage.data.experience import Experience, load_experience
from vantage.disk.layout import Round, Source
from vantage.disk.record import write_record
from vantage.learn.critic.fit import CriticFit
from vantage.learn.parent import ParentFit
from vantage.nets.vla import Pixels
from vantage.policies.load import SmallConfig, build_policy, load_policy
from vantage.policies.protocol import Policy
from vantage.policies.small.flow import FlowConfig
from vantage.seeding import seed_for
from vantage.stages.collect import Demonstrations, Rollouts, collect_demonstrations, collect_rollouts
from vantage.stages.evaluate import Evaluation, evaluate
from vantage.stages.fit_critic import fit_critic
from vantage.stages.fit_policy import ActorFit, fit_actor
from vantage.stages.label import Labelling, label
from vantage.stages.weigh import Weighing, weigh
from vantage.types import VantageError
from vantage.worlds.spec import WorldSpec


@dataclass(frozen=True, slots=True)
class Staged:
    """The default schedule: the critic first, on held-out episodes; then the weights, on disk; then the actor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HABCRun:
    """Everything that decides what a run does; its JSON form is recipe.json."""

    worlds: tuple[WorldSpec, ...]
    """The tasks, each a world."""
    seed: Whole = 0
    """Of demonstrations, rollouts and training; evaluation starts do not depend on it."""
    actor: SmallConfig = FlowConfig()
    demonstrations: Demonstrations = Demonstrations()
    supervised: ActorFit = ActorFit()
    """Round 0: supervised fine-tuning (SFT)."""
    rounds: Whole = 2
    rollouts: Rollouts = Rollouts()
    labelling: Labelling = Labelling()
    critic: CriticFit = CriticFit()
    parent: ParentFit = ParentFit()
    """The one critic of Imit-Recap and AWR; trained only for them."""
    schedule: Staged | Interleaved = Staged()
    weighing: Weighing = Weighing()
    fit: ActorFit = ActorFit()
    """The actor's training in every later round."""
    anew: bool = False
    """Beyond the paper: every round trains a policy from its first weights on all that was gathered, instead of training the policy of the
    round before further (Ash and Adams 2020, arXiv 1910.08475). The critic still looks through the policy that played the round."""
    evaluation: Evaluation = Evaluation()
    control: bool = True
    """Also give the supervised policy as many further steps on the demonstrations alone, and evaluate that."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    @property
    def t_max(self) -> int:
        """The longest possible episode, in control steps: the limit and what rescues may add to it."""
        return max(w.limit for w in self.worlds) + self.rollouts.operator.extension

    @property
    def frame_size(self) -> int | None:
        """Side of the policy's pictures; None if it looks at none."""
        sight = self.actor.net.sight
        return sight.size if isinstance(sight, Pixels) else None


def run_habc(run: Path, settings: HABCRun, *, workers: int) -> None:
    """Do whatever of the run is not on disk yet."""
    with open_pool(workers) as pool:
        supervise(run, settings, pool)
        for number in range(1, settings.rounds + 1):
            improve(run, number, settings, pool)
        if settings.control:
            train_control(run, settings, pool)


def supervise(run: Path, settings: HABCRun, pool: Pool) -> None:
    """Round 0: demonstrations, the supervised policy, and its evaluation."""
    here = Round.of(run, 0)
    supervise_policy(here, settings, pool)
    evaluate_round(here, settings, pool)
    write_record(here.folder, settings.seed)


def supervise_policy(here: Round, settings: HABCRun, pool: Pool) -> None:
    """Demonstrations, and the policy that imitates them."""
    collect_demonstrations(
        here,
        settings.worlds,
        settings.demonstrations,
        seed=settings.seed,
        pictures=settings.frame_size is not None,
        frame_size=settings.frame_size,
        pool=pool,
    )
    label_round(here, settings)
    weigh_round(here, settings)
    fit_round_actor(here, settings)


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
    learn_round(here, settings)


def learn_round(here: Round, settings: HABCRun) -> None:
    """From labelled episodes to a policy: critic, weights and actor, in the order of the schedule."""
    match settings.schedule:
        case Staged():
            fit_round_critic(here, settings)
            weigh_round(here, settings)
            fit_round_actor(here, settings)
        case Interleaved():
            fit_round_together(here, settings, settings.schedule)
            weigh_round(here, settings)


def collect_round(here: Round, settings: HABCRun, pool: Pool) -> None:
    """1-episodes, played by the policy of the round before."""
    collect_rollouts(
        here,
        settings.worlds,
        settings.rollouts,
        actor=before(here),
        policy_version=version_entering(here, settings),
        seed=settings.seed,
        pictures=settings.frame_size is not None,
        frame_size=settings.frame_size,
        pool=pool,
    )


def label_round(here: Round, settings: HABCRun) -> None:
    """2-labels.parquet."""
    if not here.labels.exists():
        label(here.episodes, here.labels, demos=here.number == 0, settings=settings.labelling)


def fit_round_critic(here: Round, settings: HABCRun) -> None:
    """3-critic, on the features of the actor that entered the round."""
    if here.critic.exists() or not settings.weighing.reads_values:
        return
    actor = load_policy(before(here).actor)
    parent = settings.parent if settings.weighing.rule.reads_parent else None
    replay, seed = replay_of(here, settings), train_seed(here, settings)
    fit_critic(replay, actor, here.critic, settings.critic, t_max=settings.t_max, seed=seed, parent=parent)


def weigh_round(here: Round, settings: HABCRun) -> None:
    """4-weights.parquet: of everything this round trains on."""
    if here.weights.exists():
        return
    supervised = here.number == 0
    how = Weighing(rule=Uniform()) if supervised else settings.weighing
    critic = here.critic if how.reads_values else None
    version = clock_of_staleness(here, settings)
    chunk = settings.actor.net.chunk
    weigh(replay_of(here, settings), critic, here.weights, how, horizon=chunk, policy_version=version, parent=settings.parent)


def fit_round_actor(here: Round, settings: HABCRun) -> None:
    """5-actor: trained on from the policy of the round before; in round 0, and where every round begins anew, from its first weights."""
    if here.actor.exists():
        return
    replay = replay_of(here, settings)
    how, title = (settings.fit, f"actor, round {here.number}") if here.number else (settings.supervised, "supervised policy")
    actor = actor_to_train(here, settings, replay)
    fit_actor(replay, here.weights, actor, here.actor, how, seed=train_seed(here, settings), title=title)


def fit_round_together(here: Round, settings: HABCRun, schedule: Interleaved) -> None:
    """3-critic and 5-actor by the interleaved schedule."""
    if here.critic.exists() and here.actor.exists():
        return
    replay = replay_of(here, settings)
    fit_interleaved(
        replay,
        actor_to_train(here, settings, replay),
        here.critic,
        here.actor,
        schedule,
        settings.weighing,
        settings.fit,
        settings.critic,
        t_max=settings.t_max,
        policy_version=clock_of_staleness(here, settings),
        seed=train_seed(here, settings),
    )


def evaluate_round(here: Round, settings: HABCRun, pool: Pool) -> None:
    """6-eval.parquet."""
    evaluate(here.actor, here.evaluation, settings.worlds, settings.evaluation, pool=pool, title=f"evaluation, round {here.number}")


def train_control(run: Path, settings: HABCRun, pool: Pool) -> None:
    """The fair comparison: the supervised policy with as many further gradient steps, on the demonstrations alone."""
    folder = run / "control-sft"
    train_control_policy(run, folder, settings, rounds=settings.rounds)
    evaluate(folder / "5-actor", folder / "6-eval.parquet", settings.worlds, settings.evaluation, pool=pool, title="evaluation, control")
    write_record(folder, settings.seed)


def train_control_policy(run: Path, folder: Path, settings: HABCRun, *, rounds: int) -> None:
    """`folder`/5-actor: the policy of round 0 after as many further steps on its demonstrations as `rounds` rounds have."""
    start = Round.of(run, 0)
    steps = settings.fit.steps * rounds
    if not (folder / "5-actor").exists():
        how = replace(settings.fit, steps=steps)
        seed = seed_for("control", settings.seed)
        actor = load_policy(start.actor)
        fit_actor(replay_of(start, settings), start.weights, actor, folder / "5-actor", how, seed=seed, title="control: more SFT")


def replay_of(here: Round, settings: HABCRun) -> Experience:
    """Everything a round trains on: the demonstrations, and every round up to this one."""
    size = settings.frame_size
    sources: list[Source] = []
    for number in range(here.number + 1):
        past = Round.of(here.run, number)
        sources.append(Source(number, past.episodes, past.labels, None if size is None else past.frames(size)))
    return load_experience(sources)


def actor_to_train(here: Round, settings: HABCRun, replay: Experience) -> Policy:
    """The policy with which a round's training begins."""
    return fresh_actor(settings, replay) if here.number == 0 or settings.anew else load_policy(before(here).actor)


def fresh_actor(settings: HABCRun, replay: Experience) -> Policy:
    """An untrained policy whose scales come from what it will be trained on."""
    actor = build_policy(settings.actor, seed_for("initial weights", settings.seed))
    data = replay.loader(actor.chunk, ())
    if data.action.shape[1] != actor.action_dim:
        raise VantageError(
            f"the policy has {actor.action_dim} action dimensions and the demonstrations have {data.action.shape[1]}; "
            "set actor.net.action_dim"
        )
    actor.fit_normaliser(data.state, data.action, data.environment_state)
    return actor


def before(here: Round) -> Round:
    """The round whose policy enters this one."""
    return Round.of(here.run, here.number - 1)


def version_entering(here: Round, settings: HABCRun) -> int:
    """Actor updates since the supervised checkpoint, when the round begins; where every round begins anew, of all rounds before."""
    return max(here.number - 1, 0) * settings.fit.steps


def clock_of_staleness(here: Round, settings: HABCRun) -> int:
    """Actor updates so far, against which rollouts go stale; a policy that is trained anew has no past that they could be too far from."""
    return 0 if settings.anew else version_entering(here, settings)


def train_seed(here: Round, settings: HABCRun) -> int:
    """Seed of everything learned in a round."""
    return seed_for("training", settings.seed, here.number)
