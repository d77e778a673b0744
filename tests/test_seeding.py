"""Seeds: a purpose always has as many numbers, and nothing moves a caller's global generators."""

import ast
from collections import defaultdict
from pathlib import Path

import numpy as np

import vantage
from vantage.seeding import seed_for

SOURCE = Path(vantage.__file__).parent


def purposes() -> dict[str, set[int]]:
    """Purpose -> how many numbers it is called with, over all of the source; a purpose that is a setting by
    its expression."""
    found: dict[str, set[int]] = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "seed_for":
                assert not any(isinstance(number, ast.Starred) for number in call.args), (path, call.lineno)
                purpose, *numbers = call.args
                known = isinstance(purpose, ast.Constant)
                found[str(purpose.value) if known else ast.unparse(purpose)].add(len(numbers))
    return found


def test_trailing_zeros_vanish_so_a_purpose_always_has_as_many_numbers() -> None:
    assert seed_for("x", 1) == seed_for("x", 1, 0), "published streams stay as they are"
    found = purposes()
    assert {"rollout", "demonstration", "training", "development"} <= found.keys()
    assert {purpose: counts for purpose, counts in found.items() if len(counts) > 1} == {}
    # An evaluation's suite is a setting, "evaluation" or "development": as many as practice's checks.
    assert found["settings.suite"] == found["development"] == {2}


def test_no_module_names_a_global_generator_but_where_it_is_put_back() -> None:
    """numpy's and Python's are never drawn from; torch's is seeded only where it is put back."""
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                words = ast.unparse(node)
                if words.startswith("np.random."):
                    known = ("default_rng", "Generator", "SeedSequence")
                    assert words.removeprefix("np.random.").startswith(known), f"{path}: {words}"
                assert not words.startswith("random.") or "import random\n" not in path.read_text(), path
                if words == "torch.manual_seed":
                    kept = ("global_generator_kept", "torch.random.fork_rng")
                    assert any(way in path.read_text() for way in kept), path


def test_a_purpose_and_its_numbers_decide() -> None:
    seeds = {seed_for(purpose, a, b) for purpose in ("x", "y") for a in range(1, 30) for b in range(1, 30)}
    assert len(seeds) == 2 * 29 * 29 and max(seeds) < 2**31
    assert isinstance(seed_for("x", int(np.int64(3))), int)
