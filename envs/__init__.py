"""The worlds, their commands and their experts; importing this package registers the Gymnasium ids.

`goalbridge/ForkMaze-v0`, `IslandMaze-v0`, `BlankMaze-v0`, `SlitMaze-v0` and `BlockerMaze-v0` are fixed mazes;
`goalbridge/PointMaze-v0` takes any maze as `layout=` (a name, a text file of '#' and '.', or a 0/1 array). Each works
with `gymnasium.make` and, truly batched, with `gymnasium.make_vec`.
"""

from typing import Any

import gymnasium

from envs.layouts import LAYOUTS


def _register(name: str, kwargs: dict[str, Any]) -> None:
    gymnasium.register(
        id=f"goalbridge/{name}-v0",
        entry_point="envs.maze:PointMazeEnv",
        vector_entry_point="envs.vector:PointMazeVectorEnv",
        max_episode_steps=100,
        kwargs=kwargs,
    )


for _layout in LAYOUTS:
    _register(f"{_layout.capitalize()}Maze", {"layout": _layout})
_register("PointMaze", {})
