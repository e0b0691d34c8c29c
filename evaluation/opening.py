"""Which `World` belongs to which settings."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.schema import NO_ENV, EnvConfig, RunConfig
from goalbridge.data.demands import Demands
from goalbridge.data.episodes import discard, partial_folder, stage
from goalbridge.data.minari_import import MinariEpisodes
from goalbridge.evaluation.files_world import FilesHome, open_files
from goalbridge.evaluation.grid_world import FAMILY, GridHome
from goalbridge.evaluation.maze_world import MazeHome
from goalbridge.evaluation.own_world import OwnHome
from goalbridge.evaluation.world import World

TRAJECTORIES = "trajectories"  # in a run's folder


def open_world(env: EnvConfig, data: DataConfig) -> World:
    """The world that settings name, and of which captions speak as `data` says; a user's own is told by its captions.

    Raises ConfigError, LayoutError or LevelError where there is none.
    """
    if env.captions:
        return OwnHome(env)
    return GridHome(env, data.lexicon) if env.id == FAMILY else MazeHome(env, data.captions)


def trained_env(run: RunConfig, folder: Path) -> EnvConfig:
    """The world that the run was trained in; a layout of the user's own is the copy that the run kept."""
    kept = folder / "layout.txt"
    return replace(run.env, layout=str(kept)) if run.env.layout and kept.is_file() else run.env


def open_trained(run: RunConfig, folder: Path) -> World:
    """The world of the run in `folder`, from what was kept there."""
    if run.env.id == NO_ENV:
        return FilesHome(folder / TRAJECTORIES)
    return open_world(trained_env(run, folder), run.data)


def require_env(run: RunConfig, folder: Path) -> None:
    """ConfigError for a run on files alone: there is nothing to play in."""
    if run.env.id == NO_ENV:
        raise ConfigError(
            f"run_dir={folder}: was trained on data=files, which have no environment to evaluate in; from Python, "
            f"Agent.from_pretrained({str(folder)!r}).policy().act(observations, instructions) works"
        )


def demands_of(world: World) -> Demands:
    """What a dataset must be like to be of that world."""
    spec = world.spec
    seen, goals = (spec.observation_low, spec.observation_high), (spec.goal_low, spec.goal_high)
    return Demands(spec.env_id, *seen, *goals, spec.action_dim, spec.discrete, grid=spec.kind == "grid")


def open_training(config: RunConfig, folder: Path) -> World:
    """The world of a run that keeps its trajectories in `folder`. For data=files those are staged first, for the world
    is what they tell: see `data.episodes.stage`. Raises what `open_world` does, and DatasetError.
    """
    if config.data.kind != "files":
        return open_world(config.env, config.data)
    if folder.is_dir():
        return FilesHome(folder)
    staged = stage(open_files(config.dataset), folder)
    try:
        return FilesHome(staged)
    except BaseException:
        discard(folder)
        raise


def stage_dataset(config: RunConfig, world: World, folder: Path) -> None:
    """Stages the trajectories of data=minari for `folder`, checked against the world; DatasetError where they fail."""
    if config.data.kind == "minari" and not folder.is_dir():
        stage(MinariEpisodes(config.dataset, demands_of(world)), folder)


def settle(folder: Path) -> None:
    """What was staged for `folder` becomes it."""
    os.replace(partial_folder(folder), folder)
