"""The bot as a rival: it wins, and where it breaks down it has lost, at the full price."""

from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import pytest
from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError

from goalbridge.envs.babyai.bot import bot_steps
from goalbridge.envs.babyai.optimum import fewest_steps, mission_targets


def level(name: str, seed: int = 0) -> Any:
    world: Any = gymnasium.make(name).unwrapped
    world.reset(seed=seed)
    return world


@pytest.mark.parametrize("name", ["GoToRedBallNoDists", "GoToDoor", "GoToObjMazeS4", "GoToSeqS5R2"])
def test_reaches_what_it_is_told_to(name: str) -> None:
    for seed in range(5):
        world = level(f"BabyAI-{name}-v0", seed)
        fewest = 1.0
        if "Seq" not in name:
            start = (*world.agent_pos, world.agent_dir)
            fewest = fewest_steps(world.grid.encode(), start, mission_targets(world))
        success, steps = bot_steps(world)
        assert success
        assert fewest <= steps == world.step_count <= world.max_steps
    assert bot_steps(level(f"BabyAI-{name}-v0")) == bot_steps(level(f"BabyAI-{name}-v0"))


@pytest.mark.parametrize(
    ("replan", "steps"),
    [
        *(
            (error, 0)
            for error in (DisappearedBoxError, AssertionError, IndexError, KeyError, TypeError, AttributeError)
        ),
        ("done", 1),  # it gives up
        ("drop", 64),  # it runs out of steps
    ],
)
def test_breaking_down_is_a_failure_at_the_full_price(monkeypatch: pytest.MonkeyPatch, replan: Any, steps: int) -> None:
    world = level("BabyAI-GoToLocal-v0")

    def instead(bot: BabyAIBot) -> Any:
        if isinstance(replan, str):
            return world.actions[replan]
        raise replan("a box was opened, or such")

    monkeypatch.setattr(BabyAIBot, "replan", instead)
    assert bot_steps(world) == (False, 64)
    assert world.step_count == steps


def test_an_end_without_reward_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    world = level("BabyAI-GoToLocal-v0")
    monkeypatch.setattr(world, "step", lambda action: ({}, 0, True, False, {}))
    assert bot_steps(world) == (False, 64)


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def replan(bot: BabyAIBot) -> int:
        raise MemoryError

    monkeypatch.setattr(BabyAIBot, "replan", replan)
    with pytest.raises(MemoryError):
        bot_steps(level("BabyAI-GoToLocal-v0"))
    with pytest.raises(ValueError, match=r"env: expected a BabyAI mission .*, got 'reach the goal'"):
        bot_steps(level("MiniGrid-FourRooms-v0"))
