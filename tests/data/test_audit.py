"""What an audit counts, what it finds, and that it finds everything at once."""

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from vantage.cli import dispatch
from vantage.data.audit import Audit, Facts, audit
from vantage.data.checks.episodes import in_ranges
from vantage.data.episodes import Episode
from vantage.data.findings import Level, warning
from vantage.data.v3.write import STATS_FILE
from vantage.disk.tables import write_parquet
from vantage.report.audit_view import render_audit, write_audit_page
from vantage.stages.label import label

Make = Callable[..., Episode]
Write = Callable[..., Path]
DATA = "data/chunk-000/file-000.parquet"
META = "meta/episodes/chunk-000/file-000.parquet"


def shown(found: Audit) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(render_audit(found))
    return console.export_text()


def facts_of(found: Audit) -> Facts:
    assert found.facts is not None, found.findings
    return found.facts


def said(found: Audit, *parts: str, level: Level = Level.WARNING) -> None:
    """Every part stands in a finding of this level."""
    texts = [finding.text for finding in found.findings if finding.level is level]
    for part in parts:
        assert any(part in text for text in texts), (part, found.findings)


def changed(root: Path, name: str, values: pa.Array, file: str = DATA) -> None:
    table = pq.read_table(root / file)
    pq.write_table(table.set_column(table.column_names.index(name), name, values), root / file)


def test_counts_by_hand(episode: Make, dataset: Write, tmp_path: Path) -> None:
    root = dataset(
        [
            episode(
                drivers="PPPHHHPP", seed=1
            ),  # rescued: 3 segments, 2 hand-overs, 2 of 5 policy frames labelled
            episode(drivers="PPPPP", seed=2, success=False),  # autonomous failure
            episode(drivers="PPHH", seed=3),  # rescued, ends in human hands: nothing labelled
            episode(drivers="PPP", seed=4, prompt="open [the] drawer"),  # autonomous success
        ]
    )
    labels, weights = tmp_path / "l.parquet", tmp_path / "w.parquet"
    label(root, labels)
    weight = np.zeros(20)
    weight[:4] = [1, 1, 2, 0]
    sampling = np.zeros(20)
    sampling[:4] = 0.25
    write_parquet(weights, {"weight": weight, "sampling": sampling})
    found = audit(root, labels=labels, weights=weights)
    facts, credit = facts_of(found), found.credit
    assert (facts.frames, facts.lengths.tolist(), facts.fps) == (20, [8, 5, 4, 3], 20)
    assert (facts.attempts, facts.successes, facts.failures, facts.unrecorded) == (4, 3, 1, 0)
    assert (facts.autonomous, facts.rescued, facts.ends_in_human_hands, facts.demonstrations) == (2, 2, 1, 0)
    assert (facts.segments, facts.handovers, facts.cuts, facts.human_frames) == (7, 3, 0, 5)
    assert credit is not None and credit == audit(root).credit, "labels are not needed for it"
    assert (credit.viability_successes, credit.viability_failures, credit.efficiency) == (
        2 + 3,
        5,
        2 + 3 + 2 + 3,
    )
    assert credit.routes == {"rollout_success": 5, "rollout_failure": 5, "intervention": 5, "unlabelled": 5}
    assert credit.imitated == 10
    assert credit.silent == {"a person's, imitated": 5, "before or between corrections": 5}
    assert (
        found.weighing is not None
        and found.weighing.drawn == 4
        and found.weighing.effective == pytest.approx(16 / 6)
    )
    assert found.problems == found.failures == ()
    text = shown(found)
    assert "3 successes, 1 failures" in text and "open [the] drawer" in text and "no problems found" in text
    assert "10 frames (50%); the others: 5 a person's, imitated, 5 before or between corrections" in text


def test_attempts_and_demonstrations_are_counted(episode: Make, dataset: Write, tmp_path: Path) -> None:
    root = dataset([episode(10, seed=seed, success=False) for seed in range(4)])
    csv = tmp_path / "o.csv"
    csv.write_text("episode_index,from,to,success\n0,0,3,1\n0,5,9,0\n1,,,\n2,,,0\n")
    found = audit(root, csv, demos=[2, 3])
    facts, credit = facts_of(found), found.credit
    assert (facts.attempts, facts.demonstrations) == (5, 2)
    assert (facts.successes, facts.failures, facts.unrecorded) == (2, 2, 1), (
        "one demonstration failed, one succeeded"
    )
    assert credit is not None and credit.silent == {
        "a person's, imitated": 10,
        "in no attempt": 1,
        "of a demonstration that failed": 10,
        "of an attempt without an outcome": 10,
    }


