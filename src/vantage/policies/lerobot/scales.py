"""A checkpoint's normalisation statistics and the data's -> the ones to use, and a sentence about each that
is missing or foreign.

    checkpoint {key: {name: values}}, DataFacts ──settle──> {key: {name: values}}, remarks

LeRobot passes a value unchanged, and without a word, where its normaliser has no statistics for a key. Here
they are filled from the data, and it is said. A dimension that never moves would be divided by nearly zero;
statistics taken from data give it a width of 1 or more.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float64

from vantage.policies.lerobot.keys import ACTION, ENVIRONMENT_STATE, STATE
from vantage.policies.spec import DataFacts, Scale
from vantage.types import VantageError

Choice = Literal["checkpoint", "data", "merged"]
"""Which statistics a fine-tuned policy keeps: its checkpoint's; the data's, as lerobot-train does; or both,
weighted by frames."""

Values = Float64[np.ndarray, "..."]
Statistics = dict[str, dict[str, Values]]

IMAGENET: dict[str, Values] = {
    "mean": np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1),
    "std": np.array([0.229, 0.224, 0.225]).reshape(3, 1, 1),
}
"""What lerobot-train normalises pictures with by default, whatever the data."""

_NEEDED = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
    "IDENTITY": (),
}
_FOREIGN = 5.0
"""Standard deviations of the checkpoint's data beyond which data count as another robot's."""
_STILL = 1e-6
"""Relative width below which a dimension counts as one that never moves."""


def settle(
    stored: Mapping[str, Mapping[str, Values]],
    modes: Mapping[str, str],
    choice: Choice,
    data: DataFacts | None,
    *,
    relative_actions: bool = False,
) -> tuple[Statistics, tuple[str, ...]]:
    """The statistics to use, per key, and what has to be said about them.

    `stored`: the checkpoint's. `modes`: key -> LeRobot's normalisation mode, for every key that the policy
    normalises. `relative_actions`: the policy's actions are differences to the state, and the data's
    statistics are not of such. Raises VantageError where statistics are needed that neither side has.
    """
    settled: Statistics = {key: dict(values) for key, values in stored.items()}
    remarks: list[str] = []

    for key, mode in modes.items():
        needed = _NEEDED[mode]
        if not needed:
            continue
        ours = settled.get(key, {})
        lacking = [name for name in needed if name not in ours]
        if key not in (STATE, ACTION, ENVIRONMENT_STATE):
            if lacking:
                settled[key] = dict(IMAGENET)
                remarks.append(
                    f"{key}: the checkpoint has no {', '.join(lacking)}; "
                    "ImageNet's are used, as lerobot-train does"
                )
            continue

        theirs = _of_data(key, data)
        if key == ACTION and relative_actions and (lacking or choice != "checkpoint"):
            raise VantageError(
                "this policy predicts actions relative to the state, and statistics of such actions come "
                "only from its checkpoint; "
                'keep statistics="checkpoint", or compute them with lerobot-edit-dataset (recompute_stats, '
                "relative_action)"
            )
        if theirs is None:
            if lacking:
                raise VantageError(
                    f"{key}: the checkpoint has no {', '.join(lacking)}, "
                    "and there are no data to compute them from"
                )
            continue

        wrong_width = bool(ours) and not lacking and len(ours[needed[0]]) != theirs.dim
        if lacking:
            remarks.append(f"{key}: the checkpoint has no {', '.join(lacking)}; the data's are used")
        if lacking or wrong_width or choice == "data":
            settled[key], still = of_scale(theirs)
            remarks.extend(_still_sentences(key, still, data))
            continue
        if not (key == ACTION and relative_actions):
            remarks.extend(_foreign_sentences(key, ours, theirs, data))
        if choice == "merged":
            settled[key], sentences = _merged(key, ours, theirs)
            remarks.extend(sentences)

    return settled, tuple(remarks)


def of_data(
    data: DataFacts, pictures: Collection[str], numbers: Collection[str]
) -> tuple[Statistics, tuple[str, ...]]:
    """Statistics for a policy that starts from scratch, and what has to be said about those that it uses.

    The data's for numbers, ImageNet's for `pictures`, as lerobot-train has it. `numbers`: keys of what the
    policy reads and returns; statistics of other columns are stored beside them, and nothing is said of them.
    """
    statistics: Statistics = {key: dict(IMAGENET) for key in pictures}
    remarks: list[str] = []
    for key in (STATE, ACTION, ENVIRONMENT_STATE):
        scale = _of_data(key, data)
        if scale is not None:
            statistics[key], still = of_scale(scale)
            if key in numbers:
                remarks.extend(_still_sentences(key, still, data))
    return statistics, tuple(remarks)


def of_scale(scale: Scale) -> tuple[dict[str, Values], list[int]]:
    """Statistics in LeRobot's form, and the dimensions that never move, whose widths were set to 1 (std) or 2
    (ranges).

    Where only the quantiles coincide, the next wider range is taken: 10 % by 1 %, 1 % by the extremes.
    """
    values = scale.arrays()
    magnitude = np.maximum(np.abs(scale.mean), 1.0)
    still = (scale.max - scale.min) <= _STILL * magnitude

    values["std"] = np.where(still, 1.0, scale.std)
    for low, high in (("min", "max"), ("q01", "q99"), ("q10", "q90")):
        values[low] = np.where(still, scale.mean - 1.0, values[low])
        values[high] = np.where(still, scale.mean + 1.0, values[high])

    for (low, high), (wider_low, wider_high) in (
        (("q01", "q99"), ("min", "max")),
        (("q10", "q90"), ("q01", "q99")),
    ):
        equal = (values[high] - values[low]) <= _STILL * magnitude
        values[low] = np.where(equal, values[wider_low], values[low])
        values[high] = np.where(equal, values[wider_high], values[high])
    return values, np.flatnonzero(still).tolist()


def _of_data(key: str, data: DataFacts | None) -> Scale | None:
    if data is None:
        return None
    return {STATE: data.state, ACTION: data.action, ENVIRONMENT_STATE: data.environment_state}[key]


def _dimension(key: str, index: int, data: DataFacts | None) -> str:
    names = None if data is None else {STATE: data.state_names, ACTION: data.action_names}.get(key)
    return f"dimension {index}" if names is None else f"dimension {index} ({names[index]})"


def _still_sentences(key: str, still: list[int], data: DataFacts | None) -> Iterator[str]:
    if still:
        where = ", ".join(_dimension(key, index, data).removeprefix("dimension ") for index in still)
        what = f"dimension {where} never moves in the data; it is"
        if len(still) > 1:
            what = f"dimensions {where} never move in the data; they are"
        yield f"{key}: {what} passed on without a change of scale"


def _foreign_sentences(
    key: str, ours: Mapping[str, Values], theirs: Scale, data: DataFacts | None
) -> Iterator[str]:
    """One sentence per dimension in which the data's middle 98 % reach beyond 5 standard deviations of the
    checkpoint's data."""
    centre, width = _centre_and_width(ours)
    reach = np.maximum(np.abs(theirs.q01 - centre), np.abs(theirs.q99 - centre))
    tolerance = _STILL * np.maximum(np.abs(centre), 1.0)

    for index in np.flatnonzero(reach > np.maximum(_FOREIGN * width, tolerance)).tolist():
        where = f"{key}: {_dimension(key, index, data)}"
        if width[index] <= tolerance[index]:
            yield (
                f"{where} never moved in the checkpoint's data and moves here; "
                'use statistics="data" or "merged" (--policy.statistics data)'
            )
            continue
        distance = reach[index] / width[index]
        yield (
            f"{where} lies up to {distance:.1f} standard deviations of the checkpoint's data from their "
            "mean; "
            'if this is another robot, use statistics="data" (--policy.statistics data)'
        )


