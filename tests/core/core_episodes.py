"""Episodes for the tests of core: written as pictures, or drawn by hypothesis."""

import numpy as np
from hypothesis import strategies as st

from vantage.types import Trace


def episode(picture: str, outcome: bool | None, *, demo: bool = False, version: int = 7) -> Trace:
    """`episode("PPH|P", True)`: two policy frames, a human one, a gap in the recording, a policy frame;
    success on the last."""
    driven = picture.replace("|", "")
    cut = [False] * len(driven)
    at = 0
    for letter in picture:
        if letter == "|":
            cut[at] = True
        else:
            at += 1
    return Trace(
        intervention=np.array([letter == "H" for letter in driven], dtype=bool),
        policy_version=np.full(len(driven), -1 if demo else version, dtype=np.int64),
        cut=np.array(cut, dtype=bool),
        outcome=outcome,
        demo=demo,
    )


OUTCOMES = st.sampled_from([True, False, None])


@st.composite
def traces(draw, *, max_length: int = 14, demo: bool | None = False, outcome=OUTCOMES) -> Trace:
    """Any short episode."""
    length = draw(st.integers(1, max_length))
    flags = st.lists(st.booleans(), min_size=length, max_size=length)
    is_demo = draw(st.booleans()) if demo is None else demo
    cut = np.array(draw(flags), dtype=bool) & np.array(draw(flags), dtype=bool)
    cut[0] = False
    return Trace(
        intervention=np.array(draw(flags), dtype=bool) | is_demo,
        policy_version=np.full(length, -1 if is_demo else 3, dtype=np.int64),
        cut=cut,
        outcome=draw(outcome),
        demo=is_demo,
    )
