"""Presses on the page of `vantage outcomes` -> what somebody said of every episode, safe on disk.

    press ──pressed──> Judgement ──Journal──> DATASET.outcomes.jsonl
    DATASET.outcomes.jsonl ──read_journal──> Record ──assign──> Judgement per episode, as numbered now

The journal lies beside the dataset, which is never written to. A line is one press: who, when, what, and all
that is said of its episode afterwards, so that the last line about a recording counts. Recordings are known
by the fingerprint of their content (`data.fingerprints`): numbers change when `lerobot-edit-dataset` deletes,
splits or merges.
"""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from vantage.data.fingerprints import from_words, in_words
from vantage.disk.files import full_disk_is_a_sentence
from vantage.types import VantageError

SUFFIX = ".outcomes.jsonl"
"""Of a journal's name; before it stands the name of the dataset's folder."""
_CARRIED, _ASIDE = "carried over", "left aside"
_NOT_PRESSED = (_CARRIED, _ASIDE)
"""Lines that the program writes by itself; nobody undoes them."""
LONGEST_NOTE = 2000
"""Characters."""


class Said(StrEnum):
    """What somebody says of a stretch of an episode."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"
    """Nobody can tell: the outcome is not recorded."""
    LEFT_OUT = "left out"
    """It is no attempt (the scene is reset, say): neither credited nor imitated."""


OUTCOME: Mapping[Said | None, bool | None] = {Said.SUCCESS: True, Said.FAILURE: False}
"""The outcome that is meant; the others have none."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring frames of an episode: one attempt, or none."""

    first: int
    """Frame within the episode."""
    last: int
    """Included."""
    said: Said | None = None
    """None: not judged yet."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of one episode. Its stretches follow each other and cover it."""

    stretches: tuple[Stretch, ...]
    note: str = ""

    @property
    def done(self) -> bool:
        """Whether every stretch is judged."""
        return all(stretch.said is not None for stretch in self.stretches)

    @property
    def begun(self) -> bool:
        """Whether anything is judged, or split."""
        return any(stretch.said is not None for stretch in self.stretches) or len(self.stretches) > 1

    def at(self, frame: int) -> int:
        """The number of the stretch that holds a frame."""
        return next(number for number, stretch in enumerate(self.stretches) if frame <= stretch.last)


def unjudged(length: int) -> Judgement:
    """Of an episode of so many frames, before anybody says anything."""
    return Judgement((Stretch(0, length - 1),))


class Press(StrEnum):
    """What can be pressed, but for undoing."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"
    LEFT_OUT = "left out"
    CLEAR = "clear"
    """The stretch is not judged."""
    SPLIT = "split"
    """A new attempt begins at the frame; where one begins there already, it is joined to the one before."""
    NOTE = "note"


def pressed(judgement: Judgement, press: Press, frame: int, note: str = "") -> Judgement:
    """The judgement after a press while `frame` was shown. `note`: the text, for Press.NOTE.

    Raises VantageError for a frame that is not there, and where no attempt would be left.
    """
    if not 0 <= frame <= judgement.stretches[-1].last:
        known = judgement.stretches[-1].last
        raise VantageError(f"the episode has no frame {frame}; it has 0 to {known}")
    if press is Press.NOTE:
        return replace(judgement, note=note[:LONGEST_NOTE])
    if press is Press.SPLIT:
        return replace(judgement, stretches=_split(judgement.stretches, frame))

    number = judgement.at(frame)
    said = None if press is Press.CLEAR else Said(press.value)
    changed = replace(judgement.stretches[number], said=said)
    stretches = (*judgement.stretches[:number], changed, *judgement.stretches[number + 1 :])
    if all(stretch.said is Said.LEFT_OUT for stretch in stretches):
        raise VantageError("an episode keeps at least one attempt; press u where its outcome is not known")
    return replace(judgement, stretches=stretches)


def _split(stretches: tuple[Stretch, ...], frame: int) -> tuple[Stretch, ...]:
    """A boundary before `frame` more, or less. What was said was about the end: the later part keeps it."""
    if frame == 0:
        raise VantageError(
            "frame 0 begins the first attempt; go to where the next one begins, and split there"
        )

    parts: list[Stretch] = []
    for stretch in stretches:
        if stretch.first == frame:
            parts[-1] = replace(stretch, first=parts[-1].first)
        elif stretch.first < frame <= stretch.last:
            parts += [Stretch(stretch.first, frame - 1), replace(stretch, first=frame)]
        else:
            parts.append(stretch)
    return tuple(parts)


# ---------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class Recording:
    """An episode, whatever its number is."""

    fingerprint: int
    copy: int = 0
    """Which of several episodes with the same content, in their order."""


def recordings(fingerprints: Sequence[int]) -> list[Recording]:
    """The recordings that episodes hold, in the order of their numbers."""
    seen: dict[int, int] = {}
    named: list[Recording] = []
    for value in fingerprints:
        named.append(Recording(value, seen.get(value, 0)))
        seen[value] = seen.get(value, 0) + 1
    return named


@dataclass(frozen=True, slots=True)
class Step:
    """A press that can be undone."""

    number: int
    recording: Recording
    before: Judgement | None
    """None: nothing was said."""
    frame: int
    """That was shown when it was pressed."""


@dataclass(slots=True)
class Record:
    """What a journal says, as of its last line."""

    path: Path
    judgements: dict[Recording, Judgement] = field(default_factory=dict[Recording, Judgement])
    numbers: dict[Recording, int] = field(default_factory=dict[Recording, int])
    """Of the last press about a recording, from 1."""
    times: dict[Recording, str] = field(default_factory=dict[Recording, str])
    """When that was, in UTC; words that sort as times do."""
    episodes: list[int] = field(default_factory=list[int])
    """Fingerprints of the dataset's episodes when it was last opened."""
    steps: list[Step] = field(default_factory=list[Step])
    """Presses that were not undone."""
    last: int = 0
    """Number of the last press."""
    whole: int = 0
    """Bytes up to the end of the last whole line."""


