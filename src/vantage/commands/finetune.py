"""The command for an engineer with a robot: recordings and a policy in, a better policy out.

Each function is a command (see begin.py).
"""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vantage.commands.options import AsJson, Changed, Tracker, about, print_json, print_line
from vantage.progress import say

if TYPE_CHECKING:
    from vantage.algorithms.finetune import FineTune


def finetune(
    out: Path, plan: bool = False, json: AsJson = False, tracker: Tracker = "none", settings: Changed = None
) -> None:
    """Make a policy better from recordings of a robot.

    Demonstrations, the policy's own episodes with whoever drove, and one outcome each become labels, a
    critic, weights, and a policy that stock LeRobot runs. Options are LeRobot's where it has them
    (--policy.path, --policy.type, --steps, --batch_size, --policy.device, --rename_map, --peft.r). Started
    again, it goes on.

    For example: vantage finetune --policy.path me/act --demos data/demos --rollouts data/rollout_1 --outcomes
    outcomes.csv --out runs/arm

    Args:
        out: Folder of the run.
        plan: Say what would be learned from and how long it takes, and stop.
        json: With --plan, as JSON.
    """
    from vantage import ranks
    from vantage.algorithms.finetune import NAME, run_finetune
    from vantage.algorithms.plan import plan_finetune
    from vantage.commands.runs import claimed, draw_report
    from vantage.config import to_json
    from vantage.tracking import tracked

    settings.check_compatible()
    if plan:
        planned = plan_finetune(settings)
        if not ranks.is_first():
            return
        if json:
            print_json(planned)
        else:
            print_line(planned.describe())
        return

    with claimed(out, NAME, settings):
        with tracked(tracker, out, to_json(settings)):
            checkpoint = run_finetune(out, settings)
        draw_report(out)
    say(
        f"the fine-tuned policy is {checkpoint}; stock LeRobot runs it: lerobot-rollout "
        f"--policy.path={shlex.quote(str(checkpoint))}"
    )


def weights(out: Path, view: bool = False, settings: Changed = None) -> None:
    """The weights of every frame alone, for lerobot-train.

    What `vantage finetune` does, with the same options, up to the credit ledger; `vantage finetune` with the
    same --out goes on from there. Writes one file of weights per data set, and the critic's viability in the
    form that LeRobot's viewer draws.

    Args:
        out: Folder of the run.
        view: Also write OUT/view, one data set of all demonstrations and rollouts from which lerobot-train,
            with the plugin, draws the windows that Vantage would.
    """
    from vantage import ranks
    from vantage.algorithms.finetune import NAME, export_view, run_weights
    from vantage.commands.runs import claimed

    settings.check_compatible()
    with claimed(out, NAME, settings):
        written = run_weights(out, settings)
        shown = export_view(out, settings) if view and ranks.is_first() else None
    for path in written:
        print_line(path)
    if shown is not None:
        root = out / "view"
        print_line(root)
        say(f"{root} holds {shown.describe()}")
        say(
            f"lerobot-train --dataset.repo_id=local/view --dataset.root={shlex.quote(str(root))} "
            "--sample_weighting.type=vantage ..."
        )


def defaults(words: Sequence[str], command: Callable[..., None] = finetune) -> "FineTune":
    """The settings before any option counts: those of the earlier run (`--from`), and what the named policy's
    authors train it with.

    `words`: the options of `command` as typed, because they name both.
    """
    from vantage.algorithms.finetune import FineTune, going_on, with_preset
    from vantage.commands.settings import change, typed_options
    from vantage.policies.lerobot.preset import preset_of
    from vantage.policies.lerobot.spec import LeRobotPolicy, LeRobotScratch

    earlier = typed_options(words).get("previous")
    before = going_on(Path(earlier[0])) if earlier else FineTune()
    typed, _ = change(before, words, command, prog=f"vantage {command.__name__}", about=about(command))
    match typed.policy:
        case LeRobotPolicy(path=path) if path and not earlier:
            return with_preset(before, preset_of(typed.policy), steps=typed.improvement.fit.steps)
        case LeRobotScratch():
            return with_preset(before, preset_of(typed.policy), steps=typed.improvement.fit.steps)
        case _:
            return before
