"""BabyAI's levels as a `World`: one agent for all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents.spec import CandidateActions, WorldSpec
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.registries import worlds
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.captions import LAYOUTS, stream
from goalbridge.data.online import SelfPlayEnv
from goalbridge.data.space_spec import SpaceSpec
from goalbridge.encoders.grid import OWN, WINDOW
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.layouts import HELD_OUT_COMBINATIONS, Layouts, draw_layouts
from goalbridge.envs.babyai.levels import LEVELS, level
from goalbridge.envs.babyai.simulator import ACTIONS
from goalbridge.worlds.babyai.collect import collect_grids
from goalbridge.worlds.babyai.episodes import BabyAIEpisodes
from goalbridge.worlds.babyai.minari import FORM, GridReader
from goalbridge.worlds.babyai.play import BabyAISelfPlay
from goalbridge.worlds.babyai.settings import BABYAI, BabyAIEvaluation, BabyAISettings


@worlds.register("babyai")
class BabyAIWorld(BabyAIEpisodes):
    """Levels to draw layouts from. Raises LevelError for what is no navigation level, ConfigError for none at all."""

    Settings = BabyAISettings
    EvaluationSettings = BabyAIEvaluation
    settings: BabyAISettings

    def __init__(self, settings: BabyAISettings) -> None:
        self.settings = settings
        self.levels = tuple(level(name).name for name in settings.levels)
        self.captions = GridCaptions(settings.lexicon)

    @property
    def spec(self) -> WorldSpec:
        """Situations in grids of at most the largest level's size."""
        largest = (max(known.width for known in LEVELS.values()), max(known.height for known in LEVELS.values()))
        own = (largest[0] - 1, largest[1] - 1, 3, *largest, 10, 5, 2)
        high = tuple(float(value) for value in (*own, *[12] * WINDOW, *[5] * WINDOW))
        assert len(own) == OWN
        low = (0.0,) * len(high)
        return WorldSpec(BABYAI, "any layout", low, high, low, high, len(ACTIONS), kind="grid", discrete=True)

    def candidates(self, count: int) -> CandidateActions:
        """All four actions, which do what they say."""
        return CandidateActions(np.eye(len(ACTIONS), dtype=np.float32), np.eye(len(ACTIONS)))

    def action_pool(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Uniform over the four actions."""
        return np.eye(len(ACTIONS), dtype=np.float32)[rng.integers(len(ACTIONS), size=count)]

    def collect(self, data: DataConfig, seed: int) -> TrajectoryBuffer:
        """Random play and walks to random poses in layouts drawn from the levels' own generators."""
        return collect_grids(self._draw(seed), data, seed)

    def self_play(self, data: DataConfig, seed: int) -> SelfPlayEnv:
        """The simulator on the same layouts as `collect`'s."""
        return BabyAISelfPlay(self._draw(seed), data.environments)

    def dataset_spec(self) -> SpaceSpec:
        """Situations, which are read off the grids of a dataset."""
        return replace(super().dataset_spec(), reader=GridReader, form=FORM)

    def _draw(self, seed: int) -> Layouts:
        held_out = HELD_OUT_COMBINATIONS if self.settings.held_out else frozenset[tuple[str, str]]()
        return draw_layouts(self.levels, self.settings.layouts, stream(seed, LAYOUTS), held_out)
