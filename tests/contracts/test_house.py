"""The house: nothing outside `worlds` and `envs` knows a world by name, class or kind; no class name stands for two."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("agents", "configs", "data", "encoders", "evaluation", "training")
WORLDLY = ("maze", "babyai")  # in any code; "gym" and "files" are words for other things as well
CODE = sorted(
    [*(path for room in ROOMS for path in (ROOT / room).rglob("*.py")), ROOT / "train.py", ROOT / "evaluate.py"]
)
WORLDS = sorted(path.parent.name for path in (ROOT / "worlds").glob("*/world.py"))
CLASSES = {
    node.name
    for path in (ROOT / "worlds").rglob("*.py")
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.ClassDef) and path.name != "_base.py"
}


def names_in(tree: ast.Module) -> Iterator[str]:
    """Identifiers, attributes, imported modules and texts of a module, without its docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and ast.get_docstring(node) and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_world_is_known_outside_of_worlds(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for name in names_in(tree):
        assert not any(word in name.lower() for word in WORLDLY), name
        assert name not in CLASSES, name
        assert not any(name.startswith(f"goalbridge.worlds.{world}") for world in WORLDS), name
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            compared = {one.attr for one in (node.left, *node.comparators) if isinstance(one, ast.Attribute)}
            texts = [one for one in node.comparators if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            assert not (texts and "world" in compared), ast.unparse(node)


def test_there_are_worlds_to_look_for() -> None:
    assert set(WORLDS) >= {"maze", "babyai", "gym", "files"}
    assert "MazeWorld" in CLASSES


def test_no_public_class_name_stands_for_two() -> None:
    rooms = (*ROOMS, "envs", "worlds")
    found = Counter(
        node.name
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in found.items() if count > 1] == []


def test_every_package_is_installed() -> None:
    """setuptools finds no packages below a mapped folder by itself: pyproject.toml names each."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    rooms = (*ROOMS, "envs", "experiments", "worlds")
    folders = (path.parent.relative_to(ROOT) for room in rooms for path in (ROOT / room).rglob("__init__.py"))
    assert named == sorted(["goalbridge", *(".".join(("goalbridge", *folder.parts)) for folder in folders)])
