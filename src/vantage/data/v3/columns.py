"""A column of a data file, as Arrow has it -> one contiguous array, checked.

    whole_numbers    one integer per frame: indices, versions
    vectors          D finite numbers per frame: states, actions
    flags            one truth per frame: who drove, success

Everything else raises one sentence that says which column, what it holds and what to do.
"""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int64

from vantage.data.v3.meta import INFO_FILE, Info
from vantage.data.v3.schema import EPISODE, FRAME, REWARD
from vantage.types import VantageError

LARGEST = 1e9
"""What a state or an action may be at most; encoders count to some 1e6."""


def whole_numbers(table: pa.Table, name: str, root: Path) -> Int64[np.ndarray, "N"]:
    """A column of whole numbers. Raises VantageError for empty cells and for anything else."""
    column: pa.Array = table.column(name).combine_chunks()
    if column.null_count or not pa.types.is_integer(column.type):
        raise VantageError(
            f"column `{name}` of {root} must hold one whole number per frame, and it is {column.type}."
        )
    return column.to_numpy(zero_copy_only=False).astype(np.int64)


def _unnested(column: pa.Array) -> tuple[pa.Array, int | None]:
    """The values of a column of lists, end to end, and how many every frame has.

    None in place of that number where frames differ or have none.
    """
    values, width = column, 1
    while True:
        if isinstance(values.type, pa.BaseExtensionType):
            values = values.storage
        tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        is_list = any(test(values.type) for test in tests)
        if values.null_count or not is_list:
            return values, None if values.null_count else width

        # Every list on its own: rows of 2 and of 4 values would add up to the right number.
        lengths = pc.unique(pc.list_value_length(values)).to_pylist()  # pyright: ignore[reportAttributeAccessIssue]
        if len(lengths) > 1 or not lengths[0]:
            return values, None
        values, width = values.flatten(), width * lengths[0]


def vectors(table: pa.Table, name: str, info: Info) -> Float32[np.ndarray, "N D"]:
    """A column of D numbers per frame. Raises VantageError for anything else, for NaN and infinity,
    and for what is too large for any robot."""
    root, feature = info.root, info.features[name]
    values, width = _unnested(table.column(name).combine_chunks())
    if width is None:
        raise VantageError(
            f"column `{name}` of {root} has empty or uneven rows; "
            "every frame needs the same number of values."
        )
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        raise VantageError(
            f"column `{name}` of {root} holds {values.type} where numbers belong; record it as float32."
        )
    if feature.shape and math.prod(feature.shape) != width:
        raise VantageError(
            f"{root / INFO_FILE} gives `{name}` the shape {list(feature.shape)} and the data files hold "
            f"{width} values a frame; correct it."
        )
    if pa.types.is_floating(values.type) != feature.dtype.startswith("float"):
        raise VantageError(
            f"{root / INFO_FILE} says that `{name}` is {feature.dtype} and the data files hold "
            f"{values.type}; correct it."
        )

    rows = values.to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(table), width)
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise VantageError(
            f"column `{name}` of {root} is NaN or infinite in {int(bad.sum()):,} frames, first in "
            f"{first_frame(table, bad)}; repair or drop those episodes."
        )
    huge = (np.abs(rows) > LARGEST).any(axis=1)
    if huge.any():
        raise VantageError(
            f"column `{name}` of {root} is beyond {LARGEST:.0e} in {int(huge.sum()):,} frames, first in "
            f"{first_frame(table, huge)}, which would drown every other value in its scale; "
            "repair or drop those episodes."
        )
    return rows


def first_frame(table: pa.Table, wrong: Bool[np.ndarray, "N"]) -> str:
    """The first frame where something is wrong, in words."""
    row = int(wrong.argmax())
    return f"episode {table.column(EPISODE)[row].as_py()}, frame {table.column(FRAME)[row].as_py()}"


def flags(table: pa.Table, name: str, root: Path) -> Bool[np.ndarray, "N"]:
    """A column of True and False, or of numbers that are all 0 or 1, as LeRobot's replay buffer
    and Evo-RL write.

    Raises VantageError for anything else.
    """
    column: pa.Array = table.column(name).combine_chunks()
    if pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type):
        values = column.flatten()
        if len(values) != len(column):
            raise VantageError(
                f"column `{name}` of {root} has {len(values):,} values for {len(column):,} frames; "
                "it needs one per frame."
            )
        column = values
    if column.null_count:
        known = len(column) - column.null_count
        raise VantageError(
            f"column `{name}` of {root} has {known:,} values for {len(column):,} frames; "
            "it needs one per frame."
        )

    if pa.types.is_boolean(column.type):
        return column.to_numpy(zero_copy_only=False).astype(np.bool_)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise VantageError(
            f"column `{name}` of {root} is {column.type} and must be bool; record it as True and False."
        )
    numbers: np.ndarray = column.to_numpy(zero_copy_only=False)
    wrong = (numbers != 0) & (numbers != 1)
    if wrong.any():
        value = numbers[int(wrong.argmax())]
        raise VantageError(
            f"column `{name}` of {root} is {value:g} in {first_frame(table, wrong)}, "
            "and must be 0 or 1 everywhere; correct it."
        )
    return numbers == 1


def rewarded(table: pa.Table) -> Bool[np.ndarray, "N"] | None:
    """Where the reward is above 0; None for rewards that are no single numbers, which say nothing here."""
    values, width = _unnested(table.column(REWARD).combine_chunks())
    if width != 1 or not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        return None
    return values.to_numpy(zero_copy_only=False) > 0
