"""BabyAI's navigation levels, as minigrid ships them."""
