"""A stage that makes something else of the same input has another meaning, and must say so; a small change
inside each stage shows that it is noticed.

`meanings.json` holds, stage by stage, the number of its meaning and what it makes of a small fixed input
(`stage_values.py`). After a change that is meant: raise MEANING beside the stage, then

    python tests/golden/test_meanings.py

which writes the values of stages whose number was raised, and refuses those whose values moved alone.
`--input-changed` writes those too: for a change of the fixture that no stage has part in, and for the stages
that read labels, where `label` has another meaning.
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
from generators import global_generators_stay
from stage_values import STAGES, Fixture, Values, write_line

from vantage.algorithms.made import meanings
from vantage.core.credit import label_episode
from vantage.core.losses import flow_loss
from vantage.disk.layout import Round
from vantage.seeding import seed_for
from vantage.types import Labels, Trace

GOLDEN = Path(__file__).with_name("meanings.json")
CLOSE = 5e-3
"""Relative tolerance: other processors round differently, and some sums are long."""
NEARLY_ZERO = 2e-4


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Round:
    return write_line(tmp_path_factory.mktemp("golden") / "line")


def moved(now: Values, golden: Values) -> list[str]:
    """Names of values that are not the golden ones."""
    names = [*golden, *(name for name in now if name not in golden)]
    return [
        name for name in names if now.get(name) != pytest.approx(golden.get(name), rel=CLOSE, abs=NEARLY_ZERO)
    ]


def test_every_stage_is_held_here() -> None:
    assert set(json.loads(GOLDEN.read_text())) == set(meanings()) == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_means_something_else_says_so(
    stage: str, recorded: Path, line: Round, tmp_path: Path
) -> None:
    check_stage(stage, Fixture(recorded, line, tmp_path))


def check_stage(stage: str, given: Fixture) -> None:
    """Raise AssertionError where a stage makes something else than its golden values."""
    golden, number = json.loads(GOLDEN.read_text())[stage], meanings()[stage]
    assert number == golden["meaning"], (
        f"the meaning of `{stage}` was raised to {number}; write its values: python {Path(__file__).name}"
    )
    with global_generators_stay(f"the stage `{stage}`"):
        values = STAGES[stage](given)
    different = moved(values, golden["values"])
    assert not different, (
        f"`{stage}` makes something else of the same input ({', '.join(different[:6])}) and its meaning is "
        f"still {number}. If that is meant, raise MEANING beside the stage (vantage/algorithms/made.py says "
        f"where), then run `python tests/golden/{Path(__file__).name}`; if not, it is a fault."
    )


def seeds_of_another_purpose(purpose: str, *numbers: int) -> int:
    return seed_for(f"another {purpose}", *numbers)


def one_step_too_many(trace: Trace, /, **settings: bool) -> Labels:
    labels = label_episode(trace, **settings)
    return replace(labels, efficiency_target_mc=labels.efficiency_target_mc + 1)


def without_the_end(gain: Tensor, _discount: Tensor, value_ahead: Tensor) -> Tensor:
    return gain + value_ahead


def always_open(p_v: np.ndarray, _a_v: np.ndarray, _a_e: np.ndarray) -> np.ndarray:
    return np.ones(len(p_v))


def without_weights(elementwise: Tensor, mask: Tensor, weight: Tensor, denominator: int) -> Tensor:
    return flow_loss(elementwise, mask, torch.ones_like(weight), denominator)


def without_warm_up(_step: int, _n_wu: int) -> bool:
    return True


def not_standardised(advantage: np.ndarray, *_: object) -> np.ndarray:
    return advantage


CHANGES: dict[str, tuple[str, object]] = {
    "collect": ("vantage.stages.collect.seed_for", seeds_of_another_purpose),
    "label": ("vantage.data.labelling.label_episode", one_step_too_many),
    "fit critic": ("vantage.learn.critic.fit.bootstrap", without_the_end),
    "weigh": ("vantage.core.weights.gate", always_open),
    "fit policy": ("vantage.stages.fit_policy.flow_loss", without_weights),
    "evaluate": ("vantage.stages.evaluate.seed_for", seeds_of_another_purpose),
    "interleaved": ("vantage.algorithms.interleaved.warmed_up", without_warm_up),
    "practice": ("vantage.practice.ppo.standardise_by_task", not_standardised),
}
"""Stage -> one small change inside it: a function, and what stands in its place."""


@pytest.mark.parametrize("stage", STAGES)
def test_a_change_inside_a_stage_is_noticed(
    stage: str, recorded: Path, line: Round, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*CHANGES[stage])
    with pytest.raises(AssertionError, match=f"`{stage}` makes something else.* raise MEANING beside"):
        check_stage(stage, Fixture(recorded, line, tmp_path))


def write(*, input_changed: bool) -> int:
    """Write meanings.json; 1 where values moved and the number did not."""
    import recorded as run_of

    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    table: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        run, line = Path(folder) / "run", write_line(Path(folder) / "line")
        run_of.write_run(run)
        for stage, number in meanings().items():
            out = Path(folder) / stage
            out.mkdir()
            values = STAGES[stage](Fixture(run, line, out))
            was = known.get(stage)
            if was and was["meaning"] == number:
                if not (different := moved(values, was["values"])):
                    values = was["values"]
                elif not input_changed:
                    print(f"`{stage}` moved ({', '.join(different[:6])}) and its MEANING is still {number}")
                    return 1
            table[stage] = {"meaning": number, "values": values}
    GOLDEN.write_text(_short(table))
    return 0


def _short(table: dict[str, dict[str, object]]) -> str:
    """JSON with six digits, one line per name."""
    lines: list[str] = []
    for stage, entry in table.items():
        values = entry["values"]
        assert isinstance(values, dict)
        rows = [
            f"   {json.dumps(name)}: {json.dumps([float(f'{x:.6g}') for x in numbers])}"
            for name, numbers in values.items()
        ]
        body = ",\n".join(rows)
        lines.append(
            f' {json.dumps(stage)}: {{\n  "meaning": {entry["meaning"]},\n  "values": {{\n{body}\n  }}\n }}'
        )
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    sys.exit(write(input_changed="--input-changed" in sys.argv))
