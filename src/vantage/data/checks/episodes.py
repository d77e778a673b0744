"""Episodes, who drove them and how they ended -> what is strange about them."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int64

from vantage.data.findings import Finding, failure, name, note, warning
from vantage.data.fingerprints import fingerprints
from vantage.data.outcomes import LEFT_OUT, Attempt, none_succeeded
from vantage.data.v3.read import Table

ALIKE = 3
"""So many successes in a row without a hand-over may be demonstrations among rollouts."""


def look_at_episodes(table: Table, attempts: Sequence[Attempt]) -> Iterator[Finding]:
    """Strange episodes, one sentence for every kind."""
    slices = table.slices
    single = [e for e, rows in enumerate(slices) if rows.stop - rows.start == 1]
    cut = [e for e, rows in enumerate(slices) if table.cut[rows].any()]
    blips = [
        e
        for e, rows in enumerate(slices)
        if not table.demo[e] and (run_lengths(table.intervention[rows]) == 1).any()
    ]

    kinds = [
        (blips, "with an intervention of a single frame: a slip of the finger, or a flag that flickers"),
        (single, "of a single frame"),
        (cut, "with a gap in the recording: nothing is carried across it"),
        (
            _late(table),
            "that succeeded before the end and not on the last frame: "
            "steps to success are counted to the last frame",
        ),
    ]
    yield from (warning(f"{name(episodes)} {text}") for episodes, text in kinds if episodes)

    yield from _outcomes(table, attempts)
    yield from _drivers(table, attempts)
    yield from _prompts(table)


def run_lengths(flag: Bool[np.ndarray, "T"]) -> Int64[np.ndarray, "K"]:
    """Lengths of the runs of True."""
    edges = np.diff(np.concatenate([[0], flag.astype(np.int64), [0]]))
    return np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)


def _late(table: Table) -> list[int]:
    """Episodes whose success is marked, and not on the last frame."""
    if table.success is None:
        return []
    last = table.starts[1:] - 1
    ever = np.logical_or.reduceat(table.success, table.starts[:-1])
    return np.flatnonzero(ever & ~table.success[last]).tolist()


def look_at_copies(table: Table) -> Iterator[Finding]:
    """Recordings that are there twice, as after a recorder's crash or a merge of overlapping parts."""
    contents = fingerprints(table.action, table.state, table.starts)
    _, first, inverse = np.unique(contents, return_index=True, return_inverse=True)
    copies = np.flatnonzero(first[inverse] != np.arange(len(contents))).tolist()
    if copies:
        original = int(first[inverse[copies[0]]])
        yield warning(
            f"{name(copies)} that repeat another frame by frame (the first one episode {original}): "
            "they count twice"
        )


def _outcomes(table: Table, attempts: Sequence[Attempt]) -> Iterator[Finding]:
    """Outcomes that are missing, or mean something else than they say."""
    tried = [attempt for attempt in attempts if attempt.number != LEFT_OUT]
    silent = sorted({attempt.episode for attempt in tried if attempt.outcome is None})
    judged = any(attempt.outcome is not None for attempt in tried)
    slices = table.slices
    autonomous = [e for e in silent if not table.intervention[slices[e]].all()]
    if autonomous and judged:
        yield warning(f"{name(autonomous)} without an outcome: their policy frames stay unlabelled")

    doubt = none_succeeded(attempts)
    if doubt:
        yield warning(doubt)
    if table.success is not None and table.demo.any():
        succeeded = np.logical_or.reduceat(table.success, table.starts[:-1])
        failed = np.flatnonzero(table.demo & ~succeeded).tolist()
        unsaid = {attempt.episode for attempt in tried if attempt.source == "demo"}
        failed = [episode for episode in failed if episode in unsaid]
        if failed and succeeded[table.demo].any():
            yield warning(
                f"{name(failed)} among the demonstrations that did not succeed by `next.success`; "
                "leave them out with a csv of outcomes"
            )


def _drivers(table: Table, attempts: Sequence[Attempt]) -> Iterator[Finding]:
    """Rollouts that look like demonstrations, and recordings of corrections alone."""
    rollouts = np.flatnonzero(~table.demo)
    if not len(rollouts):
        return
    human = np.logical_and.reduceat(table.intervention, table.starts[:-1])
    helped = np.logical_or.reduceat(table.intervention, table.starts[:-1])
    by_hand = rollouts[human[rollouts]].tolist()
    if len(by_hand) == len(rollouts):
        yield note("no autonomous frames: there is nothing to credit, corrections are imitated")
    elif by_hand:
        yield note(
            f"{name(by_hand)} that a person drove throughout, read as corrections; if they are "
            f"demonstrations, say --demos {in_ranges(by_hand)}"
        )

    won = {attempt.episode for attempt in attempts if attempt.outcome and attempt.number == 0}
    alone = np.array([episode in won for episode in range(table.episodes)]) & ~helped & ~table.demo
    runs = np.flatnonzero(np.diff(np.concatenate([[0], alone.astype(int), [0]]))).reshape(-1, 2)
    block = next(
        (run for run in runs.tolist() if run[1] - run[0] >= ALIKE and (run[0] == 0 or run[1] == len(alone))),
        None,
    )
    if block is not None and (helped & ~human).any():
        yield note(
            f"episodes {block[0]}-{block[1] - 1} have no hand-over and all succeed; if they are "
            f"demonstrations, say --demos {block[0]}-{block[1] - 1}"
        )


def _prompts(table: Table) -> Iterator[Finding]:
    """Prompts that say nothing, or change."""
    if not all(prompt.strip() for prompt in table.prompts):
        yield warning("a prompt is empty: policies that read it are told nothing")
    several = [
        e for e, rows in enumerate(table.slices) if (table.prompt[rows] != table.prompt[rows.start]).any()
    ]
    if several:
        yield note(f"{name(several)} whose prompt changes on the way: every frame is learned with its own")


def in_ranges(numbers: Sequence[int]) -> str:
    """Sorted numbers as `--demos` has them: `0-4,9`."""
    parts: list[str] = []
    for run in np.split(np.array(numbers), np.flatnonzero(np.diff(numbers) != 1) + 1):
        parts.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ",".join(parts)


def missing_outcomes() -> Finding:
    """What is said where nobody says how any episode ended."""
    return failure(
        "no outcome is recorded (no column `next.success`); say them with `vantage outcomes DATASET` or in "
        "a csv (--outcomes)"
    )
