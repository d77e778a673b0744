"""A dataset, and the labels and weights made from it -> what is in it, everything that is wrong with it, what
each head of the critic would learn from, and what to record next.

    what cannot be read ──checks/reading──┐
    episodes, motion, statistics, cameras ┼──> findings: failures, warnings, notes
    labels, weights ──────────────────────┘
    drivers and outcomes ──labelling──> credit per head, and why the rest has none ──> advice

It is what `vantage audit DATASET` prints. A failure is what a later stage refuses, or would learn something
wrong from; all of them are named, not the first alone.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from vantage.core.segments import segment_starts
from vantage.core.stats import effective_sample_size
from vantage.data.checks.episodes import look_at_copies, look_at_episodes, missing_outcomes
from vantage.data.checks.motion import look_at_handovers, look_at_values
from vantage.data.checks.pictures import look_at_cameras, look_at_pictures
from vantage.data.checks.reading import Faults, faults_of
from vantage.data.checks.statistics import look_at_statistics
from vantage.data.findings import Finding, Level, failure, note, warning
from vantage.data.fingerprints import fingerprints
from vantage.data.labelling import labels_of
from vantage.data.outcomes import LEFT_OUT, Attempt, NoOutcomes, attempts_of, check_outcomes
from vantage.data.outcomes_csv import unproven
from vantage.data.sidecars import AnyLength, match, read_labels
from vantage.data.v3.meta import check_dataset
from vantage.data.v3.read import Table, read_table, refuse_view
from vantage.disk.tables import read_parquet
from vantage.types import Controller, Labels, Reading, Route, VantageError

ENOUGH = 5
"""Judged attempts of each outcome below which a critic has little to tell them apart by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is in a dataset. An attempt is an episode, or one of several that a csv names in it."""

    frames: int
    fps: float
    cameras: tuple[str, ...]
    prompts: tuple[str, ...]
    lengths: Int64[np.ndarray, "M"]
    """Frames per episode."""
    demonstrations: int
    """Episodes."""
    attempts: int
    successes: int
    failures: int
    unrecorded: int
    """Attempts by outcome."""
    rollouts_succeeded: int
    rollouts_failed: int
    """The same without demonstrations."""
    autonomous: int
    """Attempts in which nobody intervened."""
    rescued: int
    """Attempts with an intervention that succeeded."""
    ends_in_human_hands: int
    """Rollouts whose attempt ends while a person drives."""
    segments: int
    """Intervals under one controller, without a cut in time."""
    handovers: int
    """Changes of the controller."""
    cuts: int
    """Gaps in the recording."""
    human_frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What an outcome says about the frames, and about which it says nothing."""

    routes: Mapping[str, int]
    """Frames per route."""
    viability_successes: int
    """Frames that teach the viability head that it works out ..."""
    viability_failures: int
    """... and that it does not."""
    efficiency: int
    """Frames that teach the efficiency head."""
    imitated: int
    """Frames that a policy may be trained on."""
    silent: Mapping[str, int]
    """Why frames carry no outcome -> how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """What `4-weights.parquet` would train on."""

    frames: int
    """Rows of the table."""
    drawn: int
    """Frames that can be drawn."""
    effective: float
    """Kish's effective sample size of the drawn, weighted frames."""
    largest: float
    """The largest weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What a look through a dataset found."""

    root: Path
    findings: tuple[Finding, ...]
    """Failures first, then warnings, then notes."""
    facts: Facts | None
    """None where the dataset cannot be read."""
    credit: Credit | None
    """None where nobody says how any attempt ended, or the dataset cannot be read."""
    weighing: Weighing | None
    """None without weights."""
    unlearnable: tuple[str, ...]
    """What nobody can learn from this dataset alone, each in a sentence that also stands in `findings`."""
    advice: tuple[str, ...]
    """What to record next."""

    @property
    def failures(self) -> tuple[str, ...]:
        """What stops a later stage, or would mislead it."""
        return tuple(finding.text for finding in self.findings if finding.level is Level.FAILURE)

    @property
    def problems(self) -> tuple[str, ...]:
        """Failures and warnings."""
        return tuple(finding.text for finding in self.findings if finding.level is not Level.NOTE)


