import hashlib
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vantage.disk.files import read_json, sha256_file, sha256_folder, whole_folder, write_json, write_whole
from vantage.disk.tables import check_coverage, read_parquet, write_parquet
from vantage.types import Route, VantageError


def test_round_trip_keeps_types_and_turns_nan_into_null_where_allowed(tmp_path: Path) -> None:
    columns = {
        "index": np.arange(3),
        "route": np.array([Route.DEMO, Route.INTERVENTION, Route.UNLABELLED]),
        "g": np.array([0.5, np.nan, 2], np.float32),
        "mask": np.array([True, False, True]),
    }
    write_parquet(tmp_path / "t.parquet", columns, nullable=("g",))
    stored = pq.read_table(tmp_path / "t.parquet")
    assert stored.column("g").null_count == 1 and stored.column("g").to_pylist()[1] is None
    assert [str(field.type) for field in stored.schema] == ["int64", "string", "float", "bool"]
    back = read_parquet(tmp_path / "t.parquet")
    assert list(back) == list(columns)
    assert (
        back["index"].dtype == np.int64 and back["mask"].dtype == np.bool_ and back["g"].dtype == np.float32
    )
    assert np.array_equal(back["g"], columns["g"], equal_nan=True)
    assert (back["route"] == Route.INTERVENTION).tolist() == [False, True, False]


def test_words_are_kept_with_a_nul_in_them(tmp_path: Path) -> None:
    words = np.array(["before\0after", "", "plain"])
    write_parquet(tmp_path / "t.parquet", {"word": words})
    assert read_parquet(tmp_path / "t.parquet")["word"].tolist() == words.tolist()


def test_same_columns_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_parquet(tmp_path / name, {"x": np.arange(1000), "y": np.linspace(0, 1, 1000)})
    assert sha256_file(tmp_path / "a") == sha256_file(tmp_path / "b")


def test_nan_in_a_full_column_and_uneven_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VantageError, match=r"`weight` of t\.parquet would hold 1 NaN"):
        write_parquet(tmp_path / "t.parquet", {"weight": np.array([1.0, np.nan])})
    with pytest.raises(VantageError, match="differ in length"):
        write_parquet(tmp_path / "t.parquet", {"a": np.arange(2), "b": np.arange(3)})
    assert not list(tmp_path.iterdir())


def test_missing_truncated_and_incomplete_files_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "2-labels.parquet"
    with pytest.raises(VantageError, match="does not exist"):
        read_parquet(path)
    write_parquet(path, {"index": np.arange(100)})
    with pytest.raises(VantageError, match="has no column `route`; it has index"):
        read_parquet(path, ("index", "route"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(VantageError, match="not a whole parquet file"):
        read_parquet(path)
    path.write_bytes(b"")
    with pytest.raises(VantageError, match="not a whole parquet file"):
        read_parquet(path)


def test_coverage_names_the_numbers_and_the_remedy() -> None:
    path, frames = Path("round-01/2-labels.parquet"), np.arange(5000)
    check_coverage(path, frames[::-1], frames, "run `vantage label ROUND`")
    with pytest.raises(
        VantageError, match=r"^2-labels.parquet covers 4,812 of 5,000 frames; run `vantage label ROUND`\.$"
    ):
        check_coverage(path, frames[:4812], frames, "run `vantage label ROUND`")
    with pytest.raises(VantageError, match="more than once"):
        check_coverage(path, np.append(frames, 3), frames, "run it again")
    with pytest.raises(VantageError, match="5,001 rows for 5,000 frames"):
        check_coverage(path, np.arange(5001), frames, "run it again")


def test_json_round_trip_and_damage(tmp_path: Path) -> None:
    write_json(tmp_path / "r.json", {"b": [1, 2.5], "a": "ö"})
    assert read_json(tmp_path / "r.json") == {"b": [1, 2.5], "a": "ö"}
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(VantageError, match="not valid JSON"):
        read_json(tmp_path / "r.json")


def test_a_folder_is_whole_or_absent_and_replaces_what_stood_there(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(RuntimeError), whole_folder(target) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    for content in ("old", "new"):
        with whole_folder(target) as folder:
            (folder / content).write_text(content)
    assert [path.name for path in target.iterdir()] == ["new"] and [
        path.name for path in tmp_path.iterdir()
    ] == ["out"]


def test_checksums(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_bytes(b"hello")
    (tmp_path / "v.mp4").write_bytes(b"1")
    assert sha256_file(tmp_path / "a/x") == hashlib.sha256(b"hello").hexdigest()
    before = sha256_folder(tmp_path)
    (tmp_path / "v.mp4").write_bytes(b"2")
    assert sha256_folder(tmp_path) == before
    (tmp_path / "a/x").write_bytes(b"hullo")
    assert sha256_folder(tmp_path) != before


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from vantage.disk.files import write_whole
from vantage.disk.tables import write_parquet
from vantage.types import VantageError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_parquet(Path(sys.argv[1]), {"x": np.random.default_rng(0).random(10_000)})
except VantageError as error:
    print(error)
"""


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path: Path) -> None:
    """The kernel refuses the write for real: the child may not make files larger than 4 kB (EFBIG, treated
    like ENOSPC)."""
    path = tmp_path / "4-weights.parquet"
    write_whole(path, b"old")
    assert resource.RLIMIT_FSIZE is not None
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    assert (
        child.stdout.strip()
        == f"the disk is full: {path} could not be written; free some space and run the same command again."
    )
    assert path.read_bytes() == b"old" and [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_no_space_left_is_the_same_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(VantageError, match="the disk is full"),
        whole_folder(tmp_path / "out"),
        Path("/dev/full").open("wb") as full,
    ):
        full.write(b"x" * 100_000)
    assert not list(tmp_path.iterdir())
