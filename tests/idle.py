"""A folder of modules and what ran of it -> the functions that did not: a module that no test runs has
one."""

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType


@contextmanager
def functions_that_run(folder: Path) -> Iterator[set[str]]:
    """While open, fills the set with `module.function` of everything in `folder` that this process enters."""
    ran: set[str] = set()

    def enter(code: CodeType, _offset: int) -> object:
        path = Path(code.co_filename)
        if path.parent == folder:
            ran.add(f"{path.stem}.{code.co_qualname}")
        return sys.monitoring.DISABLE

    event = sys.monitoring.events.PY_START
    tool = next(number for number in range(6) if sys.monitoring.get_tool(number) is None)
    sys.monitoring.use_tool_id(tool, "idle")
    sys.monitoring.register_callback(tool, event, enter)
    sys.monitoring.set_events(tool, event)
    try:
        yield ran
    finally:
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.register_callback(tool, event, None)
        sys.monitoring.free_tool_id(tool)


def functions_of(folder: Path) -> set[str]:
    """`module.function` and `module.Class.method` of every module in `folder`."""
    return {
        f"{path.stem}.{name}"
        for path in folder.glob("*.py")
        for name in _defined(ast.parse(path.read_text()), "")
    }


def _defined(parent: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
    for node in parent.body:
        if isinstance(node, ast.FunctionDef):
            yield prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield from _defined(node, f"{prefix}{node.name}.")
