"""The command line: help that helps, one sentence and exit code 2 for bad input, nothing half written."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generators import global_generators_stay

from vantage.cli import COMMANDS, main
from vantage.commands.runs import looks_instead, named_recipe
from vantage.config import to_json
from vantage.data.episodes import Episode, save_episode
from vantage.data.v3.write import DATA_FILE, write_dataset
from vantage.disk.lock import LOCK, alone
from vantage.disk.tables import read_parquet
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.lerobot.spec import LeRobotScratch
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.recipes import RECIPES, STUDIES

DATA = DATA_FILE.format(chunk_index=0, file_index=0)


@pytest.fixture
def vantage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process, which may not move the caller's global generators: (exit code,
    stdout, stderr)."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vantage", *map(str, words)])
        code = 0
        with global_generators_stay(ascii(words)):
            try:
                main()
            except SystemExit as stop:
                code = int(stop.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def recording(folder: Path, lengths: tuple[int, ...] = (12, 9, 10), pictures: bool = False) -> Path:
    """Three episodes: autonomous, rescued in the middle, ending in human hands."""
    rng = np.random.default_rng(0)
    for number, length in enumerate(lengths):
        human = np.zeros(length, dtype=bool)
        human[4:7] = number == 1
        human[5:] |= number == 2
        action = rng.normal(size=(length, 4)).astype(np.float32)
        last = np.arange(length) == length - 1
        images = {"front": rng.integers(0, 255, (length, 48, 48, 3), dtype=np.uint8)} if pictures else {}
        episode = Episode(
            state=rng.normal(size=(length, 4)).astype(np.float32),
            action=action,
            policy_action=action,
            intervention=human,
            policy_version=np.zeros(length, dtype=np.int64),
            success=last,
            done=last,
            prompt="push it",
            images=images,
        )
        save_episode(folder / "journal", number, episode)
    write_dataset(folder / "journal", range(len(lengths)), folder / "data", fps=10)
    return folder / "data"


def outcomes(folder: Path, text: str) -> Path:
    path = folder / "outcomes.csv"
    path.write_text("episode_index,success\n" + text)
    return path


def change(data: Path, name: str, column: Callable[[pa.ChunkedArray], pa.Array | pa.ChunkedArray]) -> None:
    """Rewrite one column of a data set's frames."""
    table = pq.read_table(data / DATA)
    place = table.column_names.index(name)
    pq.write_table(table.set_column(place, name, column(table.column(name))), data / DATA)


