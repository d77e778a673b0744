"""What a fine-tuning from recordings would learn from, and what it takes, before it is begun.

    recordings ──label──> credit     policy ──two steps, a pass of features──> time and memory on this device

Nothing is left on disk. It is what `vantage finetune --plan` prints.
"""

import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vantage import ranks
from vantage.algorithms.finetune import (
    FineTune,
    Recordings,
    check_credit,
    doubts_about,
    facts_of_recordings,
    label_here,
    recordings_of,
)
from vantage.algorithms.improvement import Improvement, Staged
from vantage.batch import Batch
from vantage.core.losses import flow_loss
from vantage.data.experience import load_experience
from vantage.data.frames import Plan as PicturesPlan
from vantage.data.frames import in_bytes, plan_frames
from vantage.data.stores.recording import read_recording
from vantage.disk.layout import Round
from vantage.learn.features import time_features
from vantage.learn.step import Learner, Part
from vantage.policies.build import build_policy
from vantage.policies.lerobot.spec import LeRobotPolicy
from vantage.policies.protocol import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetPlan:
    """What one data set brings."""

    path: Path
    demonstrations: bool
    episodes: int
    frames: int
    successes: int
    failures: int
    human_share: float
    """Of its frames: a person drove."""
    shown: int
    """Episodes that are demonstrations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a fine-tuning would learn from, and how long it takes."""

    data: tuple[DataSetPlan, ...]
    routes: Mapping[str, int]
    """Route of credit -> frames."""
    cameras: tuple[str, ...]
    parameters: int
    """That train."""
    steps: int
    seconds_per_step: float
    supervised_steps: int
    """On the demonstrations, before anything else; 0 for a checkpoint."""
    supervised_seconds_per_step: float
    feature_frames: int
    """Frames whose features the critic reads, counted as often as they are computed; 0 without a critic."""
    seconds_per_feature: float
    seconds: float
    """Of all of these: what is left out is the critic's own steps, and reading the pictures."""
    memory: int
    """Bytes at the most while all of it was timed: of the accelerator, or of this process."""
    pictures: tuple[PicturesPlan, ...]
    """What keeping the pictures of each data set takes; none for a policy that looks at none."""
    remarks: tuple[str, ...]
    """What was filled, changed or could not be compared."""

    def describe(self) -> str:
        """All of it, for people."""
        lines = [
            f"{one.path}: {'demonstrations' if one.demonstrations else 'rollouts'}, {one.episodes:,} "
            f"episodes ({one.successes:,} succeeded, {one.failures:,} failed), {one.frames:,} frames, "
            f"a person drove {one.human_share:.0%}{_among(one)}"
            for one in self.data
        ]
        credit = ", ".join(f"{frames:,} {route}" for route, frames in self.routes.items())
        disk, memory = (sum(getattr(plan, name) for plan in self.pictures) for name in ("disk", "memory"))
        beside = f" and {in_bytes(memory)} of memory" if memory else ""
        kept = f"pictures take {in_bytes(disk)} on the disk{beside}; " if self.pictures else ""

        return "\n".join(
            [
                *lines,
                f"credit: {credit} frames",
                f"the policy looks at {', '.join(self.cameras) or 'no picture'}; "
                f"{self.parameters:,} parameters train",
                *self.remarks,
                self._time(),
                f"{kept}training takes {in_bytes(self.memory)} of memory",
            ]
        )

    def _time(self) -> str:
        """What takes how long on this device."""
        parts = [f"{self.steps:,} steps of {in_time(self.seconds_per_step)}"]
        if self.supervised_steps:
            parts.insert(
                0,
                f"{self.supervised_steps:,} steps of {in_time(self.supervised_seconds_per_step)} on the "
                "demonstrations first",
            )
        if self.feature_frames:
            each = in_time(self.seconds_per_feature)
            parts.append(f"features of {self.feature_frames:,} frames for the critic, {each} each")
        beside = " and the critic's own steps" if self.feature_frames else ""
        whole = f"about {in_time(self.seconds)} on this device, beside reading pictures{beside}"
        return f"{'; '.join(parts)}: {whole}"


def _among(one: DataSetPlan) -> str:
    """How many rollouts are demonstrations, where some are."""
    if one.demonstrations or not one.shown:
        return ""
    return f"; {one.shown:,} of the episodes are demonstrations"


