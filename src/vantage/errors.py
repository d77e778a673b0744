"""The one way to refuse bad input, and to say that a run cannot go on."""


class VantageError(Exception):
    """Bad input. The message is one sentence: what is wrong, where, and what to do.

    The command line prints it and exits with 2.
    """


class LostProcess(VantageError):
    """Another process of the same run has ended or does not answer. The command line exits with 1."""


EXTRAS = {
    "mujoco": "sim",
    "metaworld": "sim",
    "gymnasium": "sim",
    "gymnasium_robotics": "simulators",
    "gym_aloha": "simulators",
    "gym_pusht": "simulators",
    "transformers": "lerobot",
    "peft": "lerobot",
    "matplotlib": "study",
    "starlette": "pages",
    "uvicorn": "pages",
    "tensorboard": "track",
    "wandb": "track",
    "rerun": "viewer",
    "ray": "cluster",
}
"""Module -> the extra of this package that brings it (pyproject.toml)."""
ON_THEIR_OWN = ("trackio",)
"""Modules that an option needs and no extra brings: packages of the same name."""


def missing_extra(error: ModuleNotFoundError) -> str:
    """What to install where an optional module is missing, as one sentence; empty for any other module."""
    module = (error.name or "").partition(".")[0]
    if module in EXTRAS:
        package = f"'vantage[{EXTRAS[module]}]'"
    elif module in ON_THEIR_OWN:
        package = module
    else:
        return ""
    return f"this needs {module}, which is not installed; pip install {package}"
