"""BabyAI's levels as a `World`: one agent for all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents.world import CandidateActions, WorldSpec
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.schema import BABYAI, EnvConfig
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.collect import LAYOUTS, collect_grids, stream
from goalbridge.data.playground import GridPlayground, Playground
from goalbridge.encoders.grid import OWN, WINDOW
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.layouts import HELD_OUT_COMBINATIONS, Layouts, draw_layouts
from goalbridge.envs.babyai.levels import LEVELS, level
from goalbridge.envs.babyai.simulator import ACTIONS
from goalbridge.evaluation.world import World

FAMILY = BABYAI


class GridHome(World):
    """Levels to draw layouts from. Raises LevelError for what is no navigation level, ConfigError for none at all."""

    def __init__(self, env: EnvConfig, lexicon: int = 0) -> None:
        if not env.levels:
            raise ConfigError("env.levels=[]: is empty; name at least one level, such as [GoToLocal]")
        self.env = env
        self.levels = tuple(level(name).name for name in env.levels)
        self.captions = GridCaptions(lexicon)

    @property
    def spec(self) -> WorldSpec:
        """Situations in grids of at most the largest level's size."""
        largest = (max(known.width for known in LEVELS.values()), max(known.height for known in LEVELS.values()))
        own = (largest[0] - 1, largest[1] - 1, 3, *largest, 10, 5, 2)
        high = tuple(float(value) for value in (*own, *[12] * WINDOW, *[5] * WINDOW))
        assert len(own) == OWN
        low = (0.0,) * len(high)
        return WorldSpec(FAMILY, "any layout", low, high, low, high, len(ACTIONS), kind="grid", discrete=True)

    def candidates(self, count: int) -> CandidateActions:
        """All four actions, which do what they say."""
        return CandidateActions(np.eye(len(ACTIONS), dtype=np.float32), np.eye(len(ACTIONS)))

    def action_pool(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Uniform over the four actions."""
        return np.eye(len(ACTIONS), dtype=np.float32)[rng.integers(len(ACTIONS), size=count)]

    def collect(self, data: DataConfig, seed: int) -> TrajectoryBuffer:
        """Random play and walks to random poses in layouts drawn from the levels' own generators."""
        return collect_grids(self._draw(data, seed), data, seed)

    def playground(self, data: DataConfig, seed: int) -> Playground:
        """The simulator on the same layouts as `collect`'s."""
        return GridPlayground(self._draw(data, seed), data.environments)

    def _draw(self, data: DataConfig, seed: int) -> Layouts:
        held_out = HELD_OUT_COMBINATIONS if self.env.held_out else frozenset[tuple[str, str]]()
        return draw_layouts(self.levels, data.layouts, stream(seed, LAYOUTS), held_out)
