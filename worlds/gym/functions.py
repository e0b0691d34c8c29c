"""What users bring, imported by name: their module, its functions, their Gymnasium environment."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import gymnasium

from goalbridge.configs.checks import ConfigError, require
from goalbridge.worlds._base import said
from goalbridge.worlds.gym.settings import GymSettings


def import_module(setting: str, name: str) -> ModuleType:
    """A module in the current folder, or an installed one. ConfigError names the setting where it cannot be had."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(f"{setting}: there is no module {name} in {os.getcwd()}, nor installed") from None
        raise ConfigError(f"{setting}: importing {name} needs the module {error.name}; install it") from error
    except Exception as error:
        raise ConfigError(f"{setting}: importing {name} raised {said(error)}") from error


def load_function(setting: str, value: str) -> Callable[..., Any]:
    """The function that a setting names as "module:function"; ConfigError where there is none."""
    module_name, colon, name = value.partition(":")
    shown = f"{setting}={value}"
    if not (module_name and colon and name):
        raise ConfigError(f"{shown}: must be module:function, such as my_worlds:captions")
    module = import_module(shown, module_name)
    found = getattr(module, name, None)
    if not callable(found):
        nearest = difflib.get_close_matches(name, [known for known in dir(module) if known[0] != "_"], n=1)
        hint = f"; did you mean {module_name}:{nearest[0]}?" if nearest else "; write it"
        raise ConfigError(f"{shown}: {module_name} has no function {name}{hint}")
    return found  # type: ignore[no-any-return]


def make_env(config: GymSettings, steps: int, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    """One of the user's environments, cut after so many steps. ConfigError where it cannot be made.

    config.id: as `gymnasium.make` takes it; "module:Id-v0" imports the module, which registers the id.
    """
    shown = f"env.id={config.id}"
    module, colon, name = config.id.rpartition(":")
    if colon:
        import_module(shown, module)
    if name not in gymnasium.registry:
        nearest = difflib.get_close_matches(name, list(gymnasium.registry), n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        where = f"{module} registers no {name}" if colon else "is not registered; module:Id imports the module first"
        raise ConfigError(f"{shown}: {where}{hint}")
    settings = {} if render_mode is None else {"render_mode": render_mode}
    try:
        return gymnasium.make(name, max_episode_steps=steps, disable_env_checker=True, **settings)
    except Exception as error:
        raise ConfigError(f"{shown}: cannot be made ({said(error)})") from error


class Words:
    """What is true of goals, and which goals satisfy an instruction, as the user's functions say it."""

    def __init__(self, config: GymSettings) -> None:
        self._setting = f"env.captions={config.captions}"
        self._success_setting = f"env.success={config.success}"
        self._captions = load_function("env.captions", config.captions)
        self._success = load_function("env.success", config.success) if config.success else None

    def captions(self, goal: Any) -> list[str]:
        """All texts that are true of a goal, each once; ConfigError for what is no list of texts."""
        try:
            found = self._captions(goal)
        except Exception as error:
            raise ConfigError(f"{self._setting}: raised {said(error)} for the goal {_short(goal)}") from error
        if not isinstance(found, list | tuple) or not all(isinstance(text, str) and text.strip() for text in found):
            raise ConfigError(
                f"{self._setting}: expected a list of texts, empty where nothing can be said, got {_short(found)} for "
                f"the goal {_short(goal)}"
            )
        return list(dict.fromkeys(found))

    def satisfied(self, goal: Any, instructions: Sequence[str]) -> set[str]:
        """Those of the instructions that a goal satisfies."""
        if self._success is None:
            return set(instructions) & set(self.captions(goal))
        try:
            return {text for text in instructions if self._success(goal, text)}
        except Exception as error:
            raise ConfigError(f"{self._success_setting}: raised {said(error)} for the goal {_short(goal)}") from error

    def can_judge(self, instruction: str, known: tuple[str, ...]) -> bool:
        """Whether `satisfied` knows what an instruction means; known: all captions that there are."""
        return self._success is not None or instruction in known

    def require_some(self, captions: int, goals: int) -> None:
        """ConfigError where none of so many goals has a caption."""
        require(captions > 0, "env.captions", self._setting.partition("=")[2], f"says nothing of any of {goals} goals")


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:60] + "..."
