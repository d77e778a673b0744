"""README, CONTRIBUTING, SECURITY and docs/: every command that they show is one that there is, spelled as its
parser reads it, and a test runs it at toy size.

Words typed are read by the real command line, with commands that do nothing in place of those that work:
whatever the first word names (a recipe, a study) is found, every option exists, every value is read.
"""

import functools
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from vantage import cli
from vantage.algorithms.finetune import FineTune
from vantage.cli import COMMANDS
from vantage.config import dumps
from vantage.errors import VantageError
from vantage.recipes import bimanual_bag

ROOT = Path(__file__).parents[1]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(ROOT / "docs").glob("*.md"),
)

RUN_WHOLE = {
    "docs/robot.md": "tests/commands/test_robot_page.py::test_every_line_of_the_evening_runs",
}
"""Page -> the test that runs the lines of its ```sh blocks as they stand."""
TESTS = {
    "tests/commands/test_runs.py": {
        "vantage quickstart": "test_a_lost_recipe_is_written_again_by_the_settings_that_made_the_rounds",
    },
    "tests/test_command_line.py": {
        "vantage run": "test_settings_of_a_run_are_recorded_and_held",
        "vantage recipes": "test_recipes_are_listed_and_printed",
        "vantage audit": "test_an_audit_of_demonstrations",
        "vantage label": "test_labels_by_hand",
        "vantage collect": "test_stages_by_hand_make_what_a_run_makes",
        "vantage fit-critic": "test_stages_by_hand_make_what_a_run_makes",
        "vantage fit-chunk-critic": "test_stages_by_hand_make_what_a_run_makes",
        "vantage weigh": "test_stages_by_hand_make_what_a_run_makes",
        "vantage fit-policy": "test_stages_by_hand_make_what_a_run_makes",
        "vantage evaluate": "test_stages_by_hand_make_what_a_run_makes",
    },
    "tests/report/test_report_page.py": {
        "vantage report": "test_it_is_one_file_that_needs_no_other",
    },
    "tests/report/test_explain.py": {
        "vantage explain": "test_the_command_prints_it",
    },
    "tests/disk/test_record.py": {
        "vantage verify": "test_what_was_changed_lost_and_added_is_found",
    },
    "tests/commands/test_metaworld_score.py": {
        "vantage metaworld": "test_trials_of_other_starts_are_not_counted_as_these",
    },
    "tests/commands/test_finetune.py": {
        "vantage finetune": "test_it_makes_a_checkpoint_that_stock_lerobot_opens",
        "vantage weights": "test_weights_alone_are_those_of_the_fine_tuning",
    },
    "tests/app/test_play.py": {
        "vantage play": "test_a_person_rescues_and_the_round_holds_what_they_did",
    },
    "tests/app/test_outcomes_server.py": {
        "vantage outcomes": "test_what_was_acknowledged_survives_a_kill",
    },
    "tests/commands/test_watch.py": {
        "vantage watch": "test_what_is_asked_for_is_printed",
        "vantage export": "test_an_exported_policy_acts_the_same_and_can_be_watched",
    },
    "tests/commands/test_real_trials.py": {
        "vantage compare": "test_a_clear_difference_is_said",
    },
    "tests/study/test_cells.py": {
        "vantage study": "test_two_studies_do_not_write_to_one_folder",
        "vantage study-report": "test_a_report_does_not_touch_the_folder_of_the_rows",
        "vantage study-merge": "test_machines_are_merged_cell_by_cell",
        "vantage study-exhibits": "test_exhibits_replay_what_was_recorded",
        "vantage study-cell": "test_a_cell_is_rebuilt_from_recipe_and_seed",
    },
    "tests/benchmarks/test_benchmarks.py": {
        "python -m benchmarks.bench_frames": "test_every_bench_has_a_row",
        "python -m benchmarks.run": "test_every_bench_has_a_row",
    },
    "tests/experiments/test_machines.py": {
        "python -m experiments.machines": "test_two_machines_are_measured",
    },
    "tests/experiments/test_beside_the_paper.py": {
        "python -m experiments.beside_the_paper": "test_the_page_is_drawn_from_the_stored_rows",
    },
    "tests/experiments/test_few_seeds.py": {
        "python -m experiments.few_seeds": "test_the_page_is_drawn_from_the_stored_rows",
    },
    "tests/experiments/test_which_method.py": {
        "python -m experiments.which_method": "test_the_page_is_drawn_from_the_stored_rows",
    },
    "tests/experiments/test_toy_experiments.py": {
        "python -m experiments.bimanual": "test_bimanual",
        "python -m experiments.critic_table": "test_critic_table",
        "python -m experiments.expert_rates": "test_expert_rates",
        "python -m experiments.lerobot_draws": "test_lerobot_draws",
        "python -m experiments.pixel_gap": "test_pixel_gap",
        "python -m experiments.publish_study": "test_publish_study_draws_what_is_published",
        "python -m experiments.quickstart_seeds": "test_quickstart_of_several_seeds",
        "python -m experiments.quickstart_table": "test_quickstart_table_of_a_run",
        "python -m experiments.rounding": "test_quickstart_of_several_seeds",
        "python -m experiments.shortest_times": "test_shortest_times",
        "python -m experiments.training_start": "test_training_start",
    },
    "tests/experiments/test_outcomes_alone.py": {
        "python -m experiments.outcomes_alone": "test_ways_are_compared",
    },
    "tests/experiments/test_steering.py": {
        "python -m experiments.steering": "test_ways_to_lead_are_compared",
    },
    "tests/experiments/test_rank_chunks.py": {
        "python -m experiments.rank_chunks": "test_ranks_are_measured",
    },
    "tests/experiments/test_evening.py": {
        "python -m experiments.evening": "test_an_evening_runs_through_the_command_line",
    },
    "tests/experiments/test_first_evening.py": {
        "python -m experiments.first_evening": "test_a_newcomers_path_ends_in_a_checkpoint",
    },
    "tests/policies/test_lerobot_commands.py": {
        "lerobot-eval": "test_lerobot_eval_plays_our_worlds_as_we_do",
        "lerobot-train": "test_lerobot_train_trains_the_small_policy_on_weighted_frames",
        "lerobot-rollout": "test_stock_lerobot_rollout_moves_the_arm_as_vantage_would",
    },
    "tests/commands/test_robot_page.py": {
        "lerobot-record": "test_every_line_of_the_evening_runs",
    },
    "tests/collect/test_cluster.py": {
        "ray start": "test_a_cluster_plays_what_one_process_plays_though_a_node_dies",
    },
}
"""File -> command -> the test in it that runs the command at toy size, in this process or its own."""
RUN_BY = {command: f"{file}::{test}" for file, tests in TESTS.items() for command, test in tests.items()}
"""Command -> the test that runs it."""
TARGETS = {
    "quickstart": "the command `vantage quickstart`, whose recipe the tests play at toy size",
    "test": "this, and everything beside it",
    "check": "ruff, lint-imports and pyright, before every commit",
    "bench": "tests/benchmarks/test_benchmarks.py",
    "mutants": "tests/mutants/test_mutant_list.py",
    "faults": "tests/faults/test_campaign.py::test_a_slice_of_it_holds",
    "lock": "asks an index of packages, so by hand",
    "setup": "the environment that this runs in",
}
"""Target of the Makefile -> what runs it."""
SOMEBODYS = ("my_recipe.py:make",)
"""Files that a reader is told to write."""


