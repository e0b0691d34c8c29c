"""The bot as a rival: it wins, and where it breaks down it has lost, at the full price."""

from collections.abc import Callable
from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import pytest
from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError

from goalbridge.envs.babyai.optimum import bot_steps, fewest_steps, mission_targets


def level(name: str, seed: int = 0) -> Any:
    world: Any = gymnasium.make(name).unwrapped
    world.reset(seed=seed)
    return world


@pytest.mark.parametrize("name", ["GoToRedBallNoDists", "GoToDoor", "GoToObjMazeS4", "GoToSeqS5R2"])
def test_reaches_what_it_is_told_to(name: str) -> None:
    for seed in range(5):
        world = level(f"BabyAI-{name}-v0", seed)
        start, grid = (*world.agent_pos, world.agent_dir), world.grid.encode()
        fewest = 1 if "Seq" in name else fewest_steps(grid, start, mission_targets(world))
        success, steps = bot_steps(world)
        assert success
        assert fewest <= steps == world.step_count <= world.max_steps
        assert bot_steps(level(f"BabyAI-{name}-v0", seed)) == (success, steps)


def broken(error: type[BaseException]) -> Callable[[BabyAIBot], int]:
    def replan(bot: BabyAIBot) -> int:
        raise error("a box was opened, or such")

    return replan


ERRORS = (DisappearedBoxError, AssertionError, IndexError, KeyError, TypeError, AttributeError)


@pytest.mark.parametrize(
    ("replan", "taken"),
    [*((broken(error), 0) for error in ERRORS), (lambda bot: 6, 1), (lambda bot: 4, 64)],  # breaks, gives up, drops
)
def test_a_failure_costs_the_limit(
    monkeypatch: pytest.MonkeyPatch, replan: Callable[[BabyAIBot], int], taken: int
) -> None:
    monkeypatch.setattr(BabyAIBot, "replan", replan)
    world = level("BabyAI-GoToLocal-v0")
    assert bot_steps(world) == (False, 64)
    assert world.step_count == taken


def test_an_end_without_reward_is_a_failure_and_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    world = level("BabyAI-GoToLocal-v0")
    monkeypatch.setattr(world, "step", lambda action: ({}, 0, True, False, {}))
    assert bot_steps(world) == (False, 64)
    monkeypatch.setattr(BabyAIBot, "replan", broken(MemoryError))
    with pytest.raises(MemoryError):
        bot_steps(level("BabyAI-GoToLocal-v0"))
    with pytest.raises(ValueError, match="expected a BabyAI level after reset, got mission 'reach the goal'"):
        bot_steps(level("MiniGrid-FourRooms-v0"))
