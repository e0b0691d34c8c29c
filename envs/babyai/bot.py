"""minigrid's own bot as a rival: it sees 7x7 cells, may carry things, and is told the mission as code, not words."""

from __future__ import annotations

import contextlib
from typing import Any


def bot_steps(env: Any) -> tuple[bool, int]:
    """Let the bot play the episode that a level was reset to: whether the mission was fulfilled, and the actions taken.

    It has failed if the level gives no reward, if it gives up, or if it breaks down (it trips over some layouts); a
    failure counts as the level's `max_steps`. env: minigrid's own (`.unwrapped`), fresh from `reset`; played to its
    end. Raises ValueError for a level without a BabyAI mission, as FourRooms.
    """
    from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError

    if not hasattr(env, "instrs"):
        raise ValueError(f"env: expected a BabyAI level after reset, got mission {env.mission!r}")
    with contextlib.suppress(DisappearedBoxError, AssertionError, LookupError, TypeError, AttributeError):
        bot: Any = BabyAIBot(env)  # type: ignore[no-untyped-call]
        finished = False
        while not finished:
            action = bot.replan()
            _, reward, terminated, truncated, _ = env.step(action)
            if reward > 0:
                return True, int(env.step_count)
            finished = terminated or truncated or action == env.actions.done  # done: it believes that it is
    return False, int(env.max_steps)
