"""BabyAI's levels: many layouts of grids, one agent for all of them."""
