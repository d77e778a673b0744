"""Names of files that a dataset gives -> paths, which lie inside its folder or are refused.

They come from anybody: nothing is evaluated in them, and no link leads out.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from vantage.errors import VantageError

_FIELD = re.compile(r"\{(video_key|chunk_index|file_index)(?::0?([1-9])d)?\}")


def fill_in(template: str, values: Mapping[str, str | int]) -> str:
    """Put the known fields into a template: `{video_key}`, `{chunk_index}`, `{file_index:03d}`.

    Not `str.format`, which would also read attributes and make a name of any length. Raises VantageError for
    another brace.
    """

    def value(field: re.Match[str]) -> str:
        name, width = field[1], field[2]
        if name not in values:
            raise VantageError(
                f"a data set's file name `{template[:200]}` asks for `{name}`, which it has not; "
                "correct info.json."
            )
        return str(values[name]).zfill(int(width) if width else 0)

    text = _FIELD.sub(value, template)
    if re.search(r"[{}]", _FIELD.sub("", template)):
        raise VantageError(
            f"a data set's file name `{template[:200]}` has a field other than video_key, "
            "chunk_index and file_index; correct info.json."
        )
    return text


def inside(root: Path, relative: str) -> Path:
    """`root / relative`.

    Raises VantageError where that lies outside the dataset's folder once links are followed.
    """
    base = root.resolve()
    allowed = [base]
    if base.parent.name == "snapshots":
        # Hugging Face's cache keeps a snapshot's files as links to the folder of contents beside it.
        allowed.append(base.parent.parent / "blobs")

    try:
        resolved = (root / relative).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise VantageError(
            f"{root} names a file that cannot be: {relative[:200]!r}; correct its info.json."
        ) from error
    if not any(resolved.is_relative_to(folder) for folder in allowed):
        raise VantageError(
            f"{root} names a file outside its own folder, {relative[:200]!r}; "
            "correct its info.json or copy the file in."
        )
    return root / relative


def visible_files(root: Path, folder: str) -> list[Path]:
    """The parquet files of a folder with chunks, in order.

    What an operating system or an editor left there is not looked at.

    Raises VantageError for a link that leads out of the dataset, and for what is no file.
    """
    names = sorted(path.relative_to(root) for path in (root / folder).glob("*/*.parquet"))
    paths = [
        inside(root, str(name))
        for name in names
        if not any(part.startswith((".", "~")) for part in name.parts)
    ]
    for path in paths:
        if not path.is_file():
            raise VantageError(f"{path} is no file; fetch the dataset again, all of it.")
    return paths
