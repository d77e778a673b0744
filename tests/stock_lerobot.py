"""Stock LeRobot's commands, one after the other in a process and a terminal of their own; somebody at the
keyboard watches the toy arm (`policies/toy_arm`)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

TOYS = Path(__file__).parent / "policies"
PATIENCE = 8
"""Control steps that the person waits after a key has had its effect."""


def run_stock(
    folder: Path,
    keys: Mapping[str, Sequence[bytes]],
    commands: Sequence[list[str]],
    patience: int = PATIENCE,
) -> str:
    """Run the commands in `folder`, press keys when it is time, and return all that was said.

    `keys`: what is pressed, one after the other, while the arm of this id moves; `patience`: control steps
    before each.
    """
    environment = os.environ | {
        "TOY_WORLD_LOG": str(folder),
        "TOY_ARM_LOG": str(folder),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "home"),
        "PYTHONPATH": os.pathsep.join([str(TOYS), os.environ.get("PYTHONPATH", "")]),
    }
    environment.pop("DISPLAY", None)
    environment.pop("WAYLAND_DISPLAY", None)
    keyboard, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, TOYS / "stock_commands.py", json.dumps(commands)],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=folder,
        text=True,
    )
    assert process.stdout is not None
    said = "".join(_pressing_keys(process.stdout, keyboard, keys, patience))
    process.wait()
    os.close(terminal)
    os.close(keyboard)
    assert process.returncode == 0, said[-3000:]
    return said


def _pressing_keys(
    output: Iterable[str], keyboard: int, keys: Mapping[str, Sequence[bytes]], patience: int
) -> Iterator[str]:
    """Every line of the output; a person who reads it presses the next key when the last one has had its
    effect."""
    left = {name: [*own] for name, own in keys.items()}
    waited = 0
    for line in output:
        yield line
        if "Phase transition" in line:
            waited = 0
        match line.split():
            case [name, number] if name in left:
                waited = 0 if number == "0" else waited + 1
                if waited == patience and left[name]:
                    os.write(keyboard, left[name].pop(0))
