"""Point mazes: one layout, positions in cells, directions."""

from goalbridge.worlds.maze.world import MazeWorld

__all__ = ["MazeWorld"]
