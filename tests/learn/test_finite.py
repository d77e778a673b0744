"""Training stops at a loss that is NaN or infinite, names its batch, and leaves nothing half written.

A learning rate of 1e30 or 1e38 makes the second loss infinite, one of 1e39 the first weights.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from recorded import (
    DEMONSTRATIONS,
    IMPROVEMENT,
    INTERFACE,
    SEED,
    SPEC,
    Picture,
    copy_of_recordings,
    improvement,
    improver,
    record,
)

from vantage.algorithms.improvement import Staged
from vantage.algorithms.interleaved import Interleaved
from vantage.algorithms.supervised import fit_supervised, weigh_demonstrations
from vantage.data.experience import Experience
from vantage.disk.checkpoint import load_state
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.panel import train_panel
from vantage.learn.finite import LossWatch, frames_of
from vantage.learn.optim import OptimConfig
from vantage.learn.parent import ParentFit, train_parent
from vantage.policies.load import load_policy
from vantage.stages.label import label
from vantage.types import VantageError

CRITIC = CriticFit(steps=6, batch=32, check_every=5, width=8)
PARENT = ParentFit(steps=3, batch=32, width=8)


def features_of(experience: Experience) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((len(experience), 4)).astype(np.float32)


def test_the_first_bad_step_is_the_one_that_is_told() -> None:
    watch = LossWatch(torch.device("cpu"))
    for step, loss in enumerate((1.0, 2.0, float("inf"), 1.0, float("nan"))):
        assert watch.first_bad(wait=False) == (2 if step > 2 else None)
        watch.see(step, torch.tensor(loss))
    assert watch.first_bad(wait=False) == 2 == watch.first_bad(wait=True)


def test_frames_are_named_by_their_largest_action(experience: Experience) -> None:
    rows = np.arange(5)
    largest = int(np.abs(experience.action[rows]).max(axis=1).argmax())
    assert frames_of(experience, rows)[0] == f"round 1 frame {largest}"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lr": 1e38}, "critic, viability head: the loss of step 2 is NaN or infinite"),
        ({"lr": 1e39, "steps": 1}, "critic, viability head: the held-out loss of step 1 is NaN or infinite"),
    ],
)
def test_the_critic_stops(experience: Experience, changes: dict[str, float], says: str) -> None:
    with pytest.raises(VantageError, match=says) as error:
        train_panel(experience, features_of(experience), replace(CRITIC, **changes), t_max=60, seed=0)
    assert "In its batch: round 1 frame " in str(error.value) and "nothing was written" in str(error.value)


def test_an_infinite_feature_is_named_first(experience: Experience) -> None:
    features = features_of(experience)
    features[::2, 1] = np.inf
    with pytest.raises(VantageError, match=r"the loss of step 1 is NaN .* round 1 frame \d*[02468],"):
        train_panel(experience, features, CRITIC, t_max=60, seed=0)


def test_the_parent_head_stops(experience: Experience) -> None:
    with pytest.raises(VantageError, match="parent head: the loss of step 2 is NaN or infinite"):
        train_parent(experience, features_of(experience), replace(PARENT, lr=1e30), seed=0)


@pytest.mark.parametrize(
    ("steps", "lr", "what"), [(4, 1e38, "loss of step 2"), (1, 1e39, "gradient of step 1")]
)
def test_the_policy_stops_and_writes_nothing(
    steps: int, lr: float, what: str, recorded: Path, tmp_path: Path
) -> None:
    """A loss is read at its step; a gradient that overflows at the last step is seen before weights are
    written."""
    fit = replace(IMPROVEMENT.fit, steps=steps, optim=OptimConfig(lr=lr, warmup=0))
    here = Round.of(copy_of_recordings(recorded, tmp_path, 1), 1)
    shutil.copy(Round.of(recorded, 1).weights, here.weights)
    with pytest.raises(VantageError, match=f"the {what} is NaN or infinite. In its batch: round "):
        improver(tmp_path, 1, improvement(fit=fit)).fit_policy()
    assert not here.actor.exists()


@pytest.mark.parametrize(
    ("critic_lr", "lr", "bad", "what", "step"),
    [
        (1e30, 1e-3, "critic", "loss", 2),
        (1e-3, 1e30, "policy", "loss", 2),
        (1e38, 1e-3, "critic", "gradient", 1),
    ],
)
def test_interleaved_training_stops_and_keeps_what_was_good(
    critic_lr: float, lr: float, bad: str, what: str, step: int, recorded: Path, tmp_path: Path
) -> None:
    """Saved after every step: the state that is kept is the one before the bad step, and finite."""
    fit = replace(IMPROVEMENT.fit, steps=5, save_every=1, optim=OptimConfig(lr=lr, warmup=0))
    settings = improvement(schedule=Interleaved(critic_lr=critic_lr), fit=fit)
    says = f"interleaved training, {bad}: the {what} of step {step} is NaN or infinite. In its batch: round"
    with pytest.raises(VantageError, match=says) as error:
        improver(copy_of_recordings(recorded, tmp_path, 1), 1, settings).learn()
    assert "what was saved before is kept" in str(error.value)

    here = Round.of(tmp_path, 1)
    kept = load_state(here.folder / ".interleaved.safetensors")
    if kept is not None:
        assert int(kept["policy/step"]) == step - 1
        assert all(bool(tensor.isfinite().all()) for tensor in kept.values())
    assert (kept is None) == (step == 1)
    assert not here.actor.exists() and not here.critic.exists()


# ------------------------------------------------------------------------------ experience at its extremes

P = "P" * 12
EXTREMES: dict[str, tuple[Picture, ...]] = {
    "all successes": ((P, True),) * 4,
    "all failures": ((P, False),) * 4,
    "no rescue": ((P, True), (P, False), (P, True), (P, False)),
    "one episode": ((P, True),),
    "single frames": (("P", True), ("P", False), ("P", True), ("H", True)),
    "rescued from the first frame": (("H" * 12, True), ("H" * 12, False), (P, True), (P, False)),
}


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Round 0 of two demonstrations, one of a single frame."""
    run = tmp_path_factory.mktemp("extremes") / "run"
    start = Round.of(run, 0)
    record(start, (DEMONSTRATIONS[0], ("H", True)), version=-1, csv=True)
    weigh_demonstrations(start, INTERFACE)
    fit_supervised(start, SPEC, INTERFACE, replace(IMPROVEMENT.fit, steps=3), seed=SEED)
    return run


