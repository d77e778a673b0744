"""Checkpoints that are damaged or impossible: one sentence each, before anything of their size is made. The
campaign tries the same list on the commands that read them."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from campaign.checkpoints import CONFIG_FILES, SMALL_VALUES, WEIGHT_FILES, Broken

from vantage.cli import main
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.lerobot.checkpoint import open_checkpoint
from vantage.policies.lerobot.signature import read_signature
from vantage.policies.load import load_policy
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.policies.small.gaussian import GaussianConfig, GaussianPolicy
from vantage.types import VantageError

NET = NetConfig(sight=TrueState(width=16), width=32)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "5-actor"
    FlowPolicy(FlowConfig(net=NET)).save(folder)
    return folder


@pytest.mark.parametrize("broken", [*CONFIG_FILES, *WEIGHT_FILES, *SMALL_VALUES], ids=str)
def test_what_cannot_be_a_policy_is_one_sentence(broken: Broken, checkpoint: Path) -> None:
    broken.spoil(checkpoint)
    began = time.process_time()
    with pytest.raises(VantageError, match=r"5-actor.*; (restore|name|write|it must)") as refused:
        load_policy(checkpoint)
    assert time.process_time() - began < 10 and len(str(refused.value)) < 1000


def test_other_kinds_of_policy_are_read_with_the_same_care(tmp_path: Path) -> None:
    GaussianPolicy(GaussianConfig(net=NET)).save(tmp_path)
    assert torch.isfinite(load_policy(tmp_path).state_dict()["actions.std"]).all()
    config = json.loads((tmp_path / "config.json").read_text())
    config["net"]["chunk"] = 10**9
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        VantageError, match=r"does not hold the weights of the policy in config\.json beside it"
    ):
        load_policy(tmp_path)


ACT: dict[str, Any] = {
    "type": "act",
    "chunk_size": 8,
    "n_action_steps": 4,
    "n_encoder_layers": 1,
    "input_features": {"observation.state": {"type": "STATE", "shape": [6]}},
    "output_features": {"action": {"type": "ACTION", "shape": [4]}},
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        *(
            (
                {name: value},
                f"says {name}={re.escape(repr(value))}; it must be a whole number, 1 or more; restore",
            )
            for name in ("chunk_size", "n_action_steps")
            for value in (0, -1, "eight", 2.5, True)
        ),
        ({"chunk_size": None}, "says chunk_size=None; it must be a whole number"),
        ({"n_encoder_layers": 10**7}, "says n_encoder_layers=10000000, more than 1000; restore"),
        ({"input_features": {"observation.state": 7}}, "gives observation.state of input_features no type"),
        ({"input_features": ["action"]}, "gives it of input_features no type, or a shape that no array has"),
        ({"output_features": {"action": {"type": "ACTION", "shape": [-3]}}}, "a shape that no array has"),
    ],
)
def test_what_cannot_be_a_policy_of_lerobot(changes: dict[str, Any], says: str) -> None:
    assert read_signature(ACT | {"chunk_size": "8"}, "here").chunk == 8, "LeRobot reads numbers from text too"
    with pytest.raises(VantageError, match=says):
        read_signature(ACT | changes, "here")


def test_a_configuration_of_lerobot_that_is_nested_too_deep(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b'{"type":' * 200_000)
    with pytest.raises(VantageError, match="nested too deep to be read"):
        open_checkpoint(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "says"),
    [("n" * 5000, "file name too long; name another path"), ("caf\udce9", "this name is not UTF-8; rename")],
)
def test_names_that_the_system_refuses(
    name: str,
    says: str,
    the_three: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = the_three().root
    odd = root.with_name(name)
    if len(name) < 100:
        root.rename(odd)
    monkeypatch.setattr("sys.argv", ["vantage", "label", str(odd), "--out", "labels.parquet"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and says in " ".join(capsys.readouterr().err.split())
