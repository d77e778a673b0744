"""Curves for those who watch from elsewhere: TensorBoard, Weights & Biases, trackio. Off unless asked for.

    a stage ──record("round-01/5-actor", step, {"loss": ...})──> the tracker that is open, if one is

Nothing reads them back, and all that they show is in the run's folder too (metrics.jsonl, 6-eval.parquet), so
that a run is the same with a tracker and without.
"""

import hashlib
import importlib
import math
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from vantage import ranks
from vantage.errors import VantageError
from vantage.progress import say

TrackerName = Literal["none", "tensorboard", "wandb", "trackio"]

PROJECT = "vantage"
"""Under which Weights & Biases and trackio keep runs."""
FOLDER = "tracker"
"""In a run's folder: the files of TensorBoard and Weights & Biases."""


@runtime_checkable
class Tracker(Protocol):
    """Somebody's curves."""

    def log(self, curve: str, step: int, values: Mapping[str, float]) -> None:
        """One point of every value of a curve; `step` counts within that curve."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class TensorBoard:
    """Event files, which `tensorboard --logdir runs` shows."""

    def __init__(self, run: Path) -> None:
        """Write into the run's folder."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run / FOLDER))

    def log(self, curve: str, step: int, values: Mapping[str, float]) -> None:
        """Points at `step`."""
        for name, value in values.items():
            self._writer.add_scalar(f"{curve}/{name}", value, step)

    def close(self) -> None:
        """Flush the file."""
        self._writer.close()


class WeightsAndBiases:
    """A run of the project `vantage`; offline or to a server of one's own as wandb's settings say."""

    def __init__(self, run: Path, settings: object) -> None:
        """Begin the run, or go on with it."""
        import wandb

        (run / FOLDER).mkdir(parents=True, exist_ok=True)
        self._run: Any = wandb.init(
            project=PROJECT,
            name=run.name,
            id=_identity(run),
            resume="allow",
            dir=str(run / FOLDER),
            config={"settings": settings},
            settings=wandb.Settings(silent=True),
        )
        self._known = set[str]()

    def log(self, curve: str, step: int, values: Mapping[str, float]) -> None:
        """Points over the curve's own steps; over wandb's count of calls all stages would be in a row."""
        if curve not in self._known:
            self._run.define_metric(f"{curve}/*", step_metric=f"{curve}/step")
            self._known.add(curve)
        self._run.log({f"{curve}/{name}": value for name, value in values.items()} | {f"{curve}/step": step})

    def close(self) -> None:
        """Hand over what is left."""
        self._run.finish()


class Trackio:
    """A run of the project `vantage` on this machine, which `trackio show` draws."""

    def __init__(self, run: Path, settings: object) -> None:
        """Begin the run, or go on with it."""
        # Not in the lock, because it brings twenty packages more.
        self._trackio: Any = importlib.import_module("trackio")
        name = f"{run.name}-{_identity(run)}"  # it knows runs by name alone
        self._trackio.init(
            project=PROJECT, name=name, config={"settings": settings}, resume="allow", embed=False
        )

    def log(self, curve: str, step: int, values: Mapping[str, float]) -> None:
        """Points at `step`."""
        self._trackio.log({f"{curve}/{name}": value for name, value in values.items()}, step=step)

    def close(self) -> None:
        """Hand over what is left."""
        self._trackio.finish()


def _identity(run: Path) -> str:
    """A short word for a run's folder, the same when the run goes on."""
    return hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:8]


_OPEN = ContextVar[Tracker | None]("tracker", default=None)


@contextmanager
def tracked(name: TrackerName, run: Path, settings: object) -> Generator[None]:
    """While open, what stages record goes to the tracker of that name; of several processes, the first's.

    `settings`: of the run, in JSON's types. Raises ModuleNotFoundError where the tracker is not installed,
    and VantageError where it does not begin (nobody is logged in, its server does not answer).
    """
    if name == "none" or not ranks.is_first():
        yield
        return

    known = (run / FOLDER).exists()
    try:
        tracker = _begin(name, run, settings)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # whatever a tracker raises, before anything of the run is made
        if not known:
            shutil.rmtree(run / FOLDER, ignore_errors=True)
        words = str(error).strip().partition("\n")[0]
        raise VantageError(
            f"the tracker {name} does not begin ({words or type(error).__name__}); mend that, or leave "
            "--tracker out: metrics.jsonl has all of it"
        ) from error
    token = _OPEN.set(tracker)
    try:
        yield
    finally:
        current = _OPEN.get()
        _OPEN.reset(token)
        if current is not None:
            current.close()


def _begin(name: TrackerName, run: Path, settings: object) -> Tracker:
    match name:
        case "wandb":
            return WeightsAndBiases(run, settings)
        case "trackio":
            return Trackio(run, settings)
        case _:
            return TensorBoard(run)


def curve_of(product: Path) -> str:
    """What the curves of a stage are named after: its product and the round's folder, as round-01/5-actor."""
    return f"{product.parent.name}/{product.name}"


def record(curve: str, step: int, values: Mapping[str, Any]) -> None:
    """Hand over one point; nothing happens where no tracker is open.

    `step` counts within the curve. `values`: by name; what is no finite number is left out, and the step.
    """
    tracker = _OPEN.get()
    if tracker is None:
        return

    numbers = {
        name: float(value)
        for name, value in values.items()
        if name != "step" and isinstance(value, int | float) and math.isfinite(value)
    }
    try:
        tracker.log(curve, step, numbers)
    except Exception as error:  # a server that is gone must not end a run of hours
        say(f"the tracker failed ({error!r}) and is not told any more; metrics.jsonl has all of it")
        _OPEN.set(None)