def journal_of(root: Path) -> Path:
    """Where the journal of a dataset lies: beside its folder, links followed."""
    folder = root.resolve()
    return folder.with_name(f"{folder.name}{SUFFIX}")


def read_journal(path: Path) -> Record:
    """Read a journal; a last line without its end was never acknowledged, and is left out.

    Raises VantageError for a file that cannot be read, and for any other line that is no press.
    """
    record = Record(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VantageError(f"{path} cannot be read ({error.strerror}); restore it") from error

    record.whole = content.rfind(b"\n") + 1
    for number, line in enumerate(content[: record.whole].splitlines(), start=1):
        try:
            _take(record, json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise VantageError(
                f"line {number} of {path} is damaged; restore the file, or delete that line"
            ) from error
    return record


def _take(record: Record, line: Any) -> None:
    """Let one line count. Raises ValueError, KeyError or TypeError for one that is none of ours."""
    if "episodes" in line:
        record.episodes = [from_words(word) for word in line["episodes"]]
        return

    number, recording = int(line["n"]), Recording(from_words(line["recording"]), int(line.get("copy", 0)))
    judgement = _judgement_of(line)
    if line["press"] == "undo":
        record.steps = [step for step in record.steps if step.number != line["undoes"]]
    elif line["press"] not in _NOT_PRESSED:
        before, frame = record.judgements.get(recording), int(line["frame"])
        record.steps.append(Step(number, recording, before, frame))

    record.judgements[recording] = judgement
    record.numbers[recording] = number
    record.times[recording] = str(line["when"])
    record.last = number


def _judgement_of(line: Mapping[str, Any]) -> Judgement:
    stretches = [
        Stretch(int(first), int(last), None if said is None else Said(said))
        for first, last, said in line["attempts"]
    ]
    reached = -1
    for stretch in stretches:
        if stretch.first != reached + 1 or stretch.last < stretch.first:
            raise ValueError("attempts that do not follow each other")
        reached = stretch.last
    if not stretches:
        raise ValueError("no attempts")
    return Judgement(tuple(stretches), str(line.get("note", "")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """What journals say of the episodes of a dataset as it is now."""

    judgements: Mapping[int, Judgement]
    """By episode number; an episode that nobody spoke of is not there."""
    sources: Mapping[int, Path]
    """The journal that says so."""
    moved: int
    """Episodes that had another number when the dataset was last judged."""
    gone: int
    """Judged recordings that are not in the dataset now."""
    unclear: tuple[int, ...]
    """Episodes with the same content as others, of which some are gone: nobody knows which were judged."""
    disputed: tuple[int, ...]
    """Episodes of which two journals say different things; the later press counts."""


def assign(records: Sequence[Record], fingerprints: Sequence[int], lengths: Sequence[int]) -> Assigned:
    """Find the judgement of every episode by its content.

    `fingerprints`, `lengths`: of the M episodes now. Several journals: of datasets that were merged.
    """
    judgements, sources, times = dict[int, Judgement](), dict[int, Path](), dict[int, str]()
    moved, gone, unclear, disputed = 0, 0, set[int](), set[int]()
    episodes = recordings(fingerprints)
    for record in records:
        before = {recording: number for number, recording in enumerate(recordings(record.episodes))}
        gone += sum(
            recording.fingerprint not in fingerprints
            for recording, judgement in record.judgements.items()
            if judgement.begun
        )
        for episode, recording in enumerate(episodes):
            judgement, sure = _said_of(record, recording, fingerprints)
            if not sure:
                unclear.add(episode)
            if judgement is None or judgement.stretches[-1].last != lengths[episode] - 1:
                continue

            moved += before.get(recording, episode) != episode
            when = record.times.get(recording, "")
            if episode in judgements and judgements[episode] != judgement:
                disputed.add(episode)
            if when >= times.get(episode, ""):
                judgements[episode], sources[episode], times[episode] = judgement, record.path, when

    return Assigned(
        judgements=judgements,
        sources=sources,
        moved=moved,
        gone=gone,
        unclear=tuple(sorted(unclear)),
        disputed=tuple(sorted(disputed)),
    )


def _said_of(
    record: Record, recording: Recording, fingerprints: Sequence[int]
) -> tuple[Judgement | None, bool]:
    """What a journal says of a recording, and whether it is sure that it is this one."""
    value = recording.fingerprint
    copies = max(record.episodes.count(value), 1)
    if list(fingerprints).count(value) == copies:
        return record.judgements.get(recording), True

    said = [record.judgements.get(Recording(value, copy)) for copy in range(copies)]
    alike = all(judgement == said[0] for judgement in said)
    return (said[0], True) if alike else (None, False)


def find_records(root: Path, fingerprints: Sequence[int]) -> list[Record]:
    """The journals that speak of a dataset: its own; where it has none, those beside it about its recordings.

    `lerobot-edit-dataset` writes what it split, merged or thinned out to a folder of another name. Raises
    VantageError for a damaged journal.
    """
    own = journal_of(root)
    if own.is_file():
        return [read_journal(own)]

    wanted, records = set(fingerprints), list[Record]()
    for path in sorted(own.parent.glob(f"*{SUFFIX}")):
        record = read_journal(path)
        if any(recording.fingerprint in wanted for recording in record.judgements):
            records.append(record)
    return records


def in_sentences(assigned: Assigned, name: object) -> Iterator[str]:
    """What a person should know of how judgements were matched to episodes. `name`: of the dataset."""
    if assigned.moved:
        yield f"{name}: {assigned.moved:,} judged episodes have other numbers now, and were found by content"
    if assigned.gone:
        yield f"{name}: {assigned.gone:,} judged recordings are not in the dataset now; what was said is kept"
    if assigned.unclear:
        numbers = ", ".join(map(str, assigned.unclear))
        yield (
            f"{name}: episodes {numbers} hold a recording that was there another number of times when it was "
            "judged; what was said of it is left aside, judge them again"
        )
    if assigned.disputed:
        numbers = ", ".join(map(str, assigned.disputed))
        yield f"{name}: two journals disagree about episodes {numbers}; the later press counts"


# ---------------------------------------------------------------------------------------------------- writing


class Journal:
    """The journal of one dataset, open for presses; hold `disk.lock.alone` meanwhile.

    Judgements of journals beside it are carried over where it is new.
    """

    def __init__(
        self, root: Path, fingerprints: Sequence[int], lengths: Sequence[int], *, who: str, fps: float
    ) -> None:
        """Read what was said, and match it to the episodes. Raises VantageError as `read_journal` does, and
        for a folder that cannot be written to."""
        self.path = journal_of(root)
        self._who, self._lengths = who, lengths
        self._recordings = recordings(fingerprints)
        records = find_records(root, fingerprints)
        self.assigned = assign(records, fingerprints, lengths)
        self.sentences = tuple(in_sentences(self.assigned, root))
        own = self.path.is_file()
        self._record = records[0] if own else Record(self.path)
        self._open()

        if self._record.episodes != list(fingerprints):
            episodes = [in_words(value) for value in fingerprints]
            self._append(
                {"vantage": "outcomes", "dataset": root.resolve().name, "fps": fps, "episodes": episodes}
            )
            self._record.episodes = list(fingerprints)
        kept = dict(self._record.judgements)
        for episode, judgement in self.assigned.judgements.items():
            if kept.get(self._recordings[episode]) != judgement:
                self._write(_CARRIED, episode, judgement, carried=self.assigned.sources[episode].name)
        for episode in self.assigned.unclear:
            if self._recordings[episode] in self._record.judgements:
                self._write(_ASIDE, episode, unjudged(lengths[episode]))

    def _open(self) -> None:
        try:
            new = not self.path.exists()
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            # A line that lost its end in a crash was never acknowledged.
            os.ftruncate(self._file, self._record.whole)
            if new:
                folder = os.open(self.path.parent, os.O_RDONLY)
                os.fsync(folder)
                os.close(folder)
        except OSError as error:
            raise VantageError(
                f"{self.path} cannot be written ({error.strerror}); copy the dataset to where you may write"
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    @property
    def last_episode(self) -> int | None:
        """The episode of the last press that counts; None where there is none."""
        if not self._record.steps or self._record.steps[-1].recording not in self._recordings:
            return None
        return self._recordings.index(self._record.steps[-1].recording)

    def judgement(self, episode: int) -> Judgement:
        """What is said of an episode."""
        said = self._record.judgements.get(self._recordings[episode])
        return said or unjudged(self._lengths[episode])

    def number(self, episode: int) -> int:
        """Of the last press about an episode; 0 where there was none."""
        return self._record.numbers.get(self._recordings[episode], 0)

    def press(self, episode: int, press: Press, frame: int, note: str = "") -> Judgement:
        """Let a press count; it is on the disk when this returns.

        Raises VantageError for a frame that is not there and for a full disk; nothing is changed then.
        """
        judgement = pressed(self.judgement(episode), press, frame, note)
        self._write(press.value, episode, judgement, frame=frame)
        return judgement

    def undo(self) -> tuple[int, int] | None:
        """Take back the last press that still counts; returns its episode and frame, or None.

        Presses about recordings that are gone stay.
        """
        episodes = {recording: number for number, recording in enumerate(self._recordings)}
        step = next((step for step in reversed(self._record.steps) if step.recording in episodes), None)
        if step is None:
            return None
        episode = episodes[step.recording]
        before = step.before or unjudged(self._lengths[episode])
        self._write("undo", episode, before, undoes=step.number)
        return episode, step.frame

    def _write(self, press: str, episode: int, judgement: Judgement, **more: int | str) -> None:
        recording = self._recordings[episode]
        line = {
            "n": self._record.last + 1,
            "when": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "who": self._who,
            "press": press,
            **more,
            "episode": episode,
            "recording": in_words(recording.fingerprint),
            "copy": recording.copy,
            "attempts": [[part.first, part.last, part.said] for part in judgement.stretches],
            "note": judgement.note,
        }
        self._append(line)
        _take(self._record, line)

    def _append(self, line: Mapping[str, Any]) -> None:
        """One whole line more on the disk, or none."""
        content = (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        before = os.fstat(self._file).st_size
        with full_disk_is_a_sentence(self.path):
            try:
                written = os.write(self._file, content)
                while written < len(content):
                    written += os.write(self._file, content[written:])
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, before)
                raise


# -------------------------------------------------------------------------------------------------------- csv


def to_csv(judgements: Mapping[int, Judgement], fingerprints: Sequence[int]) -> str:
    """What is said, as `data.outcomes` reads it: a line for every attempt, in the order of the episodes.

    An episode that nobody judged has a line without an outcome. Raises VantageError where nothing was judged.
    """
    if not any(OUTCOME.get(part.said) is not None for one in judgements.values() for part in one.stretches):
        raise VantageError("no episode has an outcome yet; judge one first (vantage outcomes DATASET)")

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["episode_index", "from", "to", "success", "fingerprint", "note"])
    words = {True: "1", False: "0", None: ""}
    for episode, fingerprint in enumerate(fingerprints):
        judgement = judgements.get(episode)
        known = in_words(fingerprint)
        if judgement is None:
            writer.writerow([episode, "", "", "", known, ""])
            continue
        note = " ".join(judgement.note.split())
        whole = len(judgement.stretches) == 1
        for part in judgement.stretches:
            if part.said is Said.LEFT_OUT:
                continue
            bounds = ["", ""] if whole else [part.first, part.last]
            writer.writerow([episode, *bounds, words[OUTCOME.get(part.said)], known, note])
    return text.getvalue()


def judged_lines(judgement: Judgement) -> list[tuple[int, int, bool | None]]:
    """(first, last, outcome) of every attempt of a judgement."""
    return [
        (part.first, part.last, OUTCOME.get(part.said))
        for part in judgement.stretches
        if part.said is not Said.LEFT_OUT
    ]


def stretches_in_json(judgement: Judgement) -> list[list[Any]]:
    """The stretches as the page gets them."""
    return cast("list[list[Any]]", [[part.first, part.last, part.said] for part in judgement.stretches])
