"""Words typed in -> the numbers of episodes that they name. Imports nothing slow, because help uses it."""

import re

from vantage.errors import VantageError

ALL = "all"
"""Every episode."""
NONE = "none"
"""No episode."""


def episodes_named(text: str, option: str = "--demos") -> bool | frozenset[int]:
    """The numbers in a text such as `0-4,9`; True for all episodes, False for none (or nothing).

    `option`: where it was typed. Raises VantageError for anything else.
    """
    if text in ("", ALL, NONE):
        return text == ALL
    numbers = set[int]()
    for part in text.split(","):
        matched = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if matched is None or int(matched[2] or matched[1]) < int(matched[1]):
            raise VantageError(
                f"{option} {text}: `{part}` names no episodes; write numbers and ranges such as 0-4,9"
            )
        numbers |= set(range(int(matched[1]), int(matched[2] or matched[1]) + 1))
    return frozenset(numbers)
