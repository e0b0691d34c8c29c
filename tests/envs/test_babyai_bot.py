"""The bot as a rival: it wins, and where it breaks down it has lost, at the full price."""

from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import pytest
from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError

from goalbridge.envs.babyai.bot import bot_steps
from goalbridge.envs.babyai.optimum import fewest_steps, mission_targets


def level(name: str, seed: int) -> Any:
    world: Any = gymnasium.make(name).unwrapped
    world.reset(seed=seed)
    return world


@pytest.mark.parametrize("name", ["GoToRedBallNoDists", "GoToDoor", "GoToObjMazeS4"])
def test_reaches_what_it_is_told_to(name: str) -> None:
    for seed in range(5):
        world = level(f"BabyAI-{name}-v0", seed)
        start = (*world.agent_pos, world.agent_dir)
        fewest = fewest_steps(world.grid.encode(), start, mission_targets(world))
        success, steps = bot_steps(world)
        assert success
        assert fewest <= steps <= world.max_steps
        assert steps == world.step_count


def test_follows_sequences() -> None:
    for seed in range(5):
        success, steps = bot_steps(level("BabyAI-GoToSeqS5R2-v0", seed))
        assert success
        assert steps > 0


def test_the_same_episode_twice() -> None:
    assert bot_steps(level("BabyAI-GoTo-v0", 0)) == bot_steps(level("BabyAI-GoTo-v0", 0))


@pytest.mark.parametrize(
    "error", [DisappearedBoxError, AssertionError, IndexError, KeyError, TypeError, AttributeError]
)
def test_breaking_down_is_a_failure(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def replan(bot: BabyAIBot) -> int:
        raise error("a box was opened, or such")

    monkeypatch.setattr(BabyAIBot, "replan", replan)
    assert bot_steps(level("BabyAI-GoToLocal-v0", 0)) == (False, 64)


def test_giving_up_is_a_failure_and_costs_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    world = level("BabyAI-GoToLocal-v0", 0)
    monkeypatch.setattr(BabyAIBot, "replan", lambda bot: world.actions.done)
    assert bot_steps(world) == (False, 64)
    assert world.step_count == 1


def test_running_out_of_steps_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    world = level("BabyAI-GoToLocal-v0", 0)
    monkeypatch.setattr(BabyAIBot, "replan", lambda bot: world.actions.drop)
    assert bot_steps(world) == (False, 64)
    assert world.step_count == 64


def test_an_end_without_reward_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    world = level("BabyAI-GoToLocal-v0", 0)
    monkeypatch.setattr(world, "step", lambda action: ({}, 0, True, False, {}))
    assert bot_steps(world) == (False, 64)


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def replan(bot: BabyAIBot) -> int:
        raise MemoryError

    monkeypatch.setattr(BabyAIBot, "replan", replan)
    with pytest.raises(MemoryError):
        bot_steps(level("BabyAI-GoToLocal-v0", 0))


def test_level_that_it_cannot_read() -> None:
    with pytest.raises(ValueError, match="expected a BabyAI level after reset, got mission 'reach the goal'"):
        bot_steps(level("MiniGrid-FourRooms-v0", 0))
