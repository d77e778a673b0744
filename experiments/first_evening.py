"""How long does a newcomer wait? Vantage's wheel into a fresh environment, then docs/robot.md on a small
recording to a checkpoint, every step in a process of its own and timed.

    python -m experiments.first_evening run --out runs/first_evening
    python -m experiments.first_evening table docs/results/first_evening.parquet

    wheel ──pip, extras lerobot and pages──> environment
        recordings of LeRobotDataset.create, add_frame, save_episode (what lerobot-record calls)
            ──lerobot-train──> ACT ──vantage audit, finetune --plan, finetune, explain──> checkpoint
                ──stock LeRobot──> an action

Where packages come from decides the first rows: OUT/messages.txt holds every word that was said, to be read
as that user. uv and an index of packages must be at hand (or uv's cache).
"""

import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

ROOT = Path(__file__).parents[1]
EXTRAS = "lerobot,pages"
PROMPT = "put the cube into the box"
JOINTS = [f"{name}.pos" for name in ("pan", "lift", "elbow", "flex", "roll", "gripper")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is recorded and trained."""

    demos: int = 4
    rollouts: int = 6
    frames: int = 60
    """Of an episode."""
    height: int = 240
    width: int = 320
    steps: int = 10
    """Of each training."""
    policy: tuple[str, ...] = ("--policy.pretrained_backbone_weights=null",)
    """Settings of ACT beside LeRobot's own."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line that the newcomer types."""

    name: str
    words: tuple[str, ...]


Run = Callable[[Sequence[str], Path], str]
"""Runs a command in a folder, and returns what it said. Raises RuntimeError where it fails."""


# -------------------------------------------------------------------------------------------------- recording


def record(out: Annotated[Path, tyro.conf.Positional], size: str = "{}") -> None:
    """Record demonstrations and rollouts by LeRobot's own code, and the csv that a person writes afterwards.

    Args:
        out: Folder to write `demos`, `rollout_1` and `outcomes_1.csv` into.
        size: JSON of a `Size`.
    """
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    chosen = Size(**json.loads(size))
    vector = {"dtype": "float32", "shape": (len(JOINTS),), "names": JOINTS}
    camera = {
        "dtype": "video",
        "shape": (chosen.height, chosen.width, 3),
        "names": ["height", "width", "channels"],
    }
    features = {"action": vector, "observation.state": vector, "observation.images.front": camera}
    draw = np.random.default_rng(0)
    for name, count in {"demos": chosen.demos, "rollout_1": chosen.rollouts}.items():
        driven = {"intervention": {"dtype": "bool", "shape": (1,), "names": None}} if name != "demos" else {}
        dataset = LeRobotDataset.create(
            f"me/{name}", 30, features | driven, root=out / name, robot_type="so101_follower", use_videos=True
        )
        for episode in range(count):
            corrected = name != "demos" and episode % 3 == 2
            state = draw.uniform(-1, 1, len(JOINTS)).astype(np.float32)
            for frame in range(chosen.frames):
                action = (0.95 * state + draw.normal(0, 0.02, len(JOINTS))).astype(np.float32)
                picture = np.full((chosen.height, chosen.width, 3), 40 + frame % 160, np.uint8)
                across = int((state[0] + 1.5) / 3 * (chosen.width - 9))
                picture[:, max(across, 0) : max(across, 0) + 8] = 220
                values = {"action": action, "observation.state": state, "observation.images.front": picture}
                if driven:
                    human = corrected and frame >= chosen.frames // 2
                    values["intervention"] = np.array([human])
                dataset.add_frame(values | {"task": PROMPT})
                state = action
            dataset.save_episode()
        dataset.finalize()
    with (out / "outcomes_1.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("episode_index", "success"))
        lines.writerows((episode, int(episode % 2 == 0)) for episode in range(chosen.rollouts))


# -------------------------------------------------------------------------------------------------- the steps


def set_up(out: Path) -> list[Step]:
    """From a checkout to an environment that has Vantage from its wheel."""
    environment = out / "environment"
    wheel = out / "wheel"
    uv = shutil.which("uv") or str(ROOT / ".uv/bin/uv")
    python = str(Path(sys.base_prefix) / "bin" / "python3")
    named = f"{wheel / 'vantage-0.1.0-py3-none-any.whl'}[{EXTRAS}]"
    build = (uv, "build", "--wheel", "--python", python, "--out-dir", str(wheel), str(ROOT))
    locked = ("-c", str(ROOT / "requirements.lock"))
    install = (uv, "pip", "install", "-q", "--python", str(environment), *locked)
    return [
        Step("build the wheel", build),
        Step("make an environment", (uv, "venv", "-q", "--python", python, str(environment))),
        Step(f"install vantage[{EXTRAS}]", (*install, named)),
    ]


def evening(programs: Path, size: Size) -> list[Step]:
    """From nothing to a checkpoint, in the folder that everything is written to.

    `programs`: the environment's bin folder.
    """
    policy = "outputs/train/act/checkpoints/last/pretrained_model"
    settings = {"demos": size.demos, "rollouts": size.rollouts, "frames": size.frames}
    sizes = json.dumps(settings | {"height": size.height, "width": size.width})
    python, vantage = str(programs / "python"), str(programs / "vantage")
    train = (
        *("--policy.type=act", "--dataset.repo_id=me/demos", "--dataset.root=data/demos"),
        *("--policy.push_to_hub=false", "--policy.device=cpu", "--output_dir=outputs/train/act"),
        *("--batch_size=4", "--num_workers=0"),
    )
    outcomes = ("--outcomes", "data/outcomes_1.csv")
    recordings = ("--demos", "data/demos", "--rollouts", "data/rollout_1", *outcomes)
    tune = (vantage, "finetune", "--policy.path", policy, *recordings, "--out", "runs/arm_1")
    lengths = (f"--steps={size.steps}", "--batch_size=4")
    load = (
        "from lerobot.policies.act.modeling_act import ACTPolicy; "
        "print(ACTPolicy.from_pretrained('runs/arm_1/round-01/5-actor').config.chunk_size)"
    )
    return [
        Step("record, by LeRobot's code", (python, str(Path(__file__)), "record", "data", "--size", sizes)),
        Step(
            f"lerobot-train, {size.steps} steps",
            (str(programs / "lerobot-train"), *train, f"--steps={size.steps}", *size.policy),
        ),
        Step("vantage audit", (vantage, "audit", "data/rollout_1", *outcomes)),
        Step("vantage finetune --plan", (*tune, *lengths, "--plan")),
        Step(f"vantage finetune, {size.steps} steps", (*tune, *lengths)),
        Step("vantage explain", (vantage, "explain", "runs/arm_1", "0")),
        Step("stock LeRobot opens the checkpoint", (python, "-c", load)),
    ]


def by_process(words: Sequence[str], folder: Path) -> str:
    """Run a command as a user does."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "COLUMNS": "110"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def walk(steps: Sequence[Step], folder: Path, run: Run = by_process) -> list[tuple[str, float]]:
    """Take the steps one after the other; every word that was said goes to messages.txt.

    Returns (step, wall seconds).
    """
    timed: list[tuple[str, float]] = []
    with (folder / "messages.txt").open("a") as said:
        for step in steps:
            began = time.monotonic()
            words = run(step.words, folder)
            timed.append((step.name, time.monotonic() - began))
            said.write(f"$ {' '.join(step.words)}\n{words}\n")
            said.flush()
            print(f"{step.name:<40}{timed[-1][1]:8.1f} s", flush=True)
    return timed


def run(
    out: Path = Path("runs/first_evening"), rows: Path = Path("docs/results/first_evening.parquet")
) -> None:
    """Walk the whole path, keep the times, and print the table.

    Args:
        out: Folder to work in; must not exist yet.
        rows: Where the times are kept.
    """
    out = out.resolve()
    out.mkdir(parents=True)
    (out / "data").mkdir()
    timed = walk([*set_up(out), *evening(out / "environment" / "bin", Size())], out)
    keep(timed, rows)
    table(rows)


def keep(timed: Sequence[tuple[str, float]], rows: Path) -> None:
    """Write the times of the steps."""
    from vantage.disk.tables import write_parquet

    names, seconds = zip(*timed, strict=True)
    machine = f"{os.cpu_count()} x {platform.machine()} cores"
    columns = {"step": np.array(names), "seconds": np.array(seconds), "machine": np.full(len(names), machine)}
    write_parquet(rows, columns)


def table(
    rows: Annotated[Path, tyro.conf.Positional] = Path("docs/results/first_evening.parquet"),
) -> None:
    """Print the times as docs/robot.md has them."""
    from vantage.disk.tables import read_parquet

    stored = read_parquet(rows)
    print("| step | seconds |\n|---|---|")
    for name, seconds in zip(stored["step"], stored["seconds"], strict=True):
        print(f"| {name} | {seconds:.0f} |")
    print(f"| **all** | **{stored['seconds'].sum():.0f}** |\n\nMachine: {stored['machine'][0]}.")


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"run": run, "table": table, "record": record})