def audit(
    root: Path,
    outcomes: Path | None = None,
    labels: Path | None = None,
    weights: Path | None = None,
    *,
    demos: bool | Collection[int] = False,
    reading: Reading = Reading(),
    pictures: bool = False,
) -> Audit:
    """Look through a dataset and, where given, its outcomes csv, its labels and its weights.

    `demos`, `reading`: as in `stages.label.label`. `pictures`: decode every video, to find cameras that are
    stuck. Raises VantageError only where there is no dataset at all, or a view of others.
    """
    check_dataset(root)
    refuse_view(root)
    faults = Faults()
    weighing = None if weights is None else faults.tried(_weighing, weights)
    table = _read(root, demos, reading, faults)
    if table is None:
        if outcomes is not None:
            faults.tried(check_outcomes, outcomes)
        contents = _contents(root, faults)
        findings = _in_order([*(failure(sentence) for sentence in faults.sentences), *contents])
        return Audit(
            root=root,
            findings=findings,
            facts=None,
            credit=None,
            weighing=weighing,
            unlearnable=(),
            advice=(),
        )

    attempts, unjudged, unread = _attempts(table, outcomes, faults)
    doubt = faults.tried(unproven, table, outcomes)
    findings = [
        *unjudged,
        *([warning(doubt)] if doubt else []),
        *look_at_episodes(table, attempts),
        *look_at_handovers(table),
        *_look_at_contents(table, faults),
    ]
    if pictures:
        findings += faults.tried(_listed, look_at_pictures, table) or ()

    described = _labels(table, attempts, labels, faults)
    credit = None if unjudged or unread or described is None else _credit(described)
    facts = _facts(table, attempts)
    lacks = unlearnable(facts, credit)
    return Audit(
        root=root,
        findings=_in_order([*(failure(sentence) for sentence in faults.sentences), *findings, *lacks]),
        facts=facts,
        credit=credit,
        weighing=weighing,
        unlearnable=tuple(finding.text for finding in lacks),
        advice=() if unread or described is None else tuple(advice(facts, credit)),
    )


def _read(root: Path, demos: bool | Collection[int], reading: Reading, faults: Faults) -> Table | None:
    """The dataset, even where its videos are not what they should be; None where its columns are not."""
    try:
        return read_table(root, demos=demos, reading=reading)
    except VantageError as error:
        for sentence in (*faults_of(root, demos, reading), str(error)):
            faults.add(sentence)
    try:
        return read_table(root, demos=demos, reading=reading, videos=False)
    except VantageError:
        return None


def _contents(root: Path, faults: Faults) -> list[Finding]:
    """What can be said of a dataset of which nobody knows who drove."""
    try:
        return _look_at_contents(read_table(root, reading=Reading("policy"), videos=False), faults)
    except VantageError:
        return []


def _look_at_contents(table: Table, faults: Faults) -> list[Finding]:
    """What is strange about the values themselves, whoever drove."""
    looks = (look_at_values, look_at_statistics, look_at_cameras, look_at_copies)
    return [finding for look in looks for finding in faults.tried(_listed, look, table) or ()]


def _listed(look: Callable[[Table], Iterator[Finding]], table: Table) -> list[Finding]:
    return list(look(table))


