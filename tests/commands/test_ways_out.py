"""Sentences that send people the right way: each names what was typed, and a remedy that works."""

import json
import re
from pathlib import Path

import pytest
import torch
from generators import dispatch
from starlette.applications import Starlette

from vantage.app.loopback import serving
from vantage.cli import main
from vantage.config import to_json
from vantage.disk.files import write_json
from vantage.errors import VantageError
from vantage.nets.vla import NetConfig, Pixels
from vantage.policies.lerobot.checkpoint import open_checkpoint
from vantage.policies.small.export import export
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.recipes import STUDIES
from vantage.report.folder import read_run
from vantage.study.exhibits import make_exhibits
from vantage.study.rows import Results

TINY = FlowConfig(net=NetConfig(sight=Pixels(size=48), width=32, depth=1))


def test_the_option_that_names_no_episodes_is_the_one_that_was_typed(tmp_path: Path) -> None:
    words = ["watch", str(tmp_path), "--critic", str(tmp_path), "--episodes", "a-b"]
    with pytest.raises(VantageError, match=r"^--episodes a-b: `a-b` names no episodes"):
        dispatch(words)


def test_a_port_that_is_none_is_not_called_taken() -> None:
    for port in (99_999_999, -1):
        with (
            pytest.raises(VantageError, match=f"^port {port} is none; name one from"),
            serving(Starlette(), port),
        ):
            pass


@pytest.mark.parametrize("side", [0, -48, 50])
def test_pictures_that_the_exported_policy_could_not_look_at(side: int, tmp_path: Path) -> None:
    with pytest.raises(
        VantageError, match=rf"^pictures of {side} px .* name a multiple of 48 with --image-size"
    ):
        export(FlowPolicy(TINY, seed=0), tmp_path / "out", side)
    assert not list(tmp_path.iterdir())


def test_a_policy_of_a_run_is_not_taken_for_an_old_one_of_lerobot(tmp_path: Path) -> None:
    FlowPolicy(TINY, seed=0).save(tmp_path / "5-actor")
    with pytest.raises(
        VantageError, match=r"is a policy of `vantage run`, .* `vantage export .*5-actor --out"
    ):
        open_checkpoint(str(tmp_path / "5-actor"))


def test_a_report_shows_no_negative_number_of_episodes(tmp_path: Path) -> None:
    with pytest.raises(VantageError, match=r"^--episodes is -3; name a number of episodes"):
        dispatch(["report", str(tmp_path), "--episodes", "-3"])


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("recipe.json", "start the run again with its own settings, and it is written again"),
        ("round-00/round.json", "delete it, and the run, started again, writes it again"),
    ],
)
def test_a_record_of_another_kind_names_what_writes_it(name: str, remedy: str, tmp_path: Path) -> None:
    (tmp_path / "round-00").mkdir()
    (tmp_path / name).write_text(json.dumps([1]))
    with pytest.raises(VantageError, match=rf"{name} does not hold an object; {remedy}"):
        read_run(tmp_path)


def test_not_enough_memory_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    width = ["--policy.net.width", "100000000"]
    monkeypatch.setattr("sys.argv", ["vantage", "run", "debug", "--out", str(tmp_path / "run"), *width])
    monkeypatch.setattr("vantage.cli.prepare_process", lambda: None)
    monkeypatch.setattr("vantage.commands.runs.start", lambda *_, **__: torch.empty(10**17))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capfd.readouterr().err
    assert "there is not enough memory (" in said and "Traceback" not in said


def test_damaged_rows_of_a_study_are_named_with_one_remedy(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(VantageError, match=f"^{re.escape(str(tmp_path))}/study.json: "):
        Results.read(tmp_path)
    write_json(tmp_path / "study.json", to_json(STUDIES["debug"]()))
    (tmp_path / "trials.parquet").write_bytes(b"PAR1")
    with pytest.raises(VantageError, match=r"trials\.parquet is not a whole parquet file [^.;]*; restore it"):
        Results.read(tmp_path)
    with pytest.raises(VantageError, match="there is no task 'nope' in this study"):
        make_exhibits(STUDIES["debug"](), tmp_path, tmp_path, "nope", 0)
