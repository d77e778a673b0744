"""A recipe's name may be one built in, a function in a file of one's own, or a JSON file; everything else is
one sentence."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vantage.commands.names import Named, find
from vantage.commands.runs import named_recipe
from vantage.commands.studies import named_study
from vantage.config import classes_of, to_json
from vantage.errors import VantageError
from vantage.recipes import RECIPES
from vantage.study.rows import Results

OWN = '''
from dataclasses import replace
from vantage.recipes import RECIPES

SMALL = replace(RECIPES["debug"](), rounds=7)

def make():
    """My own."""
    return SMALL

def wrong():
    return 3

def fails():
    return {}["nothing"]
'''


@pytest.fixture(autouse=True)
def forget_imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("own_"):
            del sys.modules[name]


def own(tmp_path: Path, text: str = OWN) -> Path:
    path = tmp_path / f"own_{tmp_path.name.replace('-', '_')}.py"
    path.write_text(text)
    return path


def test_a_function_or_a_value_of_a_file(tmp_path: Path) -> None:
    path = own(tmp_path)
    named = named_recipe(f"{path}:make")
    assert named.value.rounds == 7  # pyright: ignore[reportAttributeAccessIssue]
    assert named.name == f"{path.name}:make" and named.about == "My own."
    assert named.slug == f"{path.stem}-make"
    assert named_recipe(f"{path}:SMALL").value == named.value


def test_a_module_that_is_installed() -> None:
    assert named_recipe("vantage.recipes.debug:debug").value == RECIPES["debug"]()


def test_the_json_form_comes_back_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(
        json.dumps({"recipe": "debug", "settings": to_json(RECIPES["debug"]())})
    )
    assert named_recipe(str(tmp_path / "recipe.json")) == Named(
        name="debug", value=RECIPES["debug"](), about=f"As {tmp_path / 'recipe.json'} says."
    )
    (tmp_path / "mine.json").write_text(json.dumps(to_json(RECIPES["debug-ppo"]())))
    assert named_recipe(str(tmp_path / "mine.json")).name == "mine"
    assert named_recipe(str(tmp_path / "mine.json")).value == RECIPES["debug-ppo"]()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.py:make", r"nowhere\.py does not exist"),
        ("{own}", r"Name the function that returns it"),
        ("{own}:maker", r"has no 'maker'; did you mean 'make'\?"),
        (
            "{own}:wrong",
            r"it gives a value of type int, and HABCRun or ChunkedPPORun is needed",
        ),
        ("{own}:fails", r"own_.*\.py, line 15 raised KeyError: 'nothing'"),
        ("no_such_module_here:make", r"there is no module 'no_such_module_here'"),
        ("{folder}/nothing.json", r"nothing\.json does not exist"),
        ("debgu", r"did you mean 'debug'\?"),
        ("xyz", r"there is no recipe 'xyz'; there are debug, quickstart"),
    ],
)
def test_what_cannot_be_found_is_one_sentence(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(VantageError, match=says):
        named_recipe(name.format(own=own(tmp_path), folder=tmp_path))


def test_a_file_that_hides_a_module_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "json.py"
    path.write_text(OWN)
    with pytest.raises(VantageError, match="has the name of a module that Python has already"):
        named_recipe(f"{path}:make")


def test_a_file_whose_name_is_no_module_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.own-recipe.py"
    path.write_text(OWN)
    with pytest.raises(VantageError, match="give the file a name of letters, digits and _"):
        named_recipe(f"{path}:make")


def test_a_relative_path_names_the_line_of_ones_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = own(tmp_path, "import json\n\ndef make():\n    return json.loads('{')\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VantageError, match=r"own_.*\.py, line 4 raised JSONDecodeError"):
        named_recipe(f"{path.name}:make")


def test_a_file_that_cannot_be_imported_names_its_line(tmp_path: Path) -> None:
    path = own(tmp_path, "x = 1\nimport nothing_of_this_name\n")
    with pytest.raises(VantageError, match=r"line 2 raised ModuleNotFoundError"):
        named_recipe(f"{path}:make")


def test_json_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"is": "os.system"}')
    with pytest.raises(VantageError, match="holds no recipe"):
        named_recipe(str(tmp_path / "x.json"))
    (tmp_path / "y.json").write_text("[1]")
    with pytest.raises(VantageError, match="holds no thing"):
        find(str(tmp_path / "y.json"), {}, (int,), "thing")


OWN_STUDY = '''
from dataclasses import dataclass, replace
from vantage.recipes import STUDIES
from vantage.study.plan import Study
from vantage.worlds.spec import MetaWorldSpec

@dataclass(frozen=True, slots=True)
class Other(MetaWorldSpec):
    pass

def make() -> Study:
    """My own study."""
    study = STUDIES["debug"]()
    tasks = tuple(replace(task, world=Other(task.world.task)) for task in study.tasks)
    return replace(study, tasks=tasks)
'''


def test_a_study_of_ones_own_is_drawn_with_its_own_classes_and_refused_without(tmp_path: Path) -> None:
    path = own(tmp_path, OWN_STUDY)
    named = named_study(f"{path}:make")
    assert named.about == "My own study." and named.slug == f"{path.stem}-make"
    results = Results.open(tmp_path / "rows", named.value)
    assert Results.read(results.folder, classes_of(named.value)).study == named.value
    with pytest.raises(
        VantageError,
        match=r"'own_.*:Other' is none of MetaWorldSpec, Gymnasium, LeRobotEnv, Bimanual.*; .* with --recipe",
    ):
        Results.read(results.folder)
