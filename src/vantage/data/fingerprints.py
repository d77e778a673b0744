"""Recorded episodes -> one number each that only their content decides, so that a table made from them can
tell whether it still describes them.

`lerobot-edit-dataset` numbers episodes and frames again when it deletes, splits or merges. Labels, weights
and outcomes keep this number beside every index (docs/data.md), and are matched by it.

    labels: fingerprint per row ─┐
    dataset now ──fingerprints───┴──rows_of──> which row of the labels describes which frame
"""

import hashlib
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from vantage.data.v3.columns import vectors, whole_numbers
from vantage.data.v3.meta import Info
from vantage.data.v3.read import read_rows
from vantage.data.v3.schema import ACTION, EPISODE, INDEX, STATE
from vantage.types import VantageError

BYTES = 6
"""Of a fingerprint: a number below 2^48, which every reader of numbers holds exactly."""
UNKNOWN = -1
"""In place of a fingerprint in tables that were written before there were any."""
PREFIX = "ep-"
"""Begins a fingerprint in a csv, so that no spreadsheet takes it for a number and rounds it."""


def fingerprints(
    action: Float32[np.ndarray, "N A"],
    state: Float32[np.ndarray, "N S"],
    starts: Int64[np.ndarray, "_"],
) -> Int64[np.ndarray, "M"]:
    """The fingerprint of every episode: of its length, its actions and its states, bit by bit.

    `starts`: first row of every episode, and N. Hashes 100 million numbers a second or more.
    """
    return np.array(
        [_fingerprint(action[a:b], state[a:b]) for a, b in pairwise(starts.tolist())],
        dtype=np.int64,
    )


def _fingerprint(action: Float32[np.ndarray, "T A"], state: Float32[np.ndarray, "T S"]) -> int:
    digest = hashlib.blake2b(len(action).to_bytes(8, "little"), digest_size=BYTES)
    for values in (action, state):
        digest.update(np.ascontiguousarray(values, dtype="<f4").data)
    return int.from_bytes(digest.digest(), "little")


def read_fingerprints(info: Info) -> tuple[Int64[np.ndarray, "N"], Int64[np.ndarray, "N"]]:
    """(index, fingerprint) of every frame of a dataset, of which nothing else is read or checked."""
    table = read_rows(info, [INDEX, EPISODE, ACTION, STATE])
    index, episode = (whole_numbers(table, name, info.root) for name in (INDEX, EPISODE))
    starts = np.append(np.flatnonzero(np.diff(episode, prepend=-1)), len(episode))
    values = fingerprints(vectors(table, ACTION, info), vectors(table, STATE, info), starts)
    return index, np.repeat(values, np.diff(starts))


def in_words(fingerprint: int) -> str:
    """A fingerprint as a csv has it."""
    return f"{PREFIX}{fingerprint:0{2 * BYTES}x}"


def from_words(text: str) -> int:
    """The fingerprint that `in_words` wrote. Raises ValueError for anything else."""
    digits = text.strip().lower().removeprefix(PREFIX)
    if not re.fullmatch(f"[0-9a-f]{{{2 * BYTES}}}", digits):
        raise ValueError(f"{text!r} is no fingerprint")
    return int(digits, 16)


def rows_of(
    path: Path,
    described: Int64[np.ndarray, "K"],
    index: Int64[np.ndarray, "K"],
    wanted: Int64[np.ndarray, "N"],
    remedy: str,
) -> Int64[np.ndarray, "N"]:
    """The row of a table that describes each of N frames.

    `described`, `index`: fingerprint and frame index of the table's rows, in any order. `wanted`: the
    fingerprints of the frames, in order. Rows of other episodes are left out: somebody may have deleted
    those. Raises VantageError where a frame is not described, or described twice; `remedy` is what to do
    then.
    """
    have, counts = np.unique(described, return_counts=True)
    want, needed = np.unique(wanted, return_counts=True)
    position = np.minimum(np.searchsorted(have, want), len(have) - 1)
    there = np.where(have[position] == want, counts[position], 0)

    covered = int(np.minimum(there, needed).sum())
    if covered < len(wanted):
        raise VantageError(
            f"{path.name} covers {covered:,} of {len(wanted):,} frames (by their content); {remedy}."
        )
    if (there > needed).any():
        first = int((wanted == want[(there > needed).argmax()]).argmax())
        raise VantageError(
            f"{path.name} holds the recording that begins at frame {first:,} more than once; {remedy}."
        )

    # Of one recording the k-th frame there is the k-th frame here.
    stored, frames = np.lexsort((index, described)), np.argsort(wanted, kind="stable")
    rows = np.empty(len(wanted), np.int64)
    rows[frames] = stored[np.isin(described[stored], want)]
    return rows
