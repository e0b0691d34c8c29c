"""The BabyAI levels that are solved by going somewhere: their names, their minigrid ids and their sizes."""

from __future__ import annotations

import difflib
import re
import warnings
from dataclasses import dataclass
from typing import Final

from goalbridge.configs.checks import UserError

TESTED_MINIGRID: Final = "3.2"


class LevelError(UserError):
    """A level that is no navigation level; the message says which are."""


@dataclass(frozen=True)
class Level:
    """One navigation level that ships with minigrid.

    name: as "GoToLocal". family: for tables, as "room". width, height: in cells, walls included.
    """

    name: str
    minigrid_id: str
    family: str
    width: int
    height: int

    @property
    def id(self) -> str:
        """This project's Gymnasium id, as "goalbridge/BabyAI-GoToLocal-v0"."""
        return f"goalbridge/BabyAI-{self.name}-v0"


# GoToImpUnlock is left out: its doors need keys, which nobody picks up here.
_SIZES: Final[dict[str, dict[str, int]]] = {
    "room": {
        "GoToRedBallGrey": 8, "GoToRedBall": 8, "GoToRedBallNoDists": 8, "GoToObj": 8, "GoToObjS4": 4, "GoToObjS6": 6,
        "GoToLocal": 8, "GoToLocalS5N2": 5, "GoToLocalS6N2": 6, "GoToLocalS6N3": 6, "GoToLocalS6N4": 6,
        "GoToLocalS7N4": 7, "GoToLocalS7N5": 7, "GoToLocalS8N2": 8, "GoToLocalS8N3": 8, "GoToLocalS8N4": 8,
        "GoToLocalS8N5": 8, "GoToLocalS8N6": 8, "GoToLocalS8N7": 8, "GoToRedBlueBall": 8,
    },
    "doors": {"GoToDoor": 19, "GoToObjDoor": 22},
    "maze": {
        "GoToObjMaze": 22, "GoToObjMazeOpen": 22, "GoToObjMazeS4R2": 7, "GoToObjMazeS4": 10, "GoToObjMazeS5": 13,
        "GoToObjMazeS6": 16, "GoToObjMazeS7": 19, "GoTo": 22, "GoToOpen": 22,
    },
    "four_rooms": {"FourRooms": 19},
    "sequence": {"GoToSeq": 22, "GoToSeqS5R2": 9},
}  # fmt: skip
_ODD_IDS: Final = {"FourRooms": "MiniGrid-FourRooms-v0", "GoToObjS6": "BabyAI-GoToObjS6-v1"}

LEVELS: Final[dict[str, Level]] = {
    name: Level(name, _ODD_IDS.get(name, f"BabyAI-{name}-v0"), family, size, size)
    for family, sizes in _SIZES.items()
    for name, size in sizes.items()
}
"""All navigation levels by name, family by family; every one of them is square."""

_BY_ALIAS: Final = {
    alias: known
    for known in LEVELS.values()
    for alias in (known.name, known.minigrid_id, f"BabyAI-{known.name}-v0", known.id)
}


def level(name: str) -> Level:
    """The level of a name ("GoToLocal"), of minigrid's id or of this project's id. Raises LevelError."""
    if isinstance(name, str) and name in _BY_ALIAS:
        return _BY_ALIAS[name]
    short = re.sub(r"^(goalbridge/)?(BabyAI-|MiniGrid-)?|-v\d+$", "", str(name)).lower()
    by_lower = {known.lower(): known for known in LEVELS}
    nearest = [by_lower[match] for match in difflib.get_close_matches(short, by_lower, n=len(by_lower))]
    names = nearest + [known for known in LEVELS if known not in nearest]
    raise LevelError(f"level: expected a navigation level, got {name!r}; try one of {', '.join(names)}")


def check_minigrid_version() -> None:
    """Warn, in one line, if minigrid is of another version than the one that this world was tested with."""
    import minigrid

    if not f"{minigrid.__version__}.".startswith(f"{TESTED_MINIGRID}."):
        warnings.warn(
            f"minigrid: expected version {TESTED_MINIGRID}.x, got {minigrid.__version__}; the wording of missions, the "
            "layouts drawn from a seed, rewards and step limits may differ",
            stacklevel=3,
        )
