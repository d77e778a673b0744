"""LeRobot's policies behind `Policy`: SmolVLA, pi0, pi0.5, ACT and multi_task_dit. The extra
`vantage[lerobot]` installs what they need."""

from vantage.policies.lerobot.assets import settle_paths
from vantage.policies.lerobot.backbones import SmallCLIP, SmallVLM
from vantage.policies.lerobot.lora import Lora
from vantage.policies.lerobot.parts import trainable
from vantage.policies.lerobot.spec import LeRobotPolicy, LeRobotScratch, load

__all__ = [
    "LeRobotPolicy",
    "LeRobotScratch",
    "Lora",
    "SmallCLIP",
    "SmallVLM",
    "load",
    "settle_paths",
    "trainable",
]
