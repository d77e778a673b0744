from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from vantage.core.credit import join_labels, label_episode
from vantage.data.audit import Audit, audit
from vantage.data.episodes import Episode
from vantage.data.outcomes import resolve_outcomes
from vantage.data.v3.read import read_table
from vantage.data.v3.schema import LABEL_COLUMNS
from vantage.disk.tables import write_parquet
from vantage.report.audit_view import render_audit
from vantage.types import VantageError

Make = Callable[..., Episode]
Write = Callable[..., Path]


def shown(found: Audit) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(render_audit(found))
    return console.export_text()


def write_labels(root: Path, path: Path) -> None:
    table = read_table(root)
    labels = join_labels([label_episode(trace) for trace in table.traces(list(resolve_outcomes(table, None)[0].values()))])
    known = {
        "outcome_source": np.full(len(table), "next.success"),
        "index": table.index,
        "episode_index": table.episode_index,
        "frame_index": table.frame_index,
    }
    columns = {name: known[name] if name in known else getattr(labels, name) for name in LABEL_COLUMNS}
    write_parquet(path, columns, nullable=("outcome", "viability_target", "efficiency_target_mc"))


def test_counts_by_hand(episode: Make, dataset: Write, tmp_path: Path) -> None:
    root = dataset(
        [
            episode(drivers="PPPHHHPP", seed=1),  # rescued: 3 segments, 2 hand-overs, 2 of 5 policy frames labelled
            episode(drivers="PPPPP", seed=2, success=False),  # autonomous failure
            episode(drivers="PPHH", seed=3),  # rescued, ends in human hands: nothing labelled
            episode(drivers="PPP", seed=4, prompt="open [the] drawer"),  # autonomous success
        ]
    )
    labels, weights = tmp_path / "l.parquet", tmp_path / "w.parquet"
    write_labels(root, labels)
    weight = np.zeros(20)
    weight[:4] = [1, 1, 2, 0]
    sampling = np.zeros(20)
    sampling[:4] = 0.25
    write_parquet(weights, {"weight": weight, "sampling": sampling})
    found = audit(root, labels=labels, weights=weights)
    assert (found.frames, found.lengths.tolist(), found.fps) == (20, [8, 5, 4, 3], 20)
    assert (found.successes, found.failures, found.unrecorded) == (3, 1, 0)
    assert (found.autonomous, found.rescued, found.ends_in_human_hands) == (2, 2, 1)
    assert (found.segments, found.handovers, found.cuts, found.human_frames) == (7, 3, 0, 5)
    assert found.coverage == {"viability": 2 + 5 + 3, "efficiency": 2 + 3 + 2 + 3}
    assert found.routes == {"rollout_success": 5, "rollout_failure": 5, "intervention": 5, "unlabelled": 5}
    assert found.weighing is not None and found.weighing.drawn == 4 and found.weighing.effective == pytest.approx(16 / 6)
    assert found.problems == ()
    text = shown(found)
    assert "3 successes, 1 failures" in text and "open [the] drawer" in text and "no problems found" in text


def test_problems_are_named(episode: Make, dataset: Write, tmp_path: Path) -> None:
    frozen = episode(50, seed=2, cameras=("wrist", "corner"))
    frozen.images["wrist"][:] = frozen.images["wrist"][0]
    fine = episode(60, seed=3, cameras=("wrist", "corner"))
    blip = episode(drivers="PPPPHPPPP", seed=4, cameras=("wrist", "corner"))
    early = replace(blip, intervention=np.zeros(9, bool), success=np.arange(9) == 4)
    for one in (frozen, fine, blip, early):
        one.action[:, 2] = 0
    root = dataset([frozen, fine, blip, early])
    csv = tmp_path / "o.csv"
    csv.write_text("episode_index,success\n0,1\n1,0\n2,1\n")
    problems = audit(root, csv).problems
    expected = (
        "episode 3 without an outcome",
        "episode 2 with an intervention of a single frame",
        "episode 3 that succeeded before the end",
    )
    for part in (*expected, "action dimension 2 never changes", "episode 0 in which camera wrist shows the same picture"):
        assert any(part in problem for problem in problems), (part, problems)
    assert len(problems) == 5


def test_clipped_actions(episode: Make, dataset: Write) -> None:
    one = episode(40)
    one.action[:30, 1] = 1
    (problem,) = audit(dataset([one])).problems
    assert problem.startswith("action dimension 1 sits at its limits") and "in 78% of the frames" in problem


def test_labels_that_do_not_cover_the_dataset(episode: Make, dataset: Write, tmp_path: Path) -> None:
    root = dataset([episode(5)])
    write_labels(root, tmp_path / "l.parquet")
    root = dataset([episode(5), episode(2)])
    with pytest.raises(VantageError, match=r"^l\.parquet covers 5 of 7 frames; run `vantage label` again"):
        audit(root, labels=tmp_path / "l.parquet")


def test_demonstrations_and_datasets_without_outcomes(episode: Make, dataset: Write) -> None:
    demo = replace(episode(5), policy_version=np.full(5, -1), intervention=np.ones(5, bool))
    found = audit(dataset([demo]), demos=True)
    assert found.problems == () and found.human_frames == 5


def test_what_a_dataset_says_is_shown_as_text(episode: Make, dataset: Write) -> None:
    root = dataset([episode(prompt="[/x] [red]a[/red] :smile: \\ \x1b[2J\u202e\nb")])
    mark = "\N{REPLACEMENT CHARACTER}"
    assert f"[/x] [red]a[/red] :smile: \\ {mark}[2J{mark} b" in shown(audit(root))
    named = replace(audit(root), root=Path("/data/[/x] a[red]b"), problems=("camera [bold] is stuck",))
    assert "/data/[/x] a[red]b" in shown(named) and "! camera [bold] is stuck" in shown(named)
