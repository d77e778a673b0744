"""A finished HABC cell -> a few episodes worth looking at, as rows and small pictures, and their figures (the paper's Fig. 4 right, 5, 6).

    ledger of the last round ──choose──> an episode ──play its actions again──> pictures ──> exhibits.parquet ──> fig4-, fig5-, fig6-*.svg

Worlds are deterministic: the recorded actions lead through the recorded states, which is checked; so a run from true state has pictures.
"""

import base64
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from PIL import Image

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
from vantage.disk.tables import read_arrow, read_parquet, write_parquet
from vantage.learn.critic.panel import Panel, load_panel
from vantage.policies.load import load_policy
from vantage.report.svg import MEANINGS, axes, line, picture, plot, rect, svg, text
from vantage.seeding import seed_for
from vantage.stages.evaluate import place_of
from vantage.study.cells import Cell
from vantage.study.plan import Online, Study
from vantage.types import Observation, Trace, VantageError
from vantage.worlds.spec import WorldSpec

PICTURES = 8
"""Pictures per episode."""
SIZE = 192
"""Side of the kept pictures in pixels."""
TRACKS = (
    ("p_v", "viability p_v", "policy"),
    ("a_v", "advantage A_v", "policy"),
    ("v_e", "steps to go, −V_e", "efficiency"),
    ("a_e", "advantage A_e", "efficiency"),
    ("g", "gate g", "gate"),
)
"""Column, words, colour class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One episode to look at."""

    name: str
    words: str
    p_v: Float[np.ndarray, "T"]
    a_v: Float[np.ndarray, "T"]
    v_e: Float[np.ndarray, "T"]
    a_e: Float[np.ndarray, "T"]
    g: Float[np.ndarray, "T"]
    human: Bool[np.ndarray, "T"]
    pictures: dict[int, bytes]
    """Step -> JPEG."""


def make_exhibits(study: Study, work: Path, results: Path, task: str, seed: int, arm: str = "habc") -> Path:
    """Choose, replay and store the exhibits of one finished cell; returns the file. Raises VantageError if the cell is not on disk."""
    cell, chosen = Cell(task=task, arm=arm, seed=seed), study.arm(arm)
    if not isinstance(chosen, Online):
        raise VantageError(f"arm {arm!r} plays no rollouts of its own, so there is nothing to show; name an online arm")
    world = study.task(task).world
    last = Round.of(cell.folder(work), study.first_round(chosen) + chosen.rounds - 1)
    if not last.weights.exists():
        raise VantageError(f"{last.folder} is not there; run `vantage study` with --tasks {task} first")
    shown = [*_recorded(last, world, seed), *_side_by_side(last, study, world)]
    if not shown:
        raise VantageError(f"{last.folder} holds no rescue, no recovery and no start that only it solves; choose another seed")
    columns: dict[str, np.ndarray | pa.Array] = {
        "exhibit": np.concatenate([np.full(len(e.p_v), e.name) for e in shown]),
        "words": np.concatenate([np.full(len(e.p_v), e.words) for e in shown]),
        "step": np.concatenate([np.arange(len(e.p_v)) for e in shown]),
        **{name: np.concatenate([getattr(e, name).astype(np.float32) for e in shown]) for name, _, _ in TRACKS},
        "human": np.concatenate([e.human for e in shown]),
        "picture": pa.array([e.pictures.get(t, b"") for e in shown for t in range(len(e.p_v))], pa.binary()),
    }
    write_parquet(results / "exhibits.parquet", columns, nullable=tuple(name for name, _, _ in TRACKS))
    return results / "exhibits.parquet"


