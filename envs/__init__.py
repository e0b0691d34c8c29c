"""Gymnasium environments, their commands and their experts; importing this package registers the ids.

`goalbridge/ForkMaze-v0`, `IslandMaze-v0`, `BlankMaze-v0`, `SlitMaze-v0`, `BlockerMaze-v0`: fixed mazes.
`goalbridge/PointMaze-v0`: any maze as `layout=` (a name, a text file of '#' and '.', or a 0/1 array).
`goalbridge/BabyAI-GoToLocal-v0` and all of `envs.babyai.levels.LEVELS`: minigrid's, with view="full" or "partial".
All of them work with `gymnasium.make` and, batched, with `gymnasium.make_vec`.
"""

import gymnasium

from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.envs.layouts import LAYOUTS

for _name, _kwargs in [("Point", {}), *((name.capitalize(), {"layout": name}) for name in LAYOUTS)]:
    gymnasium.register(
        id=f"goalbridge/{_name}Maze-v0",
        entry_point="goalbridge.envs.maze:PointMazeEnv",
        vector_entry_point="goalbridge.envs.maze:PointMazeVectorEnv",
        max_episode_steps=100,
        kwargs=_kwargs,
    )

for _level in LEVELS.values():
    gymnasium.register(  # without a step limit: minigrid has its own
        id=_level.id,
        entry_point="goalbridge.envs.babyai.navigation:make_navigation",
        vector_entry_point="goalbridge.envs.babyai.vector:BabyAIVectorEnv",
        kwargs={"level": _level.name},
    )
