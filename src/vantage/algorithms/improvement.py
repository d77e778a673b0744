"""From labelled frames to a better policy: critic, weights, fit. From simulation and from recordings alike.

    Staged        3-critic, held-out episodes aside ──> 4-weights.parquet ──> 5-actor
    Interleaved   critic and policy in the same update (the paper's Algorithm 1) ──> 4-weights.parquet

Every product of the staged schedule is on disk before it is used; the weights of the interleaved one are for
reading. Methods differ in one value of `Improvement`: HABC, HABC-V, IR, Imit-Recap, AWR, filtered BC,
rejection targets and exponential weights in `weighing.rule`. The last two read 3-chunk-critic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vantage.algorithms.interleaved import Interleaved, fit_interleaved
from vantage.algorithms.made import INTERLEAVED, note_made
from vantage.disk.layout import Round, Source
from vantage.learn.critic.chunks import ChunkCriticFit
from vantage.learn.critic.fit import CriticFit
from vantage.learn.parent import ParentFit
from vantage.learn.start import FromCheckpoint, FromScratch
from vantage.learn.step import Compute
from vantage.policies.build import PolicySpec
from vantage.policies.protocol import Interface
from vantage.seeding import seed_for
from vantage.stages.fit_chunk_critic import fit_chunk_critic
from vantage.stages.fit_critic import fit_critic
from vantage.stages.fit_policy import PolicyFit, fit_policy
from vantage.stages.label import Labelling
from vantage.stages.weigh import Weighing, weigh


@dataclass(frozen=True, slots=True)
class Staged:
    """The default schedule: the critic first, held-out episodes aside; then the weights; then the policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Improvement:
    """How a round's experience improves the policy."""

    labelling: Labelling = Labelling()
    critic: CriticFit = CriticFit()
    parent: ParentFit = ParentFit()
    """The one critic of Imit-Recap and AWR; trained only for them."""
    chunk_critic: ChunkCriticFit = ChunkCriticFit()
    """The critic of states and chunks; trained only for rules that choose among chunks or weigh them."""
    schedule: Staged | Interleaved = Staged()
    weighing: Weighing = Weighing()
    fit: PolicyFit = PolicyFit()
    """The policy's training in every round."""
    from_scratch: bool = False
    """Beyond the paper: training from scratch each round, on all that was gathered, instead of training the
    policy of the round before further (Ash and Adams 2020, arXiv 1910.08475; RECAP does it). The critic still
    looks through the policy that played the round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Improver:
    """One round's improvement: what it learns from, where it begins, and what it writes."""

    current: Round
    """The round that is written."""
    entering: Path
    """Checkpoint of the policy that played the round; the critic reads its features."""
    sources: Sequence[Source]
    """The labelled data sets that the round trains on."""
    spec: PolicySpec
    interface: Interface
    """What the policy looks at and returns."""
    settings: Improvement
    t_max: int
    """The longest possible episode, in control steps."""
    version: int
    """Policy updates so far, since the supervised checkpoint."""
    seed: int
    """Of the whole run; initial weights come from it."""
    train_seed: int
    """Of everything learned in this round."""
    compute: Compute = Compute()
    """On what critic and policy are trained."""

    def learn(self) -> None:
        """Do whatever of the improvement is not on disk yet, in the order of the schedule."""
        match self.settings.schedule:
            case Staged():
                self.fit_critic()
                self.fit_chunk_critic()
                self.weigh()
                self.fit_policy()
            case Interleaved():
                self.fit_together(self.settings.schedule)
                self.weigh()

    def fit_critic(self) -> None:
        """3-critic, on the features of the policy that entered; none for rules that need no values."""
        weighing = self.settings.weighing
        if not weighing.reads_values:
            return

        fit_critic(
            self.sources,
            self.entering,
            self.current.critic,
            self.settings.critic,
            t_max=self.t_max,
            seed=self.train_seed,
            parent=self.settings.parent if weighing.rule.reads_parent else None,
            compute=self.compute,
        )
        note_made(self.current)

    def fit_chunk_critic(self) -> None:
        """3-chunk-critic, for rules that need chunks judged."""
        count = self.settings.weighing.rule.judged_chunks
        if not count:
            return

        fit_chunk_critic(
            self.sources,
            self.entering,
            self.current.chunk_critic,
            self.settings.chunk_critic,
            t_max=self.t_max,
            seed=self.train_seed,
            compute=self.compute,
            judged_chunks=count,
        )
        note_made(self.current)

    def weigh(self) -> None:
        """4-weights.parquet: of everything this round trains on."""
        weighing = self.settings.weighing
        weigh(
            self.sources,
            self.current.critic if weighing.reads_values else None,
            self.current.weights,
            weighing,
            horizon=self.interface.chunk,
            policy_version=self.clock,
            parent=self.settings.parent,
            chunk_critic=self.current.chunk_critic if weighing.rule.judged_chunks else None,
        )
        note_made(self.current)

    def fit_policy(self) -> None:
        """5-actor: the entering policy trained further, or a new one (`Improvement.from_scratch`)."""
        fit_policy(
            self.sources,
            self.current.weights,
            self.start,
            self.current.actor,
            self.settings.fit,
            seed=self.train_seed,
            title=f"policy, round {self.current.number}",
            compute=self.compute,
            chunk_critic=self.current.chunk_critic if self.settings.weighing.rule.relabels else None,
        )
        note_made(self.current)

    def fit_together(self, schedule: Interleaved) -> None:
        """3-critic and 5-actor by the interleaved schedule."""
        fit_interleaved(
            self.sources,
            self.start,
            self.current.critic,
            self.current.actor,
            schedule,
            self.settings.weighing,
            self.settings.fit,
            self.settings.critic,
            t_max=self.t_max,
            policy_version=self.clock,
            seed=self.train_seed,
            compute=self.compute,
        )
        note_made(self.current, critic=INTERLEAVED, actor=INTERLEAVED)

    @property
    def start(self) -> FromCheckpoint | FromScratch:
        """Where the round's training begins."""
        if self.settings.from_scratch:
            return FromScratch(self.spec, seed_for("initial weights", self.seed))
        return FromCheckpoint(self.entering)

    @property
    def clock(self) -> int:
        """Policy updates against which rollouts go stale; 0 for a policy trained from scratch.

        It has no past that they could be too far from.
        """
        return 0 if self.settings.from_scratch else self.version
