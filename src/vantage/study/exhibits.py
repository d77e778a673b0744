"""A finished HABC cell -> a few episodes worth looking at, stored as rows and small pictures (the paper's
Fig. 4 right, 5, 6).

    ledger of the last round ──choose──> an episode ──play again──> pictures ──> exhibits.parquet ──> figures

Worlds are deterministic: the recorded actions lead through the recorded states, which is checked; so a run
from true state has pictures.
"""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image

from vantage.batch import Observation
from vantage.collect.episode import run_episode
from vantage.collect.operators import NoOne
from vantage.core.credit import label_episode
from vantage.core.returns import stride_rows
from vantage.core.timeline import timeline
from vantage.core.weights import gate, gather_evidence
from vantage.data.episodes import Episode
from vantage.data.v3.read import read_table
from vantage.data.v3.schema import INDEX, ROUND
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet
from vantage.errors import VantageError
from vantage.learn.critic.panel import Panel, load_panel
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy
from vantage.report.episode import fall_and_rise, largest_fall, smooth
from vantage.seeding import seed_for
from vantage.study.cells import Cell
from vantage.study.exhibit_rows import VALUES, Exhibit, write_exhibits
from vantage.study.plan import Online, Study, StudyTask
from vantage.types import Trace
from vantage.worlds.spec import WorldSpec, place_of

PICTURES = 8
"""Pictures per episode."""
SIZE = 192
"""Side of the kept pictures in pixels."""
LEAD = 24
"""Control steps that a policy must have driven before a rescue that is shown."""
SURE = 0.5
"""Viability at the end of an episode above which the critic calls it won, below which lost."""
TRIED = 12
"""Starts that are played for Fig. 6; the most telling is kept."""


def make_exhibits(study: Study, work: Path, results: Path, task: str, seed: int, arm: str = "habc") -> Path:
    """Choose, replay and store the exhibits of one finished cell; returns the file.

    Raises VantageError where the arm plays no rollouts of its own, where the cell is not on disk, or where it
    holds nothing to show.
    """
    chosen = study.arm(arm)
    if not isinstance(chosen, Online):
        raise VantageError(
            f"arm {arm!r} plays no rollouts of its own, so there is nothing to show; name an online arm",
        )

    single = study.task(task)  # a task that is none is said before its folder is missed
    folder = Cell(task=task, arm=arm, seed=seed).folder(work)
    last = Round.of(folder, study.first_round(chosen) + chosen.rounds - 1)
    if not last.weights.exists():
        raise VantageError(
            f"{last.folder} is not there; run `vantage study` with --tasks {task} and that seed first"
        )

    if not isinstance(single, StudyTask):
        fault = f"task {task!r} is a suite of worlds, of which no episodes are shown"
        raise VantageError(f"{fault}; name a task that is one world")
    world = single.world
    exhibits = _recorded(last, world, seed)
    exhibits += _side_by_side(last, world, suite=study.shared.evaluation.suite, stride=chosen.weighing.stride)
    if not exhibits:
        raise VantageError(
            f"{last.folder} holds no rescue, no recovery and no start that only it solves; "
            "choose another seed",
        )
    return write_exhibits(results, exhibits)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """An episode of the round that may be shown."""

    episode: int
    sure: bool
    """Whether the critic is right about its end; such an episode is shown before any other."""
    depth: float
    """How far viability falls and rises in it."""


def _recorded(last: Round, world: WorldSpec, seed: int) -> list[Exhibit]:
    """Two of the round's own episodes, where it has such.

    Fig. 4 right: a rescue, before which viability falls and in which it rises. Fig. 5: a success on whose way
    viability dips and at whose end it is high, if there is one.
    """
    table = read_table(last.episodes)
    success, truth = table.success, table.environment_state
    assert success is not None and truth is not None, "the collector records both"

    ledger = read_parquet(last.weights, (ROUND, INDEX, *VALUES))
    own = ledger[ROUND] == last.number
    order = np.argsort(ledger[INDEX][own])
    values = {name: ledger[name][own][order] for name in VALUES}

    rescues: list[_Candidate] = []
    recoveries: list[_Candidate] = []
    for number, rows in enumerate(table.slices):
        if not success[rows].any():
            continue
        p_v, human = smooth(values["p_v"][rows]), table.intervention[rows]
        if not human.any():
            recoveries.append(_Candidate(episode=number, sure=bool(p_v[-1] > SURE), depth=largest_fall(p_v)))
        elif int(human.argmax()) > LEAD:
            rescues.append(_Candidate(episode=number, sure=True, depth=fall_and_rise(p_v, human)))

    exhibits: list[Exhibit] = []
    for name, words, candidates in (
        (
            "fig4-episode",
            "A rescue: viability before, during and after the hand-over (Fig. 4, right)",
            rescues,
        ),
        ("fig5-rollout", "A success on whose way viability dips and recovers (Fig. 5)", recoveries),
    ):
        if candidates:
            shown = max(candidates, key=lambda candidate: (candidate.sure, candidate.depth))
            rows = table.slices[shown.episode]
            start = seed_for("rollout", seed, last.number, shown.episode)
            exhibits.append(
                Exhibit(
                    name=name,
                    words=words,
                    **{value: values[value][rows] for value in VALUES},
                    human=table.intervention[rows],
                    pictures=_replay(world, start, table.action[rows], truth[rows]),
                )
            )
    return exhibits


