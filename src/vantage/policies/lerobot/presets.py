"""Ready settings of LeRobot policies that are small enough to learn on a CPU."""

from vantage.policies.lerobot.backbones import SmallVLM
from vantage.policies.lerobot.spec import LeRobotScratch

TINY_SMOLVLA = LeRobotScratch(
    type="smolvla",
    settings=(
        "chunk_size=16",
        "n_action_steps=8",
        "num_vlm_layers=4",
        "resize_imgs_with_padding=[96,96]",
        "num_steps=5",
        "max_state_dim=4",
        "max_action_dim=4",
        "tokenizer_max_length=64",
        "train_expert_only=false",
        "freeze_vision_encoder=false",
    ),
    backbone=SmallVLM(
        image_size=96,
        patch=16,
        shuffle=2,
        vision_width=64,
        vision_layers=2,
        vision_heads=2,
        width=96,
        layers=4,
        heads=4,
    ),
)
"""SmolVLA with 0.9 M weights for the quickstart's three tasks: the prompt decides the task. Batches of 64, learning rate 1e-3."""
