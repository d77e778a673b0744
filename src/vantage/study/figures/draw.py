"""Stored rows -> every figure of a study: the paper's Fig. 3 to 6 and App. G, the differences, every cell,
what a stop rule saves.

    rows ──statistics──> estimates with intervals ──forest, curves, ...──> Figure (name, heading, SVG)

Colours are the families of arms (`arms.Family`); groups and names come from the arms' own settings. Every
figure states its n and what its intervals are; where there is one seed there is no interval, and none is
drawn.
"""

from dataclasses import dataclass

from vantage.study.exhibit_rows import read_exhibits
from vantage.study.figures import groups
from vantage.study.figures.curves import stop_curve, viable_starts
from vantage.study.figures.differences import differences
from vantage.study.figures.filmstrip import film_strip
from vantage.study.figures.practice import practice_curves
from vantage.study.figures.success import every_cell, gate_means, steps_by_method, success_by_method
from vantage.study.rows import Results
from vantage.study.tables import Estimates, stop_arm


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One drawing of a study."""

    name: str
    """Of its file."""
    heading: str
    svg: str


def draw_study(results: Results, estimates: Estimates) -> list[Figure]:
    """Every figure for which there are rows, the stored exhibits last."""
    drawn = [*_by_method(results, estimates)]
    judge = stop_arm(results)
    if judge is not None and groups.habc_chain(results.study):
        heading = "Viable starts, round after round (Fig. 4, left)"
        drawn.append(Figure(name="fig4-starts", heading=heading, svg=viable_starts(results)))
        drawn.append(Figure(name="app-g", heading="Mean g (App. G)", svg=gate_means(results)))
    if judge is not None:
        heading = "Stop early and call for help"
        drawn.append(Figure(name="stops", heading=heading, svg=stop_curve(results, judge)))
    for exhibit in read_exhibits(results.folder):
        drawn.append(Figure(name=exhibit.name, heading=exhibit.words, svg=film_strip(exhibit)))
    return drawn


def _by_method(results: Results, estimates: Estimates) -> list[Figure]:
    """What arms reach: those of the paper, while they practised, all differences, those beyond,
    those on shared data, and every cell."""
    study, rates, under = results.study, estimates.rates, _under(results)
    drawn: list[Figure] = []
    ordered = groups.by_family(study, groups.ordered_arms(results))
    if ordered:
        heading = "Success by method and task (the paper's Fig. 3)"
        drawn.append(
            Figure(name="fig3-success", heading=heading, svg=success_by_method(results, rates, ordered))
        )
        heading = "Steps of successes (Fig. 3)"
        drawn.append(Figure(name="fig3-steps", heading=heading, svg=steps_by_method(results, ordered)))

    for curves in study.view.curves if study.view else ():
        drawn.append(Figure(name=curves.name, heading=curves.words, svg=practice_curves(results, curves)))

    unordered = groups.by_family(study, groups.unordered_arms(results))
    if unordered:
        words = f"Success by method and task{under}"
        svg = success_by_method(results, rates, unordered, words=words)
        drawn.append(Figure(name="success", heading=words, svg=svg))

    if estimates.contrasts:
        svg = differences(study, estimates.contrasts, under=under)
        heading = f"Differences{under}, with 95 % intervals; bold: stands among all of them (Holm, 5 %)"
        drawn.append(Figure(name="differences", heading=heading, svg=svg))

    further = groups.by_training(study, groups.further_arms(results))
    if further:
        words = "Success beyond the paper's comparison"
        svg = success_by_method(results, rates, further, words=words)
        drawn.append(Figure(name="beyond-success", heading=words, svg=svg))
        words = "Steps of successes beyond the paper's comparison"
        drawn.append(
            Figure(name="beyond-steps", heading=words, svg=steps_by_method(results, further, words=words))
        )

    shared = groups.by_family(study, groups.shared_arms(results))
    if shared:
        words = "Success of every rule on the same rollouts"
        svg = success_by_method(results, rates, shared, words=words)
        drawn.append(Figure(name="shared-success", heading=words, svg=svg))

    svg = every_cell(results, words=f"Success of every cell{under}, by method and task")
    drawn.append(Figure(name="cells", heading=f"Every cell{under}, with its Wilson interval", svg=svg))
    return drawn


def _under(results: Results) -> str:
    """Words for the cap under which a study with a view counts its trials; empty without a view."""
    view = results.study.view
    return f" within {view.caps[0]} control steps" if view else ""