@dataclass(frozen=True)
class Line:
    """A command as a page shows it."""

    words: tuple[str, ...]
    page: str = field(compare=False)
    partial: bool = field(compare=False)
    """It stands within a sentence or ends in dots, so what must be given may be left out."""

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def shown(page: Path) -> Iterator[tuple[str, bool]]:
    """The lines of a page's code blocks, and its code within sentences (True)."""
    text = page.read_text()
    fences = re.compile(r"^(?P<indent> *)```(?P<kind>\w*)\n(?P<body>.*?)^ *```$", re.M | re.S)
    for block in fences.finditer(text):
        if block["kind"] in ("", "sh", "bash"):
            yield from ((line, False) for line in joined(block["body"].splitlines()))
    text = fences.sub("", text)
    yield from ((line[4:], False) for line in joined(text.splitlines()) if line.startswith("    "))
    prose = "\n".join("" if line.startswith("    ") else line for line in text.splitlines())
    yield from ((code.replace("\n", " "), True) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose))


def joined(lines: Sequence[str]) -> list[str]:
    """Lines of which those that go on (a backslash, or options alone on the next) are one."""
    whole: list[str] = []
    for line in lines:
        if whole and (whole[-1].endswith("\\") or re.match(r"\s+--\w", line)):
            whole[-1] = f"{whole[-1].removesuffix('\\').rstrip()} {line.strip()}"
        else:
            whole.append(line)
    return whole


BEGINS = re.compile(
    r"(?:\w+=\S+ )*(?:\.venv/bin/)?"
    r"((?:vantage|make|torchrun|accelerate launch|ray start|lerobot-\w+|pip install|python3? -m)(?: .*|$))"
)


def commands_of(page: Path) -> list[Line]:
    """Every command on a page; within sentences only those with words behind."""
    name, lines = page.relative_to(ROOT).as_posix(), list[Line]()
    for text, in_sentence in shown(page):
        begun = BEGINS.fullmatch(text.strip())
        if begun is None:
            continue
        typed = re.split(r" {3,}|\s#\s", begun[1])[0]  # behind it stands what it does
        words = tuple(word for word in shlex.split(typed) if word != "...")
        partial = in_sentence or len(words) < len(shlex.split(typed))
        if len(words) > 1 or not in_sentence:
            lines.append(Line(words=words, page=name, partial=partial))
    return lines


LINES = list(dict.fromkeys(line for page in PAGES for line in commands_of(page)))
"""Every command, with the first page that shows it."""


