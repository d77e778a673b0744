"""LeRobot's pretrained VLAs behind the `Actor` protocol. The extra `vantage[lerobot]` installs what they need."""

from vantage.policies.lerobot.smolvla import LeRobotActor

__all__ = ["LeRobotActor"]
