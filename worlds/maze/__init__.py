"""Point mazes: one layout, positions in cells, directions."""
