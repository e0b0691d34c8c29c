"""The worlds, their commands and their experts; importing this package registers the Gymnasium ids.

`goalbridge/ForkMaze-v0`, `IslandMaze-v0`, `BlankMaze-v0`, `SlitMaze-v0` and `BlockerMaze-v0` are fixed mazes;
`goalbridge/PointMaze-v0` takes any maze as `layout=` (a name, a text file of '#' and '.', or a 0/1 array).
`goalbridge/BabyAI-GoToLocal-v0` and the other levels of `envs.babyai.levels.LEVELS` are minigrid's own, with
`view="full"` or `"partial"`. Each works with `gymnasium.make` and, batched, with `gymnasium.make_vec`.
"""

from typing import Any

import gymnasium

from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.envs.layouts import LAYOUTS


def _register(name: str, kwargs: dict[str, Any]) -> None:
    gymnasium.register(
        id=f"goalbridge/{name}-v0",
        entry_point="goalbridge.envs.vector:PointMazeEnv",
        vector_entry_point="goalbridge.envs.vector:PointMazeVectorEnv",
        max_episode_steps=100,
        kwargs=kwargs,
    )


for _layout in LAYOUTS:
    _register(f"{_layout.capitalize()}Maze", {"layout": _layout})
_register("PointMaze", {})

for _level in LEVELS.values():
    gymnasium.register(  # without a step limit: minigrid has its own
        id=_level.id,
        entry_point="goalbridge.envs.babyai.navigation:make_navigation",
        vector_entry_point="goalbridge.envs.babyai.vector:BabyAIVectorEnv",
        kwargs={"level": _level.name},
    )
