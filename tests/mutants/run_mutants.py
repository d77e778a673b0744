"""The list of mutants in; which the tests noticed, and which survived, out.

    copy of the tree ──one edit──> the mutant's tests ──first failure──> killed
                                                     └──all pass──────> survived      ──> table, exit code

    python tests/mutants/run_mutants.py [--only TEXT] [--out FILE]

Exit code 1 if one survives, if the tests do not pass without any edit, or if a mutant's text is not found.
With `--out` every verdict is kept, and a run that was interrupted goes on; verdicts hold while the mutated
file and the tests named stay the same.
"""

import argparse
import hashlib
import importlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mutant_list import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
SLOW = "finished"
"""Tests of this name run the simulator for most of a minute; mutants are killed without them."""
PATIENCE = 240.0
"""Seconds after which a mutant whose tests hang is given up. It counts as alive: nothing noticed it."""
TOO_LONG = 124
COPIED = ("src", "plugins", "tests", "experiments", "pyproject.toml", "docs/*.md", "docs/results")
"""What tests need of the tree."""
PRELOAD = (
    "torch",
    "torch._dynamo",
    "safetensors.torch",
    "pyarrow.parquet",
    "scipy.stats",
    "hypothesis",
    "pytest",
)
"""Imported once: every mutant's tests run in a copy of a process that has them already."""
LEROBOT = ("lerobot.policies.factory", "lerobot.datasets.lerobot_dataset", "transformers", "peft")
"""Imported once too where tests of LeRobot's policies are among them: that takes 20 seconds."""
QUIET = {"MUJOCO_GL": "egl", "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""As tests/conftest.py sets them; here, before anything is imported."""


def main() -> int:
    """Run what the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="mutants whose name or file contains this")
    parser.add_argument("--out", type=Path, help="file of verdicts, one JSON line each, kept as they come")
    chosen = parser.parse_args()

    mutants = [mutant for mutant in MUTANTS if chosen.only in mutant.name or chosen.only in mutant.file]
    lost = [mutant.name for mutant in mutants if _source(ROOT, mutant).read_text().count(mutant.old) != 1]
    if lost:
        print("text not found exactly once, so nothing would be tested:", ", ".join(lost))
        return 1

    known = _read(chosen.out)
    verdicts = {mutant.name: known[_key(mutant)] for mutant in mutants if _key(mutant) in known}
    left = [mutant for mutant in mutants if mutant.name not in verdicts]
    if left:
        verdicts |= _run(left, chosen.out)
        if not verdicts.keys() >= {mutant.name for mutant in mutants}:
            return 1
    return _report(mutants, verdicts)


def _run(mutants: Sequence[Mutant], out: Path | None) -> dict[str, str]:
    """Verdict of every mutant; none where the tests fail without one."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    asks_lerobot = any(path.startswith("tests/policies") for mutant in mutants for path in mutant.tests)
    for name in (*PRELOAD, *(LEROBOT if asks_lerobot else ())):
        importlib.import_module(name)

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / "tree"
        keys = [_key(mutant) for mutant in mutants]  # now: the tree may be worked on while mutants run
        _copy_tree(copy)
        if not _tests_pass_unedited(copy, mutants):
            return {}

        verdicts: dict[str, str] = {}
        for number, (mutant, key) in enumerate(zip(mutants, keys, strict=True), start=1):
            began = time.monotonic()
            verdict = verdicts[mutant.name] = _try(copy, mutant)
            print(
                f"{number:>4}/{len(mutants)}  {time.monotonic() - began:5.1f} s  {verdict:<9} {mutant.name}",
                flush=True,
            )
            if out is not None:
                out.parent.mkdir(parents=True, exist_ok=True)
                with out.open("a") as file:
                    line = {"key": key, "name": mutant.name, "verdict": verdict}
                    file.write(json.dumps(line) + "\n")
        return verdicts


def _copy_tree(copy: Path) -> None:
    """What git knows or would add: the working tree, without what was built from it."""
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run((*command, *COPIED), cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)


def _tests_pass_unedited(copy: Path, mutants: Sequence[Mutant]) -> bool:
    paths = sorted({path for mutant in mutants for path in mutant.tests})
    code, output = _test(copy, paths, patience=10 * PATIENCE)
    if code != 0:
        print(output[-3000:], f"\nthe tests must pass before anything is edited; pytest ended with {code}")
    return code == 0


def _try(copy: Path, mutant: Mutant) -> str:
    """Edit, test, put back."""
    path = _source(copy, mutant)
    text = path.read_text()
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        code, _ = _test(copy, mutant.tests, patience=PATIENCE)
    finally:
        path.write_text(text)
    return {0: "SURVIVED", 1: "killed", TOO_LONG: "TOO LONG"}.get(code, f"BROKEN {code}")


def _test(copy: Path, paths: Sequence[str], *, patience: float) -> tuple[int, str]:
    """pytest's exit code (`TOO_LONG` where it was) and what it said, in a child of this process."""
    said = copy.parent / "said.txt"
    child = os.fork()
    if child == 0:
        _be_pytest(copy, paths, said)

    until = time.monotonic() + patience
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), said.read_text(errors="replace")
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return TOO_LONG, "took too long"
        time.sleep(0.05)