def _in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Failures first, then warnings, then notes."""
    order = list(Level)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.level)))


def _attempts(
    table: Table, outcomes: Path | None, faults: Faults
) -> tuple[list[Attempt], list[Finding], bool]:
    """The attempts; what is said where nobody says how any of them ended; and whether somebody says it in a
    way that cannot be read, so that nothing follows from their number."""
    whole = [
        Attempt(episode=episode, number=0, rows=rows, outcome=None, source=None)
        for episode, rows in enumerate(table.slices)
    ]
    try:
        return attempts_of(table, outcomes), [], False
    except NoOutcomes:
        return whole, [missing_outcomes()], False
    except VantageError as error:
        faults.add(str(error))
        return whole, [], True


def _facts(table: Table, attempts: Sequence[Attempt]) -> Facts:
    """Counts."""
    tried = [attempt for attempt in attempts if attempt.number != LEFT_OUT]
    ended = [attempt.outcome for attempt in tried]
    helped = [bool(table.intervention[attempt.rows].any()) for attempt in tried]
    rollouts = [attempt for attempt in tried if not table.demo[attempt.episode]]
    judged = [attempt.outcome for attempt in rollouts]
    slices = table.slices

    return Facts(
        frames=len(table),
        fps=table.fps,
        cameras=table.cameras,
        prompts=table.prompts,
        lengths=np.diff(table.starts),
        demonstrations=int(table.demo.sum()),
        attempts=len(tried),
        successes=ended.count(True),
        failures=ended.count(False),
        unrecorded=ended.count(None),
        rollouts_succeeded=judged.count(True),
        rollouts_failed=judged.count(False),
        autonomous=helped.count(False),
        rescued=sum(
            human and attempt.outcome is True and not table.demo[attempt.episode]
            for human, attempt in zip(helped, tried, strict=True)
        ),
        ends_in_human_hands=sum(bool(table.intervention[attempt.rows.stop - 1]) for attempt in rollouts),
        segments=int(sum(segment_starts(table.intervention[rows], table.cut[rows]).sum() for rows in slices)),
        handovers=int(sum(np.count_nonzero(np.diff(table.intervention[rows])) for rows in slices)),
        cuts=int(table.cut.sum()),
        human_frames=int(table.intervention.sum()),
    )


def _labels(
    table: Table,
    attempts: Sequence[Attempt],
    path: Path | None,
    faults: Faults,
) -> Mapping[str, AnyLength] | None:
    """The columns of a label table for every frame: of the file, or as they would be written."""
    if path is None:
        labels = labels_of(table, attempts)
        lengths = [attempt.rows.stop - attempt.rows.start for attempt in attempts]
        columns = {name: getattr(labels, name) for name in Labels.__dataclass_fields__}
        return columns | {"attempt": np.repeat([attempt.number for attempt in attempts], lengths)}

    contents = fingerprints(table.action, table.state, table.starts)[table.episode_index]
    stored = faults.tried(read_labels, path)
    if stored is None:
        return None
    return faults.tried(match, path, stored, table.index, contents, "run `vantage label` again")


def _credit(labels: Mapping[str, AnyLength]) -> Credit:
    """Who may be credited, from the columns of a label table."""
    route, outcome, mask = labels["route"], labels["outcome"], labels["viability_mask"]
    target = labels["viability_target"]
    names, counts = np.unique(route, return_counts=True)
    routes = dict(zip(map(str, names), counts.tolist(), strict=True))

    human = labels["controller"] == Controller.HUMAN
    unlabelled = route == Route.UNLABELLED
    left_out = labels["attempt"] == LEFT_OUT
    unknown = np.isnan(outcome) & ~left_out
    reasons = {
        "a person's, imitated": (route == Route.INTERVENTION) | (route == Route.DEMO),
        "in no attempt": left_out,
        "of a demonstration that failed": unlabelled & human & ~left_out,
        "of an attempt without an outcome": unlabelled & unknown & ~human,
        "before or between corrections": unlabelled & ~unknown & ~human & ~left_out,
    }
    silent = {reason: int(rows.sum()) for reason, rows in reasons.items()}
    imitated = sum(routes.get(name, 0) for name in (Route.DEMO, Route.INTERVENTION, Route.ROLLOUT_SUCCESS))
    return Credit(
        routes={str(name): routes[name] for name in Route if name in routes},
        viability_successes=int((mask & (target == 1)).sum()),
        viability_failures=int((mask & (target == 0)).sum()),
        efficiency=int(labels["efficiency_mask"].sum()),
        imitated=imitated,
        silent={reason: frames for reason, frames in silent.items() if frames},
    )


def _weighing(path: Path) -> Weighing:
    columns = read_parquet(path, ("weight", "sampling"))
    weight, sampling = columns["weight"].astype(np.float64), columns["sampling"].astype(np.float64)
    drawn = sampling > 0

    return Weighing(
        frames=len(weight),
        drawn=int(drawn.sum()),
        effective=effective_sample_size(weight, sampling),
        largest=float(weight.max(initial=0.0)),
    )


def unlearnable(facts: Facts, credit: Credit | None) -> list[Finding]:
    """What this dataset alone cannot teach: a head of the critic without one of its two answers, a policy
    without a frame to imitate. Other datasets of the same training may hold what is missing."""
    if credit is None:
        return []
    lacks: list[Finding] = []
    if not credit.imitated:
        lacks.append(warning("no frame is there to be imitated: a policy cannot learn what to do from it"))
    if facts.demonstrations == len(facts.lengths):
        return lacks

    if not credit.viability_successes and not credit.viability_failures:
        only_corrections = set(credit.routes) <= {Route.INTERVENTION, Route.DEMO}
        said = note if only_corrections else warning
        return [
            *lacks,
            said("no frame that the policy drove carries an outcome: a critic cannot learn anything from it"),
        ]
    if not credit.viability_successes:
        which = f"no attempt of the policy's succeeded ({facts.rollouts_failed:,} failed)"
        if facts.rollouts_succeeded:
            which = "of the attempts that succeeded, no frame of the policy's own is credited"
        steps = "" if credit.efficiency else ", and the efficiency head has no frame"
        lacks.append(
            warning(
                f"{which}: a critic cannot learn what leads to success from it (the viability head "
                f"would expect failure everywhere{steps})"
            )
        )
    if not credit.viability_failures:
        lacks.append(
            note(
                "no frame of a failure is credited: a critic cannot learn what leads to failure from it (the "
                "viability head would expect success everywhere)"
            )
        )
    return lacks


def advice(facts: Facts, credit: Credit | None) -> list[str]:
    """What to record, or to say, next: the most useful first."""
    if facts.demonstrations == len(facts.lengths):
        return []
    if credit is None:
        return [
            "say how the episodes ended (`vantage outcomes DATASET`, or one line each in a csv): nothing can "
            "be credited without it"
        ]

    steps: list[str] = []
    rollouts = sum(
        credit.routes.get(name, 0)
        for name in (Route.ROLLOUT_SUCCESS, Route.ROLLOUT_FAILURE, Route.UNLABELLED)
    )
    if not rollouts:
        steps.append(
            "record what the policy does on its own too (lerobot-rollout --strategy.record_autonomous=true): "
            "outcomes are about that"
        )
    if facts.unrecorded and rollouts:
        steps.append(
            f"say how the other {facts.unrecorded:,} attempts ended: "
            "their policy frames teach nothing until then"
        )

    failures, successes = facts.rollouts_failed, facts.rollouts_succeeded
    if rollouts and failures and not successes:
        steps.append(
            "make some attempts succeed: take over when it errs and give the robot back before the goal "
            "(lerobot-rollout --strategy.type=dagger), or begin nearer to it, or demonstrate more first"
        )
    scarce = [name for name, count in (("failures", failures), ("successes", successes)) if count < ENOUGH]
    if rollouts and scarce:
        wanted = " and ".join(f"{ENOUGH} {name}" for name in scarce)
        steps.append(
            f"record on until there are {wanted} or more ({successes} successes, {failures} failures now): "
            "the viability head tells one from the other"
        )
    if rollouts and facts.ends_in_human_hands > (facts.attempts - facts.demonstrations) / 2:
        steps.append(
            "give the robot back before the end: only what the policy drives after the last correction is "
            f"credited, and {facts.ends_in_human_hands:,} attempts end in a person's hands"
        )
    if rollouts and failures and not facts.human_frames:
        steps.append(
            "take over when it errs (lerobot-rollout --strategy.type=dagger): "
            "corrections show the way out, and are imitated"
        )
    return steps
