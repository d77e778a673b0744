"""Commands that run one stage of one round, files to files (see begin.py)."""

from vantage.commands.options import Folder, Workers


def collect(round: Folder, /, workers: Workers = 0) -> None:
    """1-episodes: play the policy of the round before, with rescues.

    Args:
        round: Folder of the round, inside a run.
        workers: Processes that play episodes.
    """
    from vantage.commands.runs import one_stage

    one_stage("collect", round, workers=workers)


def fit_critic(round: Folder, /) -> None:
    """3-critic: train viability and efficiency on the labels.

    Args:
        round: Folder of the round, inside a run.
    """
    from vantage.commands.runs import one_stage

    one_stage("fit-critic", round, workers=1)


def weigh(round: Folder, /) -> None:
    """4-weights.parquet: the credit ledger, a weight for every frame.

    Args:
        round: Folder of the round, inside a run.
    """
    from vantage.commands.runs import one_stage

    one_stage("weigh", round, workers=1)


def fit_policy(round: Folder, /) -> None:
    """5-actor: train the policy on weighted windows.

    Args:
        round: Folder of the round, inside a run.
    """
    from vantage.commands.runs import one_stage

    one_stage("fit-policy", round, workers=1)


def evaluate(round: Folder, /, workers: Workers = 0, videos: int = 0) -> None:
    """6-eval.parquet: try the policy on the evaluation starts.

    Args:
        round: Folder of the round, inside a run.
        workers: Processes that play episodes.
        videos: Trials per world whose video is kept in ROUND/videos.
    """
    from vantage.commands.runs import one_stage

    one_stage("evaluate", round, workers=workers, videos=videos)
