"""Which world settings are of, and the worlds of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from goalbridge.configs.checks import CheckpointError, ConfigError
from goalbridge.configs.registries import worlds
from goalbridge.configs.schema import RunConfig
from goalbridge.configs.world_settings import WorldSettings
from goalbridge.worlds._base import World

if TYPE_CHECKING:
    from goalbridge.agents.spec import WorldSpec


def world_of(env: WorldSettings) -> type[World]:
    """The world that settings are of; ConfigError where there is none."""
    kind: type[World] = worlds.get(env.world, "env.world")
    return kind


def open_trained(run: RunConfig, folder: Path) -> World:
    """The world of the run in `folder`, from what was kept there, to play in; ConfigError where nothing can be played.

    Raises ConfigError, LayoutError or LevelError also where there is none.
    """
    kind = world_of(run.env)
    if not kind.playable:
        raise ConfigError(
            f"run_dir={folder}: was trained on data={run.data.kind}, which have no environment to evaluate in; from "
            f"Python, Agent.from_pretrained({str(folder)!r}).policy().act(observations, instructions) works"
        )
    return kind.open_trained(run, folder)


def require_same(world: World, spec: WorldSpec, folder: str) -> None:
    """CheckpointError where an agent, which knows `spec`, was trained in another world than this."""
    here = world.spec.env_id
    if spec.env_id != here:
        raise CheckpointError(f"{folder}: the agent was trained in {spec.env_id}, not {here}; train one there")
    if spec.fingerprint != world.fingerprint:
        raise CheckpointError(f"{folder}: the agent was trained on another layout of {here}; give it that layout")
