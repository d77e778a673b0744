"""docs/data.md says which columns every file has and of which type; the files of a run have exactly those."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vantage.collect.pool import play_here
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.stages.evaluate import Evaluation, evaluate
from vantage.worlds.spec import MetaWorldSpec

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
TYPES = {
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "float32": pa.float32(),
    "float64": pa.float64(),
}
PICTURES = "observation.images.<camera>"
"""Kept as videos, not as a column."""


def section(beginning: str) -> str:
    """The text under the heading that begins like this."""
    (text,) = [part for part in re.split(r"^## ", PAGE.read_text(), flags=re.M) if part.startswith(beginning)]
    return text


def documented(text: str) -> dict[str, str]:
    """Column -> type, of the first table in a text. One row may name several columns, with one type or one
    each."""
    columns: dict[str, str] = {}
    begun = False
    for line in text.splitlines():
        if begun and not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        names = re.findall(r"`([^`]+)`", cells[0])
        if line.startswith("| `") and PICTURES not in names:
            begun = True
            types = cells[1].removesuffix(", optional").split(", ")
            types = types * len(names) if len(types) == 1 else types
            columns |= dict(zip(names, types, strict=True))
    return columns


def check_types(schema: pa.Schema, columns: dict[str, str]) -> None:
    for name, kind in columns.items():
        found, scalar = schema.field(name).type, kind.split(" ")[0]
        if kind.endswith("]"):
            assert pa.types.is_fixed_size_list(found), f"{name} is {found} and the page says {kind}"
            found = found.value_type
        assert found == TYPES[scalar], f"{name} is {found} and the page says {kind}"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_frames_and_sidecars_have_the_documented_columns(recorded: Path, number: int) -> None:
    here = recorded / f"round-{number:02d}"
    frames = documented(section("1-episodes"))
    del frames["task"]  # the prompt: stored once in meta/tasks.parquet, by task_index in the rows
    schema = pq.read_schema(next((here / "1-episodes" / "data").glob("*/*.parquet")))
    assert set(schema.names) == {*frames, "task_index"}
    check_types(schema, frames)

    for name, heading in (("2-labels.parquet", "2-labels"), ("4-weights.parquet", "4-weights")):
        columns = documented(section(heading))
        schema = pq.read_schema(here / name)
        assert set(schema.names) == set(columns)
        check_types(schema, columns)


def test_episodes_have_the_documented_columns(recorded: Path) -> None:
    text = section("1-episodes")
    columns = documented(text[text.index("is ours:") :])
    schema = pq.read_schema(recorded / "round-01" / "1-episodes" / "meta" / "vantage_episodes.parquet")
    assert schema.names == list(columns)
    check_types(schema, columns)


def test_trials_have_the_documented_columns(tmp_path: Path) -> None:
    """Written as a sentence: `task` and `prompt` (string), `seed` (int64), ..."""
    said = re.findall(r"((?:`\w+`(?: and )?)+) \((\w+)", section("6-eval"))
    columns = {name: kind for names, kind in said for name in re.findall(r"`(\w+)`", names)}

    FlowPolicy(FlowConfig(net=NetConfig(sight=TrueState(), width=16))).save(tmp_path / "actor")
    out = tmp_path / "6-eval.parquet"
    evaluate(
        tmp_path / "actor",
        out,
        (MetaWorldSpec("reach-v3", limit=3),),
        Evaluation(per_world=1),
        pool=play_here,
    )
    schema = pq.read_schema(out)
    assert schema.names == list(columns)
    check_types(schema, columns)
