"""Processors of `vantage_small`: rename, batch, device. Scales belong to the network."""

from typing import Any

from lerobot.processor.factory import make_default_policy_processor_steps, make_policy_processor_pipelines

from .configuration_vantage_small import VantageSmallConfig


def make_vantage_small_pre_post_processors(
    config: VantageSmallConfig, dataset_stats: dict[str, Any] | None = None
) -> tuple[Any, Any]:
    """(preprocessor, postprocessor). Both end in LeRobot's normalisers, which change nothing here, because
    lerobot-train expects them."""
    steps = make_default_policy_processor_steps(config, dataset_stats)
    return make_policy_processor_pipelines(
        input_steps=[steps.rename_observations, steps.add_batch_dim, steps.to_device, steps.normalize],
        output_steps=[steps.unnormalize, steps.to_cpu],
    )
