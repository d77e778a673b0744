"""What stock lerobot-train draws from recordings, and from the view of them (`vantage weights --view`).

    python -m experiments.lerobot_draws runs/quickstart/round-01 --chunk 16

A row for every way to train on a round's recordings: LeRobot's own sampler, or the plugin's, over the round's
data set or over the view; and Vantage's draw. Shares are those of 50,000 draws (LeRobot's own sampler draws
every frame equally often; there they are exact).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import tyro
from jaxtyping import Int64

from vantage.core.sampling import draw
from vantage.data.experience import Experience, load_experience
from vantage.data.sidecars import AnyLength, read_ledger
from vantage.data.view import WEIGHTS_FILE, write_view
from vantage.disk.layout import Round, Source
from vantage.disk.tables import read_parquet
from vantage.types import Route

DRAWS = 50_000


@dataclass(frozen=True, slots=True)
class Drawn:
    """Windows by the row of the experience that each begins at, and how far they may reach."""

    name: str
    rows: Int64[np.ndarray, "K"]
    cut: bool
    """Whether a window ends where its segment does."""

    def line(self, experience: Experience, ledger: dict[str, AnyLength], chunk: int) -> str:
        """A row of the table."""
        demo = (ledger["route"][self.rows] == Route.DEMO).mean()
        idle = (ledger["weight"][self.rows] * ledger["sampling"][self.rows] == 0).mean()
        episode_end = np.append(np.flatnonzero(experience.frames.frame == 0)[1:], len(experience)) - 1
        last = episode_end[experience.frames.episode[self.rows]]
        beyond = np.minimum(self.rows + chunk - 1, last) > experience.segment_end[self.rows]
        return f"| {self.name} | {demo:.0%} | {idle:.0%} | {0 if self.cut else beyond.mean():.0%} |"


def rows_of(experience: Experience, number: AnyLength, index: AnyLength) -> Int64[np.ndarray, "K"]:
    """Rows of the experience, by round and index."""
    begins = {
        int(one): int(np.flatnonzero(experience.round == one)[0]) for one in np.unique(experience.round)
    }
    return np.array([begins[int(one)] for one in number], np.int64) + index


def several(sampler: Any) -> Int64[np.ndarray, "K"]:
    """What a sampler draws, epoch after epoch."""
    epochs: Iterable[int] = chain.from_iterable(iter(each) for each in repeat(sampler))
    return np.fromiter(islice(epochs, DRAWS), np.int64)


def table_of(folder: Path, chunk: int) -> list[str]:
    """All rows, of a round that is weighed."""
    from lerobot.datasets.sampler import EpisodeAwareSampler  # slow to import
    from lerobot_policy_vantage.weights import LedgerSampler

    here = Round(folder)
    rounds = [Round.of(here.run, number) for number in range(here.number + 1)]
    sources = [Source(one.number, one.episodes, one.labels, None) for one in rounds]
    experience, ledger = load_experience(sources), read_ledger(here.weights)

    own = np.flatnonzero(experience.round == here.number)
    opens = np.flatnonzero(experience.frames.frame[own] == 0)
    episodes = (opens, np.append(opens[1:], len(own)))
    with TemporaryDirectory() as scratch:
        told = write_view(experience, ledger, Path(scratch) / "view")
        shown = read_parquet(Path(scratch) / "view" / WEIGHTS_FILE)
    kept = rows_of(experience, shown["source"], shown["source_index"])
    starts = np.flatnonzero(np.diff(shown["fingerprint"], prepend=-2) != 0)
    segments = (starts, np.append(starts[1:], told.frames))

    sampling = ledger["sampling"]
    drawn = [
        Drawn("the rollouts, LeRobot's own draw", own, cut=False),
        Drawn(
            "the rollouts, the plugin's draw",
            own[several(LedgerSampler(sampling[own], *episodes, shuffle=True))],
            cut=False,
        ),
        Drawn(
            "the view, LeRobot's own draw",
            kept[[*EpisodeAwareSampler(*(edge.tolist() for edge in segments), shuffle=True)]],
            cut=True,
        ),
        Drawn(
            "the view, the plugin's draw",
            kept[several(LedgerSampler(shown["sampling"], *segments, shuffle=True))],
            cut=True,
        ),
        Drawn("Vantage's own draw", draw(sampling, seed=0, step=0, batch=DRAWS), cut=True),
    ]
    return [one.line(experience, ledger, chunk) for one in drawn]


def main(folder: Annotated[Path, tyro.conf.Positional], chunk: int = 16) -> None:
    """Print the table.

    Args:
        folder: A round with 4-weights.parquet.
        chunk: Control steps of a window.
    """
    print("| what lerobot-train draws from | demonstrations | weigh nothing | reach across a hand-over |")
    print("|---|---|---|---|")
    print("\n".join(table_of(folder, chunk)))


if __name__ == "__main__":
    tyro.cli(main)
