"""Worlds, a policy and an operator in; `1-episodes/` (LeRobotDataset v3) out.

Every episode is journalled the moment it ends, by the process that played it. Started again after a kill, the
stage plays only what the journal lacks, and the data set is assembled when all of it is there: it exists
whole, or not yet.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vantage import ranks
from vantage.bounds import Count, NotNegative, check
from vantage.collect.exploration import Exploration
from vantage.collect.operators import (
    Bystander,
    Demonstrate,
    DemonstrateFrom,
    Demonstrator,
    OperatorSpec,
    Rescue,
    Rescues,
    operator_of,
)
from vantage.collect.pool import Job, Played, Pool
from vantage.collect.recorded import journal_recorded
from vantage.config import to_json
from vantage.data.episodes import journalled, load_episode
from vantage.data.frames import frames_from_journal
from vantage.data.v3.write import write_dataset
from vantage.disk.files import sha256_folder
from vantage.disk.layout import Round
from vantage.disk.made import check_left, noted_sha256
from vantage.progress import bar
from vantage.seeding import seed_for
from vantage.stages.starts import choose_starts
from vantage.types import VantageError
from vantage.worlds.spec import WorldSpec

MEANING = 1
"""Raised by hand when the same input and settings are meant to give something else (tests/golden)."""


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """Successful episodes of an operator; attempts that fail are discarded, and counted."""

    per_world: Count = 20
    """Demonstrations per world."""
    operator: OperatorSpec = Demonstrate()
    attempts: Count = 4
    """Give up after this many times `per_world` attempts."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds, and for an operator who only stands by."""
        check(self)
        if isinstance(self.operator, Bystander):
            raise VantageError(
                f"{type(self.operator).__name__} waits for a policy to be in trouble, and demonstrations "
                "have no policy; name an operator who drives (Demonstrate, DemonstrateStock)"
            )


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Episodes of the policy, with an operator standing by."""

    per_world: Count = 25
    """Episodes per world."""
    operator: OperatorSpec = Rescue()
    recorded_late: int = 0
    """Control steps by which the log is late in saying who drives (early if negative): what a slow button
    does to data."""
    noise: NotNegative | None = None
    """Scale of the noise that the flow acts from; None: what its checkpoint says (1, unless configured)."""
    exploration: Exploration = Exploration()
    """What is tried beside what the policy does by itself."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds, for two ways to say the noise, and for an
        operator who cannot drive."""
        check(self)
        if self.noise is not None and self.exploration.noises:
            raise VantageError(
                f"rollouts.noise is {self.noise:g}, and rollouts.exploration.noises says scales too; "
                "give one of them"
            )
        if isinstance(self.operator, DemonstrateFrom):
            raise VantageError(
                "recorded episodes rescue nobody; name another operator of the rollouts (NoOne, if nobody "
                "is to rescue)"
            )
        if isinstance(self.operator, Demonstrator):
            raise VantageError(
                f"{type(self.operator).__name__} drives from the first step on, so that no rollout would "
                "show what the policy does; name another operator of the rollouts (Rescue, or NoOne, if "
                "nobody is to rescue)"
            )


CameraSizes = Mapping[str, tuple[int, int] | None]
"""Camera name -> (height, width) of the pictures that the policy must be given; None: as they are.

