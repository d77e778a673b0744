"""Processors of `vantage_watch`: rename, batch, device. Scales are the watched policy's own."""

from typing import Any

from lerobot.processor.factory import make_default_policy_processor_steps, make_policy_processor_pipelines

from .configuration_vantage_watch import VantageWatchConfig


def make_vantage_watch_pre_post_processors(
    config: VantageWatchConfig, dataset_stats: dict[str, Any] | None = None
) -> tuple[Any, Any]:
    """(preprocessor, postprocessor); `dataset_stats` are not used."""
    config.normalization_mapping = {}  # type: ignore[attr-defined] - LeRobot reads it though nothing is scaled
    steps = make_default_policy_processor_steps(config, None)
    return make_policy_processor_pipelines(
        input_steps=[steps.rename_observations, steps.add_batch_dim, steps.to_device],
        output_steps=[steps.to_cpu],
    )
