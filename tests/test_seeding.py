"""Seeds: a purpose always has as many numbers, and nothing moves a caller's global generators."""

import ast
from collections import defaultdict
from collections.abc import Callable
from inspect import isfunction
from pathlib import Path

import numpy as np
import recorded as run_of
import torch
from generators import global_generators_stay
from line_world import Line, LineSpec, line_actor

import vantage
from vantage.disk.layout import Round
from vantage.seeding import global_generator_kept, seed_for, seed_global_generators

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
                if words in ("torch.manual_seed", "torch.default_generator.manual_seed"):
                    kept = ("global_generator_kept", "torch.random.fork_rng")
                    assert any(way in path.read_text() for way in kept), path
            if isinstance(node, ast.Name) and node.id == "seed_global_generators":
                assert "with global_generator_kept(" in path.read_text(), path


def test_a_step_is_seeded_as_torch_seeds() -> None:
    """The fast way draws what `torch.manual_seed` draws."""
    with global_generator_kept():
        torch.manual_seed(7)
        slow = torch.rand(5)
        seed_global_generators(7, torch.device("cpu"))
        assert torch.equal(torch.rand(5), slow)
        seed_global_generators(8, torch.device("cpu"))
        assert not torch.equal(torch.rand(5), slow)


def test_public_functions_leave_the_global_generators_alone(recorded: Path, tmp_path: Path) -> None:
    """All that is public and runs by itself; `run_chunked_ppo` and every stage are watched
    where their tests run them (tests/generators.py)."""
    here, labels, weights = Round.of(recorded, 1), tmp_path / "labels.parquet", tmp_path / "weights.parquet"
    sources, fit = run_of.sources(recorded, 1), vantage.PolicyFit(steps=1, batch=8)
    start, critic, policy = (
        vantage.FromCheckpoint(Round.of(recorded, 0).actor),
        tmp_path / "c",
        tmp_path / "p",
    )
    csv = here.folder / "outcomes.csv"
    settings = vantage.CriticFit(steps=2, batch=8, dropout=0.1, folds=2)
    line, suite = line_actor(tmp_path / "line"), vantage.Evaluation(per_world=1)
    worlds, page = (LineSpec(task="line", limit=4),), tmp_path / "page"

    def play() -> None:
        with vantage.open_pool(1) as pool:
            vantage.evaluate(tmp_path / "line", tmp_path / "e.parquet", worlds, suite, pool=pool)

    calls: dict[str, Callable[[], object]] = {
        "prepare_process": vantage.prepare_process,
        "seed_for": lambda: vantage.seed_for("x", 1),
        "audit": lambda: vantage.audit(here.episodes, csv),
        "label": lambda: vantage.label(here.episodes, labels, outcomes=csv),
        "load_experience": lambda: vantage.load_experience(sources),
        "build_policy": lambda: vantage.build_policy(run_of.SPEC, 1),
        "load_policy": lambda: vantage.load_policy(here.actor),
        "fit_critic": lambda: vantage.fit_critic(sources, here.actor, critic, settings, t_max=60, seed=1),
        "weigh": lambda: vantage.weigh(
            sources, critic, weights, vantage.Weighing(), horizon=run_of.CHUNK, policy_version=0
        ),
        "fit_policy": lambda: vantage.fit_policy(sources, weights, start, policy, fit, seed=1),
        "observe": lambda: vantage.observe(line.interface, [_reset(Line())]),
        "evaluate and open_pool": play,
        "write_report": lambda: vantage.write_report(recorded, page / "report.html", episodes=1),
    }
    watched_elsewhere = {"run_habc", "run_chunked_ppo"}
    functions = {name for name in dir(vantage) if isfunction(getattr(vantage, name))}
    assert functions == {word for name in calls for word in name.split(" and ")} | watched_elsewhere
    for name, call in calls.items():
        with global_generators_stay(name):
            call()


def _reset(world: Line) -> Line:
    world.reset(1)
    return world


def test_a_purpose_and_its_numbers_decide() -> None:
    seeds = {seed_for(purpose, a, b) for purpose in ("x", "y") for a in range(1, 30) for b in range(1, 30)}
    assert len(seeds) == 2 * 29 * 29 and max(seeds) < 2**31
    assert isinstance(seed_for("x", int(np.int64(3))), int)
