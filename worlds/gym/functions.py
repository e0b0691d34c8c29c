"""What users bring, imported by name: their module, its functions, their Gymnasium environment."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

import gymnasium

from goalbridge.configs.checks import ConfigError, require
from goalbridge.worlds._base import said
from goalbridge.worlds.gym.settings import GymSettings


@contextmanager
def users_code(setting: str, doing: str) -> Iterator[None]:
    """Whatever a user's code raises becomes a ConfigError: the setting that brings it, the error, and what was done.

    HYDRA_FULL_ERROR=1 shows the traceback.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{setting}: raised {said(error)} {doing}; HYDRA_FULL_ERROR=1 shows where") from error


class NamedFaults(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A user's environment; what it raises names it, the episode since it was made, and the step."""

    def __init__(self, env: gymnasium.Env[Any, Any], setting: str) -> None:
        super().__init__(env)
        self._setting, self._episode, self._step = setting, 0, 0

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        self._episode, self._step = self._episode + 1, 0
        with users_code(self._setting, f"in reset, episode {self._episode} (seed {options.get('seed')})"):
            return self.env.reset(**options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self._step += 1
        with users_code(self._setting, f"in step {self._step} of episode {self._episode}"):
            return self.env.step(action)

    def render(self) -> Any:
        with users_code(self._setting, f"in render, after step {self._step} of episode {self._episode}"):
            return self.env.render()


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
    with users_code(shown, "as it was made"):
        return NamedFaults(gymnasium.make(name, max_episode_steps=steps, disable_env_checker=True, **settings), shown)


MOST_TEXTS: Final = 10_000  # that are true of one goal


class Words:
    """What is true of goals, and which goals satisfy an instruction, as the user's functions say it."""

    def __init__(self, config: GymSettings) -> None:
        self._setting = f"env.captions={config.captions}"
        self._success_setting = f"env.success={config.success}"
        self._captions = load_function("env.captions", config.captions)
        self._success = load_function("env.success", config.success) if config.success else None

    def captions(self, goal: Any) -> list[str]:
        """All texts that are true of a goal, each once; ConfigError for what is no list of texts."""
        with users_code(self._setting, f"for the goal {_short(goal)}"):
            found = self._captions(goal)
        listed = isinstance(found, list | tuple) and len(found) <= MOST_TEXTS
        if not listed or not all(isinstance(text, str) and text.strip() for text in found):
            raise ConfigError(
                f"{self._setting}: expected a list of at most {MOST_TEXTS} texts, empty where nothing can be said, got "
                f"{_short(found)} for "
                f"the goal {_short(goal)}"
            )
        return list(dict.fromkeys(found))

    def satisfied(self, goal: Any, instructions: Sequence[str]) -> set[str]:
        """Those of the instructions that a goal satisfies."""
        if self._success is None:
            return set(instructions) & set(self.captions(goal))
        with users_code(self._success_setting, f"for the goal {_short(goal)}"):
            return {text for text in instructions if self._success(goal, text)}

    def can_judge(self, instruction: str, known: tuple[str, ...]) -> bool:
        """Whether `satisfied` knows what an instruction means; known: all captions that there are."""
        return self._success is not None or instruction in known

    def require_some(self, captions: int, goals: int) -> None:
        """ConfigError where none of so many goals has a caption."""
        require(captions > 0, "env.captions", self._setting.partition("=")[2], f"says nothing of any of {goals} goals")


def _short(value: Any) -> str:
    if isinstance(value, Sized) and not isinstance(value, str) and len(value) > 1000:
        return f"a {type(value).__name__} of {len(value)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:60] + "..."
