"""LeRobot's pretrained VLAs behind `Policy`. The extra `vantage[lerobot]` installs what they need."""

from vantage.policies.lerobot.smolvla import LeRobotPolicy

load = LeRobotPolicy.load
"""A checkpoint that LeRobot, or `Policy.save`, wrote -> the policy."""
