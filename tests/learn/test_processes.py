"""Several processes train what one would, copied or sharded; where one is lost the others say so, and the run
goes on."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import recorded as recordings
import torch
from safetensors.torch import load_file
from shared_fit import improve

from vantage.algorithms.supervised import Supervision
from vantage.config import dumps
from vantage.disk.tables import read_parquet
from vantage.learn.step import Compute
from vantage.recipes.debug import debug
from vantage.stages.collect import Demonstrations
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit

TESTS = Path(__file__).parents[1]


def launch(count: int, *words: str) -> list[subprocess.Popen[str]]:
    """Start `words` in `count` Python processes that know of each other, as torchrun does."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS / "learn"), os.environ.get("PYTHONPATH", "")]),
    }
    return [
        subprocess.Popen(
            [sys.executable, *words],
            env={**shared, "RANK": str(number), "LOCAL_RANK": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]


def ends(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit code, output and complaints of every process."""
    texts = [process.communicate(timeout=240) for process in processes]
    return [(process.returncode, *text) for process, text in zip(processes, texts, strict=True)]


def losses(checkpoint: Path) -> list[float]:
    """The curve of a fit."""
    return [json.loads(line)["loss"] for line in (checkpoint / "metrics.jsonl").read_text().splitlines()]


def check_alike(ours: Path, theirs: Path) -> None:
    """The same curve and the same weights, to 1e-5."""
    np.testing.assert_allclose(losses(ours), losses(theirs), rtol=0, atol=1e-5)
    mine, other = (load_file(folder / "model.safetensors") for folder in (ours, theirs))
    assert mine.keys() == other.keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(
            tensor, other[name], rtol=0, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.fixture(scope="module")
def alone(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The round, improved by this process."""
    run = copied(recorded, tmp_path_factory.mktemp("alone") / "run")
    improve(run, Compute())
    return run


def copied(run: Path, out: Path) -> Path:
    """The recordings and the supervised policy of a run, with nothing made of them yet."""
    return recordings.copy_of_recordings(run, out, rounds=1)


SHARED = {
    "copies": Compute(),
    "shards": Compute(sharded=True),
    "copies in parts": Compute(accumulate=2),
    "shards in parts": Compute(sharded=True, accumulate=2),
}


@dataclass(frozen=True)
class Together:
    """Two processes, done."""

    runs: dict[str, Path]
    """How they shared the work -> what they made."""
    said: list[str]
    """What each of them printed."""


@pytest.fixture(scope="module")
def together(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Together:
    """The round, improved by two processes in every way that they can share the work."""
    folder = tmp_path_factory.mktemp("together")
    runs = {name: copied(recorded, folder / name) for name in SHARED}
    words = [word for name, run in runs.items() for word in (str(run), dumps(SHARED[name]))]

    said: list[str] = []
    for code, printed, complaints in ends(launch(2, str(TESTS / "learn" / "shared_fit.py"), *words)):
        assert code == 0, complaints
        said.append(printed)
    return Together(runs, said)


@pytest.mark.parametrize("sharing", SHARED)
def test_two_processes_train_what_one_does(together: Together, alone: Path, sharing: str) -> None:
    run = together.runs[sharing]
    for name in ("round-01/5-actor", "act"):
        check_alike(run / name, alone / name)

    ours, theirs = (load_file(folder / "round-01/3-critic/features.safetensors") for folder in (run, alone))
    torch.testing.assert_close(ours["features"], theirs["features"], rtol=0, atol=1e-5)
    ours, theirs = (load_file(folder / "round-01/3-critic/critic.safetensors") for folder in (run, alone))
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=1e-4, msg=f"critic: {name}")
    for name in ("5-chunk-critic/critic", "5-steering/steering"):
        ours, theirs = (load_file(folder / "round-01" / f"{name}.safetensors") for folder in (run, alone))
        for part, tensor in ours.items():
            torch.testing.assert_close(tensor, theirs[part], rtol=1e-3, atol=1e-3, msg=f"{name}: {part}")
    shared, one = (read_parquet(folder / "round-01/4-weights.parquet") for folder in (run, alone))
    for name in ("p_v", "weight"):
        np.testing.assert_allclose(shared[name], one[name], rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("sharing", SHARED)
def test_every_process_stops_at_a_loss_that_is_no_number(together: Together, sharing: str) -> None:
    """At the same step, by the same sentence; the state of the step before is kept, and no policy is
    written."""
    run = together.runs[sharing]
    told: list[str] = []
    for printed in together.said:
        lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        told += [line["told"] for line in lines if line["run"] == str(run)]
    assert len(told) == 2 and told[0] == told[1]
    step = re.match(r"policy: the loss of step (\d+) is NaN or infinite\. In its batch: ", told[0])
    assert step is not None and "the training state of before is kept" in told[0]

    kept = load_file(run / ".bad.state" / "state.safetensors")
    assert int(kept["step"]) == int(step[1]) - 1
    assert all(bool(tensor.isfinite().all()) for tensor in kept.values())
    assert not (run / "bad").exists()


def write_settings(out: Path) -> Path:
    """A run of one supervised round from true state, saved often, as a file for `vantage run`."""
    recipe = debug()
    fit = PolicyFit(steps=160, batch=16, save_every=20, log_every=5)
    run = replace(
        recipe,
        rounds=0,
        supervision=Supervision(demonstrations=Demonstrations(per_world=3), supervised=fit),
        evaluation=Evaluation(per_world=1),
        compute=Compute(sharded=True),
    )
    out.write_text(dumps(run))
    return out


def test_a_killed_process_ends_the_run_and_another_number_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = (
        "-m",
        "vantage",
        "run",
        str(write_settings(tmp_path / "own.json")),
        "--out",
        str(run),
        "--workers",
        "1",
    )
    first, second = launch(2, *words)
    state = run / "round-00" / ".5-actor.state" / "state.safetensors"
    _wait_for(state, first)

    second.send_signal(signal.SIGKILL)
    (code, _, complaint), _ = ends([first, second])
    assert code == 1
    assert "another process of this run is gone" in complaint and "Traceback" not in complaint
    assert "start the run again" in complaint
    assert not (run / "round-00" / "5-actor").exists()

    # One process goes on from the shards' state, and ends as one alone would have from the start.
    saved = int(load_file(state)["step"])
    assert 0 < saved < 160
    ((code, _, complaint),) = ends(launch(1, *words))
    assert code == 0, complaint
    actor = run / "round-00" / "5-actor"
    shutil.move(actor, tmp_path / "resumed")
    (run / "round-00" / "6-eval.parquet").unlink()  # of the policy that was
    ((code, _, complaint),) = ends(launch(1, "-m", "vantage", "fit-policy", str(run / "round-00")))
    assert code == 0, complaint
    check_alike(tmp_path / "resumed", actor)


def _wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 200) -> None:
    """Until a file is there; fails where the process ends before."""
    until = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until, f"{path} was not written"
        time.sleep(0.05)


def test_what_works_in_one_process_says_so() -> None:
    for code, _, complaint in ends(launch(2, "-m", "vantage", "audit", "nowhere")):
        assert code == 2
        assert re.search(r"vantage, process [01] of 2: `vantage audit` works in one process", complaint)