@pytest.mark.parametrize("schedule", [Staged(), Interleaved(warm_up=1)], ids=["staged", "interleaved"])
@pytest.mark.parametrize("name", EXTREMES)
def test_the_policy_is_sensible(
    name: str, schedule: Staged | Interleaved, supervised: Path, tmp_path: Path
) -> None:
    """Every weight is a number, and the ledger too."""
    run = copy_of_recordings(supervised, tmp_path / "run", 0)
    here = Round.of(run, 1)
    record(here, EXTREMES[name], version=0, csv=True)
    fit = replace(IMPROVEMENT.fit, steps=3, batch=8)
    settings = improvement(critic=CRITIC, schedule=schedule, fit=fit)
    improver(run, 1, settings).learn()
    rows = read_parquet(here.weights, ("weight", "sampling"))
    assert np.isfinite(rows["weight"]).all() and rows["sampling"].sum() == pytest.approx(1)
    assert all(bool(tensor.isfinite().all()) for tensor in load_policy(here.actor).state_dict().values())


def test_nothing_judged_is_a_sentence(supervised: Path, tmp_path: Path) -> None:
    here = Round.of(copy_of_recordings(supervised, tmp_path / "run", 0), 1)
    with pytest.raises(VantageError, match="records no outcome at all; fill in 0 or 1"):
        record(here, ((P, None),) * 3, version=0, csv=True)
    assert not here.labels.exists()


def test_constant_and_huge_dimensions(supervised: Path, tmp_path: Path) -> None:
    """A dimension that never moves keeps unit scale, one as large as may be read still learns; a larger one
    is a sentence."""
    run = tmp_path / "run"
    start = Round.of(run, 0)
    record(start, DEMONSTRATIONS[:2], version=-1, csv=True)
    path = next(start.episodes.glob("data/*/*.parquet"))
    for largest, allowed in ((9e8, True), (2e9, False)):
        _change(path, largest)
        start.labels.unlink()
        if not allowed:
            with pytest.raises(VantageError, match=r"`action` .* is beyond 1e\+09 in 1 frames"):
                label(start.episodes, start.labels, demos=True)
            continue
        label(start.episodes, start.labels, demos=True)
        weigh_demonstrations(start, INTERFACE)
        fit_supervised(start, SPEC, INTERFACE, replace(IMPROVEMENT.fit, steps=3), seed=SEED)
        weights = load_policy(start.actor).state_dict()
        assert all(bool(tensor.isfinite().all()) for tensor in weights.values())


def _change(path: Path, largest: float) -> None:
    """Let one number of a state and of an action stand still, and one of an action be this large once."""
    table = pq.read_table(path)
    for name in ("observation.state", "action"):
        rows = np.stack(table.column(name).to_numpy())
        rows[:, 0] = 0.25
        if name == "action":
            rows[3, 1] = largest
        place, kind = table.column_names.index(name), table.schema.field(name).type
        table = table.set_column(place, name, pa.array(list(rows), type=kind))
    pq.write_table(table, path)
