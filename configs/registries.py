"""Registries: what others add by one file, here or in a package of their own, and settings then name.

A registry knows its members in three ways, and imports a member only when it is asked for:

    a file of the registry's own package, named as the member is: agents/estimators/max.py; or a folder, whose member
    stands in a module of the registry's name in the singular: worlds/maze/world.py
    an entry point of an installed package, in the group goalbridge.estimators
    the decorator, in a module that has been imported: @estimators.register("max")
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from goalbridge.configs.checks import ConfigError

ROOT: Final = Path(__file__).parents[1]
NAMESPACE: Final = __package__.partition(".")[0]
T = TypeVar("T")


class Registry(Generic[T]):
    """Members of one kind by name.

    kind: what a member is, in the plural, as in the entry points' group "goalbridge.estimators". package: where the
    project's own members lie, such as "agents.estimators"; modules whose names begin with "_" are no members.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package
        self._known: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that adds a member under this name; ValueError where another has it."""

        def add(member: T) -> T:
            if self._known.setdefault(name, member) is not member:
                raise ValueError(f"{self.kind}: expected a name of its own, got {name!r} twice; try another")
            return member

        return add

    def names(self) -> tuple[str, ...]:
        """All names in alphabetical order, those of members that are not imported yet among them."""
        return tuple(sorted({*self._modules, *self._entry_points, *self._known}))

    def name_of(self, member: T) -> str:
        """What a member is called; ValueError for one that is not registered."""
        for name, known in self._known.items():
            if known is member:
                return name
        raise ValueError(f"{self.kind}: expected a registered member, got {member}; try @{self.kind}.register(name)")

    def module_of(self, name: str) -> str | None:
        """The module or package of a member of the project's own; None for others."""
        return f"{NAMESPACE}.{self.package}.{name}" if name in self._modules else None

    def get(self, name: str, setting: str = "") -> T:
        """The member of that name.

        setting: what the message begins with. ConfigError for an unknown name, with the nearest, and for a plug-in
        that cannot be imported.
        """
        if name not in self._known:
            self._load(name, setting or self.kind)
        return self._known[name]

    def _load(self, name: str, setting: str) -> None:
        if name in self._modules:
            module = importlib.import_module(f"{NAMESPACE}.{self.package}.{name}")
            if name not in self._known and hasattr(module, "__path__"):
                importlib.import_module(f"{module.__name__}.{self.kind.removesuffix('s')}")
        elif name in self._entry_points:
            point = self._entry_points[name]
            try:
                loaded = point.load()
            except Exception as error:
                reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                raise ConfigError(
                    f"{setting}={name}: the plug-in {point.value} cannot be imported ({reason})"
                ) from error
            self._known.setdefault(name, loaded)
        if name not in self._known:
            near = difflib.get_close_matches(name, self.names(), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"{setting}={name}: expected one of {', '.join(self.names())}{hint}")

    @cached_property
    def _modules(self) -> frozenset[str]:
        folder = ROOT.joinpath(*self.package.split("."))
        return frozenset(module.name for module in pkgutil.iter_modules([str(folder)]) if module.name[0] != "_")

    @cached_property
    def _entry_points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=f"{NAMESPACE}.{self.kind}")}


worlds: Final = Registry[Any]("worlds", "worlds")
estimators: Final = Registry[Any]("estimators", "agents.estimators")
objectives: Final = Registry[Any]("objectives", "agents.objectives")
text_encoders: Final = Registry[Any]("text_encoders", "encoders.text")
metrics: Final = Registry[Any]("metrics", "evaluation.metrics")
