"""A policy as it is, p_v beside it, and a call for help: `vantage_watch` for stock lerobot-rollout and -eval.

    observation ──> the checkpoint's own processors and policy ──> action ──bounds──> action, robot's units
                └─> phi(s) of the critic's policy ──> p_v ──alarm──> log line, bell, command, DAgger's pause

p_v is asked at every prediction: when the policy's queue of actions is empty. What is within the bounds
passes bit for bit. Everything is written to a log, one JSON object in a line.
"""

import json
import logging
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.pretrained import PreTrainedPolicy
from torch import Tensor

from vantage.algorithms.watch import read_watch, viability
from vantage.batch import Observation
from vantage.collect.observe import Memory
from vantage.disk.files import read_json
from vantage.learn.critic.panel import load_panel
from vantage.policies.lerobot.adapter import LeRobotAdapter
from vantage.policies.load import load_policy
from vantage.types import VantageError

from .configuration_vantage_watch import VantageWatchConfig

logger = logging.getLogger(__name__)

PICTURES, STATE, TRUTH = "observation.images.", "observation.state", "observation.environment_state"


class VantageWatchPolicy(PreTrainedPolicy):
    """Watches another policy, which drives."""

    config_class = VantageWatchConfig
    name = "vantage_watch"

    def __init__(self, config: VantageWatchConfig, **_: Any) -> None:
        """Open the checkpoint, the critic, and what the critic reads.

        Raises VantageError where one of them is missing.
        """
        super().__init__(config)
        for setting in ("policy_path", "features_path", "critic_path", "watch_path"):
            path = getattr(config, setting)
            if not path or not Path(path).exists():
                raise VantageError(
                    f"{setting} is {path!r}, which is not there; write the folder again with "
                    "`vantage watch ... --out FOLDER`"
                )

        self._open_driver(Path(config.policy_path))
        same = Path(config.features_path).resolve() == Path(config.policy_path).resolve()
        self.reader = self.driver if same else load_policy(Path(config.features_path))
        self.panel = load_panel(Path(config.critic_path))
        self.alarm, limits, self.dimensions = read_watch(Path(config.watch_path))
        self.limits = limits.without(clamp=config.clamp, rate=config.rate_limit)
        chosen = read_json(Path(config.watch_path)).get("execute")
        if chosen != self._execute:
            logger.warning(
                "The alarm was chosen for a prediction every %s steps, and this policy predicts every %s: "
                "its %s predictions in a row are another time now",
                chosen,
                self._execute,
                self.alarm.patience,
            )

        self.on_call: Callable[[dict[str, Any]], None] | None = None
        """Called with every call, for programs that hold this policy."""
        self.pause: Callable[[], None] | None = None
        """Pauses the strategy that runs this policy, where one can be."""
        self._log_path = Path(config.log_path) if config.log_path else None
        self._resets = 0
        self._begin()
        _reach_dagger()

    @classmethod
    def from_pretrained(
        cls, pretrained_name_or_path: str | Path, *, config: PreTrainedConfig | None = None, **_: Any
    ) -> "VantageWatchPolicy":
        """Read a folder that `vantage watch` wrote; it holds no weights of its own.

        Raises VantageError where the folder itself says what is started or where a log is written: a folder
        may come from anybody, and only the command line may say these.
        """
        place = Path(pretrained_name_or_path) / "config.json"
        written = read_json(place)
        for setting in ("on_call", "log_path"):
            if not isinstance(written, dict) or written.get(setting):
                raise VantageError(
                    f"{place} sets `{setting}`, which no folder may; remove it there, and say "
                    f"--policy.{setting}=... yourself"
                )
        if config is None:
            config = PreTrainedConfig.from_pretrained(pretrained_name_or_path)
        assert isinstance(config, VantageWatchConfig)
        if not config.log_path:
            config.log_path = str(Path(pretrained_name_or_path) / time.strftime("log-%Y%m%d-%H%M%S.jsonl"))
        return cls(config).to(config.device).eval()

    def _open_driver(self, path: Path) -> None:
        """The policy that drives, in stock LeRobot's form, and its processors."""
        stored = PreTrainedConfig.from_pretrained(path, cli_overrides=["--device=cpu"])
        stored.pretrained_path = path
        self.driver = load_policy(path)
        if isinstance(self.driver, LeRobotAdapter):
            self._stock = self.driver.policy
        else:
            self.stock_policy = get_policy_class(stored.type).from_pretrained(path, config=stored)
            self._stock = self.stock_policy
        self._before, self._after = make_pre_post_processors(
            stored, pretrained_path=str(path), preprocessor_overrides={"device_processor": {"device": "cpu"}}
        )
        self._execute = int(stored.n_action_steps)

    def _begin(self) -> None:
        """Forget the episode."""
        self._memory = Memory(self.reader.interface.history)
        self._step = 0
        self._streak: np.ndarray | None = None
        self._called: np.ndarray | None = None
        self._given: np.ndarray | None = None

    def reset(self) -> None:
        """A new episode, or the policy drives again after a person did."""
        self._stock.reset()
        self._before.reset()
        self._after.reset()
        self._resets += 1
        self._begin()

    def get_optim_params(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Any] | None]:
        """Refused: it does not train."""
        raise VantageError(
            "vantage_watch watches a policy and does not train one; train the checkpoint itself"
        )

    @torch.no_grad()
    def select_action(self, batch: dict[str, Any], **options: Any) -> Tensor:
        """The watched policy's action [B, A], in the robot's units, within the bounds."""
        self._see(batch)
        action = self._after(self._stock.select_action(self._ready(batch), **options))
        self._step += 1
        return self._bound(action, self._step - 1)

    @torch.no_grad()
    def predict_action_chunk(self, batch: dict[str, Any], **options: Any) -> Tensor:
        """The watched policy's chunk [B, C, A], in the robot's units, every step within the bounds."""
        self._step = 0
        self._see(batch)
        chunk = self._after(self._stock.predict_action_chunk(self._ready(batch), **options))
        steps = [self._bound(chunk[:, number], number) for number in range(chunk.shape[1])]
        return torch.stack(steps, dim=1)

    def _ready(self, batch: dict[str, Any]) -> dict[str, Any]:
        """What the checkpoint's own preprocessor makes of an observation."""
        for step in self._before.steps:
            if hasattr(step, "tensor_device"):
                step.tensor_device = self.driver.device
        return self._before(
            {key: value for key, value in batch.items() if key == "task" or key.startswith("observation.")}
        )

    # ---- p_v

    def _see(self, batch: dict[str, Any]) -> None:
        """Remember an observation, and judge it where the policy predicts."""
        predicts = self._step % self._execute == 0
        if not predicts and self.reader.interface.history == 1:
            return
        observation = self._memory.recall(_observation(batch))
        if predicts:
            features = self.reader.features(observation.to(self.reader.device)).float().cpu().numpy()
            self._judge(viability(self.panel, features))

    def _judge(self, p_v: np.ndarray) -> None:
        """Count, write down, and call."""
        streak = np.zeros(len(p_v), np.int64) if self._streak is None else self._streak
        called = np.zeros(len(p_v), bool) if self._called is None else self._called
        self._streak = self.alarm.count(p_v, streak)
        calls = (self._streak >= self.alarm.patience) & ~called
        # It calls once for every time that p_v falls.
        self._called = (called | calls) & (self._streak > 0)

        for row in range(len(p_v)):
            entry = {
                "episode": self._resets,
                "row": row,
                "step": self._step,
                "p_v": float(p_v[row]),
                "below": int(self._streak[row]),
                "called": bool(calls[row]),
            }
            self._write(entry)
            if calls[row]:
                self._call(entry)

    def _call(self, entry: dict[str, Any]) -> None:
        """Say aloud that somebody should look."""
        logger.warning(
            "Vantage calls for help: p_v is %.2f, below %.2f for %d predictions (step %d)",
            entry["p_v"],
            self.alarm.threshold,
            entry["below"],
            entry["step"],
        )
        sys.stderr.write("\a")
        sys.stderr.flush()
        if self.on_call is not None:
            self.on_call(entry)
        if self.config.on_call:
            self._start(shlex.split(self.config.on_call), entry)
        if self.pause is not None and self.config.pause:
            self.pause()

    @staticmethod
    def _start(words: list[str], entry: dict[str, Any]) -> None:
        """Start a person's command; the policy does not wait for it, and goes on if it cannot be started."""
        try:
            subprocess.Popen([*words, json.dumps(entry)], stdin=subprocess.DEVNULL, start_new_session=True)
        except OSError as error:
            logger.warning("on_call cannot be started: %s", error)

    # ---- bounds

    def _bound(self, action: Tensor, step: int) -> Tensor:
        """The action itself where it is within the bounds; else the nearest that is."""
        wanted = action.detach().cpu().float().numpy()
        given, limited = self.limits(wanted, self._given)
        self._given = given
        if not limited:
            return action

        for change in limited:
            self._write(
                {
                    "episode": self._resets,
                    "row": change.row,
                    "step": step,
                    "limited_by": change.by,
                    "dimension": self.dimensions[change.dimension],
                    "wanted": change.wanted if np.isfinite(change.wanted) else None,
                    "given": change.given,
                }
            )
        return torch.from_numpy(given).to(action)

    def _write(self, entry: dict[str, Any]) -> None:
        """Add a line to the log."""
        if self._log_path is not None:
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            with self._log_path.open("a") as file:
                file.write(json.dumps(entry) + "\n")