def test_problems_are_named(episode: Make, dataset: Write, tmp_path: Path) -> None:
    frozen = episode(50, seed=2, cameras=("wrist", "corner"))
    frozen.images["wrist"][:] = frozen.images["wrist"][0]
    fine = episode(60, seed=3, cameras=("wrist", "corner"))
    blip = episode(drivers="PPPPHPPPP", seed=4, cameras=("wrist", "corner"))
    early = replace(episode(9, seed=5, cameras=("wrist", "corner")), success=np.arange(9) == 4)
    for one in (frozen, fine, blip, early):
        one.action[:, 2] = 0
    root = dataset([frozen, fine, blip, early])
    csv = tmp_path / "o.csv"
    csv.write_text("episode_index,success\n0,1\n1,0\n2,1\n")
    parts = (
        f"{csv} names 3 of 4 episodes",
        "episode 3 without an outcome",
        "episode 2 with an intervention of a single frame",
        "episode 3 that succeeded before the end",
        "action dimension 2 (0) never changes",
    )
    stuck = "episode 0 in which camera wrist shows the same picture"
    found = audit(root, csv)
    said(found, *parts)
    assert len(found.problems) == 5 and not any(stuck in text for text in found.problems), (
        "videos are not decoded unasked"
    )
    found = audit(root, csv, pictures=True)
    said(found, *parts, stuck)
    assert len(found.problems) == 6


def test_clipped_actions(episode: Make, dataset: Write) -> None:
    one = episode(40)
    one.action[:30, 1] = 1
    (problem,) = audit(dataset([one])).problems
    assert problem.startswith("action dimension 1 sits at its limits") and "in 78% of the frames" in problem


def moving(episode: Make, drivers: str, state: Sequence[float], seed: int = 0) -> Episode:
    """An episode whose first state dimension is given."""
    one = episode(drivers=drivers, seed=seed)
    one.state[:] = one.state / 100
    one.state[:, 0] = state
    return one


def test_jumps_at_handovers(episode: Make, dataset: Write) -> None:
    steady = moving(episode, "P" * 10 + "H" * 10, np.arange(20) / 10)
    jump = moving(
        episode, "P" * 10 + "H" * 10 + "P" * 5, np.append(np.arange(10) / 10, 5 + np.arange(15) / 10), seed=1
    )
    found = audit(dataset([steady, jump]))
    said(found, "the state jumps at 1 of 3 hand-overs", "(episode 1, frame 10)")
    assert "jumps" not in " ".join(audit(dataset([steady])).problems), "a hand-over need not jump"


def test_a_policy_that_resumes_on_what_it_saw_before(episode: Make, dataset: Write) -> None:
    drivers = "PPPPHHHHPPPP"
    one = moving(episode, drivers, np.arange(12) / 10)
    assert not audit(dataset([one])).problems
    one.state[8:] = one.state[3]
    said(
        audit(dataset([one])), "episode 0 in which the policy resumed on the state from before the correction"
    )


def test_copies_are_counted_once_too_often(episode: Make, dataset: Write) -> None:
    found = audit(dataset([episode(6, seed=1), episode(6, seed=2), episode(6, seed=1)]))
    said(found, "episode 2 that repeat another frame by frame (the first one episode 0)")