def _be_pytest(copy: Path, paths: Sequence[str], said: Path) -> None:
    """Become pytest in the copied tree, and end."""
    import pytest

    code = 99
    try:
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(copy)
        # A byte-compiled mutant of the same size and second would be taken for the next one.
        sys.dont_write_bytecode = True
        folders = [str(copy / "src"), str(copy), str(copy / "plugins" / "lerobot_policy_vantage")]
        sys.path[:0] = folders
        os.environ["PYTHONPATH"] = os.pathsep.join(folders)  # of processes that a test starts
        spec = importlib.util.find_spec("vantage")
        assert spec is not None and str(spec.origin).startswith(str(copy)), (
            f"another vantage is tested: {spec}"
        )
        options = [
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-k",
            f"not {SLOW}",
            f"--basetemp={copy.parent / 'tmp'}",
        ]
        code = int(pytest.main([*options, *paths]))
    finally:
        sys.stdout.flush()
        os._exit(code)


def _report(mutants: Sequence[Mutant], verdicts: dict[str, str]) -> int:
    """Print a table by package and the survivors; the exit code."""
    tried, killed = Counter(), Counter()
    for mutant in mutants:
        package = mutant.file.split("/")[0]
        tried[package] += 1
        killed[package] += verdicts[mutant.name] == "killed"
    print(f"{'package':<12}{'tried':>7}{'killed':>8}{'survived':>10}")
    for package in (*tried, "all"):
        a = tried[package] if package != "all" else sum(tried.values())
        b = killed[package] if package != "all" else sum(killed.values())
        print(f"{package:<12}{a:>7}{b:>8}{a - b:>10}")

    alive = [mutant for mutant in mutants if verdicts[mutant.name] != "killed"]
    for mutant in alive:
        print(f"{verdicts[mutant.name]}: {mutant.name} in {mutant.file}; asked {', '.join(mutant.tests)}")
    return 1 if alive else 0


def _source(root: Path, mutant: Mutant) -> Path:
    return root / mutant.path


def _key(mutant: Mutant) -> str:
    """Of the edit, the file it edits and the tests that it is tried by."""
    digest = hashlib.sha256(f"{mutant.old}\0{mutant.new}\0".encode())
    tests = [ROOT / path.partition("::")[0] for path in mutant.tests]
    files = [file for path in tests for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    for path in (_source(ROOT, mutant), *files):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(out: Path | None) -> dict[str, str]:
    if out is None or not out.exists():
        return {}
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return {row["key"]: row["verdict"] for row in rows}


if __name__ == "__main__":
    sys.exit(main())
