"""Practice: a policy plays with noise, learns from what it did, and is tried now and then.

    draw starts ──> play (every core) ──> ChunkedPPO.update ──> buffer ──> again
                                     every so often: check on development starts, keep the best, save

All of it can be killed at any moment; the next start goes on from the last check as if nothing had happened.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from vantage.collect.operators import OperatorSpec
from vantage.collect.pool import Pool
from vantage.config import to_json
from vantage.core.self_bc import NoSelfBC
from vantage.core.windows import window_index
from vantage.data.experience import Experience, load_experience
from vantage.data.v3.read import Table
from vantage.data.v3.write import OURS_FILE
from vantage.disk.checkpoint import load_state, save_state
from vantage.disk.files import read_json, sha256_folder, write_json
from vantage.disk.layout import Source
from vantage.disk.made import BEGUN, check_left, noted_sha256
from vantage.disk.tables import read_parquet
from vantage.learn.step import Compute
from vantage.nets.value import StateValue
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy, StochasticPolicy
from vantage.practice.buffer import DemoBuffer, Windows
from vantage.practice.lockstep import Driven, Group, Replayed, Start, play_group
from vantage.practice.ppo import ChunkedPPO
from vantage.practice.settings import OperatorLead, Practice
from vantage.practice.trials import Trials, join_trials
from vantage.seeding import global_generator_kept, seed_for
from vantage.types import VantageError
from vantage.worlds.spec import WorldSpec, place_of

MEANING = 1
"""Raised by hand when the same input and settings are meant to give something else (tests/golden)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PracticeTask:
    """Who practises what: everything that a trainer begins with."""

    worlds: tuple[WorldSpec, ...]
    """The tasks."""
    policy: Path
    """Checkpoint of the supervised policy."""
    sources: Sequence[Source]
    """The demonstrations that it was trained on; they open the buffer of trials to clone."""
    demonstrator: OperatorSpec
    """Who may bring a start nearer to its goal."""
    practice: Practice
    seed: int
    compute: Compute = Compute()
    """On what policy and critic are trained."""