Empty for a policy that looks at none.
"""


@ranks.first_alone
def collect_demonstrations(
    where: Round,
    worlds: tuple[WorldSpec, ...],
    settings: Demonstrations,
    *,
    seed: int,
    cameras: CameraSizes,
    pool: Pool,
) -> None:
    """Write the demonstrations of round 0, with pictures if the policy looks at any (`cameras`).

    Raises VantageError if a world's operator does not succeed often enough, or if a data set does not hold
    them.
    """
    if _is_collected(where):
        return

    made_of = {"operator": to_json(settings), "worlds": to_json(worlds), "seed": seed}
    check_left(where.journal, made_of | {"cameras": sorted(cameras)})
    if isinstance(settings.operator, DemonstrateFrom):
        kept = journal_recorded(settings.operator, worlds, settings.per_world, cameras, where.journal)
    else:
        kept = _play_demonstrations(where, worlds, settings, seed, cameras, pool)
    _assemble(where, kept, worlds[0], cameras)


def _play_demonstrations(
    where: Round,
    worlds: tuple[WorldSpec, ...],
    settings: Demonstrations,
    seed: int,
    cameras: CameraSizes,
    pool: Pool,
) -> list[int]:
    """Let the operator drive until it has succeeded often enough in every world; the numbers of those
    episodes in the journal."""
    kept: list[int] = []
    attempts = settings.attempts * settings.per_world
    wanted = settings.per_world * len(worlds)
    with bar("demonstrations", wanted, "episodes") as advance:
        for row, world in enumerate(worlds):
            # Every world has numbers of its own, one per attempt that it may need.
            first = row * attempts
            successes: list[int] = []
            tried = 0
            while len(successes) < settings.per_world:
                more = min(settings.per_world - len(successes), attempts - tried)
                if more == 0:
                    fault = f"the operator solved {world.task} in {len(successes)} of {tried} attempts"
                    raise VantageError(
                        f"{fault}, fewer than the {settings.per_world} demonstrations wanted; "
                        "ask for fewer, or allow more attempts or a longer limit"
                    )

                jobs = [
                    Job(
                        number=number,
                        world=world,
                        actor=None,
                        operator=settings.operator,
                        seed=seed_for("demonstration", seed, number),
                        journal=where.journal,
                        pictures=bool(cameras),
                    )
                    for number in range(first + tried, first + tried + more)
                ]
                for played in _play_missing(where, jobs, pool):
                    if played.success:
                        successes.append(played.number)
                        advance(1, world.task)
                tried += more
            kept += sorted(successes)
    return kept


@ranks.first_alone
def collect_rollouts(
    where: Round,
    worlds: tuple[WorldSpec, ...],
    settings: Rollouts,
    *,
    policy: Path,
    policy_version: int,
    seed: int,
    cameras: CameraSizes,
    pool: Pool,
    device: str = "cpu",
    rescues: Rescues = "all",
) -> None:
    """Write the rollouts of a round, played by the checkpoint `policy` with an operator standing by.

    `device`: where the policy acts. `rescues`: in which episodes the operator stands by (`operator_of`).
    """
    if _is_collected(where):
        return

    made_of = {
        "policy": noted_sha256(policy) or sha256_folder(policy),
        "settings": to_json(settings),
        "worlds": to_json(worlds),
        "seed": seed,
        "cameras": sorted(cameras),
    }
    if rescues != "all":
        made_of["rescues"] = rescues
    check_left(where.journal, made_of)

    played_in = [worlds[number % len(worlds)] for number in range(settings.per_world * len(worlds))]
    explored = settings.exploration
    jobs = [
        Job(
            number=number,
            world=played_in[number],
            actor=policy,
            operator=operator_of(settings.operator, rescues, place.seed),
            seed=place.seed,
            policy_version=policy_version,
            recorded_late=settings.recorded_late,
            noise=settings.noise if not explored.noises else explored.noise(number // len(worlds)),
            execute=explored.execute(number // len(worlds)),
            beginning=place.beginning,
            device=device,
            journal=where.journal,
            pictures=bool(cameras),
        )
        for number, place in enumerate(choose_starts(explored.starts, where, played_in, seed, pool))
    ]

    successes = rescued = 0
    with bar(f"rollouts, round {where.number}", len(jobs), "episodes") as advance:
        for i, played in enumerate(_play_missing(where, jobs, pool), start=1):
            successes += played.success and not played.human_steps
            rescued += played.human_steps > 0
            advance(1, f"{successes} alone, {rescued} rescued, of {i}")

    _assemble(where, [job.number for job in jobs], worlds[0], cameras)


def _is_collected(where: Round) -> bool:
    """Whether the data set is whole; the journal of a process that was killed while it removed it goes
    too."""
    if not where.episodes.exists():
        return False
    shutil.rmtree(where.journal, ignore_errors=True)
    return True


def _play_missing(where: Round, jobs: list[Job], pool: Pool):
    """Play what the journal lacks; summaries of everything, the journalled first."""
    safe = journalled(where.journal)
    for job in jobs:
        if job.number in safe:
            episode = load_episode(where.journal, job.number, pixels=False)
            yield Played(
                number=job.number,
                task=episode.task,
                prompt=episode.prompt,
                seed=job.seed,
                success=episode.outcome,
                steps=len(episode),
                human_steps=int(episode.intervention.sum()),
                limit=job.world.limit,
            )

    yield from pool(job for job in jobs if job.number not in safe)


def _assemble(where: Round, numbers: list[int], world: WorldSpec, cameras: CameraSizes) -> None:
    """Journal to data set (and frame store), then drop the journal."""
    if cameras:
        # Those of an interrupted stage may be of another journal, and are quickly made.
        shutil.rmtree(where.frames(cameras), ignore_errors=True)
        frames_from_journal(where.journal, numbers, where.frames(cameras), cameras)
    write_dataset(where.journal, numbers, where.episodes, world.fps, world.robot)
    shutil.rmtree(where.journal)
