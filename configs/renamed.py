"""Settings that had other names or places before: how saved ones are read, and what the command line answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.registries import worlds
from goalbridge.configs.world_settings import settings_of

RENAMED: Final = {
    "data.layouts": "env.layouts",
    "data.lexicon": "env.lexicon",
    "data.captions": "env.categories",
    "data.start": "env.start",
    "data.episode_segments": "env.episode_segments",
    "train.duplicates": "train.multi_positives",
    "train.nearby": "train.hard_negative_share",
    "train.group_size": "train.negatives_per_layout",
    "data.roam": "data.random_steps_after_goal",
    "agent.things": "agent.language_in_actions",
    "policy.remember": "policy.eliminate_visited",
    "policy.compose": "policy.parse_compositions",
    "policy.escape": "policy.mask_blocked",
    "policy.sweeps": "policy.max_iterations",
    "escape": "mask_blocked",  # of evaluate.py
}
# What `env` held of all worlds before each had its own settings (FORMAT 1).
_ONCE: Final = frozenset(
    {"id", "layout", "action_noise_degrees", "max_episode_steps", "levels", "view", "held_out", "captions", "success"}
)


def present(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a saved run under their present names; ConfigError where they are of no world that is there."""
    values: dict[str, Any] = {
        name: dict(value) if isinstance(value, Mapping) else value for name, value in saved.items()
    }
    for old, new in RENAMED.items():
        (group, _, name), (other, _, now) = old.partition("."), new.partition(".")
        if isinstance(values.get(group), dict) and name in values[group] and isinstance(values.get(other), dict):
            moved = values[group].pop(name)
            values[other].setdefault(now, moved)
    env = values.get("env")
    if isinstance(env, dict) and "world" not in env:
        known = tuple(name for name in worlds.names() if settings_of(name).reads(saved["env"]))
        if not known:
            raise ConfigError(f"env.id={env.get('id')}: expected settings of one of {', '.join(worlds.names())}")
        own = {one.name for one in fields(settings_of(known[0]))}
        gone = (_ONCE | {new.partition(".")[2] for new in RENAMED.values()}) - own
        values["env"] = {"world": known[0]} | {name: value for name, value in env.items() if name not in gone}
    return values


def present_in(group: str, saved: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one group, as an agent keeps them, under their present names."""
    names = {old.removeprefix(f"{group}."): new.removeprefix(f"{group}.") for old, new in RENAMED.items()}
    return {names.get(name, name): value for name, value in saved.items()}
