"""What was tried in vain is not tried again at once; everything else is left as it was."""

from __future__ import annotations

import torch

from goalbridge.agents.escape import BARRED_STEPS, Escape

ACTIONS = 4
SCORES = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
EXTENT = torch.tensor([10.0, 10.0])
HERE, THERE = torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0, 1.0]])


def step(escape: Escape, observation: torch.Tensor) -> int:
    best = escape.bar(SCORES, observation, [0]).argmax(dim=1)
    escape.remember(observation, best, [0])
    return int(best)


def test_the_best_action_stands_while_things_move() -> None:
    escape = Escape(torch.eye(ACTIONS), EXTENT)
    assert [step(escape, HERE + i) for i in range(5)] == [0] * 5


def test_each_blocked_action_is_ruled_out_in_turn_and_none_when_all_are() -> None:
    escape = Escape(torch.eye(ACTIONS), EXTENT)
    assert [step(escape, HERE) for _ in range(ACTIONS + 1)] == [0, 1, 2, 3, 0]


def test_a_bar_lasts_four_steps_of_movement() -> None:
    escape = Escape(torch.eye(ACTIONS), EXTENT)
    step(escape, HERE)
    assert step(escape, HERE) == 1  # blocked: the first is barred
    moving = [step(escape, THERE + i) for i in range(BARRED_STEPS + 1)]
    assert moving == [1] * (BARRED_STEPS - 1) + [0, 0]


def test_alike_actions_are_barred_with_it() -> None:
    """Where the actuator mixes actions 0 and 1 up, a blocked 0 speaks against 1 as well."""
    mixed = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    escape = Escape(mixed, EXTENT)
    assert [step(escape, HERE) for _ in range(2)] == [0, 2]


def test_episodes_do_not_share_bars_and_forgetting_begins_anew() -> None:
    escape = Escape(torch.eye(ACTIONS), EXTENT)
    step(escape, HERE)
    two = escape.bar(SCORES.expand(2, -1), HERE.expand(2, -1), [0, 7])
    assert two.argmax(dim=1).tolist() == [1, 0]
    escape.forget()
    assert step(escape, HERE) == 0


def test_an_empty_batch_passes() -> None:
    escape = Escape(torch.eye(ACTIONS), EXTENT)
    assert escape.bar(torch.empty(0, ACTIONS), torch.empty(0, 2), []).shape == (0, ACTIONS)
