"""Recordings and a policy in, a better policy out: HABC's improvement without a simulator.

    demonstrations ──label (all succeeded)──────┐
    rollouts, who drove, outcomes ──label───────┼──> critic ──> weights ──> policy
    policy: a checkpoint, or a type from scratch ┘

The folder is that of any run (disk/layout.py):

    runs/arm/
      recipe.json      every setting
      start/           the policy that enters: a checkpoint as it fits these recordings, or one trained on
                       demonstrations
      round-00/ ...    a round for every data set, in the order given, demonstrations first: 1-episodes (a
                       link, the data set is never written to), 2-labels.parquet
      round-NN/        the last one also holds what was learned: 3-critic, 4-weights.parquet, 5-actor

A run that goes on from an earlier one numbers on, and reads that one's recordings where they are. What is on
disk is not made again.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import tyro

from vantage import ranks
from vantage.algorithms.improvement import Improvement, Improver, Staged
from vantage.algorithms.made import check_run, note_made
from vantage.algorithms.supervised import weigh_sources
from vantage.bounds import Whole, check
from vantage.config import from_json
from vantage.data.experience import Experience, load_experience
from vantage.data.frames import Storage, make_frames
from vantage.data.named import NONE, episodes_named
from vantage.data.outcomes import check_outcomes
from vantage.data.sidecars import read_ledger
from vantage.data.stores.recording import read_recording
from vantage.data.v3.meta import read_info
from vantage.data.view import View, write_view
from vantage.disk.files import read_json, whole_folder
from vantage.disk.layout import Round, Source
from vantage.disk.record import write_record
from vantage.disk.tables import read_parquet, write_parquet
from vantage.learn.optim import OptimConfig, Rate
from vantage.learn.start import FromScratch, begin, facts_of
from vantage.learn.step import Compute
from vantage.policies.build import PolicySpec, interface_of
from vantage.policies.lerobot.preset import Preset
from vantage.policies.lerobot.spec import LeRobotPolicy
from vantage.policies.protocol import Interface
from vantage.policies.spec import DataFacts
from vantage.progress import say
from vantage.seeding import seed_for
from vantage.stages.fit_policy import PolicyFit, fit_policy
from vantage.stages.label import label
from vantage.types import Reading, VantageError

NAME = "finetune"
"""In recipe.json: what made a run."""
ITS_OWN = Path(NONE)
"""In the place of a csv: the data set says by itself how its episodes ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTune:
    """Everything that decides what a fine-tuning from recordings does; its JSON form is recipe.json."""

    policy: PolicySpec = LeRobotPolicy(path="")
    previous: Path | None = None
    """An earlier run of this kind: its recordings are learned from too, as they were labelled."""
    demos: tuple[Path, ...] = ()
    """Data sets of demonstrations: every episode succeeded, and a person drove."""
    rollouts: tuple[Path, ...] = ()
    """Data sets of the policy's own episodes, with corrections if there were any."""
    outcomes: tuple[Path, ...] = ()
    """A csv of outcomes for every data set of rollouts, in the same order; `none` in the place of one, or
    none at all: what was said on the page of `vantage outcomes`, or its own `next.success`."""
    demo_episodes: tuple[str, ...] = ()
    """Which episodes of a data set of rollouts are demonstrations, such as 0-4,9: for every one of them, in
    the same order; `none`: no episode."""
    cameras: tuple[str, ...] = ()
    """What a policy from scratch looks at, by name, such as front wrist; none: every camera that all data
    sets have."""
    reading: Annotated[Reading, tyro.conf.arg(name="")] = Reading()
    """How the rollouts say who drove."""
    supervised: PolicyFit = PolicyFit()
    """Of a policy from scratch: its training on the demonstrations, before anything else."""
    improvement: Annotated[Improvement, tyro.conf.arg(name="")] = Improvement()
    """What is made of the recordings."""
    storage: Storage | None = None
    """How pictures are kept; None: raw where that is small, else compressed, else decoded from the videos."""
    seed: Whole = 0
    compute: Compute = Compute()
    """On what policy and critic are trained."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def check_compatible(self) -> None:
        """Raise VantageError for data sets that are missing or do not go together, and for a missing
        device."""
        self.compute.torch_device()
        if isinstance(self.policy, LeRobotPolicy) and not self.policy.path:
            raise VantageError(
                "there is no policy to fine-tune; name one with --policy.path (a folder or a hub name), or "
                "start one from scratch with --policy.type"
            )
        if not self.rollouts:
            raise VantageError(
                "there is nothing to learn from but demonstrations; name data sets of the policy's own "
                "episodes with --rollouts, or train on demonstrations with lerobot-train"
            )
        if self.outcomes and len(self.outcomes) != len(self.rollouts):
            raise VantageError(
                f"there are {len(self.outcomes)} files of outcomes for {len(self.rollouts)} data sets of "
                "rollouts; give one to each, in the same order (`none`: what it says itself), or none at all"
            )
        if self.demo_episodes and len(self.demo_episodes) != len(self.rollouts):
            raise VantageError(
                f"--demo-episodes has {len(self.demo_episodes)} words for {len(self.rollouts)} data sets of "
                "rollouts; give one to each, in the same order (`none`: it holds no demonstrations)"
            )
        for text in self.demo_episodes:
            if episodes_named(text, "--demo-episodes") is True:
                raise VantageError("--demo-episodes all: name a data set of demonstrations with --demos")
        if not isinstance(self.policy, LeRobotPolicy) and not self.demos and self.previous is None:
            raise VantageError(
                "a policy from scratch learns from demonstrations first; name them with --demos"
            )

        recordings = [*self.demos, *self.rollouts]
        twice = next((path for path in recordings if recordings.count(path) > 1), None)
        if twice is not None:
            raise VantageError(f"{twice} is named twice; a data set holds demonstrations or rollouts, once")
        for path in recordings:
            read_info(path)
        self._check_new(recordings)
        for path in self.outcomes:
            if path != ITS_OWN:
                check_outcomes(path)

    def _check_new(self, recordings: Sequence[Path]) -> None:
        """Raise VantageError for a data set that the earlier run has learned from: it would count twice."""
        if self.previous is None:
            return
        known = recordings_of(self.previous, settings_of(self.previous)).rounds
        past = {current.episodes.resolve() for current in known}
        for path in recordings:
            if path.resolve() in past:
                raise VantageError(
                    f"{path} is one of the recordings of {self.previous}, which are learned from again "
                    "anyway; name only what was recorded since"
                )


@dataclass(frozen=True, slots=True)
class Recordings:
    """The data sets of a fine-tuning, each in a round of its own."""

    demonstrations: tuple[Round, ...]
    rollouts: tuple[Round, ...]

    @property
    def rounds(self) -> list[Round]:
        """All of them, in their order."""
        return sorted((*self.demonstrations, *self.rollouts), key=lambda current: current.number)

    @property
    def last(self) -> Round:
        """Where what is learned is written."""
        return self.rounds[-1]

    def sources(
        self,
        cameras: Mapping[str, tuple[int, int] | None],
        rounds: Sequence[Round] | None = None,
    ) -> list[Source]:
        """The labelled data sets, of some rounds or of all, with the pictures that are looked at."""
        sources: list[Source] = []
        for current in self.rounds if rounds is None else rounds:
            frames = current.frames(cameras) if cameras else None
            sources.append(Source(current.number, current.episodes, current.labels, frames))
        return sources

    def cameras(self) -> dict[str, tuple[int, int]]:
        """Cameras that every data set has, with the (height, width) of their pictures in the first one."""
        names = [set(read_info(current.episodes).cameras) for current in self.rounds]
        shared = set.intersection(*names)
        if not shared:
            return {}
        native = read_recording(self.rounds[0].episodes, None).native
        return {name: size for name, size in native.items() if name in shared}


def recordings_of(run: Path, settings: FineTune) -> Recordings:
    """The rounds of a run, those of the runs before it included. Raises VantageError where there is no such
    run before."""
    past = Recordings((), ())
    if settings.previous is not None:
        past = recordings_of(settings.previous, settings_of(settings.previous))

    first = len(past.rounds)
    own = [Round.of(run, first + number) for number in range(len(settings.demos) + len(settings.rollouts))]
    count = len(settings.demos)
    return Recordings((*past.demonstrations, *own[:count]), (*past.rollouts, *own[count:]))


def settings_of(run: Path) -> FineTune:
    """What made a run. Raises VantageError for a folder that holds no finished fine-tuning."""
    path = run / "recipe.json"
    recorded = read_json(path) if path.is_file() else None
    record = cast(dict[str, Any], recorded) if isinstance(recorded, dict) else {}
    if record.get("recipe") != NAME:
        raise VantageError(f"{run} is no run of `vantage finetune`; name the folder of one")
    settings = from_json(FineTune, record.get("settings"), str(path))
    if not recordings_of(run, settings).last.actor.exists():
        raise VantageError(f"{run} has not finished; give its command again first")
    return settings


def run_finetune(run: Path, settings: FineTune) -> Path:
    """Do whatever of the fine-tuning is not on disk yet; returns the better policy's checkpoint.

    Raises VantageError for what does not fit together, before anything is trained.
    """
    recordings, improver = prepare(run, settings)
    improver.learn()
    write_record(recordings.last.folder, settings.seed)
    return recordings.last.actor


def run_weights(run: Path, settings: FineTune) -> list[Path]:
    """The same up to the weights of every frame; returns the files that other trainers read
    (`export_weights`).

    Raises VantageError as `run_finetune` does, and for a schedule that has no weights before its policy.
    """
    if not isinstance(settings.improvement.schedule, Staged):
        raise VantageError(
            "the interleaved schedule weighs every batch by itself; use `Staged` for weights alone"
        )
    recordings, improver = prepare(run, settings)
    improver.fit_critic()
    improver.weigh()
    return export_weights(recordings, run / "weights")


def export_view(run: Path, settings: FineTune) -> View:
    """After `run_weights`: one data set in RUN/view from which lerobot-train draws as Vantage does
    (`data.view`)."""
    recordings = recordings_of(run, settings)
    ledger = read_ledger(recordings.last.weights)
    return write_view(load_experience(recordings.sources({})), ledger, run / "view")


def prepare(run: Path, settings: FineTune) -> tuple[Recordings, Improver]:
    """Everything before learning: labels, pictures, and the policy that enters."""
    settings.check_compatible()
    recordings = recordings_of(run, settings)
    for folder in sorted({current.run for current in recordings.rounds}):
        check_run(folder)
    label_recordings(run, recordings, settings)

    experience = load_experience(recordings.sources({}))
    check_credit(experience, settings)
    for remark in doubts_about(experience, recordings, settings):
        say(remark)
    interface = interface_of(settings.policy, facts_of_recordings(recordings, experience, settings.cameras))
    keep_pictures(recordings, interface, settings.storage)
    entering = enter(Round(run / "start"), recordings, interface, settings)
    for current in (Round(run / "start"), *recordings.rounds):
        if current.run == run:
            note_made(current)

    return recordings, improver_of(recordings, entering, interface, settings, longest(experience))


def export_weights(recordings: Recordings, out: Path) -> list[Path]:
    """The ledger, in files for trainers that draw frames uniformly from one data set; returns their paths.

        NAME-weights.parquet         index, episode_index, weight
        NAME-sarm_progress.parquet   index, episode_index, progress_sparse: p_v, where a critic was asked

    Both also have `fingerprint`, of the content of each frame's episode (docs/data.md): it says whether they
    are still about the data set.

    Vantage draws frames by `sampling` and scales them by `weight`; a uniform draw needs the product, here
    with mean 1 over the frames of a data set. What no such file can say: which windows to cut at a hand-over.
    """
    ledger = read_parquet(recordings.last.weights)
    written: list[Path] = []
    for current in recordings.rounds:
        rows = ledger["round"] == current.number
        labels = read_parquet(current.labels, ("index", "episode_index"))
        order = np.argsort(labels["index"])
        index = ledger["index"][rows]
        episode = labels["episode_index"][order][np.searchsorted(labels["index"][order], index)]
        counted = ledger["weight"][rows].astype(np.float64) * ledger["sampling"][rows]
        weight = counted / counted.mean() if counted.any() else counted

        name = f"{current.number:02d}-{current.episodes.resolve().name}"
        columns = {"index": index, "episode_index": episode, "fingerprint": ledger["fingerprint"][rows]}
        written.append(out / f"{name}-weights.parquet")
        write_parquet(written[-1], columns | {"weight": weight.astype(np.float32)})
        p_v = ledger["p_v"][rows].astype(np.float32)
        if not np.isnan(p_v).all():
            written.append(out / f"{name}-sarm_progress.parquet")
            write_parquet(written[-1], columns | {"progress_sparse": p_v})
    return written


@ranks.first_alone
def label_recordings(run: Path, recordings: Recordings, settings: FineTune) -> None:
    """1-episodes and 2-labels.parquet of every round of this run, whose folder all processes see."""
    label_here(run, recordings, settings)


def label_here(run: Path, recordings: Recordings, settings: FineTune) -> None:
    """The same by every process that calls it, each in a folder of its own."""
    own = [current for current in recordings.rounds if current.run == run]
    paths = (*settings.demos, *settings.rollouts)
    given = [None if csv == ITS_OWN else csv for csv in settings.outcomes]
    outcomes = [*[None] * len(settings.demos), *(given or [None] * len(settings.rollouts))]
    shown = [episodes_named(text, "--demo-episodes") for text in settings.demo_episodes]
    shown = [*[True] * len(settings.demos), *(shown or [False] * len(settings.rollouts))]

    # All data sets are labelled before anything is kept: a csv that does not fit leaves a run as it was.
    waiting = run / ".labels"
    try:
        for current, path, csv, demos in zip(own, paths, outcomes, shown, strict=True):
            if not current.labels.exists():
                label(
                    path,
                    waiting / f"{current.number}.parquet",
                    outcomes=csv,
                    demos=demos,
                    settings=settings.improvement.labelling,
                    reading=Reading() if demos is True else settings.reading,
                )
        for current, path in zip(own, paths, strict=True):
            current.folder.mkdir(parents=True, exist_ok=True)
            if not current.episodes.is_symlink():
                current.episodes.symlink_to(path.resolve(), target_is_directory=True)
            if not current.labels.exists():
                (waiting / f"{current.number}.parquet").replace(current.labels)
    finally:
        shutil.rmtree(waiting, ignore_errors=True)


def check_credit(experience: Experience, settings: FineTune) -> None:
    """Raise VantageError where a critic is asked for and would have nothing to learn from."""
    if settings.improvement.weighing.reads_values and not experience.labels.viability_mask.any():
        raise VantageError(
            "no frame that the policy drove carries an outcome, so a critic has nothing to learn from; say "
            "how episodes ended (vantage outcomes), or imitate corrections alone with "
            "--weighing.rule ImitDAgger"
        )


def doubts_about(experience: Experience, recordings: Recordings, settings: FineTune) -> list[str]:
    """What these recordings can be learned from, and somebody probably did not mean."""
    doubts = copies_among(experience, recordings)
    if not settings.improvement.weighing.reads_values:
        return doubts

    outcome = experience.labels.viability_target[experience.labels.viability_mask]
    for missing, other, value in (("success", "failure", 1), ("failure", "success", 0)):
        if not (outcome == value).any():
            doubts.append(
                f"no frame of a {missing} is credited in any data set: the critic cannot learn what leads to "
                f"{missing}, and will expect {other} everywhere; `vantage audit` says what to record"
            )
    return doubts


def copies_among(experience: Experience, recordings: Recordings) -> list[str]:
    """A sentence for every data set with episodes that stand in an earlier one too, frame by frame: both are
    learned from, and they count twice."""
    begins = np.flatnonzero(experience.frames.frame == 0)
    round, content = experience.round[begins], experience.fingerprint[begins]
    first: dict[int, int] = {}
    twice: dict[tuple[int, int], int] = {}
    for number, recording in zip(round.tolist(), content.tolist(), strict=True):
        earlier = first.setdefault(recording, number)
        if earlier != number:
            twice[number, earlier] = twice.get((number, earlier), 0) + 1

    paths = {current.number: current.episodes.resolve() for current in recordings.rounds}
    return [
        f"{count:,} episodes of {paths[number]} are in {paths[earlier]} too, frame by frame: they count twice"
        for (number, earlier), count in twice.items()
    ]


def facts_of_recordings(
    recordings: Recordings, experience: Experience, wanted: Sequence[str] = ()
) -> DataFacts:
    """What the recordings offer to a policy, without looking at a picture.

    `wanted`: the cameras that it may look at; none: all of them. Raises VantageError for one that a data set
    lacks.
    """
    shared = recordings.cameras()
    strange = [name for name in wanted if name not in shared]
    if strange:
        known = ", ".join(shared) or "none"
        raise VantageError(f"--cameras {strange[0]}: the data sets have no such camera in common ({known})")
    cameras = {name: size for name, size in shared.items() if name in (wanted or shared)}
    return replace(facts_of(experience), cameras=cameras)


@ranks.first_alone
def keep_pictures(recordings: Recordings, interface: Interface, storage: Storage | None) -> None:
    """Keep the pictures that the policy looks at, where they can be had at random."""
    for current in recordings.rounds if interface.cameras else ():
        make_frames(current.episodes, current.frames(interface.cameras), interface.cameras, storage)


def enter(start: Round, recordings: Recordings, interface: Interface, settings: FineTune) -> Path:
    """The checkpoint that is improved: the one that was named, as it fits these recordings, or a new policy
    that has learned from the demonstrations."""
    begins = FromScratch(settings.policy, seed_for("initial weights", settings.seed))
    if isinstance(settings.policy, LeRobotPolicy):
        _keep_checkpoint(begins, recordings.sources(interface.cameras), start.actor)
        return start.actor

    sources = recordings.sources(interface.cameras, recordings.demonstrations)
    weigh_sources(sources, start.weights, interface)
    fit_policy(
        sources,
        start.weights,
        begins,
        start.actor,
        settings.supervised,
        seed=seed_for("training", settings.seed, 0),
        title="supervised policy",
        compute=settings.compute,
    )
    return start.actor


@ranks.first_alone
def _keep_checkpoint(begins: FromScratch, sources: Sequence[Source], out: Path) -> None:
    if out.exists():
        return
    policy = begin(begins, load_experience(sources))
    with whole_folder(out) as folder:
        policy.save(folder)


def improver_of(
    recordings: Recordings,
    entering: Path,
    interface: Interface,
    settings: FineTune,
    t_max: int,
) -> Improver:
    """What turns the recordings into a better policy. `t_max`: the longest episode, in control steps."""
    return Improver(
        current=recordings.last,
        entering=entering,
        sources=recordings.sources(interface.cameras),
        spec=settings.policy,
        interface=interface,
        settings=settings.improvement,
        t_max=t_max,
        version=0,  # recordings of a real robot count no policy updates, so nothing of them is too old
        seed=settings.seed,
        train_seed=seed_for("training", settings.seed, recordings.last.number),
        compute=settings.compute,
    )


def longest(experience: Experience) -> int:
    """Frames of the longest episode, which the critic takes for the longest that can be."""
    return int(np.bincount(experience.frames.episode).max())


def with_preset(settings: FineTune, preset: Preset, *, steps: int) -> FineTune:
    """The settings with a policy's own optimizer, its warm-up for so many `steps`, and an advantage over as
    many control steps as it executes at a time."""

    def optim(steps: int) -> OptimConfig:
        return OptimConfig(
            lr=preset.lr,
            warmup=preset.warmup_of(steps),
            weight_decay=preset.weight_decay,
            clip=preset.clip,
            floor=preset.final_lr / preset.lr,
            betas=preset.betas,
            rates=tuple(Rate(name, lr) for name, lr in preset.apart),
        )

    improvement, supervised = settings.improvement, settings.supervised
    weighing = replace(improvement.weighing, stride=preset.execute)
    target = replace(improvement.critic.target, stride=preset.execute)
    return replace(
        settings,
        supervised=replace(supervised, optim=optim(supervised.steps)),
        improvement=replace(
            improvement,
            weighing=weighing,
            critic=replace(improvement.critic, target=target),
            fit=replace(improvement.fit, optim=optim(steps)),
        ),
    )


def going_on(run: Path) -> FineTune:
    """The settings of the next fine-tuning after `run`: the same, with its policy, and with no recordings
    yet."""
    past = settings_of(run)
    policy = LeRobotPolicy(path=str(recordings_of(run, past).last.actor))
    return replace(past, policy=policy, previous=run, demos=(), rollouts=(), outcomes=(), demo_episodes=())