def _centre_and_width(ours: Mapping[str, Values]) -> tuple[Values, Values]:
    """Mean and standard deviation, from quantiles or extremes where they are not stored (of a normal
    distribution)."""
    if "mean" in ours and "std" in ours:
        return ours["mean"], ours["std"]
    for low, high, deviations in (("q01", "q99", 2.326), ("q10", "q90", 1.2816), ("min", "max", 2.326)):
        if low in ours and high in ours:
            return (ours[low] + ours[high]) / 2, (ours[high] - ours[low]) / (2 * deviations)
    raise AssertionError("no mode needs other statistics")


def _merged(key: str, ours: Mapping[str, Values], theirs: Scale) -> tuple[dict[str, Values], list[str]]:
    """Both together: mean and std exactly, weighted by frames; extremes exactly; quantiles by the wider of
    the two.

    A checkpoint that does not say its number of frames counts as many as the data.
    """
    fresh, _ = of_scale(theirs)
    merged: dict[str, Values] = {}
    remarks: list[str] = []
    frames = float(ours["count"].reshape(-1)[0]) if "count" in ours else float(theirs.count)
    if "count" not in ours:
        remarks.append(
            f"{key}: the checkpoint does not say from how many frames its statistics are; "
            "it counts as much as the data"
        )

    share = frames / (frames + theirs.count)
    if "mean" in ours and "std" in ours:
        mean = share * ours["mean"] + (1 - share) * theirs.mean
        our_second, their_second = ours["std"] ** 2 + ours["mean"] ** 2, theirs.std**2 + theirs.mean**2
        second = share * our_second + (1 - share) * their_second
        spread = np.sqrt(np.maximum(second - mean**2, 0.0))
        merged |= {
            "mean": mean,
            "std": np.where(spread <= _STILL * np.maximum(np.abs(mean), 1.0), 1.0, spread),
        }
    for name in ("min", "q01", "q10"):
        if name in ours:
            merged[name] = np.minimum(ours[name], fresh[name])
    for name in ("max", "q99", "q90"):
        if name in ours:
            merged[name] = np.maximum(ours[name], fresh[name])
    return merged | {"count": np.array([frames + theirs.count])}, remarks
