"""The list of mutants fits the code: every text stands in its file exactly once. `make mutants` runs them."""

from pathlib import Path

from mutant_list import MUTANTS

ROOT = Path(__file__).parents[2]


def test_every_mutant_has_its_place() -> None:
    counts = {m.name: (ROOT / m.path).read_text().count(m.old) for m in MUTANTS}
    assert {name: count for name, count in counts.items() if count != 1} == {}, (
        "move these texts with the code"
    )


def test_mutants_have_names_of_their_own_and_change_something() -> None:
    assert len(MUTANTS) >= 80 and len({m.name for m in MUTANTS}) == len(MUTANTS)
    assert all(m.old != m.new for m in MUTANTS)


def test_the_tests_that_must_notice_exist() -> None:
    assert not [path for m in MUTANTS for path in m.tests if not (ROOT / path.partition("::")[0]).exists()]


def test_mutants_are_programs() -> None:
    for m in MUTANTS:
        text = (ROOT / m.path).read_text()
        compile(text.replace(m.old, m.new), m.name, "exec")
