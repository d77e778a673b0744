"""The weighted training step over lerobot-train's own step of the same small SmolVLA, in one process.

    windows ──Vantage's batch──> preprocessor, network, weighted loss, backward, clip, AdamW   (learn/step.py)
       └─────LeRobot's batch──> preprocessor ──> lerobot-train's `update_policy`

Both sides have the same first weights, windows, preprocessor, optimiser, schedule and float32, and take turns
on one thread. Ours weighs every window and reads the features for the critic; LeRobot's step weighs nothing.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.timing import Row, median_interval
from vantage.batch import Batch, Observation
from vantage.learn.optim import OptimConfig
from vantage.learn.step import Learner
from vantage.policies.lerobot import LeRobotScratch, SmallVLM
from vantage.policies.lerobot.adapter import LeRobotAdapter
from vantage.policies.lerobot.preset import read_preset
from vantage.policies.lerobot.stock import as_json, quietly
from vantage.policies.spec import DataFacts, Scale
from vantage.stages.fit_policy import weighted_step
from vantage.threads import one_thread

STATE, ACTION = 6, 6
PROMPT = "put the red block into the box"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSize:
    """The network and the batch, and how often they are timed."""

    backbone: SmallVLM = SmallVLM()
    chunk: int = 50
    cameras: int = 2
    batch: int = 8
    """Windows; lerobot-train's default."""
    warm_up: int = 3
    """Pairs that are not counted."""
    pairs: int = 40

    def policy(self) -> LeRobotAdapter:
        """A SmolVLA with random weights, all of which train."""
        side = self.backbone.image_size
        spec = LeRobotScratch(
            type="smolvla",
            settings=(
                f"chunk_size={self.chunk}",
                f"n_action_steps={self.chunk}",
                f"num_vlm_layers={self.backbone.layers}",
                f"resize_imgs_with_padding=[{side},{side}]",
                "train_expert_only=false",
                "freeze_vision_encoder=false",
            ),
            backbone=self.backbone,
        )

        rng = np.random.default_rng(0)
        facts = DataFacts(
            cameras={f"camera{number}": (side, side) for number in range(1, self.cameras + 1)},
            state=Scale.of(rng.standard_normal((100, STATE))),
            action=Scale.of(rng.standard_normal((100, ACTION))),
            fps=30.0,
        )
        return spec.build(0, facts)

    def windows(self, policy: LeRobotAdapter) -> Batch:
        """Random windows, the last quarter of one of them padded."""
        generator = torch.Generator().manual_seed(0)
        side = self.backbone.image_size
        shape = (self.batch, side, side, 3)
        mask = torch.ones(self.batch, self.chunk, ACTION, dtype=torch.bool)
        mask[0, -(self.chunk // 4) :] = False
        return Batch(
            observation=Observation(
                images={
                    camera: torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
                    for camera in policy.cameras
                },
                state=torch.randn(self.batch, STATE, generator=generator),
                environment_state=None,
                prompts=(PROMPT,) * self.batch,
            ),
            actions=torch.randn(self.batch, self.chunk, ACTION, generator=generator),
            mask=mask,
            row=np.arange(self.batch),
        )


class Stopwatch:
    """Adds up the processor time of a function's calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed[**P, R](self, function: Callable[P, R]) -> Callable[P, R]:
        """The same function, timed."""

        def call(*words: P.args, **options: P.kwargs) -> R:
            began = time.process_time()
            result = function(*words, **options)
            self.seconds += time.process_time() - began
            return result

        return call


class Ours:
    """A learner on a policy of LeRobot's, and what a fit does in every step."""

    def __init__(self, policy: LeRobotAdapter, batch: Batch, steps: int) -> None:
        preset = read_preset(as_json(policy.config), "a small SmolVLA")
        optim = OptimConfig(
            lr=preset.lr,
            warmup=preset.warmup_of(steps),
            weight_decay=preset.weight_decay,
            clip=preset.clip,
            ema=0.0,  # lerobot-train keeps no average either
            floor=preset.final_lr / preset.lr,
            betas=preset.betas,
        )
        self.policy, self.batch = policy.train(), batch
        self.learner = Learner(policy, optim, steps)
        self.weight = np.linspace(0.0, 2.0, len(batch.row), dtype=np.float32)
        self.preprocessing = Stopwatch()
        policy._ready = self.preprocessing.timed(policy._ready)  # pyright: ignore[reportPrivateUsage]

    def step(self, number: int) -> float:
        """Learn from the batch; returns the loss."""
        count = len(self.batch.row)
        draw = self.policy.draw(count, torch.Generator().manual_seed(number))
        return weighted_step(self.learner, self.batch, draw, self.weight, count).loss.item()


class Stock:
    """What lerobot-train makes of a checkpoint and does in every step, by its own functions."""

    def __init__(self, folder: Path, batch: Batch, steps: int) -> None:
        from accelerate import Accelerator
        from lerobot.configs.policies import PreTrainedConfig
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors
        from lerobot.scripts import lerobot_train
        from lerobot.utils.logging_utils import AverageMeter, MetricsTracker

        with quietly():
            config: Any = PreTrainedConfig.from_pretrained(folder)
            policy = get_policy_class(config.type).from_pretrained(folder, config=config).train()
            self.preprocessor, _ = make_pre_post_processors(config, pretrained_path=str(folder))

        preset = config.get_optimizer_preset()
        optimiser = preset.build(policy.get_optim_params())
        scheduler = config.get_scheduler_preset().build(optimiser, steps)
        self.accelerator: Any = Accelerator(step_scheduler_with_optimizer=False, cpu=True)
        self.policy, self.optimiser, self.scheduler = self.accelerator.prepare(policy, optimiser, scheduler)

        meters = {name: AverageMeter(name) for name in ("loss", "grad_norm", "lr", "update_s")}
        self.tracker = MetricsTracker(len(batch.row), 1, 1, meters, accelerator=self.accelerator)
        self.clip = float(preset.grad_clip_norm)
        self.update_policy: Callable[..., Any] = lerobot_train.update_policy
        self.batch = as_lerobot_loads(batch)
        self.preprocessing = Stopwatch()
        self._ready = self.preprocessing.timed(self._preprocess)

    def step(self, _number: int) -> float:
        """Learn from the batch; returns the loss."""
        self.tracker, _ = self.update_policy(
            self.tracker,
            self.policy,
            self._ready(),
            self.optimiser,
            self.clip,
            accelerator=self.accelerator,
            lr_scheduler=self.scheduler,
        )
        return self.tracker.loss.val

    def _preprocess(self) -> Any:
        """lerobot-train's lines before `update_policy`: pictures to [0, 1], then the pipeline."""
        batch = dict(self.batch)
        for key, value in batch.items():
            if isinstance(value, torch.Tensor) and value.dtype == torch.uint8:
                batch[key] = value.to(dtype=torch.float32) / 255.0
        return self.preprocessor(batch)


def as_lerobot_loads(batch: Batch) -> dict[str, Any]:
    """The same windows as LeRobot's data loader gives them: pictures as bytes, channels first."""
    images = batch.observation.images
    pictures = {
        f"observation.images.{name}": image.permute(0, 3, 1, 2).contiguous() for name, image in images.items()
    }
    return {
        **pictures,
        "observation.state": batch.observation.state,
        "action": batch.actions,
        "action_is_pad": ~batch.mask.any(-1),
        "task": list(batch.observation.prompts),
    }


def weighted_step_over_lerobot(size: StepSize = StepSize()) -> Row:
    """Seconds of a step, preprocessing included, over lerobot-train's; `model`: without preprocessing.

    Medians of pairs that are timed turn and turn about; the ratio is the median over pairs.
    """
    steps = size.warm_up + size.pairs
    with one_thread(), tempfile.TemporaryDirectory() as scratch:
        policy = size.policy()
        policy.save(Path(scratch))
        batch = size.windows(policy)
        ours, stock = Ours(policy, batch, steps), Stock(Path(scratch), batch, steps)
        pairs = [_timed_pair(ours, stock, number) for number in range(steps)][size.warm_up :]

    whole = [own.whole / theirs.whole for own, theirs in pairs]
    model = [own.model / theirs.model for own, theirs in pairs]
    low, high = median_interval(model)
    return Row(
        ours=statistics.median(own.whole for own, _ in pairs),
        peer=statistics.median(theirs.whole for _, theirs in pairs),
        ratio=statistics.median(whole),
        interval=median_interval(whole),
        aside={"model": statistics.median(model), "model at least": low, "model at most": high},
    )


@dataclass(frozen=True, slots=True)
class Taken:
    """Processor time of one step, in seconds."""

    whole: float
    model: float
    """Without preprocessing."""


def _timed_pair(ours: Ours, stock: Stock, number: int) -> tuple[Taken, Taken]:
    """One step of each; who goes first changes from pair to pair."""
    if number % 2:
        theirs, own = _timed(stock, number), _timed(ours, number)
    else:
        own, theirs = _timed(ours, number), _timed(stock, number)
    return own, theirs


def _timed(side: Ours | Stock, number: int) -> Taken:
    """The time of one step."""
    before, began = side.preprocessing.seconds, time.process_time()
    side.step(number)
    whole = time.process_time() - began
    return Taken(whole=whole, model=whole - (side.preprocessing.seconds - before))
