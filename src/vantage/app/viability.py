"""A run and a dataset -> p_v of every frame, for the page of `vantage outcomes`.

    values of the run's ledger ──┐ episodes that the run has weighed
    values kept in the cache ────┴──known_viability──> episode -> p_v, and what is still to be asked
    critic and its policy ──────────Asking──> the rest, by a process of its own behind the page

The cache is `$XDG_CACHE_HOME/vantage/viability` (`~/.cache/vantage/viability`): nothing is written into the
dataset, beside it, or into the run.
"""

import hashlib
import multiprocessing
import os
import signal
import tempfile
import threading
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64

from vantage.data.v3.meta import Info
from vantage.data.v3.meta import fingerprint as fingerprint_of_files
from vantage.data.v3.schema import FINGERPRINT, INDEX
from vantage.data.viability import Viability, stored_viability
from vantage.disk.layout import CRITIC_WEIGHTS, critic_in
from vantage.disk.tables import write_parquet
from vantage.progress import say
from vantage.types import VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a critic has yet to say of a dataset."""

    critic: Path
    """Its folder."""
    root: Path
    """The dataset's folder."""
    fingerprints: Int64[np.ndarray, "M"]
    lengths: Int64[np.ndarray, "M"]
    features_of: Path | None
    """The checkpoint whose features the critic reads; None: the policy that entered its round."""
    cache: Path
    """Where the answer is kept."""


def known_viability(
    critic: Path,
    info: Info,
    fingerprints: Int64[np.ndarray, "M"],
    lengths: Int64[np.ndarray, "M"],
    features_of: Path | None = None,
) -> tuple[Viability, Question | None]:
    """p_v of the episodes of a dataset of which it is known, and what remains to be asked, if anything.

    `critic`: a run, a round or its 3-critic; or a file of values, which stands for itself. `fingerprints`,
    `lengths`: of the dataset's M episodes. Raises VantageError where there is neither a value nor a critic.
    """
    folder = critic_in(critic)
    if folder is None:
        return stored_viability(critic, fingerprints, lengths), None

    weighed = _known(critic, fingerprints, lengths)
    cache = cache_folder() / f"{_key(folder, info)}.parquet"
    if len(weighed) < len(lengths) and cache.is_file():
        weighed = _known(cache, fingerprints, lengths) | weighed
    if len(weighed) == len(lengths):
        return weighed, None
    return weighed, Question(
        critic=folder,
        root=info.root,
        fingerprints=fingerprints,
        lengths=lengths,
        features_of=features_of,
        cache=cache,
    )


class Asking:
    """A critic that looks at the recordings, in a process of its own: the page answers meanwhile, and the
    work ends with it."""

    def __init__(self, question: Question, values: Viability) -> None:
        """Begin. `values`: gets the answer when it is there; what is known already stays."""
        self._question, self._values = question, values
        self._scratch = tempfile.TemporaryDirectory(prefix="vantage-viability-")
        self._state: Literal["computing", "ready", "failed"] = "computing"
        self._problem = ""

        # Not forked: PyTorch's threads would not survive it.
        arguments = (question, Path(self._scratch.name))
        context = multiprocessing.get_context("spawn")
        self._process: BaseProcess = context.Process(target=_answer, args=arguments, daemon=True)
        self._process.start()

    @property
    def problem(self) -> str:
        """Why it failed, in a sentence."""
        return self._problem

    def state(self) -> Literal["computing", "ready", "failed"]:
        """How far it is; the first time that it is ready, the values get the answer."""
        if self._state == "computing" and not self._process.is_alive():
            self._take()
        return self._state

    def wait(self) -> None:
        """Until it has ended."""
        self._process.join()

    def close(self) -> None:
        """End the work, if it has not ended."""
        self._process.terminate()
        self._process.join()
        self._scratch.cleanup()

    def _take(self) -> None:
        """Read what the process has left."""
        folder, question = Path(self._scratch.name), self._question
        problem = folder / PROBLEM
        if problem.is_file():
            self._state, self._problem = "failed", problem.read_text(encoding="utf-8")
            return
        try:
            found = stored_viability(folder / ANSWER, question.fingerprints, question.lengths)
        except VantageError:
            ended = self._process.exitcode
            self._state = "failed"
            self._problem = f"p_v could not be computed (the process ended with {ended}; see the terminal)"
            return
        self._values.update({episode: found[episode] for episode in found.keys() - self._values.keys()})
        self._state = "ready"


ANSWER, PROBLEM = "p_v.parquet", "problem.txt"
"""What the process leaves: values, or a sentence."""


def _answer(question: Question, scratch: Path) -> None:
    """Ask the critic: the whole of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the page, which ends this process then
    os.nice(10)
    tempfile.tempdir = str(scratch)  # so that nothing is left where this process is killed
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        compute(question, scratch / ANSWER)
    except VantageError as error:
        say(f"p_v is not shown: {error}")
        (scratch / PROBLEM).write_text(f"p_v is not shown: {error}", encoding="utf-8")


def _end_with(parent: BaseProcess) -> None:
    """End this process where the page was killed and could not."""
    parent.join()
    os._exit(1)


def compute(question: Question, out: Path) -> None:
    """Write p_v of every frame to `out`, and where it can be kept to the cache."""
    from vantage.algorithms import watch  # brings PyTorch, which nothing else of the page needs

    policy = question.features_of or watch.features_of(question.critic)
    say(
        f"{question.critic} has not seen all of {question.root} yet: computing p_v behind the page, by the "
        f"features of {policy}"
    )
    p_v = watch.viability_of(question.root, question.critic, features_of=policy)

    contents = np.repeat(question.fingerprints, question.lengths)
    columns = {INDEX: np.arange(len(p_v)), FINGERPRINT: contents, "p_v": p_v}
    write_parquet(out, columns)
    try:
        write_parquet(question.cache, columns)
        say(f"p_v is on the page now, and kept in {question.cache.parent} for the next time")
    except (OSError, VantageError) as error:
        say(f"p_v is on the page now, and could not be kept for the next time ({error})")


def cache_folder() -> Path:
    """Where computed values are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "vantage" / "viability"


def _known(path: Path, fingerprints: Int64[np.ndarray, "M"], lengths: Int64[np.ndarray, "M"]) -> Viability:
    """What a run's ledger or the cache says; nothing where it says nothing that can be read."""
    try:
        return stored_viability(path, fingerprints, lengths)
    except VantageError:
        return {}


def _key(critic: Path, info: Info) -> str:
    """Of a critic's values of a dataset: of the critic's weights, and of the dataset's files."""
    digest = hashlib.blake2b((critic / CRITIC_WEIGHTS).read_bytes(), digest_size=16)
    digest.update(fingerprint_of_files(info).encode())
    return digest.hexdigest()
