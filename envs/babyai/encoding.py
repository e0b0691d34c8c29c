"""minigrid's numbers for what a cell holds, so that nothing loads minigrid only for them."""

from __future__ import annotations

from typing import Final

import numpy as np

COLOURS: Final = ("red", "green", "blue", "purple", "yellow", "grey")  # a cell's colour is an index into these
UNSEEN, EMPTY, WALL, FLOOR, DOOR, KEY, BALL, BOX, GOAL, LAVA, AGENT = range(11)  # its type
OPEN, CLOSED, LOCKED = range(3)  # a door's state; that of everything else is 0
TYPES: Final = ("door", "key", "ball", "box")  # what missions name
FIRST_TYPE: Final = DOOR  # the number of TYPES[0]; the others follow

EMPTY_CELL: Final = (EMPTY, 0, 0)
WALL_CELL: Final = (WALL, COLOURS.index("grey"), 0)
STANDABLE: Final = np.isin(np.arange(AGENT + 1), [EMPTY, FLOOR, GOAL, LAVA])  # [11]; so is a door that is open
