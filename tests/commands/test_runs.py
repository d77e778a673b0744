"""The folder of a run: whose it is, by recipe.json and by what its finished rounds say of it."""

from pathlib import Path

import pytest

from vantage.commands.runs import claim
from vantage.disk.files import write_json
from vantage.disk.record import write_record
from vantage.errors import VantageError
from vantage.stages.evaluate import Evaluation

OURS, OTHERS = Evaluation(per_world=2), Evaluation(per_world=3)
"""Any settings would do."""


def a_run(folder: Path, *, finished: bool = True) -> Path:
    """A run of one round, and its recipe.json."""
    claim(folder, "debug", OURS)
    (folder / "round-00").mkdir()
    (folder / "round-00/6-eval.parquet").write_text("trials")
    if finished:
        write_record(folder / "round-00", seed=0)
    return folder / "recipe.json"


@pytest.mark.parametrize("damage", ["gone", "{", '{"recipe": "quickstart"}', "[]"])
def test_a_lost_recipe_is_written_again_by_the_settings_that_made_the_rounds(
    damage: str, tmp_path: Path
) -> None:
    path = a_run(tmp_path / "run")
    content = path.read_bytes()
    path.write_text(damage)
    if damage == "gone":
        path.unlink()

    with pytest.raises(VantageError, match="name another folder with --out"):
        claim(path.parent, "debug", OTHERS)
    claim(path.parent, "debug", OURS)
    assert path.read_bytes() == content


def test_nothing_is_guessed_where_no_round_says_what_made_it(tmp_path: Path) -> None:
    path = a_run(tmp_path / "run", finished=False)
    path.write_text("{")
    with pytest.raises(
        VantageError, match=r"recipe\.json is damaged \(no valid JSON\), and no round is finished"
    ):
        claim(path.parent, "debug", OURS)
    path.unlink()
    with pytest.raises(VantageError, match="is not empty and no run of Vantage"):
        claim(path.parent, "debug", OURS)

    path = a_run(tmp_path / "two")
    write_json(tmp_path / "two/round-01/round.json", {"sha256": {}, "recipe_sha256": "another"})
    path.unlink()
    with pytest.raises(VantageError, match="is not empty and no run of Vantage"):
        claim(path.parent, "debug", OURS)


def test_a_folder_in_which_nothing_was_made_may_change_its_mind(tmp_path: Path) -> None:
    claim(tmp_path / "run", "debug", OURS)
    claim(tmp_path / "run", "debug", OTHERS)
    with pytest.raises(VantageError, match="was made by recipe 'debug'"):
        a_run(tmp_path / "made")
        claim(tmp_path / "made", "quickstart", OURS)
