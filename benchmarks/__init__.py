"""Benchmarks run without a screen or a hub, which is said before anything imports MuJoCo or LeRobot."""

import os

os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