class Trainer:
    """Practice under way: the learner, its buffer, its success rates and its log."""

    def __init__(
        self,
        task: "PracticeTask",
        folder: Path,
        learner: ChunkedPPO,
        buffer: DemoBuffer,
        recorded: Sequence["Recorded"],
    ) -> None:
        """Use `begin`."""
        self.task, self.settings, self.folder = task, task.practice, folder
        self.learner, self.buffer, self.recorded = learner, buffer, recorded
        self.prompts = buffer.prompts

        self.iteration, self.spent = 0, 0
        self.success = np.zeros(len(task.worlds))
        self.lengths = np.full(len(task.worlds), np.nan)
        self.lines: list[dict[str, Any]] = []
        self.checked: list[dict[str, Any]] = []
        self.seconds = np.zeros(2)

    @classmethod
    def begin(cls, task: "PracticeTask", folder: Path) -> "Trainer":
        """From the supervised policy, or from where a run that was killed had saved itself in `folder`."""
        policy = load_policy(task.policy)
        if not isinstance(policy, StochasticPolicy):
            raise VantageError(
                f"{type(policy).__name__} has no density; "
                "chunked PPO needs a Gaussian policy or a stochastic flow"
            )

        experience = load_experience(task.sources)
        truth = experience.tables[0].environment_state
        assert truth is not None, "simulated demonstrations carry the true state"

        with global_generator_kept(seed_for("critic", task.seed)):
            critic = StateValue(truth.shape[1])
        critic.state.standardise.fit(torch.from_numpy(truth))

        prompts = tuple(world().prompt for world in task.worlds)
        learner = ChunkedPPO(policy, critic, task.practice.fit, task.compute)
        buffer = DemoBuffer(task.practice.buffer, prompts)
        trainer = cls(task, folder, learner, buffer, recorded_in(experience.tables[0], task.worlds))

        made_of = {
            "policy": noted_sha256(task.policy) or sha256_folder(task.policy),
            "worlds": to_json(task.worlds),
            "settings": to_json(task.practice),
            "seed": task.seed,
        }
        saved = trainer.folder / "state.safetensors"
        check_left(saved, made_of, trainer.folder / BEGUN)
        state = load_state(saved)
        if state is None:
            for number, windows in demonstrations_of(experience, policy, prompts):
                trainer.buffer.start(number, windows)
        else:
            trainer.restore(state)
        return trainer

    @property
    def acting(self) -> Path:
        """Checkpoint that plays right now."""
        return self.folder / "acting"

    @property
    def best(self) -> Path:
        """Checkpoint that did best in a check."""
        return self.folder / "best"

    @property
    def next_check(self) -> int:
        """Environment steps at which the next check is due."""
        return (self.checked[-1]["steps"] if self.checked else 0) + self.settings.checks.every

    def iterate(self, pool: Pool) -> dict[str, Any]:
        """One iteration: play, learn, fill the buffer. Returns the line of metrics.jsonl."""
        settings = self.settings
        began = time.perf_counter()

        self.learner.actor.save(self.acting)
        trials = self.play(self.draw_starts(), pool, explores=True)
        played = time.perf_counter()

        warm = self.iteration < settings.fit.warm_up
        weights = settings.self_bc(self.learner.standing(self.spent, self.success))
        log = self.learner.update(
            trials,
            self.prompts,
            self.buffer,
            weights,
            seed=seed_for("ppo", self.task.seed, self.iteration),
            progress=min(self.spent / settings.steps, 1.0),
            teach_policy=not warm,
        )

        self.spent += int(trials.spent.sum())
        self._remember(trials)
        entered = self.buffer.offer(trials) if not isinstance(settings.self_bc, NoSelfBC) else 0
        self.iteration += 1

        line = {
            "iteration": self.iteration,
            "steps": self.spent,
            "success": float(self.success.mean()),
            "length": mean_known(self.lengths),
            **log,
            "entered": entered,
            "beta": float(weights[1].mean()),
            "own_share": self.buffer.own_share,
            "own_drawn": self.buffer.own_drawn,
        }
        self.lines.append(line)
        self.seconds += np.array([played - began, time.perf_counter() - played])
        return line

    def draw_starts(self) -> list[Start]:
        """The starts of this iteration: harder tasks more often, every start a new one."""
        play, worlds, seed = self.settings.play, self.task.worlds, self.task.seed
        need = np.maximum(play.floor, 1 - self.success) if self.iteration else np.ones(len(worlds))
        rng = np.random.default_rng(seed_for("starts", seed, self.iteration))
        counts = deal(need / need.sum(), play.episodes, rng)
        worlds = [replace(world, limit=play.limit) for world in worlds]
        tasks = np.repeat(np.arange(len(worlds)), counts)
        seeds = [seed_for("practice", seed, self.iteration, number) for number in range(len(tasks))]
        return [self._lead(Start(worlds[k], int(k), seed), rng) for k, seed in zip(tasks, seeds, strict=True)]

    def _lead(self, start: Start, rng: np.random.Generator) -> Start:
        """This start or, where its task hardly ever succeeds, perhaps one nearer to the goal."""
        lead = self.settings.play.lead
        if lead is None or rng.random() >= lead.share * (1 - self.success[start.task]):
            return start
        if isinstance(lead, OperatorLead):
            return replace(start, lead=Driven(self.task.demonstrator, int(rng.integers(1, lead.steps + 1))))

        demonstrations = [recorded for recorded in self.recorded if recorded.task == start.task]
        chosen = demonstrations[rng.integers(len(demonstrations))]
        steps = int(rng.integers(1, max(min(lead.steps + 1, len(chosen.actions)), 2)))
        return replace(start, seed=chosen.seed, lead=Replayed(chosen.actions[:steps]))

    def play(self, starts: Sequence[Start], pool: Pool, *, explores: bool) -> Trials:
        """Play these starts with the acting checkpoint."""
        # Dealt round by round, so that every group holds all tasks and takes about as long.
        groups = -(-len(starts) // self.settings.play.side_by_side)
        work = [Group(i, tuple(starts[i::groups]), self.acting, explores) for i in range(groups)]
        trials = dict(pool.each(_play_numbered, work))
        return join_trials([trials[i] for i in range(groups)])

    def check(self, pool: Pool) -> dict[str, Any]:
        """Try the policy as it would be deployed, on development starts; keep it if it is the best so far."""
        settings = self.settings
        worlds = [replace(world, limit=settings.checks.limit) for world in self.task.worlds]
        starts = [
            Start(world, task, seed_for("development", place_of(world), trial))
            for trial in range(settings.checks.per_world)
            for task, world in enumerate(worlds)
        ]

        self.learner.averaged.save(self.acting)
        trials = self.play(starts, pool, explores=False)
        rate = by_task(trials.success.astype(float), trials.task, len(worlds))
        length = by_task(np.where(trials.success, trials.steps, np.nan), trials.task, len(worlds))
        cost = float(np.where(trials.success, trials.steps, settings.checks.limit).mean())

        best = min((c["cost"] for c in self.checked), default=float("inf"))
        highest = max((c["success"] for c in self.checked), default=0.0)
        if cost < best:
            self.learner.averaged.save(self.best)

        results = zip(worlds, rate, length, strict=True)
        check = {
            "steps": self.spent,
            "success": float(rate.mean()),
            "length": mean_known(length),
            "cost": cost,
            "kept": cost < best,
            "falling": bool(rate.mean() < highest - settings.checks.alarm),
            "by_task": {world.task: [float(success), float(steps)] for world, success, steps in results},
        }
        self.checked.append(check)
        return check

    def _remember(self, trials: Trials) -> None:
        """Update the running success and length of every task that was played.

        Led episodes do not count: they are not the policy's own.
        """
        keep, tasks = self.settings.play.memory, len(self.success)
        rate = by_task(np.where(trials.led, np.nan, trials.success), trials.task, tasks)
        length = by_task(np.where(trials.success & ~trials.led, trials.steps, np.nan), trials.task, tasks)
        if self.iteration == 0:
            self.success, self.lengths = np.nan_to_num(rate), length
            return

        self.success = np.where(np.isnan(rate), self.success, keep * self.success + (1 - keep) * rate)
        fresh = np.where(np.isnan(self.lengths), length, keep * self.lengths + (1 - keep) * length)
        self.lengths = np.where(np.isnan(length), self.lengths, fresh)

    def save(self) -> None:
        """Everything needed to go on exactly."""
        standing = {
            "iteration": torch.tensor(self.iteration),
            "spent": torch.tensor(self.spent),
            "success": torch.from_numpy(self.success),
            "lengths": torch.from_numpy(self.lengths),
            "seconds": torch.from_numpy(self.seconds),
        }

        # The log first: a state that is there must find its own log beside it.
        write_json(self.folder / f"log-{self.iteration}.json", {"lines": self.lines, "checked": self.checked})
        save_state(self.folder / "state.safetensors", self.learner.state() | self.buffer.tensors() | standing)

        for old in self.folder.glob("log-*.json"):
            if old.name != f"log-{self.iteration}.json":
                old.unlink()

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Go on from what `save` wrote."""
        self.learner.load(tensors)
        self.buffer = DemoBuffer.read(self.settings.buffer, self.prompts, tensors)
        self.iteration, self.spent = int(tensors["iteration"]), int(tensors["spent"])
        self.success, self.lengths = tensors["success"].numpy().copy(), tensors["lengths"].numpy().copy()
        self.seconds = tensors["seconds"].numpy().copy()
        path = self.folder / f"log-{self.iteration}.json"
        log = read_json(path)
        if not isinstance(log, dict) or not {"lines", "checked"} <= log.keys():
            raise VantageError(f"{path} is damaged; delete {self.folder}, and practice begins again")
        self.lines, self.checked = log["lines"], log["checked"]


def _play_numbered(group: Group) -> tuple[int, Trials]:
    return group.number, play_group(group)


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """One demonstration, as far as replaying it needs."""

    task: int
    seed: int
    actions: Float32[np.ndarray, "T A"]


def recorded_in(table: Table, worlds: Sequence[WorldSpec]) -> list[Recorded]:
    """Every demonstration of a data set that Vantage recorded."""
    episodes = read_parquet(table.root / OURS_FILE, ("seed", "task"))
    numbers = {world.task: k for k, world in enumerate(worlds)}
    return [
        Recorded(numbers[str(task)], int(seed), table.action[rows])
        for seed, task, rows in zip(episodes["seed"], episodes["task"], table.slices, strict=True)
    ]


def demonstrations_of(
    experience: Experience, policy: Policy, prompts: tuple[str, ...]
) -> list[tuple[int, Windows]]:
    """Every demonstration as windows anchored at each of its frames, with the number of its task."""
    horizon = policy.chunk
    loader = experience.loader(horizon, policy.interface.cameras)
    ends = np.flatnonzero(np.append(np.diff(experience.frames.episode) != 0, True))

    demonstrations: list[tuple[int, Windows]] = []
    for first, last in zip(np.append(0, ends[:-1] + 1), ends, strict=True):
        rows = np.arange(first, last + 1)
        at, valid = window_index(experience.segment_end, rows, horizon)
        seen = loader.observe(rows)
        assert seen.environment_state is not None

        windows = Windows(
            steps=len(rows),
            own=False,
            state=seen.state.numpy(),
            environment_state=seen.environment_state.numpy(),
            images={camera: pictures.numpy() for camera, pictures in seen.images.items()},
            action=loader.action[at],
            mask=valid,
        )
        demonstrations.append((prompts.index(seen.prompts[0]), windows))
    return demonstrations


def deal(share: Float64[np.ndarray, "K"], count: int, rng: np.random.Generator) -> Int64[np.ndarray, "K"]:
    """Whole numbers that add up to `count`, each within one of its share, without bias.

    By systematic sampling.
    """
    edges = np.concatenate([[0.0], np.cumsum(share)]) * count
    edges[-1] = count
    return np.diff(np.floor(edges + rng.random() * (1 - 1e-9))).astype(np.int64)


def mean_known(values: Float64[np.ndarray, "K"]) -> float:
    """Mean of what is not NaN; NaN if nothing is known."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def by_task(
    values: Float64[np.ndarray, "E"], task: Int64[np.ndarray, "E"], tasks: int
) -> Float64[np.ndarray, "K"]:
    """Mean of every task over the values that are not NaN; NaN where it has none."""
    known = ~np.isnan(values)
    count = np.bincount(task[known], minlength=tasks).astype(np.float64)
    total = np.bincount(task[known], values[known], minlength=tasks)
    return np.divide(total, count, out=np.full(tasks, np.nan), where=count > 0)