def test_statistics_that_are_not_of_the_data(episode: Make, dataset: Write) -> None:
    root = dataset([episode(30, seed=1), episode(30, seed=2)])
    assert not audit(root).problems
    stats = json.loads((root / STATS_FILE).read_text())
    spoiled = json.loads(json.dumps(stats))
    spoiled["action"]["mean"][1] += 1
    spoiled["observation.state"]["q01"], spoiled["observation.state"]["q99"] = (
        stats["observation.state"]["q99"],
        stats["observation.state"]["q01"],
    )
    (root / STATS_FILE).write_text(json.dumps(spoiled))
    meta = pq.read_table(root / META)
    column = meta.column_names.index("stats/action/max")
    values = meta.column("stats/action/max").to_pylist()
    values[1][0] += 3
    pq.write_table(meta.set_column(column, "stats/action/max", pa.array(values)), root / META)

    found = audit(root)
    said(
        found,
        "meta/stats.json gives `action` dimension 1 the mean",
        "quantiles of `observation.state` out of order (q01 above q10)",
        "meta/episodes holds statistics of `action` for episode 1 that are not the data's",
    )
    assert len(found.problems) == 3 and not found.failures
    (root / STATS_FILE).write_text("no json")
    said(audit(root), "is not valid JSON")


def test_demonstrations_among_rollouts_are_suspected(episode: Make, dataset: Write) -> None:
    alike = [episode(6, seed=seed) for seed in range(3)]
    found = audit(dataset([*alike, episode(drivers="PPHHPP", seed=8), episode(6, seed=9, success=False)]))
    said(
        found,
        "episodes 0-2 have no hand-over and all succeed; if they are demonstrations, say --demos 0-2",
        level=Level.NOTE,
    )
    found = audit(dataset([*alike, episode(6, seed=9, success=False)]))
    assert not found.findings, "a policy may succeed three times, where nobody ever took over"
    by_hand = [episode(drivers="HHHH", seed=seed) for seed in (1, 2)]
    found = audit(dataset([by_hand[0], episode(6, seed=3), by_hand[1]]))
    said(found, "say --demos 0,2", level=Level.NOTE)


def test_episode_numbers_in_ranges() -> None:
    assert in_ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8" and in_ranges([3]) == "3"


def test_what_to_record_next(episode: Make, dataset: Write, tmp_path: Path) -> None:
    good = [episode(6, seed=seed) for seed in range(5)]
    bad = [episode(6, seed=10 + seed, success=False) for seed in range(5)]
    rescued = episode(drivers="PPHHPP", seed=20)
    assert audit(dataset([*good, *bad, rescued])).advice == ()
    (alone,) = audit(dataset([*good, *bad])).advice
    assert alone.startswith("take over when it errs")
    (few,) = audit(dataset([*good, rescued])).advice
    assert "until there are 5 failures or more (6 successes, 0 failures now)" in few
    (neither,) = (text for text in audit(dataset([good[0], bad[0], rescued])).advice if "record on" in text)
    assert "until there are 5 failures and 5 successes or more (2 successes, 1 failures now)" in neither
    csv = tmp_path / "o.csv"
    csv.write_text("episode_index,success\n0,1\n")
    assert "say how the other 10 attempts ended" in audit(dataset([*good, *bad, rescued]), csv).advice[0]
    in_hand = [episode(drivers="PPHH", seed=30 + seed, success=seed % 2 == 0) for seed in range(10)]
    assert audit(dataset(in_hand)).advice[-1].startswith("give the robot back before the end")
    corrections = dataset([episode(drivers="HHHH", seed=1)])
    assert audit(corrections).advice[0].startswith("record what the policy does on its own too")
    said(audit(corrections), "no autonomous frames: there is nothing to credit", level=Level.NOTE)
    assert audit(corrections, demos=True).advice == ()


def page_of(found: Audit, tmp_path: Path) -> str:
    write_audit_page(found, tmp_path / "audit.html")
    return html.unescape((tmp_path / "audit.html").read_text())