@pytest.fixture(scope="module")
def reader_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that a reader is told to write, and the run that one of them has made."""
    folder = tmp_path_factory.mktemp("reader")
    [reach, world, operator] = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "simulator.md").read_text(), re.DOTALL
    )
    (folder / "my_operators.py").write_text(operator)
    (folder / "my_worlds.py").write_text(world)
    (folder / "reach.py").write_text(reach)
    for name in ("careful", "drawer"):
        run = folder / "runs" / name
        run.mkdir(parents=True)
        (run / "recipe.json").write_text(dumps(bimanual_bag()))
    for name in SOMEBODYS:
        path = folder / name.partition(":")[0]
        path.write_text("from vantage.recipes.debug import debug as make\n")
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, reader_made: Path) -> Callable[[Sequence[str]], str]:
    """Reads words as `vantage` does and runs nothing; returns the command that would have run."""
    monkeypatch.chdir(reader_made)
    called: list[str] = []

    def idle(command: cli.Command) -> cli.Command:
        @functools.wraps(command.function)
        def instead(*_: Any, **__: Any) -> None:
            called.append(command.name)

        # No policy is opened for the settings that its authors train it with.
        unnamed = (lambda *_: FineTune()) if command.unnamed else None
        return replace(command, function=instead, unnamed=unnamed)

    monkeypatch.setattr(cli, "COMMANDS", tuple(map(idle, COMMANDS)))

    def read_words(words: Sequence[str]) -> str:
        called.clear()
        cli.dispatch(words)
        return called[0] if called else ""

    return read_words


VANTAGE = [line for line in LINES if line.page not in RUN_WHOLE and "vantage" in line.words]
"""What `vantage` is to read, by itself or behind a launcher."""
READ = [
    line
    for line in VANTAGE
    if not any(line.words == other.words[: len(line.words)] for other in VANTAGE if other is not line)
]
"""Of these, all but the beginnings of others."""


@pytest.mark.parametrize("line", READ, ids=str)
def test_every_command_is_read(
    line: Line, read: Callable[[Sequence[str]], str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = without_launcher(line.words)
    problem = misread(words[1:], read, capsys) if len(words) > 1 else ""
    if not (line.partial and re.search("[Rr]equired|Missing", problem)):
        assert not problem, f"{line}\n{problem}"


def misread(
    words: Sequence[str], read: Callable[[Sequence[str]], str], capsys: pytest.CaptureFixture[str]
) -> str:
    """What is wrong with words behind `vantage`; empty where they are read."""
    try:
        read(words)
    except VantageError as error:
        return str(error)
    except SystemExit as stop:
        said = capsys.readouterr()
        return said.err + said.out if stop.code else ""
    return ""


def without_launcher(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words behind `torchrun ... -m` or `accelerate launch ... -m`."""
    if words[0] in ("torchrun", "accelerate"):
        return words[words.index("-m") + 1 :]
    return words


def test_every_command_is_run_by_a_test() -> None:
    """A new line that nothing here accounts for fails."""
    extras = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.M))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for line in LINES:
        words = without_launcher(line.words)
        match words:
            case ("make", *named):
                assert set(named) <= targets & TARGETS.keys(), line
            case ("pip", "install", *what):
                named = re.findall(r"\[([\w,]+)\]", " ".join(what))
                assert {extra for group in named for extra in group.split(",")} <= extras, line
                assert all((ROOT / path).exists() for path in what if path.startswith("plugins")), line
            case ("python" | "python3", "-m", module, *_):
                assert f"python -m {module}" in RUN_BY, line
                assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), line
            case ("vantage", option, *_) if option.startswith("-"):
                pass
            case ("vantage",):
                pass
            case ("vantage" | "ray", command, *_):
                assert f"{words[0]} {command}" in RUN_BY, line
            case _:
                assert words[0] in RUN_BY, line


@pytest.mark.parametrize("test", sorted(set(RUN_BY.values())))
def test_the_tests_that_run_them_are_there(test: str) -> None:
    path, _, name = test.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.M), test


def test_every_vantage_command_is_run_by_a_test() -> None:
    assert {f"vantage {command.name}" for command in COMMANDS} <= RUN_BY.keys()


def test_words_of_launchers_are_theirs() -> None:
    """Read by the parsers of torchrun and accelerate themselves."""
    from accelerate.commands.launch import launch_command_parser
    from torch.distributed.run import get_args_parser

    launched = [line for line in LINES if line.words[0] in ("torchrun", "accelerate")]
    assert launched
    for line in launched:
        if line.words[0] == "torchrun":
            read = get_args_parser().parse_args(line.words[1:])
        else:
            read = launch_command_parser().parse_args(line.words[2:])
        assert read.module and read.training_script == "vantage", line


@pytest.mark.parametrize(
    "typed",
    [
        "runn debug",
        "run debug --out x --roundss 1",
        "run debug --out x --rounds many",
        "run nobodys --out x",
        "explain runs/x",
    ],
)
def test_what_is_not_there_is_noticed(
    typed: str, read: Callable[[Sequence[str]], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A command, an option, a value, a recipe, and an argument that is left out."""
    assert misread(typed.split(), read, capsys)


def test_what_is_there_is_read(read: Callable[[Sequence[str]], str]) -> None:
    assert read(["run", "debug", "--out", "x", "--rounds", "1"]) == "run"
