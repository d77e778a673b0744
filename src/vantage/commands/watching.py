"""Commands that take a policy into stock LeRobot: watched by a critic, or exported (see begin.py)."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from vantage.commands.options import AsJson, Folder, print_json, print_line, usually
from vantage.commands.recordings import ColumnName, Demonstrations, DrivenBy
from vantage.data.named import episodes_named

if TYPE_CHECKING:
    from vantage.algorithms.watch import Watch
    from vantage.core.alarm import Offer, Watched


def watch(
    dataset: Folder,
    /,
    critic: Path,
    outcomes: Annotated[Path | None, usually("what the data set records")] = None,
    features_of: Annotated[Path | None, usually("the policy that entered the critic's round")] = None,
    lost: float = 0.05,
    episodes: Annotated[str, usually("all", "EPISODES")] = "",
    policy: Annotated[Path | None, usually("5-actor beside the critic")] = None,
    out: Annotated[Path | None, usually("none")] = None,
    demos: Demonstrations = "",
    driver: DrivenBy = "recorded",
    intervention_column: ColumnName = None,
    json: AsJson = False,
) -> None:
    """Say when to call for help, and write a policy that does.

    Replays a recording: at every prediction of the policy the critic says p_v, how likely success still is.
    A threshold, and for how many predictions p_v must stay below it, are chosen on the recording's episodes,
    and kept in watch.json beside the critic. Every episode is judged by an alarm that was chosen without it.

    With --out it also writes a folder that lerobot-rollout runs as --policy.path: the policy as it is, with
    the alarm, and with its actions kept to the range and the speed of the recorded ones.

    Args:
        dataset: Folder of a LeRobotDataset v3: episodes of the policy, with outcomes.
        critic: A run, a round or its 3-critic.
        outcomes: csv with the columns episode_index,success.
        features_of: The checkpoint whose features the critic reads, if it was moved.
        lost: Share of the successes that may be lost to false alarms.
        episodes: Episodes to print, such as 0-4,9.
        policy: With --out, the LeRobot checkpoint to watch.
        out: Folder to write for lerobot-rollout.
        demos: It holds demonstrations; with numbers such as 0-4,9: those episodes are.
        driver: Who drove: as recorded, or the policy alone (where nobody took over there is no such column).
        intervention_column: The column that says who drove, if it is not called intervention.
    """
    from vantage.algorithms import watch as watching
    from vantage.disk.files import check_writable
    from vantage.disk.layout import critic_in
    from vantage.types import Reading, VantageError

    if not 0 <= lost <= 1:
        raise VantageError(f"--lost is {lost:g} and must be a share of the successes, from 0 to 1")
    critic = critic_in(critic) or critic
    kept = critic.parent / watching.NAME
    checkpoint = policy or critic.parent / "5-actor"
    check_writable(kept)
    if out is not None:
        check_writable(out, folder=True)
        if out.exists():
            raise VantageError(f"{out} is there already; name another folder, or delete it")

    shown = episodes_named(episodes, "--episodes") if episodes else True
    calibrated = watching.watch(
        dataset,
        critic,
        features_of=features_of or watching.features_of(critic),
        outcomes=outcomes,
        demos=episodes_named(demos),
        reading=Reading(driver, intervention_column),
        price=lost,
    )
    watching.write_watch(calibrated, kept)
    if out is not None:
        watching.write_guarded(out, checkpoint, calibrated, kept)

    if json:
        print_json({"offers": calibrated.calibration.offers, "calls": calibrated.calibration.calls})
        return
    for watched in calibrated.past:
        if shown is True or (shown and watched.episode in shown):
            print_line(episode_line(watched, calibrated))
    for line in table_lines(calibrated):
        print_line(line)
    print_line(f"kept in {kept}")
    if out is not None:
        print_line(f"lerobot-rollout --policy.path={shlex.quote(str(out))} watches {checkpoint}")


def export(checkpoint: Folder, /, out: Path, image_size: int = 96) -> None:
    """Write a policy of `vantage run` as a LeRobot policy.

    The plugin plugins/lerobot_policy_vantage must be installed where it runs: lerobot-eval --policy.path=OUT
    --env.type=vantage_metaworld --env.task=TASK. Policies of chunked PPO act with the mean of their
    Gaussian. Policies that LeRobot made need no export.

    Args:
        checkpoint: 5-actor of a round.
        out: Folder to write.
        image_size: Side in pixels of the pictures that it will be shown.
    """
    from vantage.disk.files import check_writable
    from vantage.policies.load import load_policy
    from vantage.policies.small.export import check_exportable
    from vantage.policies.small.export import export as write
    from vantage.types import VantageError

    policy = check_exportable(load_policy(checkpoint), checkpoint)
    check_writable(out, folder=True)
    if out.exists():
        raise VantageError(f"{out} is there already; name another folder, or delete it")
    write(policy, out, image_size)
    print_line(f"lerobot-eval --policy.path={shlex.quote(str(out))} --env.type=vantage_metaworld runs it")


def episode_line(watched: "Watched", calibrated: "Watch") -> str:
    """When an alarm that was chosen without an episode calls in it."""
    ends = {True: "solved", False: "failed", None: "nobody said how it ended"}[watched.solved]
    if watched.taken_over:
        ends = "a person took over"
    lowest = f"lowest p_v {watched.p_v.min():.2f}"
    driven = f"episode {watched.episode}: {ends} after {watched.steps / calibrated.fps:.1f} s, {lowest}"

    call = calibrated.calibration.calls[watched.episode]
    if call is None:
        return f"{driven}, no call"
    left = (watched.steps - call) / calibrated.fps
    return f"{driven}, calls at {call / calibrated.fps:.1f} s, {left:.1f} s before that"


def table_lines(calibrated: "Watch") -> list[str]:
    """What every price buys, and which was taken."""
    chosen = calibrated.calibration.chosen
    lines = [
        "may lose  p_v below  predictions   successes lost           failures called          time saved"
    ]
    lines += [
        _offer_line(offer, calibrated, taken=offer is chosen) for offer in calibrated.calibration.offers
    ]
    lines.append("lost, called and saved: each episode by an alarm that was chosen on the others")
    if calibrated.seen:
        lines.append(
            f"the critic was trained on {calibrated.seen} of these {len(calibrated.past)} episodes "
            "and knows them: expect less of it on new ones, or train it with --critic.folds 5"
        )
    alarm = calibrated.calibration.alarm
    if alarm.threshold == 0:
        lines.append(
            "no threshold saves anything at that price: it will never call (a larger --lost buys more)"
        )
    else:
        predictions = "1 prediction" if alarm.patience == 1 else f"{alarm.patience} predictions"
        lines.append(
            f"it calls when p_v stays below {alarm.threshold:.2f} for {predictions} "
            f"({alarm.patience * calibrated.execute / calibrated.fps:.1f} s)"
        )
    return lines


def _offer_line(offer: "Offer", calibrated: "Watch", *, taken: bool) -> str:
    lost, caught = (
        f"{share.estimate:.2f} [{share.low:.2f}, {share.high:.2f}] of {share.n}"
        for share in (offer.lost, offer.caught)
    )
    saved = f"{offer.saved / calibrated.fps:.1f} s of {offer.of / calibrated.fps:.1f} s"
    return (
        f"{'>' if taken else ' '} {offer.price:>5.0%} {offer.alarm.threshold:>10.2f} "
        f"{offer.alarm.patience:>12}   {lost:<25}{caught:<25}{saved}"
    )