def _side_by_side(last: Round, world: WorldSpec, *, suite: str, stride: int) -> list[Exhibit]:
    """Fig. 6: SFT and HABC from the same start, which only HABC solves, one critic judging both; nothing
    where there is no such start.

    Of the starts whose ends the critic can tell apart, the one with the deepest recovery; of all, where it
    can tell none.
    """
    supervised = Round.of(last.run, 0)
    theirs = read_parquet(supervised.evaluation, ("success",))["success"]
    ours = read_parquet(last.evaluation, ("success",))["success"]
    judge = _Judge(
        panel=load_panel(last.critic),
        entering=load_policy(Round.of(last.run, last.number - 1).actor),
        stride=stride,
    )
    policies = (
        ("fig6-sft", "SFT from a start that it fails at (Fig. 6)", load_policy(supervised.actor)),
        ("fig6-habc", "HABC from the same start (Fig. 6)", load_policy(last.actor)),
    )

    best: tuple[bool, float] | None = None
    shown: list[Exhibit] = []
    for trial in np.flatnonzero(ours & ~theirs)[:TRIED].tolist():
        start = seed_for(suite, place_of(world), trial)
        fails, solves = [
            _played(world, policy, start, judge, name, words) for name, words, policy in policies
        ]

        p_v = smooth(solves.p_v)
        apart = bool(p_v[-1] > SURE > smooth(fails.p_v)[-1])
        telling = (apart, largest_fall(p_v))
        if best is None or telling > best:
            best, shown = telling, [fails, solves]
    return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """A round's critic, which looks at the features of the policy that entered the round."""

    panel: Panel
    entering: Policy
    stride: int
    """k of the advantages: the study's."""

    def __call__(self, episode: Episode) -> dict[str, np.ndarray]:
        """`VALUES` of every step of an episode that the critic was not trained on: every fold may judge, the
        first one does."""
        length = len(episode.state)
        features = self.entering.features(_seen(episode)).numpy()
        values = self.panel.values(torch.from_numpy(features), np.zeros(length, np.int64))

        nobody = np.zeros(length, bool)
        trace = Trace(
            intervention=nobody,
            policy_version=np.zeros(length, np.int64),
            cut=nobody,
            outcome=bool(episode.success.any()),
        )
        frames = timeline([trace])
        evidence = gather_evidence(
            route=label_episode(trace).route,
            outcome=frames.outcome,
            intervention=frames.intervention,
            values=values,
            strides=stride_rows(frames.stretch_starts(), frames.success, self.stride),
        )
        g = gate(evidence.p_v, evidence.a_v, evidence.a_e)
        return {"p_v": evidence.p_v, "a_v": evidence.a_v, "v_e": values.v_e, "a_e": evidence.a_e, "g": g}


def _played(world: WorldSpec, policy: Policy, start: int, judge: _Judge, name: str, words: str) -> Exhibit:
    """One policy alone from one start, judged and replayed for its pictures."""
    episode = run_episode(
        world(),
        policy,
        NoOne(),
        task=world.task,
        seed=start,
        limit=world.limit,
        pictures=False,
    )
    assert episode.environment_state is not None, "the collector records it"

    return Exhibit(
        name=name,
        words=words,
        **judge(episode),
        human=episode.intervention,
        pictures=_replay(world, start, episode.action, episode.environment_state),
    )


def _seen(episode: Episode) -> Observation:
    """What a policy on true state sees of every step of an episode."""
    assert episode.environment_state is not None, "the collector records it"
    return Observation(
        images={},
        state=torch.from_numpy(episode.state),
        environment_state=torch.from_numpy(episode.environment_state),
        prompts=(episode.prompt,) * len(episode.state),
    )


def _replay(
    world: WorldSpec,
    seed: int,
    actions: Float32[np.ndarray, "T A"],
    truth: Float32[np.ndarray, "T E"],
) -> dict[int, bytes]:
    """Pictures along the recorded actions. Raises VantageError if they do not lead through the recorded
    states."""
    scene = replace(world, image_size=SIZE)()
    scene.reset(seed)
    wanted = set(np.linspace(0, len(actions) - 1, PICTURES).round().astype(int).tolist())

    pictures: dict[int, bytes] = {}
    for step, action in enumerate(actions):
        if not np.allclose(scene.environment_state(), truth[step], atol=1e-5):
            raise VantageError(
                f"step {step} of the replay differs from the recording; "
                "the world is not the one that recorded it",
            )
        if step in wanted:
            pictures[step] = _jpeg(next(iter(scene.images().values())))
        scene.step(action)
    scene.close()
    return pictures


def _jpeg(picture: UInt8[np.ndarray, "P P 3"]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=82)
    return out.getvalue()
