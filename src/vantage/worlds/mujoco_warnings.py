"""MuJoCo's warnings -> the terminal, instead of MUJOCO_LOG.TXT in whatever folder one happens to work in."""

# MuJoCo's names come from its compiled part, which has no types.
# pyright: reportAttributeAccessIssue=false

import mujoco

from vantage.progress import console


def warn_on_the_terminal() -> None:
    """From now on, in this process, MuJoCo's warnings are lines of the terminal and no file is written.

    A handler that somebody else has set stays. MuJoCo warns once per kind of trouble and episode.
    """
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_say)


def _say(text: str) -> None:
    console.print(f"MuJoCo warns: {text.strip()}", markup=False, highlight=False)
