"""A policy and a suite of starts in; `6-eval.parquet` out, one row per trial.

Trial i of a world has the same seed for every policy, run and machine, so that any two policies can be
compared start by start.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64

from vantage import ranks
from vantage.bounds import Count, NotNegative, Whole, check
from vantage.collect.operators import NoOne
from vantage.collect.pool import Job, Played, Pool, stamp
from vantage.core.stats import wilson
from vantage.data.episodes import load_episode
from vantage.data.v3.pictures import tile
from vantage.data.v3.schema import EVAL_COLUMNS
from vantage.data.v3.video import encode
from vantage.disk.files import write_whole
from vantage.disk.tables import write_parquet
from vantage.learn.critic.extraction import BestOfN
from vantage.learn.critic.steering import NoiseSteering, SteerBy, Steering
from vantage.progress import bar
from vantage.seeding import seed_for
from vantage.tracking import record
from vantage.types import VantageError
from vantage.worlds.spec import WorldSpec, place_of

MEANING = 1
"""Raised by hand when the same input and settings are meant to give something else (tests/golden)."""


SuiteName = Literal["evaluation", "development"]
"""Sets of starts. Their seeds come from the name, so that another name would be other starts."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a policy is tried."""

    per_world: Count = 40
    """Trials per world."""
    suite: SuiteName = "evaluation"
    """The set of starts: ``development`` to choose by, ``evaluation`` only to report."""
    videos: Whole = 0
    """Trials per world whose video is kept, beside the table."""
    noise: NotNegative | None = None
    """Scale of the noise that the flow acts from; 0: zero-noise inference; None: what its checkpoint says."""
    best_of: Count | None = None
    """Best-of-N: chunks drawn at every decision, of which a critic of chunks on the policy's own features
    executes the most viable; None: one, and no critic. A policy without rollouts (round 0, the control) has
    no such critic and acts by itself."""
    steering: Steering | None = None
    """A small network beside the policy that leads it to chunks which a critic of chunks finds more viable:
    by the noise that the flow acts from (NoiseSteering), or by editing its chunks (ChunkEdits); None: the
    policy acts by itself, as it does without rollouts (round 0, the control)."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds, for a choice among equal chunks, and for two
        ways to choose."""
        check(self)
        if self.steering is not None and self.best_of is not None:
            raise VantageError(
                "best_of and steering both say how the chunk is chosen; leave one of the two unset"
            )
        if isinstance(self.steering, NoiseSteering) and self.noise is not None:
            raise VantageError(
                f"noise is {self.noise:g}, and with NoiseSteering the noise is chosen; "
                "leave one of the two unset"
            )
        if self.best_of is not None and self.noise == 0:
            raise VantageError(
                "best_of chooses among chunks, and at noise 0 all of them are the same; "
                "leave one of the two unset"
            )


@ranks.first_alone
def evaluate(
    actor: Path,
    out: Path,
    worlds: tuple[WorldSpec, ...],
    settings: Evaluation,
    *,
    pool: Pool,
    title: str = "evaluation",
    device: str = "cpu",
    chunk_critic: Path | None = None,
    steering: Path | None = None,
) -> None:
    """Try the policy, alone, on every start of the suite, and write the table (and videos).

    `device`: where the policy acts. `chunk_critic`: the critic of chunks on its features, for
    `Evaluation.best_of`. `steering`: what leads it, for `Evaluation.steering`. None: the policy acts by
    itself.
    """
    if out.exists():
        return

    acting = None
    if settings.best_of is not None and chunk_critic is not None:
        acting = BestOfN(chunk_critic, settings.best_of, stamp(chunk_critic))
    if settings.steering is not None and steering is not None:
        acting = SteerBy(steering, stamp(steering))

    journal = out.parent / ".trials" if settings.videos else None
    jobs = [
        Job(
            number=row * settings.per_world + trial,
            world=world,
            actor=actor,
            operator=NoOne(),
            seed=seed_for(settings.suite, place_of(world), trial),
            noise=settings.noise,
            acting=acting,
            device=device,
            journal=journal if trial < settings.videos else None,
            pictures=trial < settings.videos,
        )
        for row, world in enumerate(worlds)
        for trial in range(settings.per_world)
    ]

    played: list[Played] = []
    with bar(title, len(jobs), "trials") as advance:
        for trial in pool(jobs):
            played.append(trial)
            wins = sum(finished.success for finished in played)
            rate = wilson(wins, len(played))
            advance(1, f"{rate.estimate:.2f} [{rate.low:.2f}, {rate.high:.2f}]")
    played.sort(key=lambda trial: trial.number)

    if journal is not None:
        filmed = [trial for trial in played if trial.number % settings.per_world < settings.videos]
        _write_videos(journal, out.parent / "videos", filmed, worlds[0].fps)

    columns = {
        "task": np.array([trial.task for trial in played]),
        "prompt": np.array([trial.prompt for trial in played]),
        "seed": np.array([trial.seed for trial in played], dtype=np.int64),
        "success": np.array([trial.success for trial in played], dtype=bool),
        "steps": np.array([trial.steps for trial in played], dtype=np.int64),
        "limit": np.array([trial.limit for trial in played], dtype=np.int64),
    }
    write_parquet(out, {name: columns[name] for name in EVAL_COLUMNS})
    _record(out, columns["success"], columns["steps"])


def _record(out: Path, success: Bool[np.ndarray, "N"], steps: Int64[np.ndarray, "N"]) -> None:
    """Hand the rate, and the steps of successes, to whoever watches from elsewhere: one curve over rounds."""
    kind, _, number = out.parent.name.rpartition("-")
    curve, step = f"evaluation, {out.parent.name}", 0
    if kind == "round" and number.isdigit():
        curve, step = "evaluation", int(number)

    values = {"success": float(success.mean())}
    if success.any():
        values["steps of successes"] = float(steps[success].mean())
    record(curve, step, values)


def _write_videos(journal: Path, folder: Path, played: list[Played], fps: int) -> None:
    """One mp4 per kept trial, the cameras side by side, named after task, seed and outcome."""
    for trial in played:
        pictures = load_episode(journal, trial.number).images
        name = f"{trial.task}-{trial.seed}-{'success' if trial.success else 'failure'}.mp4"
        write_whole(folder / name, encode(tile(pictures), fps))
    shutil.rmtree(journal)