def _recorded(here: Round, world: WorldSpec, seed: int) -> list[Exhibit]:
    """Two of the round's own episodes.

    Fig. 4 right: a rescue, before which viability falls and in which it rises. Fig. 5: a success on whose way viability dips and at whose
    end it is high, if there is one.
    """
    table = read_table(here.episodes)
    ledger = read_parquet(here.weights, (ROUND, INDEX, "p_v", "a_v", "v_e", "a_e", "g"))
    own = ledger[ROUND] == here.number
    order = np.argsort(ledger[INDEX][own])
    values = {name: ledger[name][own][order] for name, _, _ in TRACKS}
    success, truth = table.success, table.environment_state
    assert success is not None and truth is not None, "the collector records both"
    rescue, recovery = (-np.inf, -1), (False, -np.inf, -1)
    for place, rows in enumerate(table.slices):
        p, human = _smooth(values["p_v"][rows]), table.intervention[rows]
        if human.any() and success[rows].any():
            first, final = int(human.argmax()), len(human) - 1 - int(human[::-1].argmax())
            if first > 24:
                rescue = max(rescue, (float(p[:first].max() - p[first] + p[final] - p[first]), place))
        elif success[rows].any():
            low = np.minimum.accumulate(p[::-1])[::-1]
            recovery = max(recovery, (bool(p[-1] > 0.5), float((np.maximum.accumulate(p) - low).max()), place))
    found: list[Exhibit] = []
    for name, words, (*_, place) in (
        ("fig4-episode", "A rescue: viability before, during and after the hand-over (Fig. 4, right)", rescue),
        ("fig5-rollout", "A success on whose way viability dips and recovers (Fig. 5)", recovery),
    ):
        if place >= 0:
            rows = table.slices[place]
            start = seed_for("rollout", seed, here.number, place)
            pictures = _replay(world, start, table.action[rows], truth[rows])
            mine = {key: values[key][rows] for key in values}
            found.append(Exhibit(name=name, words=words, **mine, human=table.intervention[rows], pictures=pictures))
    return found


def _side_by_side(last: Round, study: Study, world: WorldSpec) -> list[Exhibit]:
    """Fig. 6: SFT and HABC from the same start, which only HABC solves, one critic judging both.

    Of the starts whose end the critic can tell apart, the one with the deepest recovery; of all, where it can tell none.
    """
    sft, habc = Round.of(last.run, 0), last
    theirs, ours = (read_parquet(each, ("success",)) for each in (sft.folder / "6-eval.parquet", habc.evaluation))
    judge, seer = load_panel(last.critic), load_policy(Round.of(last.run, last.number - 1).actor)
    best: tuple[bool, float, list[Exhibit]] = (False, -np.inf, [])
    for trial in np.flatnonzero(ours["success"] & ~theirs["success"])[:12].tolist():
        start = seed_for(study.base.evaluation.suite, place_of(world), trial)
        played: list[Exhibit] = []
        for name, words, folder in (
            ("fig6-sft", "SFT from a start that it fails at (Fig. 6)", sft.actor),
            ("fig6-habc", "HABC from the same start (Fig. 6)", habc.actor),
        ):
            actor = load_policy(folder)
            episode = run_episode(world(), actor, NoOne(), task=world.task, seed=start, limit=world.limit, pictures=False)
            truth = episode.environment_state
            assert truth is not None
            values = _judge(judge, seer.features(_seen(episode)).numpy(), bool(episode.success.any()))
            pictures = _replay(world, start, episode.action, truth)
            played.append(Exhibit(name=name, words=words, **values, human=episode.intervention, pictures=pictures))
        p = _smooth(played[1].p_v)
        dip = float((np.maximum.accumulate(p) - np.minimum.accumulate(p[::-1])[::-1]).max())
        told = bool(p[-1] > 0.5 > _smooth(played[0].p_v)[-1])
        best = max(best, (told, dip, played), key=lambda found: found[:2])
    return best[2]


def _seen(episode: Episode) -> Observation:
    assert episode.environment_state is not None
    return Observation(
        images={},
        state=torch.from_numpy(episode.state),
        environment_state=torch.from_numpy(episode.environment_state),
        prompts=(episode.prompt,) * len(episode.state),
    )


def _judge(panel: Panel, features: Float32[np.ndarray, "T D"], success: bool, stride: int = 8) -> dict[str, np.ndarray]:
    """p_v, V_e and g along one episode that the critic was not trained on: every fold may judge, the first one does."""
    length = len(features)
    values = panel.values(torch.from_numpy(features), np.zeros(length, np.int64))
    nothing = np.zeros(length, bool)
    trace = Trace(intervention=nothing, policy_version=np.zeros(length, np.int64), cut=nothing, outcome=success)
    frames = timeline([trace])
    evidence = gather_evidence(
        route=label_episode(trace).route,
        outcome=frames.outcome,
        intervention=frames.intervention,
        values=values,
        strides=stride_rows(frames.stretch_starts(), frames.success, stride),
    )
    g = gate(evidence.p_v, evidence.a_v, evidence.a_e)
    return {"p_v": evidence.p_v, "a_v": evidence.a_v, "v_e": values.v_e, "a_e": evidence.a_e, "g": g}


