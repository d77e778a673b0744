"""A stored exhibit -> its figure: pictures of the episode over what the critic
said of every step (Fig. 4 right, 5, 6)."""

import math

import numpy as np
from jaxtyping import Bool, Float

from vantage.study.exhibit_rows import Exhibit
from vantage.study.figures.card import LIGHT, MARGIN, NOTE, bare, card, note_lines
from vantage.study.figures.forest import WIDTH

TRACKS = (
    ("p_v", "viability p_v", "blue"),
    ("a_v", "advantage A_v", "blue"),
    ("v_e", "steps to go, −V_e", "teal"),
    ("a_e", "advantage A_e", "teal"),
    ("g", "gate g", "violet"),
)
"""Value, words, colour of the lines under the pictures."""
TRACK, GAP = 74.0, 4.0
"""Height of a track with the space over it, and the space between two pictures."""
UNUSED = "Faint: not used. HABC imitates the human as is, and the policy before a rescue not at all."
"""Why the gate of a rescued episode is only there to look at."""
LEFT, STRIP = 168.0, 44.0
"""Where pictures and tracks begin, and the top of the pictures."""


def film_strip(exhibit: Exhibit) -> str:
    """Pictures over the tracks of p_v, the advantages, -V_e and g; where a human drives, the ground is
    orange."""
    length, right = len(exhibit.p_v), WIDTH - MARGIN
    helped = bool(exhibit.human.any())
    side = (right - LEFT + GAP) / max(len(exhibit.pictures), 1) - GAP
    top = STRIP + side + 34

    notes = [f"{length} control steps, left to right.{' Orange: a human drives.' if helped else ''}"]
    if helped:
        notes += note_lines(UNUSED, WIDTH)

    with card(WIDTH, top + TRACK * len(TRACKS) + 26 + NOTE * (len(notes) - 1)) as sheet:
        sheet.title(exhibit.words)
        for number, (step, jpeg) in enumerate(sorted(exhibit.pictures.items())):
            x = LEFT + number * (side + GAP)
            sheet.picture(x, STRIP, side, jpeg)
            sheet.text(x + side / 2, STRIP + side + 16, f"step {step}", align="center", size=11)

        for value, words, colour in TRACKS:
            values = -exhibit.v_e if value == "v_e" else getattr(exhibit, value)
            low, high = _extent(value, values)
            span = (0.0, max(length - 1.0, 1.0))
            axes = sheet.panel(LEFT, top, right, top + TRACK - 18, x=span, y=(low, high))
            bare(axes, keep=("bottom",))
            axes.set_xticks([])
            axes.set_yticks([low, high], [f"{low:.0f}".replace("-", "−"), f"{high:.0f}"])
            axes.grid(True, axis="y")

            for begin, end in _stretches(exhibit.human):
                axes.axvspan(begin, end - 1, color=LIGHT["orange"], alpha=0.18, linewidth=0)
            # In a rescued episode the gate weighs no frame, so it is drawn as something to look at only.
            faint = value == "g" and helped
            axes.plot(np.arange(length), values, color=LIGHT[colour], alpha=0.45 if faint else 1.0)
            sheet.text(MARGIN, top + TRACK / 2 - 4, words, colour=colour, bold=True)
            top += TRACK

        sheet.note(notes)
        return sheet.svg(
            f"{exhibit.words}. p_v from {exhibit.p_v[0]:.2f} to {exhibit.p_v[-1]:.2f} over {length} steps."
            f"{' A human drives part of it.' if helped else ''}"
        )


def _extent(value: str, values: Float[np.ndarray, "T"]) -> tuple[float, float]:
    """What a track shows; an advantage is shown around 0, without its rarest twentieth."""
    if value in ("a_v", "a_e"):
        reach = max(1.0, float(math.ceil(np.nanquantile(np.abs(values), 0.95))))
        return -reach, reach
    if value in ("p_v", "g"):
        return 0.0, 1.0 if value == "p_v" else 2.0
    return 0.0, float(np.nanmax(values)) * 1.05


def _stretches(true: Bool[np.ndarray, "T"]) -> list[tuple[int, int]]:
    """[begin, end) of every unbroken run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
