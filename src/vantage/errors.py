"""The one way to refuse bad input, and to say that a run cannot go on."""

import sysconfig
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


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


@contextmanager
def own_code(source: str = "") -> Generator[None]:
    """Call into code of the user's: what it raises becomes a sentence with the line in question.

    `source`: the file or module that is called. Without it, only what was raised below a file that is neither
    Vantage's nor installed becomes a sentence; anything else is raised as it is.
    """
    try:
        yield
    except (VantageError, MemoryError):
        raise
    except Exception as error:
        where = _own_line(error) or source
        if not where or (not source and isinstance(error, ModuleNotFoundError) and missing_extra(error)):
            raise
        raise VantageError(f"{where} raised {_said(error)}") from error


def _own_line(error: Exception) -> str:
    """The last line of the user's own on the way to an error; empty where there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else ""


def _is_own(file: str) -> bool:
    """Whether a file is neither a part of Vantage nor installed."""
    return not file.startswith("<") and not is_installed(Path(file))


def is_installed(file: Path) -> bool:
    """Whether a file is a part of Vantage, of Python, or of a package that is installed."""
    folders = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")]
    return any(file.is_relative_to(folder) for folder in (*folders, Path(__file__).parent))


def _said(error: Exception) -> str:
    """The kind of an error, and what it says."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
