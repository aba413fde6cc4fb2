"""The folders of the package: each imports from those before it, and none holds logic in its ``__init__.py``."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from dualenc.runtime.provenance import PACKAGE

ORDER = [
    *("runtime", "losses", "paper", "data", "study", "encoders", "evaluation", "scorers", "retrieval", "training"),
    *("miniatures", "analysis", "claims", "figures", "tables", "report", "steps", "orchestration", "publish"),
    *("cli", "warm", "__main__"),
]
"""Folders and files of ``src/dualenc``; docs/architecture.md says what each is for."""


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> Iterator[str]:
    """The folders and files of the package that a module imports from, wherever in the module that is."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "dualenc":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dualenc."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("dualenc."))


def test_every_folder_has_its_place():
    assert {room(path) for path in PACKAGE.rglob("*.py")} - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_no_import_runs_up(name):
    before = ORDER[: ORDER.index(name) + 1]
    for path in PACKAGE.rglob("*.py"):
        if room(path) == name:
            assert set(imported(path)) <= set(before), path


def test_the_init_of_a_folder_is_a_docstring():
    for path in PACKAGE.rglob("*/__init__.py"):
        (only,) = ast.parse(path.read_text(encoding="utf-8")).body
        assert isinstance(only, ast.Expr) and isinstance(only.value, ast.Constant), path


def test_the_losses_need_nothing_but_errors():
    assert set(imported(PACKAGE / "losses.py")) == {"runtime"}


def test_architecture_names_every_folder():
    text = (PACKAGE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"}:
        assert f"`{name}/`" in text, name
