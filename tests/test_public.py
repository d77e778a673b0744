"""The public names are these, each says the same to a type checker as at run time, and the page that shows
them runs as it stands."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vantage

PAGE = Path(__file__).parent.parent / "docs" / "python.md"

PUBLIC = """
AWR Batch BeforeFailure BimanualSpec ChunkedPPORun Controller Count CriticFit Demonstrate DemonstrateFrom
DemonstrateStock DemonstrateWith Demonstrations DoubtfulStart Evaluation Event Experience Exploration
ExponentialWeights
FilteredBC FlowConfig FromCheckpoint FromScratch GaussianConfig Gymnasium HABC HABCRun HABCV ImitDAgger
ImitRecap Improvement InfoKey Interface Labelling Labels LeRobotEnv LeRobotPolicy LeRobotScratch Memory
MetaWorldSpec NoOne Observation Operator Phase Policy PolicyFit PolicySpec Positive RECIPES
RejectionTargets Rescue RescueWith RewardAtLeast Rollouts Round Route STUDIES Share Source Supervision
Terminated Trace Uniform VantageError Weighing Whole World WorldInputs audit build_policy evaluate
fit_critic fit_policy label load_experience load_policy observe open_pool prepare_process run_chunked_ppo
run_habc seed_for weigh write_report
"""
"""A name that goes from here breaks somebody's script: say so in CHANGELOG.md."""


def test_the_public_names_are_these() -> None:
    assert dir(vantage) == sorted([*PUBLIC.split(), "__version__"])


@pytest.mark.parametrize("name", PUBLIC.split())
def test_every_name_can_be_imported_and_is_documented(name: str) -> None:
    value = getattr(vantage, name)
    assert value is not None and getattr(vantage, name) is value
    assert isinstance(value, type(vantage.PolicySpec)) or name in ("RECIPES", "STUDIES") or value.__doc__


def test_type_checkers_see_the_same_names_in_the_same_modules() -> None:
    tree = ast.parse(Path(vantage.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: line.module
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    assert seen == {name: f"vantage.{module}" for name, module in vantage._HOME.items()}


def test_importing_vantage_imports_nothing_else() -> None:
    program = (
        "import sys, vantage; "
        "print(sorted(n for n in sys.modules if n.split('.')[0] in ('vantage', 'torch', 'numpy')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['vantage', 'vantage.version']"


def test_a_name_that_is_none_is_said() -> None:
    with pytest.raises(AttributeError, match="'vantage' has no attribute 'Actor'"):
        vantage.Actor  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_the_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 7
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks))
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout and "frames of the policy's own successes" in done.stdout
    assert done.stdout.strip().endswith("PolicyFit.steps is -1; it must be at least 0")
    made = ("labels.parquet", "critic", "weights.parquet", "policy/config.json")
    for name in ("runs/first/round-01/6-eval.parquet", *(f"work/{name}" for name in made)):
        assert (tmp_path / name).exists(), name
