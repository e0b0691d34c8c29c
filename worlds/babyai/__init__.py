"""BabyAI's levels: many layouts of grids, one agent for all of them."""

from goalbridge.worlds.babyai.world import BabyAIWorld

__all__ = ["BabyAIWorld"]
