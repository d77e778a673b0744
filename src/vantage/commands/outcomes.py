"""The command that asks an engineer how recorded episodes ended.

Each function is a command (see begin.py).
"""

from pathlib import Path
from typing import Annotated

from vantage.commands.options import Folder, print_line, usually
from vantage.progress import say


def outcomes(
    dataset: Folder,
    /,
    export: Annotated[Path | None, usually("none", "CSV")] = None,
    critic: Annotated[Path | None, usually("none")] = None,
    features_of: Annotated[Path | None, usually("the policy that entered the critic's round")] = None,
    who: Annotated[str | None, usually("your name on this machine", "NAME")] = None,
    intervention_column: Annotated[
        str | None, usually("intervention, or another name that is known", "NAME")
    ] = None,
    port: int = 0,
    no_browser: bool = False,
) -> None:
    """Watch episodes in the browser, and say how each ended.

    Every press is at once in a journal beside the data set, DATASET.outcomes.jsonl. `vantage audit`, `label`,
    `finetune` and `weights` find it there; started again, the page goes on where it was. Ctrl-C ends it.

    Args:
        dataset: Folder of a LeRobotDataset v3, which is only read.
        export: Write what was said so far to this csv and end, without a page.
        critic: A run, a round or its 3-critic: p_v is drawn on the time axis. Of episodes that the run has
            not weighed it is computed behind the page, and kept in ~/.cache/vantage.
        features_of: The checkpoint whose features the critic reads, if it was moved.
        who: Who judges, for the journal.
        intervention_column: The column that says who drove, if it is not called intervention.
        port: Of the page, on this machine's own address; 0: any that is free.
        no_browser: Print the address and open nothing.
    """
    if export is not None:
        _export(dataset, export)
        return

    import getpass

    from vantage.app.outcomes import serve_outcomes
    from vantage.app.recordings import open_recordings
    from vantage.data.judgements import Journal, journal_of
    from vantage.disk.lock import alone

    recordings = open_recordings(
        dataset, intervention_column=intervention_column, critic=critic, features_of=features_of
    )
    path = journal_of(dataset)
    remedy = "judge on the page that is open, or end it with Ctrl-C first"
    with alone(path.parent, remedy, name=f".{path.name}.lock", what=path):
        journal = Journal(
            dataset,
            recordings.fingerprints.tolist(),
            recordings.lengths.tolist(),
            who=who or getpass.getuser(),
            fps=recordings.table.fps,
        )
        try:
            for sentence in journal.sentences:
                say(sentence)
            serve_outcomes(
                recordings, journal, port=port, started=lambda address: _started(address, path, no_browser)
            )
        except KeyboardInterrupt:
            say(f"ended; what was said is in {path}")  # as a person ends it
        finally:
            journal.close()


def _started(address: str, journal: Path, no_browser: bool) -> None:
    """Say where the page is, and open it."""
    import sys
    import webbrowser

    print_line(address)
    sys.stdout.flush()
    say(f"every press is saved in {journal}; Ctrl-C ends the page")
    if not no_browser:
        webbrowser.open(address)


def _export(dataset: Path, out: Path) -> None:
    """Write the csv of what the journals say of a dataset."""
    from vantage.data.outcomes import journal_as_csv
    from vantage.disk.files import OUTCOMES, check_replaces, write_whole

    check_replaces(out, OUTCOMES)
    text, judged = journal_as_csv(dataset)
    write_whole(out, text.encode())
    print_line(f"{out}: {judged:,} episodes judged")
