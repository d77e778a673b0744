"""Where things lie: a run is a folder of rounds, and a round is an `ls`.

runs/quickstart/
  recipe.json            what made it: the recipe's name and every setting
  round-00/              supervised fine-tuning on demonstrations
  round-01/ ...          one round of collect, label, fit critic, weigh, fit actor, evaluate
  control-sft/           the supervised policy, trained on for as many steps on demonstrations alone
  report.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vantage.types import VantageError


@dataclass(frozen=True, slots=True)
class Round:
    """The files of one round."""

    folder: Path

    @classmethod
    def of(cls, run: Path, number: int) -> "Round":
        """Round `number` of a run."""
        return cls(run / f"round-{number:02d}")

    @classmethod
    def control(cls, run: Path) -> "Round":
        """The supervised policy trained on for as many steps: the files of its policy and of its trials."""
        return cls(run / "control-sft")

    @classmethod
    def at(cls, folder: Path) -> "Round":
        """The round in this folder; VantageError if its name is not ``round-NN``."""
        if not re.fullmatch(r"round-\d\d+", folder.name):
            raise VantageError(
                f"{folder} is not a round folder (round-00, round-01, ...); name one inside a run"
            )
        return cls(folder)

    @property
    def number(self) -> int:
        """0 for supervised fine-tuning, then 1, 2, ..."""
        return int(self.folder.name.removeprefix("round-"))

    @property
    def run(self) -> Path:
        """The run it belongs to."""
        return self.folder.parent

    @property
    def episodes(self) -> Path:
        """LeRobotDataset v3 of what was collected."""
        return self.folder / "1-episodes"

    @property
    def labels(self) -> Path:
        """The labels of those episodes."""
        return self.folder / "2-labels.parquet"

    @property
    def critic(self) -> Path:
        """The critic trained in this round."""
        return self.folder / "3-critic"

    @property
    def chunk_critic(self) -> Path:
        """The critic of states and chunks, where a rule or `vantage fit-chunk-critic` asked for one."""
        return self.folder / "3-chunk-critic"

    @property
    def weights(self) -> Path:
        """The weights of everything this round trains on."""
        return self.folder / "4-weights.parquet"

    @property
    def actor(self) -> Path:
        """The policy after this round."""
        return self.folder / "5-actor"

    @property
    def acting_critic(self) -> Path:
        """The critic of states and chunks that chooses for it (`Evaluation.best_of`), or that what leads it
        was trained by."""
        return self.folder / "5-chunk-critic"

    @property
    def steering(self) -> Path:
        """The small network that leads it (`Evaluation.steering`)."""
        return self.folder / "5-steering"

    @property
    def evaluation(self) -> Path:
        """Its trials."""
        return self.folder / "6-eval.parquet"

    @property
    def record(self) -> Path:
        """What made this folder: commit, settings, seeds, checksums."""
        return self.folder / "round.json"

    @property
    def journal(self) -> Path:
        """Episodes as they were played, one file each, until the data set is whole."""
        return self.folder / ".journal"

    def frames(self, cameras: Mapping[str, tuple[int, int] | None]) -> Path:
        """The memory-mapped pictures at the policy's resolution, lossless; every later stage reads them.

        `cameras`: what the policy looks at, with the sizes that it must be given. The sizes are part of the
        name, so that policies of different eyes may read the same episodes; pictures kept as they were
        recorded are simply `.frames`.
        """
        sizes = sorted({size for size in cameras.values() if size is not None})
        names = [str(height) if height == width else f"{width}x{height}" for height, width in sizes]
        return self.folder / "-".join([".frames", *names])


@dataclass(frozen=True, slots=True)
class Source:
    """One data set that a round trains on, with its labels."""

    round: int
    episodes: Path
    labels: Path
    frames: Path | None
    """Folder of the frame store; None for a policy that looks at no pictures."""


def run_wanted(folder: Path) -> str:
    """The remedy where a folder is no run, for the end of a sentence: the run around it, where it is a part
    of one."""
    for around in folder.resolve().parents[:2]:
        if any(around.glob("round-[0-9][0-9]*")):
            return f"it is a part of the run {around}; name that folder"
    return "name the folder that `vantage run` or `vantage finetune` wrote"


def round_folders(run: Path) -> list[Path]:
    """Folders of a run in which something is made, in the order in which they are."""
    names = ("start", "round-[0-9][0-9]*", "control-sft", "more")
    return [path for name in names for path in sorted(run.glob(name)) if path.is_dir()]


CRITIC_WEIGHTS = "critic.safetensors"
"""In the folder of a critic."""


def critic_in(path: Path) -> Path | None:
    """The folder of a critic: `path` itself, a round's, or of the last round of a run that has one."""
    rounds = sorted(path.glob("round-*"), reverse=True) if path.is_dir() else []
    folders = [path, *(Round(folder).critic for folder in (path, *rounds))]
    return next((folder for folder in folders if (folder / CRITIC_WEIGHTS).is_file()), None)
