"""Simulated worlds.

A machine without a screen draws through EGL; whoever wants something else sets MUJOCO_GL first.
"""

import os

if "DISPLAY" not in os.environ:
    os.environ.setdefault("MUJOCO_GL", "egl")
