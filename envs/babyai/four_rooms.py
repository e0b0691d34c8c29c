"""minigrid's FourRooms with commands of our own: "go to the top left room"."""

from __future__ import annotations

from typing import Any, Final

import gymnasium

ROOMS: Final = ("top left", "top right", "bottom left", "bottom right")
EVALUATION_TEMPLATES: Final = (
    "go to the {room} room",
    "make for the {room} room",
    "the {room} room is where you should be",
    "step into the room at the {room}",
)
"""How rooms are asked for when it counts; texts for training must not be worded like these."""


def room_at(x: int, y: int, width: int = 19, height: int = 19) -> str | None:
    """The room of a cell, strictly inside its walls; None in walls and doorways."""
    x_wall, y_wall = width // 2, height // 2
    if x in (0, x_wall, width - 1) or y in (0, y_wall, height - 1):
        return None
    return ROOMS[2 * (y > y_wall) + (x > x_wall)]


class RoomCommands(gymnasium.Wrapper[dict[str, Any], int, dict[str, Any], int]):
    """FourRooms, unmodified underneath, judged by the room that `mission` asks for.

    The command is drawn from the environment's own generator after its layout: a room other than the one that the
    agent starts in (any, if it starts in a doorway), then a wording. The episode ends, with minigrid's reward
    1 - 0.9 * steps / max_steps, in the first step after which the agent is inside that room. minigrid's green goal
    square is part of the scenery: it neither ends an episode nor rewards. The step limit is minigrid's own.
    """

    room: str = ROOMS[0]
    mission: str = ""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin an episode of minigrid's and draw a command for it."""
        observation, info = self.env.reset(seed=seed, options=options)
        rooms, rng = [room for room in ROOMS if room != self._room_here()], self.env.unwrapped.np_random
        self.room = rooms[int(rng.integers(len(rooms)))]
        self.mission = EVALUATION_TEMPLATES[int(rng.integers(len(EVALUATION_TEMPLATES)))].format(room=self.room)
        return {**observation, "mission": self.mission}, info

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Take minigrid's step; reward and end are those of the command."""
        observation, _, _, truncated, info = self.env.step(action)
        holds, raw = self._room_here() == self.room, self.env.unwrapped
        reward = float(raw._reward()) if holds else 0.0  # type: ignore[attr-defined]
        return {**observation, "mission": self.mission}, reward, holds, truncated, info

    def _room_here(self) -> str | None:
        raw: Any = self.env.unwrapped
        x, y = raw.agent_pos
        return room_at(int(x), int(y), raw.width, raw.height)