def _replay(world: WorldSpec, seed: int, actions: Float32[np.ndarray, "T A"], truth: Float32[np.ndarray, "T E"]) -> dict[int, bytes]:
    """Pictures along the recorded actions. Raises VantageError if they do not lead through the recorded states."""
    scene = replace(world, image_size=SIZE)()
    scene.reset(seed)
    wanted = set(np.linspace(0, len(actions) - 1, PICTURES).round().astype(int).tolist())
    kept: dict[int, bytes] = {}
    for t, action in enumerate(actions):
        if not np.allclose(scene.environment_state(), truth[t], atol=1e-5):
            raise VantageError(f"step {t} of the replay differs from the recording; the world is not the one that recorded it")
        if t in wanted:
            kept[t] = _jpeg(next(iter(scene.images().values())))
        scene.step(action)
    scene.close()
    return kept


def _extent(key: str, values: Float[np.ndarray, "T"]) -> tuple[float, float]:
    """The values that a track shows; an advantage is shown around 0, without its rarest twentieth."""
    if key in ("a_v", "a_e"):
        reach = max(1.0, float(np.ceil(np.nanquantile(np.abs(values), 0.95))))
        return -reach, reach
    return 0.0, {"p_v": 1.0, "g": 2.0}.get(key) or float(np.nanmax(values)) * 1.05


def _jpeg(picture: UInt8[np.ndarray, "P P 3"]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=82)
    return out.getvalue()


def _smooth(p: Float[np.ndarray, "T"], width: int = 9) -> Float[np.ndarray, "T"]:
    """A running mean; the ends repeat."""
    padded = np.pad(p.astype(np.float64), width // 2, mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def exhibit_figures(folder: Path, width: float) -> dict[str, tuple[str, str]]:
    """Name -> (heading, figure) of the stored exhibits; nothing where there are none."""
    path = folder / "exhibits.parquet"
    if not path.exists():
        return {}
    table = read_arrow(path)
    names = np.array(table.column("exhibit").to_pylist())
    found: dict[str, tuple[str, str]] = {}
    for name in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero(names == name)
        part = table.take(pa.array(rows))
        pictures = {t: picture for t, picture in enumerate(part.column("picture").to_pylist()) if picture}
        each = Exhibit(
            name=name,
            words=part.column("words")[0].as_py(),
            **{key: part.column(key).to_numpy(zero_copy_only=False).astype(np.float64) for key, _, _ in TRACKS},
            human=part.column("human").to_numpy(zero_copy_only=False),
            pictures=pictures,
        )
        found[name] = (each.words, draw_exhibit(each, width))
    return found


def draw_exhibit(each: Exhibit, width: float) -> str:
    """A film strip over the tracks of p_v, -V_e and g; where a human drives, the ground is orange."""
    left, gap, length = 128.0, 4.0, len(each.p_v)
    side = (width - left - 16) / max(len(each.pictures), 1) - gap
    parts: list[str] = []
    top = 8 + side + 22
    steps = np.arange(length, dtype=np.float64)
    for place, (t, jpeg) in enumerate(sorted(each.pictures.items())):
        x = left + place * (side + gap)
        parts.append(picture(x, 8, side, side, f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"))
        parts.append(text(x + side / 2, 8 + side + 15, f"step {t}", anchor="middle"))
    for place, (key, words, cls) in enumerate(TRACKS):
        assert cls in MEANINGS
        values = -each.v_e if key == "v_e" else getattr(each, key)
        low, high = _extent(key, values)
        area = plot((left, top + 74 * place + 8, width - 16, top + 74 * place + 66), x=(0, max(length - 1, 1)), y=(low, high))
        edges = np.flatnonzero(np.diff(np.r_[False, each.human, False].astype(np.int8)))
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            parts.append(rect(area.x(start), area.top, area.x(stop - 1), area.bottom, "area human", f"human, steps {start} to {stop - 1}"))
        parts.append(axes(area, y_ticks=(low, high), y_names=(f"{low:.0f}", f"{high:.0f}")))
        parts.append(line(area, steps, values, cls))
        parts.append(text(4, (area.top + area.bottom) / 2 + 4, words, cls=f"named {cls}"))
    height = top + 74 * len(TRACKS) + 24
    parts.append(text(width - 16, height - 6, f"control step, 0 to {length - 1}", anchor="end"))
    rescued = " A human drives part of it." if each.human.any() else ""
    return svg(width, height, parts, f"{each.words}. p_v from {each.p_v[0]:.2f} to {each.p_v[-1]:.2f} over {length} steps.{rescued}")
