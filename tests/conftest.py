"""Tests run on machines without a screen or a hub; both are said before anything imports MuJoCo or LeRobot.
They may not be alone there: threads that spin while they wait would make a busy machine ten times slower.

Properties are drawn the same way on every run, so that a green tree stays green; `HYPOTHESIS_PROFILE=search
pytest tests/core` looks for new counterexamples, twenty times as many and other ones each time.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Tests start many commands and workers. Where the environment forbids bytecode beside the sources, each would
# compile torch again, for five seconds: theirs is kept in a folder of its own, as `run_faults.py` does.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    bytecode = Path(__file__).parents[1] / ".pytest_cache/bytecode"
    sys.pycache_prefix = os.environ.setdefault("PYTHONPYCACHEPREFIX", str(bytecode))
    sys.dont_write_bytecode = False

import random
from types import SimpleNamespace

import tyro._unsafe_cache as parser_cache
from beartype._check.code import codemain
from hypothesis import settings

# The checker of types looks at a random item of a list. Tests watch the global generator (generators.py), so
# its draws come from another one.
codemain.getrandbits = random.Random(0).getrandbits
# The reader of options draws too, to check its cache, where it sees that tests run it; here it does not.
parser_cache.sys = SimpleNamespace(modules={})  # pyright: ignore[reportAttributeAccessIssue]

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# A shell that starts tests in the background has them ignore Ctrl-C, as would every command they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run in which every route, credit, fold and cut occurs (`recorded.py`); only to be read."""
    from recorded import write_run  # slow, and most tests do not need it

    run = tmp_path_factory.mktemp("recorded") / "run"
    write_run(run)
    return run
