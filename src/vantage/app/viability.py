"""A run and a dataset -> p_v of every frame, for the page of `vantage outcomes`.

    values of the run's ledger ──┐ episodes that the run has weighed
    values kept in the cache ────┼──viability_by──> episode -> p_v
    critic and its policy ───────┘ freshly recorded ones: computed once, then kept in the cache

The cache is `$XDG_CACHE_HOME/vantage/viability` (`~/.cache/vantage/viability`): nothing is written into the
dataset, beside it, or into the run.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from vantage.data.v3.meta import Info
from vantage.data.v3.meta import fingerprint as fingerprint_of_files
from vantage.data.v3.schema import FINGERPRINT, INDEX
from vantage.data.viability import Viability, stored_viability
from vantage.disk.layout import Round
from vantage.disk.tables import write_parquet
from vantage.progress import say
from vantage.types import VantageError

WEIGHTS = "critic.safetensors"


def viability_by(
    critic: Path,
    info: Info,
    fingerprints: Int64[np.ndarray, "M"],
    lengths: Int64[np.ndarray, "M"],
    features_of: Path | None = None,
) -> Viability:
    """p_v of all episodes of a dataset.

    `critic`: a run, a round or its 3-critic; or a file of values, which stands for itself. `fingerprints`,
    `lengths`: of the dataset's M episodes. `features_of`: the checkpoint whose features the critic reads;
    None: the policy that entered its round. Raises VantageError where there is neither a value nor a critic,
    and where dataset, critic and policy do not fit.
    """
    folder = critic_in(critic)
    if folder is None:
        return stored_viability(critic, fingerprints, lengths)

    weighed = _known(critic, fingerprints, lengths)
    if len(weighed) == len(lengths):
        return weighed
    cache = cache_folder() / f"{_key(folder, info)}.parquet"
    seen = _known(cache, fingerprints, lengths) if cache.is_file() else {}
    if len(seen) < len(lengths):
        seen = _computed(folder, info, fingerprints, lengths, features_of, cache)
    return seen | weighed


def critic_in(path: Path) -> Path | None:
    """The folder of a critic: `path` itself, a round's, or of the last round of a run that has one."""
    rounds = sorted(path.glob("round-*"), reverse=True) if path.is_dir() else []
    folders = [path, *(Round(folder).critic for folder in (path, *rounds))]
    return next((folder for folder in folders if (folder / WEIGHTS).is_file()), None)


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
    digest = hashlib.blake2b((critic / WEIGHTS).read_bytes(), digest_size=16)
    digest.update(fingerprint_of_files(info).encode())
    return digest.hexdigest()


def _computed(
    critic: Path,
    info: Info,
    fingerprints: Int64[np.ndarray, "M"],
    lengths: Int64[np.ndarray, "M"],
    features_of: Path | None,
    cache: Path,
) -> Viability:
    """Ask the critic, and keep what it says where that can be kept."""
    from vantage.algorithms import watch  # brings PyTorch, which nothing else of the page needs

    policy = features_of or watch.features_of(critic)
    say(f"{critic} has not seen all of {info.root} yet: computing p_v, by the features of {policy}")
    p_v = watch.viability_of(info.root, critic, features_of=policy)

    columns = {INDEX: np.arange(len(p_v)), FINGERPRINT: np.repeat(fingerprints, lengths), "p_v": p_v}
    try:
        write_parquet(cache, columns)
        say(f"p_v is kept in {cache.parent} for the next time")
    except (OSError, VantageError) as error:
        say(f"p_v could not be kept for the next time ({error})")
    return dict(enumerate(np.split(p_v, np.cumsum(lengths)[:-1])))