def in_time(seconds: float) -> str:
    """A time for people."""
    if seconds < 0.01:
        return f"{max(seconds * 1000, 0.1):.1f} ms"
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _most_memory(device: torch.device) -> int:
    """Bytes that were taken at the most: of the accelerator, or by this process where there is none."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def plan_finetune(settings: FineTune) -> Plan:
    """Label, build the policy, time two steps and a pass of features, without leaving anything on disk.

    Several processes time what they do together; each labels for itself.
    """
    with TemporaryDirectory() as folder:
        run = Path(folder)
        recordings = recordings_of(run, settings)
        label_here(run, recordings, settings)
        experience = load_experience(recordings.sources({}))
        check_credit(experience, settings)
        doubts = doubts_about(experience, recordings, settings)
        facts = facts_of_recordings(recordings, experience, settings.cameras)
        policy = build_policy(settings.policy, settings.seed, facts)

        fit = settings.improvement.fit
        learner = Learner(policy, fit.optim, fit.steps, settings.compute)
        per_step = _time_steps(learner, policy, fit.batch)
        supervised = 0 if isinstance(settings.policy, LeRobotPolicy) else settings.supervised.steps
        supervised_per_step = per_step
        if supervised and settings.supervised.batch != fit.batch:
            supervised_per_step = _time_steps(learner, policy, settings.supervised.batch)
        features = len(experience) * _passes(settings.improvement)
        own = time_features(policy, len(experience), settings.compute) if features else 0.0
        per_feature = own / ranks.count()  # passes are dealt out
        memory = _most_memory(learner.device)
        data = tuple(_data_set_plan(current, recordings) for current in recordings.rounds)
        cameras, pictures = policy.interface.cameras, list[PicturesPlan]()
        for current in recordings.rounds if cameras else ():
            recording = read_recording(current.episodes, cameras)
            pictures.append(plan_frames(recording, run / "frames", settings.storage))

    routes, counts = np.unique(experience.labels.route, return_counts=True)
    return Plan(
        data=data,
        routes={str(route): int(count) for route, count in zip(routes, counts, strict=True)},
        cameras=tuple(policy.interface.cameras),
        parameters=sum(p.numel() for p in policy.parameters() if p.requires_grad),
        steps=fit.steps,
        seconds_per_step=per_step,
        supervised_steps=supervised,
        supervised_seconds_per_step=supervised_per_step if supervised else 0.0,
        feature_frames=features,
        seconds_per_feature=per_feature,
        seconds=fit.steps * per_step + supervised * supervised_per_step + features * per_feature,
        memory=memory,
        pictures=tuple(pictures),
        remarks=(*doubts, *policy.remarks),
    )


def _passes(improvement: Improvement) -> int:
    """How often the features of all frames are computed: once by every critic that reads them."""
    if not isinstance(improvement.schedule, Staged):
        return 1
    weighing = improvement.weighing
    return int(weighing.reads_values) + int(weighing.rule.judged_chunks > 0)


def _time_steps(learner: Learner, policy: Policy, size: int) -> float:
    """Seconds of a gradient step on so many windows, the mean of two after one that warms up."""
    share = learner.share(size)
    batch = policy.interface.fake_batch(share.stop - share.start)
    return float(np.mean([_time_step(learner, policy, batch) for _ in range(3)][1:]))


def _time_step(learner: Learner, policy: Policy, batch: Batch) -> float:
    """Seconds of one gradient step on this process's share of made-up windows."""
    size = len(batch.row)
    draw = policy.draw(size, torch.Generator().manual_seed(0))

    def loss_of(part: Part) -> Float[Tensor, ""]:
        rows = part.of(size)
        windows = batch.at(rows).to(learner.device)
        elementwise = learner.model(windows, draw.at(rows).to(learner.device)).elementwise
        return flow_loss(elementwise, windows.mask, torch.ones(len(windows.row)).to(learner.device), size)

    began = time.perf_counter()
    learner.step(loss_of).loss.item()
    return time.perf_counter() - began


def _data_set_plan(current: Round, recordings: Recordings) -> DataSetPlan:
    """What one labelled data set brings."""
    experience = load_experience(recordings.sources({}, [current]))
    begins = np.flatnonzero(experience.frames.frame == 0)
    outcome = experience.labels.outcome[begins]

    return DataSetPlan(
        path=current.episodes.resolve(),
        demonstrations=current in recordings.demonstrations,
        episodes=len(begins),
        frames=len(experience),
        successes=int((outcome == 1).sum()),
        failures=int((outcome == 0).sum()),
        human_share=float(experience.frames.intervention.mean()),
        shown=int(experience.tables[0].demo.sum()),
    )
