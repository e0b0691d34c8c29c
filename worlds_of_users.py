import gymnasium
import numpy as np

# Gymnasium's frozen lake, which does not slip here: 64 numbered cells, 4 actions, holes that end an episode.
gymnasium.register("Lake-v0", "gymnasium.envs.toy_text:FrozenLakeEnv", kwargs={"map_name": "8x8", "is_slippery": False})


def lake(goal):  # a number
    row, column = divmod(goal, 8)
    side, half = "left" if column < 4 else "right", "top" if row < 4 else "bottom"
    return [f"row {row}", f"column {column}", f"row {row}, column {column}", f"the {half} {side}"]


def pendulum(goal):  # gymnasium's Pendulum-v1: (cos, sin) of the angle from upright, and how fast it turns
    up, left, speed = goal
    true = {"pointing up": up > 0.9, "hanging down": up < -0.9, "turning fast": abs(speed) > 5}
    true |= {"pointing left": left > 0.9, "pointing right": left < -0.9}
    return [text for text, holds in true.items() if holds]


class Dot(gymnasium.Env):
    """A dot of 2 x 2 pixels in a picture of 16 x 16, moved by 2 pixels; the goal is where it is, not the picture."""

    action_space = gymnasium.spaces.Discrete(4)
    observation_space = gymnasium.spaces.Dict(
        observation=gymnasium.spaces.Box(0, 255, (16, 16, 3), np.uint8),
        achieved_goal=gymnasium.spaces.Box(0, 7, (2,), np.float32),
    )

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def render(self):
        return self.look()["observation"]

    def look(self):
        picture = np.zeros((16, 16, 3), np.uint8)
        picture[2 * self.at[0] :, 2 * self.at[1] :][:2, :2] = 255
        return {"observation": picture, "achieved_goal": self.at.astype(np.float32)}

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self.np_random.integers(8, size=2)
        return self.look(), {}

    def step(self, action):
        self.at = np.clip(self.at + [(0, 1), (1, 0), (0, -1), (-1, 0)][action], 0, 7)
        return self.look(), 0.0, False, False, {}


gymnasium.register("Dot-v0", Dot)


def dot(goal):  # (row, column)
    row, column = goal
    corner = ["in a corner"] if row in (0, 7) and column in (0, 7) else []
    return [f"row {row:.0f}", f"column {column:.0f}", *corner]