def _observation(batch: dict[str, Any]) -> Observation:
    """LeRobot's batch, before any scaling, as an observation; pictures become the bytes that they were."""
    state = batch.get(STATE)
    truth = batch.get(TRUTH)
    pictures = {key.removeprefix(PICTURES): value for key, value in batch.items() if key.startswith(PICTURES)}
    count = len(next(value for value in (state, truth, *pictures.values()) if value is not None))
    task = batch.get("task", "")
    return Observation(
        images={
            camera: (value * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
            for camera, value in pictures.items()
        },
        state=torch.zeros(count, 0) if state is None else state.float(),
        environment_state=None if truth is None else truth.float(),
        prompts=(task,) * count if isinstance(task, str) else tuple(task),
    )


def _reach_dagger() -> None:
    """Let lerobot-rollout's DAgger strategy, if it is being used, hand its pause key to a watching policy.

    LeRobot has no interface for it: the strategy's `setup` is wrapped, once.
    """
    module = sys.modules.get("lerobot.rollout.strategies.dagger")
    if module is None or getattr(module.DAggerStrategy.setup, "hands_over_its_pause", False):
        return
    stock_setup = module.DAggerStrategy.setup

    def setup(strategy: Any, context: Any) -> None:
        stock_setup(strategy, context)
        if isinstance(context.policy.policy, VantageWatchPolicy):
            context.policy.policy.pause = lambda: strategy._events.request_transition("pause_resume")

    setup.hands_over_its_pause = True  # type: ignore[attr-defined]
    module.DAggerStrategy.setup = setup