def test_where_nothing_succeeded_it_says_what_cannot_be_learned(
    episode: Make, dataset: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was called ready to be learned from, and a critic had one of its two answers to learn."""
    root = dataset([episode(6, seed=seed, success=False) for seed in range(6)])
    found = audit(root)
    imitated, lacks = found.unlearnable
    assert lacks == (
        "no attempt of the policy's succeeded (6 failed): a critic cannot learn what leads to success from "
        "it (the viability head would expect failure everywhere, and the efficiency head has no frame)"
    )
    assert imitated.startswith("no frame is there to be imitated")
    said(found, lacks, imitated)
    assert found.advice[0].startswith("make some attempts succeed: take over when it errs")

    dispatch(["audit", str(root), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["unlearnable"] == [*found.unlearnable] and told["advice"][0] == found.advice[0]
    for text in (shown(found), page_of(found, tmp_path)):
        assert "Ready to be learned from" not in text and "Not everything can be learned from it" in text
        assert lacks in " ".join(text.split()) and found.advice[0] in " ".join(text.split())
    assert "What it cannot teach" in page_of(found, tmp_path)


@pytest.mark.parametrize(
    ("drivers", "success", "lacks"),
    [
        (("PPPP", "PPHHPP"), (True, True), ("no frame of a failure is credited",)),
        (
            ("PPHH", "PPHHPP"),
            (True, False),
            ("of the attempts that succeeded, no frame of the policy's own",),
        ),
        (("PPHH", "PPHH"), (True, False), ("no frame that the policy drove carries an outcome",)),
        (("HHHH", "HHHH"), (True, False), ("no frame that the policy drove carries an outcome",)),
        (("PPPP", "PPHHPP"), (True, False), ()),
    ],
)
def test_each_answer_that_is_missing_is_named(
    drivers: tuple[str, ...],
    success: tuple[bool, ...],
    lacks: tuple[str, ...],
    episode: Make,
    dataset: Write,
) -> None:
    pairs = zip(drivers, success, strict=True)
    found = audit(dataset([episode(drivers=one, success=won, seed=len(one)) for one, won in pairs]))
    assert len(found.unlearnable) == len(lacks)
    assert all(text.startswith(begin) for text, begin in zip(found.unlearnable, lacks, strict=True))
    assert ("Ready to be learned from" in shown(found)) == (not lacks)


def test_demonstrations_that_all_failed_teach_nothing(episode: Make, dataset: Write, tmp_path: Path) -> None:
    root, csv = dataset([episode(4, seed=1)]), tmp_path / "o.csv"
    csv.write_text("episode_index,success\n0,0\n")
    assert audit(root, demos=True).unlearnable == ()
    assert audit(root, csv, demos=True).unlearnable[0].startswith("no frame is there to be imitated")


def test_failed_demonstrations_are_not_taken_for_rollouts(
    episode: Make, dataset: Write, tmp_path: Path
) -> None:
    """One of two demonstrations failed, and one rollout succeeded: that is one success to learn from."""
    root, csv = dataset([episode(4, seed=seed) for seed in range(3)]), tmp_path / "o.csv"
    csv.write_text("episode_index,success\n0,0\n1,1\n2,1\n")
    facts = facts_of(audit(root, csv, demos=[0, 1]))
    assert (facts.rollouts_succeeded, facts.rollouts_failed) == (1, 0)
    assert "(1 successes, 0 failures now)" in audit(root, csv, demos=[0, 1]).advice[0]


def test_all_failures_are_named_at_once(episode: Make, dataset: Write, tmp_path: Path) -> None:
    """Two columns, the numbering, the prompts, both cameras, the csv, labels and weights."""
    root = dataset(
        [episode(8, seed=1, cameras=("front", "wrist")), episode(8, seed=2, cameras=("front", "wrist"))]
    )
    action = np.ones((16, 3), np.float32)
    action[3, 1] = np.nan
    changed(root, "action", pa.FixedSizeListArray.from_arrays(pa.array(action.reshape(-1)), 3))
    changed(root, "intervention", pa.array(np.full(16, 0.5)))
    changed(root, "frame_index", pa.array([0, 1, 2, 3, 4, 5, 6, 9, *range(8)]))
    changed(root, "timestamp", pa.array(np.zeros(16, np.float32)))
    pq.write_table(pq.read_table(root / "meta/tasks.parquet").slice(0, 0), root / "meta/tasks.parquet")
    for camera in ("front", "wrist"):
        (video,) = root.glob(f"videos/observation.images.{camera}/*/*.mp4")
        video.write_bytes(video.read_bytes()[:200])
    csv = tmp_path / "o.csv"
    csv.write_text("episode_index,success\n0,maybe\n1,2\n")

    found = audit(root, csv, weights=tmp_path / "none.parquet")
    assert found.facts is None and found.credit is None and found.advice == ()
    parts = (
        "column `action` of",
        "is 0.5 in episode 0, frame 0",
        "has a gap in its frame index: frame 9 stands where 7 belongs",
        "`timestamp` of",
        "does not name task",
        "observation.images.front",
        "observation.images.wrist",
        "the outcome of episode 0 is `maybe`",
        "none.parquet does not exist",
    )
    said(found, *parts, level=Level.FAILURE)
    assert len(found.failures) == len(parts), found.failures
    assert "must be 0, 1 or empty (or true, false, success, failure) (and 1 more lines)" in " ".join(
        found.failures
    )


def test_what_can_be_read_is_looked_at_whatever_is_wrong(episode: Make, dataset: Write) -> None:
    """A video is cut short, and nobody says who drove: actions and statistics are looked at all the same."""
    one = episode(20, seed=1, cameras=("front",))
    one.action[:, 0] = 1
    root = dataset([one])
    (video,) = root.glob("videos/*/*/*.mp4")
    video.write_bytes(video.read_bytes()[:200])
    found = audit(root)
    said(found, "action dimension 0 (1) never changes")
    assert facts_of(found).successes == 1 and len(found.failures) == 1

    table = pq.read_table(root / DATA)
    pq.write_table(table.drop_columns(["intervention"]), root / DATA)
    info = json.loads((root / "meta/info.json").read_text())
    del info["features"]["intervention"]
    (root / "meta/info.json").write_text(json.dumps(info))
    found = audit(root)
    said(found, "action dimension 0 (1) never changes")
    said(found, "read it with --driver policy", ".mp4", level=Level.FAILURE)


def test_a_csv_that_cannot_be_read_is_the_whole_of_what_is_said(
    episode: Make, dataset: Write, tmp_path: Path
) -> None:
    """Nothing was recorded, it said, and to record on: somebody had, with a semicolon."""
    root, csv = dataset([episode(6, seed=seed) for seed in range(2)]), tmp_path / "o.csv"
    csv.write_text("episode_index;success\n0;1\n1;0\n")
    found = audit(root, csv)
    assert len(found.failures) == len(found.problems) == 1 and "its separator is `;`" in found.failures[0]
    assert found.advice == found.unlearnable == () and found.credit is None


def test_labels_that_do_not_cover_the_dataset(episode: Make, dataset: Write, tmp_path: Path) -> None:
    root = dataset([episode(5)])
    label(root, tmp_path / "l.parquet")
    root = dataset([episode(5), episode(2)])
    found = audit(root, labels=tmp_path / "l.parquet")
    said(
        found,
        "l.parquet covers 5 of 7 frames (by their content); run `vantage label` again",
        level=Level.FAILURE,
    )
    assert found.facts is not None and found.credit is None
    assert found.advice == (), "outcomes were said; the labels are at fault"


def test_demonstrations_and_datasets_without_outcomes(episode: Make, dataset: Write) -> None:
    demo = replace(episode(5), policy_version=np.full(5, -1), intervention=np.ones(5, bool))
    found = audit(dataset([demo]), demos=True)
    assert found.problems == () and facts_of(found).human_frames == 5


def test_what_a_dataset_says_is_shown_as_text(episode: Make, dataset: Write, tmp_path: Path) -> None:
    root = dataset([episode(prompt="[/x] [red]a[/red] :smile: \\ \x1b[2J\u202e\nb")])
    mark = "\N{REPLACEMENT CHARACTER}"
    assert f"[/x] [red]a[/red] :smile: \\ {mark}[2J{mark} b" in shown(audit(root))
    named = replace(
        audit(root), root=Path("/data/[/x] a[red]b"), findings=(warning("camera [bold] <b> is stuck"),)
    )
    assert "/data/[/x] a[red]b" in shown(named) and "warning camera [bold] <b> is stuck" in shown(named)

    write_audit_page(named, tmp_path / "audit.html")
    page = (tmp_path / "audit.html").read_text()
    assert "camera [bold] &lt;b&gt; is stuck" in page and "one thing deserves a look" in page
    assert "<script" not in page and "\x1b" not in page


def test_recordings_that_lerobot_cannot_open_are_named(episode: Make, dataset: Write) -> None:
    root = dataset([episode(6, seed=seed) for seed in range(2)])
    assert not any("cannot open them" in finding.text for finding in audit(root).findings)
    (root / META).unlink()
    said(audit(root), "meta/episodes is missing")
