"""The command that judges trials on a real robot (see begin.py)."""

from pathlib import Path
from typing import Annotated

import tyro

from vantage.commands.options import AsJson, print_json, print_line, usually

Trials = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CSV")]


def compare(
    ours: Trials,
    theirs: Trials,
    /,
    html: Annotated[Path | None, usually("none")] = None,
    json: AsJson = False,
) -> None:
    """Say which of two policies is better, from trials on a robot.

    Each file has one line per trial and a column success (1 or 0). With a column start, and the same starts
    in both, trials are judged in pairs.

    Args:
        ours: Trials of one policy.
        theirs: Trials of the other.
        html: A page to hand around.
    """
    from vantage.data.real_trials import read_trials
    from vantage.disk.files import PAGE, check_replaces
    from vantage.report.real_trials import judge, write_page
    from vantage.report.words import bracket, percent
    from vantage.types import VantageError

    if html is not None:
        check_replaces(html, PAGE)
    if ours.exists() and theirs.exists() and ours.samefile(theirs):
        raise VantageError(f"{ours} and {theirs} are the same file; name the trials of two policies")
    verdict = judge(read_trials(ours), read_trials(theirs))
    if html is not None:
        write_page(verdict, html)

    if json:
        print_json(verdict)
        return
    for name, rate in ((verdict.ours, verdict.our_rate), (verdict.theirs, verdict.their_rate)):
        print_line(
            f"{name}: {percent(rate.estimate)} of {rate.n} "
            f"trials{bracket(percent(rate.low), percent(rate.high))}"
        )
    if verdict.paired:
        print_line(
            f"only {verdict.ours} solved {verdict.only_ours} of the starts, "
            f"only {verdict.theirs} {verdict.only_theirs}"
        )
    print_line(verdict.sentence)
