"""A plan says what every cell is made by, and refuses what stands on nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from vantage.collect.operators import Demonstrate, DemonstrateStock, NoOne
from vantage.commands.studies import find_study, start_study
from vantage.core.weights import HABC
from vantage.learn.critic.steering import ChunkEdits
from vantage.recipes import RECIPES, STUDIES
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.weigh import Weighing
from vantage.study.plan import Acting, Gathered, MoreSupervised, Offline, Online, Study, Supervised
from vantage.study.rows import Results
from vantage.types import VantageError


def study(*arms: object) -> Study:
    return replace(find_study("debug"), arms=(Supervised(), *arms), order=(), contrasts=(), answers=())


def test_rounds_are_counted_along_the_ancestry() -> None:
    plan = study(
        MoreSupervised(name="more"),
        Online(name="habc", rounds=3),
        Online(name="ir", after="habc", rounds=2),
        Gathered(name="shared"),
        Offline(name="rule", after="shared"),
        Acting(name="zero-noise", after="ir"),
    )
    first = {arm.name: plan.first_round(arm) for arm in plan.arms}
    assert first == {"sft": 0, "more": 1, "habc": 1, "ir": 4, "shared": 1, "rule": 2, "zero-noise": 6}
    assert [arm.name for arm in plan.ancestry(plan.arm("zero-noise"))] == ["sft", "habc", "ir", "zero-noise"]
    fit = plan.base.improvement.fit.steps
    steps = {arm.name: plan.gradient_steps(arm) for arm in plan.arms}
    assert steps == {
        "sft": 0,
        "more": 3 * fit,
        "habc": 3 * fit,
        "ir": 5 * fit,
        "shared": 0,
        "rule": fit,
        "zero-noise": 5 * fit,
    }


@pytest.mark.parametrize(
    ("arms", "says"),
    [
        ((Online(name="ir", after="habc"),), "arm 'ir' comes after 'habc', which is no arm before it"),
        ((Online(name="a"), Online(name="a")), "two arms of the study are called 'a'"),
        (
            (MoreSupervised(name="more"), Online(name="rounds", after="more")),
            "'rounds' cannot come after 'more'",
        ),
        ((Online(name="a"), Offline(name="rule", after="a")), "'rule' cannot come after 'a'"),
        ((Gathered(name="shared"), Online(name="on", after="shared")), "'on' cannot come after 'shared'"),
        ((Gathered(name="shared"), Acting(name="calm", after="shared")), "'calm' cannot come after 'shared'"),
        ((Acting(name="led", after="sft", steering=ChunkEdits()),), "'led' cannot come after 'sft'"),
    ],
)
def test_a_plan_that_stands_on_nothing_is_refused(arms: tuple[object, ...], says: str) -> None:
    with pytest.raises(VantageError, match=says):
        study(*arms)


def test_a_comparison_with_nobody_is_refused() -> None:
    with pytest.raises(VantageError, match="compares 'nobody'"):
        replace(find_study("debug"), order=("sft", "nobody"))


def test_the_fingerprint_is_of_every_choice_along_the_ancestry() -> None:
    plan = study(Online(name="habc"), Online(name="ir", after="habc"))
    task = plan.tasks[0]

    def prints(changed: Study) -> list[str]:
        return [changed.fingerprint(arm, changed.tasks[0]) for arm in changed.arms]

    before = prints(plan)
    other = study(
        Online(name="habc", weighing=Weighing(rule=HABC(reweight_interventions=True))),
        Online(name="ir", after="habc"),
    )
    assert [a == b for a, b in zip(before, prints(other), strict=True)] == [True, False, False], (
        "the parent's choices count"
    )
    assert prints(replace(plan, tasks=(replace(task, demonstrations=7),)))[0] != before[0]
    assert prints(replace(plan, base=replace(plan.base, seed=5))) == before, "seeds are no choice"
    assert len(set(before)) == 3


def test_an_arm_may_train_longer_and_from_scratch() -> None:
    plan = study(Online(name="habc"), Online(name="scratch", from_scratch=True, fit=PolicyFit(steps=7)))
    further, scratch = (
        plan.settings(plan.arm(name), plan.tasks[0], 0).improvement for name in ("habc", "scratch")
    )
    fit = plan.base.improvement.fit
    assert not further.from_scratch and further.fit == fit
    assert plan.gradient_steps(plan.arm("scratch")) == 3 * 7
    assert (
        replace(scratch, from_scratch=False, fit=fit) == further
        and scratch.from_scratch
        and scratch.fit.steps == 7
    )
    assert len({plan.fingerprint(arm, plan.tasks[0]) for arm in plan.arms}) == 3


def test_who_rescues_is_a_choice_of_the_study_and_of_an_arm() -> None:
    plan = study(Online(name="habc"), Online(name="alone", rescues="none"), Online(name="all", rescues="all"))
    runs = {arm.name: plan.settings(arm, plan.tasks[0], 0) for arm in plan.arms}
    assert [run.rescues for run in runs.values()] == ["all", "all", "none", "all"]
    assert runs["alone"].operator == NoOne() and runs["habc"].operator == runs["habc"].rollouts.operator
    limit = plan.tasks[0].world.limit
    assert (runs["alone"].t_max, runs["habc"].t_max) == (limit, limit + runs["habc"].operator.extension)

    nobody = replace(plan, base=replace(plan.base, rescues="none"))
    habc, alone = (plan.arm(name) for name in ("habc", "alone"))
    assert nobody.settings(habc, plan.tasks[0], 0) == runs["alone"]
    assert nobody.settings(plan.arm("all"), plan.tasks[0], 0) == runs["habc"]
    assert plan.fingerprint(habc, plan.tasks[0]) != plan.fingerprint(alone, plan.tasks[0])


@pytest.mark.parametrize("name", ["state", "pixels"])
def test_stored_cells_still_have_their_fingerprints(name: str) -> None:
    results = Results.read(Path(f"docs/results/study-{name}"))
    cells = results.tables["cells"]
    stored = zip(cells["task"], cells["arm"], cells["fingerprint"], strict=True)
    plan = find_study(name)
    for task, arm, fingerprint in {cell for cell in stored if cell[0] == plan.tasks[0].name}:
        assert plan.fingerprint(plan.arm(arm), plan.task(task)) == fingerprint, (task, arm)


def test_tasks_without_an_operator_are_studied_where_nobody_rescues() -> None:
    plan = find_study("alone")
    hammer = plan.task("hammer-v3")
    run = plan.settings(plan.arm("habc"), hammer, 0)
    assert run.supervision.demonstrations.operator == DemonstrateStock()
    assert run.operator == NoOne()
    pick_place = plan.settings(plan.arm("habc"), plan.task("pick-place-v3"), 0)
    assert pick_place.supervision.demonstrations.operator == Demonstrate() and pick_place.operator == NoOne()


def test_tasks_of_other_sizes_have_policies_of_their_own() -> None:
    plan = find_study("bimanual")
    for task in plan.tasks:
        for arm in plan.arms:
            run = plan.settings(arm, task, 0)
            assert run.policy.net.sight.dim == task.worlds[0].environment_dim
            run.check_compatible()
    narrow = replace(plan.tasks[0], policy=None)
    assert plan.settings(plan.arm("habc"), narrow, 0).policy == plan.base.policy


@pytest.mark.parametrize(("study_name", "form"), [("bimanual", ""), ("bimanual-pixels", "-pixels")])
def test_the_bimanual_studies_begin_where_the_recipes_do(study_name: str, form: str) -> None:
    """The same world, policy and demonstrations, by the same demonstrator."""
    plan = find_study(study_name)
    recipes = [RECIPES[f"bimanual-{thing}{form}"]() for thing in ("pouch", "bag", "sack")]
    of_task = {recipe.worlds[0].task: recipe for recipe in recipes}
    assert {task.name for task in plan.tasks} == of_task.keys()
    for task in plan.tasks:
        recipe = of_task[task.name]
        for arm in plan.arms:
            run = plan.settings(arm, task, 0)
            run.check_compatible()
            assert (run.worlds, run.policy) == (recipe.worlds, recipe.policy)
            assert run.supervision.demonstrations == recipe.supervision.demonstrations
            steady = run.supervision.demonstrations.operator == Demonstrate(clean_share=1.0)
            assert steady == (task.name == "sack-draw")


def test_what_does_not_fit_is_said_with_the_options_of_a_study(tmp_path: Path) -> None:
    plan = study()
    narrow = replace(plan.base.policy, net=replace(plan.base.policy.net, action_dim=7))
    plan = replace(plan, base=replace(plan.base, policy=narrow))
    with pytest.raises(
        VantageError, match=r"7 dimensions of action.* give --base\.policy\.net\.action-dim 4$"
    ):
        start_study(plan, tmp_path / "work", tmp_path / "rows", seeds=1)
    own = replace(plan, tasks=(replace(plan.tasks[0], policy=narrow),))
    with pytest.raises(VantageError, match=rf" --tasks\.{plan.tasks[0].name}\.policy\.net\.action-dim 4$"):
        start_study(own, tmp_path / "work", tmp_path / "rows", seeds=1)
    assert not any(tmp_path.iterdir())


def test_a_task_may_say_how_its_supervised_policy_is_trained() -> None:
    plan = find_study("bimanual")
    longer = replace(plan.base.supervision.supervised, steps=77)
    task = replace(plan.tasks[0], supervised=longer)
    for arm in plan.arms:
        assert plan.settings(arm, task, 0).supervision.supervised == longer
        assert plan.fingerprint(arm, task) != plan.fingerprint(arm, plan.tasks[0])
    habc = plan.arm("habc")
    assert plan.settings(habc, task, 0).improvement == plan.settings(habc, plan.tasks[0], 0).improvement


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_whole(name: str) -> None:
    plan = find_study(name)
    for arm in plan.arms:
        settings = plan.settings(arm, plan.tasks[0], 3)
        assert settings.seed == 3 and settings.worlds == plan.tasks[0].worlds
    assert all(plan.arm(ours) and plan.arm(theirs) for ours, theirs in plan.pairs)


def test_a_typo_gets_the_nearest_name() -> None:
    with pytest.raises(VantageError, match="did you mean 'state'"):
        find_study("sate")