def test_help_is_a_screen_and_every_command_has_its_own(vantage: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = vantage("--help")
    assert code == 0 and len(out.splitlines()) <= 24 and max(map(len, out.splitlines())) <= 80
    for command in COMMANDS:
        assert f"  {command.name:<15}{command.line}\n" in out or (
            command.by_name and command.name in out.split()
        )
        code, page, _ = vantage(command.name, "--help")
        assert code == 0 and command.line in page and len(page) > 150, command
    assert vantage("fit_critic", "--help")[0] == 0, "the stages answer to their Python names too"


def test_help_imports_nothing_slow() -> None:
    program = (
        "import sys; from vantage.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted(sys.modules))"
    )
    for words in (["--help"], ["--version"], ["run", "--help"], ["study", "--help"], ["weigh", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
        )
        loaded = done.stdout.splitlines()[-1]
        assert "'vantage.cli'" in loaded
        assert not [
            name for name in ("torch", "numpy", "mujoco", "pyarrow", "lerobot") if f"'{name}'" in loaded
        ], words


@pytest.mark.parametrize(("module", "recipe"), [("mujoco", "debug"), ("metaworld", "debug-ppo")])
def test_without_the_simulator_one_sentence_says_what_to_install(
    module: str, recipe: str, tmp_path: Path
) -> None:
    """Also where a worker is the first to miss it."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{module!r}] = None")
    words = ["run", recipe, "--workers", "2", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "vantage", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))},
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    sentence = f"this needs {module}, which is not installed; pip install 'vantage[sim]'"
    assert sentence in " ".join(done.stderr.split())


def test_settings_of_a_run_are_recorded_and_held(
    vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    small = (
        "--rounds",
        0,
        "--demonstrations.per-world=1",
        "--supervised.steps",
        2,
        "--evaluation.per-world",
        1,
    )
    words = ("run", "debug", "--out", tmp_path / "run", "--workers", 1, *small, "--weighing.rule", "habc-v")
    assert vantage(*words)[0] == 0
    settings = json.loads((tmp_path / "run" / "recipe.json").read_text())["settings"]
    assert (
        settings["rounds"] == 0
        and settings["supervision"]["supervised"]["steps"] == 2
        and settings["control"] is False
    )
    assert settings["improvement"]["weighing"]["rule"] == {"is": "HABCV", "reweight_interventions": False}

    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.parquet")}
    assert vantage(*words)[0] == 0, "started again, it goes on"
    code, _, err = vantage(*words, "--fit.steps", 3)
    assert code == 2 and "settings.improvement.fit.steps: 120, now 3" in " ".join(err.split())
    assert {path: path.read_bytes() for path in before} == before

    code, out, _ = vantage("report", tmp_path / "run", "--json")
    numbers = json.loads(out)
    assert code == 0 and numbers["policies"][0]["success"]["n"] == 1 and numbers["method"] == "HABC-V"
    code, out, _ = vantage("run", tmp_path / "run" / "recipe.json", "--help")
    assert code == 0 and "--supervised.steps INT" in out and "(default: 2; at least 0)" in out


def test_recipes_are_listed_and_printed(vantage: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = vantage("recipes")
    assert code == 0 and "quickstart" in out and "pixels" in out
    names = json.loads(vantage("recipes", "--json")[1])
    assert names["recipes"].keys() == RECIPES.keys() and names["studies"].keys() == STUDIES.keys()
    assert json.loads(vantage("recipes", "debug", "--rounds", 9)[1]) == to_json(
        replace(RECIPES["debug"](), rounds=9)
    )
    assert json.loads(vantage("recipes", "pixels")[1]) == to_json(STUDIES["pixels"]())


def test_labels_by_hand(vantage: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    data, out = recording(tmp_path), tmp_path / "labels.parquet"
    assert vantage("label", data, "--outcomes", outcomes(tmp_path, "0,0\n1,1\n2,1\n"), "--out", out)[0] == 0
    rows = pq.read_table(out).to_pylist()
    assert [r["route"] for r in rows[:12]] == ["rollout_failure"] * 12
    assert [r["route"] for r in rows[12:21]] == ["unlabelled"] * 4 + ["intervention"] * 3 + [
        "rollout_success"
    ] * 2
    assert [r["efficiency_target_mc"] for r in rows[12:21]] == [None] * 4 + [-4, -3, -2, -1, 0]
    assert [r["route"] for r in rows[21:]] == ["unlabelled"] * 5 + ["intervention"] * 5
    assert [r["viability_target"] for r in rows] == [0] * 12 + [None] * 7 + [1, 1] + [None] * 10


def test_odd_characters_of_a_path_do_not_reach_the_terminal(
    vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    out = tmp_path / "a\x1b[31mb\udcff.parquet"
    code, said, err = vantage(
        "label", recording(tmp_path), "--outcomes", outcomes(tmp_path, "0,0\n1,1\n2,1\n"), "--out", out
    )
    assert code == 0, err
    assert (
        out.exists()
        and "/a\ufffd[31mb\ufffd.parquet: 31 frames labelled, 31 of them in episodes with an outcome" in said
    )


def test_stock_lerobot_recordings_are_labelled(
    vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    features = {
        "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
        "action": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
        "intervention": {"dtype": "bool", "shape": (1,), "names": None},
    }
    stock = LeRobotDataset.create(
        "local/dagger", fps=10, features=features, root=tmp_path / "data", use_videos=False
    )
    for drivers in ("ppphhhpp", "pppp"):
        for driver in drivers:
            vector = np.ones(2, dtype=np.float32)
            stock.add_frame(
                {
                    "observation.state": vector,
                    "action": vector,
                    "intervention": np.array([driver == "h"]),
                    "task": "push",
                }
            )
        stock.save_episode()
    stock.finalize()
    out = tmp_path / "labels.parquet"
    code, _, err = vantage(
        "label", tmp_path / "data", "--outcomes", outcomes(tmp_path, "0,1\n1,0\n"), "--out", out
    )
    assert code == 0, err
    rows = pq.read_table(out).to_pylist()
    expected = ["unlabelled"] * 3 + ["intervention"] * 3 + ["rollout_success"] * 2 + ["rollout_failure"] * 4
    assert [r["route"] for r in rows] == expected
    demos = tmp_path / "demos.parquet"
    assert vantage("label", tmp_path / "data", "--demos", "--out", demos)[0] == 0
    assert {r["route"] for r in pq.read_table(demos).to_pylist()} == {"demo"}


def _int_column(c: pa.ChunkedArray) -> pa.Array:
    return pa.array([2 * int(v) for v in c.to_pylist()], pa.int64())


def _nan(c: pa.ChunkedArray) -> pa.Array:
    rows = c.to_pylist()
    rows[3][0] = float("nan")
    return pa.array(rows, c.type)


def _gap(c: pa.ChunkedArray) -> pa.Array:
    rows = c.to_pylist()
    rows[5] = 9
    return pa.array(rows, c.type)


def _short(c: pa.ChunkedArray) -> pa.Array:
    return pa.array([None, *c.to_pylist()[1:]], c.type)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


BAD = {
    "no outcomes file": (lambda d: None, None, "does not exist"),
    "all outcomes empty": (lambda d: None, "0,\n1,\n", "records no outcome at all"),
    "an outcome that is not 0 or 1": (lambda d: None, "0,2\n", "must be 0, 1 or empty"),
    "an outcome for an episode that is not there": (lambda d: None, "7,1\n", "there is no episode 7"),
    "intervention that is no flag": (
        lambda d: change(d, "intervention", _int_column),
        "0,1\n",
        "must be 0 or 1",
    ),
    "intervention too short": (lambda d: change(d, "intervention", _short), "0,1\n", "needs one per frame"),
    "NaN in a state": (lambda d: change(d, "observation.state", _nan), "0,1\n", "NaN or infinite"),
    "NaN in an action": (lambda d: change(d, "action", _nan), "0,1\n", "NaN or infinite"),
    "a gap in the frame index": (lambda d: change(d, "frame_index", _gap), "0,1\n", "gap in its frame index"),
    "a truncated parquet": (lambda d: _truncate(d / DATA), "0,1\n", "truncated or damaged"),
    "no data set": (lambda d: shutil.rmtree(d), "0,1\n", "does not exist; name the folder"),
    "an empty data set": (
        lambda d: pq.write_table(pq.read_table(d / DATA).slice(0, 0), d / DATA),
        "0,1\n",
        "empty|frames are missing",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_recordings_are_one_sentence_and_leave_nothing(
    name: str, vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    import re

    spoil, text, words = BAD[name]
    data, out = recording(tmp_path), tmp_path / "out" / "labels.parquet"
    csv = tmp_path / "missing.csv" if text is None else outcomes(tmp_path, text)
    spoil(data)
    code, _, err = vantage("label", data, "--outcomes", csv, "--out", out)
    assert code == 2
    assert re.search(words, " ".join(err.split())), err
    assert err.startswith("vantage: ") and "Traceback" not in err
    assert not out.exists() and not list(tmp_path.glob("out/*"))


def test_a_truncated_video_is_one_sentence(
    vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    data = recording(tmp_path, pictures=True)
    for video in data.rglob("*.mp4"):
        _truncate(video)
    code, _, err = vantage(
        "label", data, "--outcomes", outcomes(tmp_path, "0,1\n"), "--out", tmp_path / "labels.parquet"
    )
    assert code == 2 and ".mp4" in err and not (tmp_path / "labels.parquet").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rnu", "debug"), "did you mean 'run'?"),
        (("run", "qickstart", "--out", "x"), "did you mean 'quickstart'?"),
        (("label", "somewhere"), "Say --out"),
        (("report", "nowhere"), "nowhere"),
        (("weigh", "nowhere"), "is not a round folder"),
        (("audit", "nowhere"), "does not exist; name the folder of a LeRobotDataset"),
    ],
)
def test_slips_of_the_pen(
    words: tuple[str, ...], says: str, vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, _, err = vantage(*words)
    assert code == 2 and says in " ".join(err.split())


def test_arguments_that_do_not_exist_exit_with_two(vantage: Callable[..., tuple[int, str, str]]) -> None:
    assert vantage("run", "debug", "--outt", "x")[0] == 2


def test_a_run_of_another_recipe_is_not_touched(
    vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    from vantage.commands.runs import claim

    claim(tmp_path / "run", "quickstart", RECIPES["quickstart"]())
    (tmp_path / "run" / "round-00").mkdir()
    before = (tmp_path / "run" / "recipe.json").read_bytes()
    code, _, err = vantage("run", "debug", "--out", tmp_path / "run")
    assert code == 2 and "was made by recipe 'quickstart'" in " ".join(err.split())
    code, _, err = vantage("run", "quickstart", "--out", tmp_path / "run", "--seed", 5)
    assert code == 2 and "settings.seed: 0, now 5" in " ".join(err.split())
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["recipe.json", "round-00"]
    assert (tmp_path / "run" / "recipe.json").read_bytes() == before


def test_a_folder_in_which_nothing_was_made_yet_may_change_its_mind(tmp_path: Path) -> None:
    from vantage.commands.runs import claim

    claim(tmp_path / "run", "quickstart", RECIPES["quickstart"]())
    claim(tmp_path / "run", "debug", RECIPES["debug"]())
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["recipe"] == "debug"


def test_where_a_run_may_be_written(vantage: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("kept")
    for name, says in (
        ("file", "is a file; name a folder"),
        ("pipe", "is a named pipe"),
        ("full", "is not empty and no run"),
    ):
        code, _, err = vantage("run", "debug", "--out", tmp_path / name)
        assert code == 2 and says in " ".join(err.split()), name
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "pipe", "thesis.tex"]


@pytest.mark.parametrize("typed", ["run debug --out=", "audit", "report runs/x --out=", "finetune --out="])
def test_an_empty_path_is_not_the_folder_one_stands_in(
    typed: str,
    vantage: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = vantage(*typed.split(), *([] if "--out" in typed else [""]))
    assert code == 2 and "a path is empty; name a file or folder" in re.sub(r"[\s│]+", " ", out + err)
    assert not [*tmp_path.iterdir()]


def test_without_a_cluster_nothing_is_written(
    vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, _, err = vantage("run", "debug", "--out", tmp_path / "run", "--workers", "ray:127.0.0.1:1")
    assert code == 2 and "there is no Ray cluster" in err and not (tmp_path / "run").exists()


def test_a_run_that_is_refused_leaves_no_recipe(
    vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    wrong = ("--policy.settings", "dim_model=-3", "pretrained_backbone_weights=null")
    policy = ("--policy", "LeRobotScratch", "--policy.type", "act", "--policy.true-state", "true", *wrong)
    code, _, err = vantage("run", "debug", "--out", tmp_path / "run", "--workers", 1, *policy)
    assert code == 2 and "cannot be used by LeRobot" in " ".join(err.split())
    assert {path.name for path in (tmp_path / "run").iterdir()} == {LOCK}


def test_a_policy_of_lerobots_that_sees_less_is_told() -> None:
    recipe = named_recipe("debug")
    pictures = replace(recipe.value, policy=LeRobotScratch(type="act"))
    assert looks_instead(recipe, pictures).startswith("act looks at pictures, where the policy of debug sees")
    assert not looks_instead(
        recipe, replace(recipe.value, policy=LeRobotScratch(type="act", true_state=True))
    )
    assert not looks_instead(recipe, recipe.value)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--policy.net.state-dim", 5), "the policy has 5 dimensions of proprioception, and push-v3 has 4"),
        (
            ("--policy.net.sight.dim", 28),
            "has 28 dimensions of true state, and push-v3 has 39; for a policy",
        ),
        (("--policy.net.action-dim", 7), "7 dimensions of action, and push-v3 has 4"),
        (
            ("--policy.net.sight", "pixels", "--policy.net.sight.cameras", "wrist"),
            "camera 'wrist', and push-v3 shows corner4, gripperPOV",
        ),
        (
            ("--policy.net.sight", "pixels", "--policy.net.sight.size", 50),
            "is 96 x 96 px, no multiple of the 50 x 50",
        ),
        (("--worlds", "hamer-v3"), "there is no MetaWorld task 'hamer-v3'; there are assembly-v3"),
        (("--worlds",), "there is no world to play in"),
        (("--worlds.limit", 0), "an episode of push-v3 may last 0 control steps"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_made(
    words: tuple[object, ...], says: str, vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, _, err = vantage("run", "debug", "--out", tmp_path / "run", *words)
    assert code == 2 and says in " ".join(err.split()), err
    assert not (tmp_path / "run").exists()


OWN_WORLD = '''
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from vantage.collect.handover import Event, Phase
from vantage.collect.operators import NoOne
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.flow import FlowConfig
from vantage.recipes.debug import debug
from vantage.stages.collect import Demonstrations
from vantage.stages.evaluate import Evaluation
from vantage.worlds.spec import MetaWorldSpec


class Line:
    task, prompt, fps, cameras = "line", "go", 10, ()
    action_low, action_high = -np.ones(1, np.float32), np.ones(1, np.float32)

    def reset(self, seed):
        self.x, self.goal = np.random.default_rng(seed).uniform(-1, 1, 2)

    def step(self, action):
        self.x += 0.1 * float(np.clip(action[0], -1, 1))
        return bool(abs(self.x - self.goal) < 0.1)

    def proprioception(self):
        return np.array([self.x], np.float32)

    def environment_state(self):
        return np.array([self.x, self.goal], np.float32)

    def images(self):
        return {}

    def close(self):
        pass


@dataclass(frozen=True, slots=True)
class LineSpec(MetaWorldSpec):
    cameras: ClassVar[tuple[str, ...]] = ()
    state_dim: ClassVar[int] = 1
    environment_dim: ClassVar[int] = 2
    action_dim: ClassVar[int] = 1
    fps: ClassVar[int] = 10

    def __call__(self):
        return Line()


@dataclass(frozen=True, slots=True)
class Go:
    """Drives straight to the goal."""

    speed: float = 1.0
    extension: ClassVar[int] = 0

    def __call__(self, task, limit, rng):
        return Driver(self.speed)


class Driver:
    def __init__(self, speed):
        self.speed = speed

    def watch(self, phase, t, state):
        return Event.TAKE_OVER if phase is not Phase.CORRECTING else None

    def act(self, state):
        return np.clip(10 * (state[1:] - state[:1]), -self.speed, self.speed).astype(np.float32)


def make():
    """A point on a line."""
    start = debug()
    return replace(
        start,
        worlds=(LineSpec("line", limit=60),),
        policy=FlowConfig(
            net=NetConfig(
                sight=TrueState(dim=2, width=16), state_dim=1, action_dim=1, width=32, chunk=4, execute=4
            )
        ),
        supervision=replace(start.supervision, demonstrations=Demonstrations(per_world=4, operator=Go())),
        rollouts=replace(start.rollouts, per_world=10, operator=NoOne()),
        evaluation=Evaluation(per_world=4),
        rounds=1,
    )
'''


def test_a_recipe_a_world_and_an_operator_of_ones_own(
    vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """Two workers import the file that the command line names; nothing that a run folder says is ever
    imported."""
    path, run = tmp_path / "own_line_world.py", tmp_path / "run"
    path.write_text(OWN_WORLD)
    quick = (
        "--supervised.steps",
        5,
        "--fit.steps",
        5,
        "--critic.steps",
        5,
        "--demonstrations.operator.speed",
        0.5,
    )
    code, _, err = vantage(
        "run", f"{path}:make", "--out", run, "--workers", 2, "--tracker", "tensorboard", *quick
    )
    assert code == 0, err
    assert any((run / "tracker").iterdir())
    recipe = json.loads((run / "recipe.json").read_text())
    assert recipe["recipe"] == "own_line_world.py:make"
    assert recipe["settings"]["worlds"][0]["is"] == "own_line_world:LineSpec"
    assert recipe["settings"]["supervision"]["demonstrations"]["operator"] == {
        "is": "own_line_world:Go",
        "speed": 0.5,
    }

    (run / "round-01" / "6-eval.parquet").unlink()
    code, _, err = vantage("evaluate", run / "round-01", "--workers", 1)
    assert code == 2 and "'own_line_world:LineSpec' is none of MetaWorldSpec, Gymnasium" in (
        said := " ".join(err.split())
    )
    assert "; name the Python file that made it with --recipe" in said
    assert not (run / "round-01" / "6-eval.parquet").exists()
    code, _, err = vantage("evaluate", run / "round-01", "--workers", 1, "--recipe", f"{path}:make")
    assert code == 0, err
    assert set(pq.read_table(run / "round-01" / "6-eval.parquet").column("task").to_pylist()) == {"line"}


def test_the_interleaved_schedule_has_no_stages_to_run_alone(
    vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    from vantage.commands.runs import claim

    claim(tmp_path / "run", "paper", RECIPES["paper"]())
    (tmp_path / "run" / "round-00").mkdir()
    for stage in ("fit-critic", "fit-policy"):
        code, _, err = vantage(stage, tmp_path / "run" / "round-01")
        assert code == 2 and "trains critic and policy together" in " ".join(err.split())
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [LOCK, "recipe.json", "round-00"]


def test_an_audit_of_demonstrations(vantage: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    data = recording(tmp_path)
    path, info = data / DATA, json.loads((data / "meta/info.json").read_text())
    pq.write_table(pq.read_table(path).drop_columns(["intervention", "policy_version"]), path)
    info["features"] = {
        name: what
        for name, what in info["features"].items()
        if name not in ("intervention", "policy_version")
    }
    (data / "meta/info.json").write_text(json.dumps(info))
    code, said, _ = vantage("audit", data)
    assert code == 1 and "failure" in said and "--demos" in " ".join(said.split())
    code, said, _ = vantage("audit", data, "--demos", "--html", tmp_path / "audit.html")
    assert code == 0 and "31" in said, "all 31 frames are a person's"
    assert "What is in it" in (tmp_path / "audit.html").read_text()
    found = json.loads(vantage("audit", data, "--demos", "--json")[1])
    assert found["facts"]["human_frames"] == 31 and found["facts"]["lengths"] == [12, 9, 10]
    code, said, _ = vantage(
        "audit", data, "--driver", "policy", "--json", "--outcomes", outcomes(tmp_path, "0,x\n")
    )
    failures = [finding["text"] for finding in json.loads(said)["findings"] if finding["level"] == "failure"]
    assert code == 1 and len(failures) == 1 and "the outcome of episode 0 is `x`" in failures[0]


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Round 0 of the debug recipe, with its recipe.json, smaller where nothing is asserted of the size."""
    from vantage.algorithms.habc import run_habc
    from vantage.commands.runs import claim
    from vantage.learn.critic.fit import CriticFit
    from vantage.stages.fit_policy import PolicyFit

    run = tmp_path_factory.mktemp("run") / "run"
    debug = RECIPES["debug"]()
    settings = replace(
        debug,
        supervision=replace(
            debug.supervision,
            demonstrations=replace(debug.supervision.demonstrations, per_world=3),
            supervised=PolicyFit(steps=5),
        ),
        rollouts=replace(debug.rollouts, per_world=8),
        improvement=replace(debug.improvement, critic=CriticFit(steps=30)),
        evaluation=replace(debug.evaluation, per_world=2),
    )
    claim(run, "debug", settings)
    run_habc(run, replace(settings, rounds=0), workers=1)
    return run


def test_a_checkpoint_of_another_robot_is_one_sentence(
    supervised: Path, vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(supervised, run)
    for path in (run / "round-00").glob("[4-6]-*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for record in ("round.json", ".made.json"):
        (run / "round-00" / record).unlink(missing_ok=True)
    FlowPolicy(FlowConfig(net=NetConfig(sight=TrueState(), width=128, action_dim=7))).save(
        run / "round-00" / "5-actor"
    )
    code, _, err = vantage("collect", run / "round-01", "--workers", 1)
    assert code == 2 and "7 action dimensions" in " ".join(err.split()), err
    assert not (run / "round-01" / "1-episodes").exists()


def test_stages_by_hand_make_what_a_run_makes(
    supervised: Path, vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(supervised, run)
    here = run / "round-01"
    assert vantage("collect", here, "--workers", 1)[0] == 0
    code, _, err = vantage("fit-critic", here)
    assert code == 2 and "2-labels.parquet does not exist" in " ".join(err.split())
    for stage in ("label", "fit-critic", "weigh"):
        assert vantage(stage, here)[0] == 0, stage
    code, _, err = vantage("weigh", here)
    assert code == 2 and "is there already" in " ".join(err.split())

    code, said, err = vantage("fit-chunk-critic", here, "--folds", 2, "--steps", 4)
    assert code == 0 and "| predicted | windows | mean | came true |" in said, err
    quality = json.loads((here / "3-chunk-critic" / "quality.json").read_text())
    known = pq.read_table(here / "2-labels.parquet").column("viability_mask").to_pylist()
    assert quality["held_out_frames"] == sum(known), "every labelled window, by critics that never saw it"
    assert "<svg" in (here / "3-chunk-critic" / "calibration.svg").read_text()
    code, _, err = vantage("fit-chunk-critic", here)
    assert code == 2 and "3-chunk-critic is there already" in " ".join(err.split())
    code, _, err = vantage("fit-chunk-critic", here, "--mc-share", 2)
    assert code == 2 and "ViabilityTarget.mc_share is 2" in " ".join(err.split())
    labels = pq.read_table(here / "2-labels.parquet")
    pq.write_table(labels.slice(0, len(labels) - 8), here / "2-labels.parquet")
    code, _, err = vantage("fit-policy", here)
    assert code == 2 and "2-labels.parquet has" in " ".join(err.split()) and "delete" in err
    assert not (here / "5-actor").exists()

    # Labels that somebody means to change: the sentence says how they are kept.
    weights = read_parquet(here / "4-weights.parquet", ("weight",))["weight"]
    doubted = pa.array(["unlabelled"] * len(labels))
    column = labels.column_names.index("route")
    pq.write_table(labels.set_column(column, labels.schema.field(column), doubted), here / "2-labels.parquet")
    (here / "4-weights.parquet").unlink()
    code, _, err = vantage("weigh", here)
    assert code == 2 and f"to keep it so, remove {here / '.made.json'}" in " ".join(err.split())
    shutil.rmtree(here / "3-critic")
    (here / ".made.json").unlink()
    for stage in ("fit-critic", "weigh"):
        assert vantage(stage, here)[0] == 0, stage
    assert (read_parquet(here / "4-weights.parquet", ("weight",))["weight"] != weights).any()


def test_a_stage_of_a_round_that_cannot_be_is_one_sentence(
    supervised: Path, vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(supervised, run)
    (run / "round-00" / "6-eval.parquet").unlink()
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    for words, says in (
        (("fit-critic", run / "round-00"), "is supervised and has no critic; name round-01"),
        (("fit-chunk-critic", run / "round-00"), "is supervised and has no critic; name round-01"),
        (("weigh", run / "round-09"), "has rounds up to 0; name the round after that"),
        (("label", run / "round-00"), "2-labels.parquet is there already"),
        (("collect", run / "round-01", "--workers", -1), "--workers is -1; say 0 (one per core"),
        (("evaluate", run / "round-00", "--workers", 1_000_000), "--workers is 1000000"),
        (
            ("metaworld", run / "round-00", "--out", tmp_path / "z.parquet"),
            "holds no checkpoint (config.json is missing); name",
        ),
        (("metaworld", tmp_path / "nowhere", "--out", tmp_path / "z.parquet"), "nowhere holds no checkpoint"),
        (("metaworld", run / "round-00" / "5-actor", "--out", tmp_path), "is a folder; name a file"),
        (("report", run, "--out", tmp_path), "is a folder; name a file"),
    ):
        code, _, err = vantage(*words)
        assert code == 2 and says in " ".join(err.split()), err
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name != LOCK} == before and not (
        tmp_path / "z.parquet"
    ).exists()


def test_labels_of_a_round_are_made_as_its_run_makes_them(
    supervised: Path, vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(supervised, run)
    recipe = json.loads((run / "recipe.json").read_text())
    recipe["settings"]["improvement"]["labelling"]["demo_viability"] = True
    (run / "recipe.json").write_text(json.dumps(recipe))
    labels = run / "round-00" / "2-labels.parquet"
    assert not any(pq.read_table(labels)["viability_mask"].to_pylist())
    for path in (run / "round-00").glob("[2-6]-*"):  # the labels, and what was made of the old ones
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    code, out, _ = vantage("label", run / "round-00")
    assert code == 0 and "frames labelled" in out and all(pq.read_table(labels)["viability_mask"].to_pylist())


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    data, out = recording(tmp_path), tmp_path / "labels.parquet"
    csv = outcomes(tmp_path, "0,1\n1,0\n")

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))

    program = (
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from vantage.cli import main; main()"
    )
    words = [sys.executable, "-c", program, "label", str(data), "--outcomes", str(csv), "--out", str(out)]
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=small_disk)
    assert done.returncode == 2 and "the disk is full" in " ".join(done.stderr.split())
    assert not out.exists() and sorted(p.name for p in tmp_path.iterdir()) == [
        "data",
        "journal",
        "outcomes.csv",
    ]


def test_a_run_that_somebody_works_on_is_left_alone(
    vantage: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with alone(run, "wait"):
        code, _, told = vantage("run", "debug", "--out", run)
    assert code == 2 and "is writing to" in told and "name another folder with --out" in told
    assert {path.name for path in run.iterdir()} == {LOCK}
