"""Vantage's small policy behind LeRobot's `PreTrainedPolicy`: `vantage_small`.

    lerobot-train --policy.type=vantage_small       from scratch, its scales from the dataset's statistics
    vantage export 5-actor --out F                  a policy of `vantage run`: lerobot-eval --policy.path=F

The network, its loss and its sampler are Vantage's own; pictures shrink as they do in `vantage run`.
"""

from collections import deque
from typing import Any

import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from torch import Tensor

from vantage.batch import Batch, Observation
from vantage.core.images import area_downsample, divides
from vantage.policies.small.export import small_policy
from vantage.types import VantageError

from .configuration_vantage_small import PICTURES, STATE, TRUTH, VantageSmallConfig


class VantageSmallPolicy(PreTrainedPolicy):
    """A small network that predicts chunks, by flow matching or as the mean of a Gaussian."""

    config_class = VantageSmallConfig
    name = "vantage_small"

    def __init__(
        self, config: VantageSmallConfig, dataset_stats: dict[str, dict[str, Any]] | None = None, **_: Any
    ) -> None:
        """A new network; `dataset_stats` give its scales, unless a checkpoint's weights follow."""
        super().__init__(config)
        self.policy = small_policy(config.small(), seed=torch.initial_seed() % 2**31)
        # LeRobot's checkpoints take no other layout, in weights and in the optimizer's state.
        self.policy.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        if dataset_stats is not None:
            self._take_scales(dataset_stats)
        self.reset()

    def _take_scales(self, statistics: dict[str, dict[str, Any]]) -> None:
        """Mean and deviation of what goes in and out; a dimension that never moves keeps unit scale."""
        if self.config.relative:
            raise VantageError(
                "a dataset's statistics say nothing of relative actions; train them by `vantage finetune`, "
                "or leave --policy.relative out"
            )
        backbone = self.policy.backbone
        scales = {STATE: backbone.state.standardise, "action": self.policy.actions}
        if self.config.true_state:
            scales[TRUTH] = backbone.truth.standardise
        for key, scale in scales.items():
            if key not in statistics:
                raise VantageError(
                    f"the dataset has no statistics of {key}; make them with "
                    "`lerobot-edit-dataset --operation.type=recompute_stats`"
                )
            mean, std = (torch.as_tensor(statistics[key][name]).float() for name in ("mean", "std"))
            scale.mean.copy_(mean.reshape(scale.mean.shape))
            scale.std.copy_(torch.where(std > 1e-4, std, torch.ones_like(std)).reshape(scale.std.shape))

    def get_optim_params(self) -> Any:
        """Everything trains."""
        return self.parameters()

    def reset(self) -> None:
        """Forget what is left of the chunk."""
        self._queue: deque[Tensor] = deque()

    def forward(self, batch: dict[str, Any], reduction: str = "mean") -> tuple[Tensor, dict[str, Any]]:
        """Squared error of the flow's velocity (of the mean, where it is a Gaussian) over valid steps;
        `reduction` "none": one number a window."""
        actions = batch["action"]
        valid = torch.ones(actions.shape[:2], dtype=torch.bool, device=actions.device)
        if "action_is_pad" in batch:
            valid = ~batch["action_is_pad"]
        mask = valid[..., None].expand_as(actions)
        windows = Batch(
            observation=self._observe(batch),
            actions=actions,
            mask=mask,
            row=torch.arange(len(actions)).numpy(),
        )
        draw = self.policy.draw(len(actions), torch.default_generator).to(actions.device)
        error = self.policy(windows, draw).elementwise * mask
        over = (1, 2) if reduction == "none" else (0, 1, 2)
        loss = error.sum(over) / mask.sum(over).clamp_min(1)
        return loss, {"mean_loss" if self.config.gaussian else "flow_loss": loss.mean().item()}

    @torch.no_grad()
    def predict_action_chunk(self, batch: dict[str, Any], **_: Any) -> Tensor:
        """A chunk [B, H, A] in the world's units; a flow's begins with noise of PyTorch's generator."""
        return self.policy.act(self._observe(batch), torch.default_generator)

    @torch.no_grad()
    def select_action(self, batch: dict[str, Any], **options: Any) -> Tensor:
        """The next action [B, A] of the chunk; a new chunk when as many as `n_action_steps` are gone."""
        if not self._queue:
            chunk = self.predict_action_chunk(batch, **options)[:, : self.config.n_action_steps]
            self._queue.extend(chunk.unbind(1))
        return self._queue.popleft()

    def _observe(self, batch: dict[str, Any]) -> Observation:
        """LeRobot's batch as an observation: pictures become bytes again, and shrink."""
        state = batch[STATE]
        images = (
            {}
            if self.config.true_state
            else {
                key.removeprefix(PICTURES): self._shrink(batch[key], key)
                for key in self.config.image_features
            }
        )
        task = batch.get("task", "")
        return Observation(
            images=images,
            state=state.float(),
            environment_state=batch[TRUTH].float() if self.config.true_state else None,
            prompts=(task,) * len(state) if isinstance(task, str) else tuple(task),
        )

    def _shrink(self, pictures: Tensor, key: str) -> Tensor:
        """Pictures [B, 3, h, w] in [0, 1] as bytes [B, s, s, 3], by the exact mean of whole blocks."""
        side = self.config.picture_size
        bytes_ = (pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        height, width = bytes_.shape[1:3]
        if (height, width) == (side, side):
            return bytes_
        if not divides((height, width), (side, side)):
            raise VantageError(
                f"{key} is {width} x {height} px, no multiple of {side} x {side}; "
                "set --policy.picture_size to a divisor"
            )
        return torch.from_numpy(area_downsample(bytes_.cpu().numpy(), side)).to(pictures.device)
