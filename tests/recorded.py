"""A recorded run without a simulator: demonstrations and two rounds in which every route, credit, fold and
cut occurs.

    pictures ("PPHHP", outcome) ──write_dataset──> 1-episodes ──label──> 2-labels
        ──Improver──> 3-critic, 4-weights, 5-actor

A simulated policy that trains for a few seconds never succeeds, so a simulated run of test size has no
`rollout_success` frame and proves nothing about the weights of successes. What was driven, and how it ended,
is written down here instead. `tests/algorithms/test_recorded.py` asserts what occurs.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vantage.algorithms.improvement import Improvement, Improver
from vantage.algorithms.supervised import fit_supervised, sources_up_to, train_seed, weigh_demonstrations
from vantage.core.returns import EfficiencyTarget
from vantage.data.episodes import Episode, save_episode
from vantage.data.experience import Experience, load_experience
from vantage.data.v3.write import write_dataset
from vantage.disk.layout import Round, Source
from vantage.learn.critic.fit import CriticFit
from vantage.learn.parent import ParentFit
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.build import interface_of
from vantage.policies.small.flow import FlowConfig
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.label import label
from vantage.stages.weigh import Weighing

FPS = 20
SEED = 3
T_MAX = 60
"""The longest possible episode, in control steps."""
STEPS = 30
"""Policy updates of a round."""
CHUNK = 8
PROMPTS = ("push the puck", "open the window")

Picture = tuple[str, bool | None]
"""Who drove every frame (P policy, H human, | a gap in the recording before the next), and how it ended."""

DEMONSTRATIONS: tuple[Picture, ...] = (
    ("H" * 22, True),
    ("H" * 26, True),
    ("H" * 9 + "|" + "H" * 12, True),
    ("H" * 24, False),
    ("H" * 25, None),
)
"""None: nobody judged it, which for a demonstration is a success."""

FIRST_ROUND: tuple[Picture, ...] = (
    ("P" * 30, True),
    ("P" * 27, True),
    ("P" * 33, True),
    ("P" * 15 + "|" + "P" * 15, True),
    ("P" * 40, False),
    ("P" * 36, False),
    ("P" * 12 + "|" + "P" * 14, False),
    ("P" * 12 + "H" * 10 + "P" * 14, True),
    ("P" * 10 + "H" * 10 + "P" * 10 + "H" * 8 + "P" * 12, True),
    ("P" * 11 + "H" * 4 + "|" + "H" * 7 + "P" * 13, True),
    ("P" * 14 + "H" * 16, True),
    ("P" * 16 + "H" * 14, False),
    ("P" * 10 + "H" * 9 + "P" * 16, False),
    ("P" * 20, None),
    ("P" * 9 + "H" * 8 + "P" * 9, None),
)
SECOND_ROUND: tuple[Picture, ...] = (
    ("P" * 26, True),
    ("P" * 24, True),
    ("P" * 13 + "|" + "P" * 12, True),
    ("P" * 38, False),
    ("P" * 13 + "H" * 9 + "P" * 12, True),
    ("P" * 12 + "H" * 15, True),
    ("P" * 11 + "H" * 11 + "P" * 11, False),
    ("P" * 15 + "|" + "P" * 9, False),
)

SPEC = FlowConfig(
    net=NetConfig(
        sight=TrueState(dim=7, width=16), state_dim=4, action_dim=3, chunk=CHUNK, execute=4, width=32
    )
)
INTERFACE = interface_of(SPEC, None)

IMPROVEMENT = Improvement(
    critic=CriticFit(
        steps=40, batch=64, check_every=10, width=32, target=EfficiencyTarget(stride=4, mc_share=0.5)
    ),
    parent=ParentFit(steps=60, batch=64, width=32),
    weighing=Weighing(stride=4),
    fit=PolicyFit(steps=STEPS, batch=32, save_every=10, log_every=5),
)


def improvement(**changes: object) -> Improvement:
    """The improvement of the recorded run with other choices."""
    return replace(IMPROVEMENT, **changes)


def episode_of(picture: Picture, *, seed: int, version: int) -> Episode:
    """An episode that was driven like this: its true state knows how far it is and how it will end, with
    noise."""
    drivers, outcome = picture
    driven = drivers.replace("|", "")
    length, draw = len(driven), np.random.default_rng(seed)
    progress = np.arange(length) / length
    end = 0.0 if outcome is None else 2.0 * outcome - 1.0
    truth = draw.normal(0, 0.3, (length, 7))
    truth[:, 0] += 2 * progress
    truth[:, 1] += end * progress
    action = np.clip(np.stack([truth[:, 0] - 1, truth[:, 1], truth[:, 2]], axis=1) / 2, -1, 1).astype(
        np.float32
    )
    last = np.arange(length) == length - 1
    return Episode(
        state=truth[:, :4].astype(np.float32),
        environment_state=truth.astype(np.float32),
        action=action,
        policy_action=action,
        intervention=np.array([driver == "H" for driver in driven]),
        policy_version=np.full(length, version, np.int64),
        success=last & bool(outcome),
        done=last,
        prompt=PROMPTS[seed % 2],
        task="push-v3" if seed % 2 == 0 else "window-open-v3",
        seed=seed,
    )


def record(here: Round, pictures: tuple[Picture, ...], *, version: int, csv: bool) -> None:
    """Write 1-episodes and 2-labels of a round. `csv`: outcomes come from a file; else from
    `next.success`."""
    for number, picture in enumerate(pictures):
        save_episode(
            here.journal, number, episode_of(picture, seed=100 * here.number + number, version=version)
        )
    write_dataset(here.journal, range(len(pictures)), here.episodes, FPS)
    shutil.rmtree(here.journal)
    _cut_time(here.episodes, pictures)

    outcomes = here.folder / "outcomes.csv"
    if csv:
        said = {True: "1", False: "0", None: ""}
        lines = [f"{number},{said[outcome]}" for number, (_, outcome) in enumerate(pictures)]
        outcomes.write_text("\n".join(["episode_index,success", *lines]) + "\n")
    label(here.episodes, here.labels, outcomes=outcomes if csv else None, demos=here.number == 0)


def _cut_time(episodes: Path, pictures: tuple[Picture, ...]) -> None:
    """Let a second pass where the pictures say so."""
    path = next(episodes.glob("data/*/*.parquet"))
    table = pq.read_table(path)
    late = np.concatenate([_seconds_late(drivers) for drivers, _ in pictures])
    seconds = (table.column("timestamp").to_numpy() + late).astype(np.float32)
    place = table.column_names.index("timestamp")
    pq.write_table(table.set_column(place, "timestamp", pa.array(seconds)), path)


def _seconds_late(drivers: str) -> np.ndarray:
    """How many gaps lie before each frame."""
    return np.cumsum([drivers[:at].endswith("|") for at, who in enumerate(drivers) if who != "|"])


def write_run(run: Path) -> None:
    """The whole run: round 0 supervised, then two rounds of improvement."""
    start = Round.of(run, 0)
    record(start, DEMONSTRATIONS, version=-1, csv=True)
    record(Round.of(run, 1), FIRST_ROUND, version=0, csv=True)
    record(Round.of(run, 2), SECOND_ROUND, version=STEPS, csv=False)
    weigh_demonstrations(start, INTERFACE)
    fit_supervised(start, SPEC, INTERFACE, PolicyFit(steps=40, batch=32, log_every=10), seed=SEED)
    for number in (1, 2):
        improver(run, number).learn()


def improver(run: Path, number: int, settings: Improvement = IMPROVEMENT) -> Improver:
    """What turns a round's labelled episodes into a policy."""
    here = Round.of(run, number)
    return Improver(
        current=here,
        entering=Round.of(run, number - 1).actor,
        sources=sources(run, number),
        spec=SPEC,
        interface=INTERFACE,
        settings=settings,
        t_max=T_MAX,
        version=(number - 1) * settings.fit.steps,
        seed=SEED,
        train_seed=train_seed(here, SEED),
    )


def sources(run: Path, number: int) -> list[Source]:
    """What round `number` trains on."""
    return sources_up_to(Round.of(run, number), INTERFACE)


def experience(run: Path, number: int = 2) -> Experience:
    """What round `number` trains on, read and checked."""
    return load_experience(sources(run, number))


def copy_of_recordings(run: Path, out: Path, rounds: int) -> Path:
    """`out`: round 0 as it is, and the episodes and labels of the rounds up to `rounds`, to be improved
    on."""
    shutil.copytree(run / "round-00", out / "round-00")
    for number in range(1, rounds + 1):
        old, new = Round.of(run, number), Round.of(out, number)
        shutil.copytree(old.episodes, new.episodes)
        shutil.copy(old.labels, new.labels)
    return out
