"""Directions without a grid: a search over the circle that starts from the best of a few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from goalbridge.agents import Policy
from goalbridge.agents.bridge import bridge_scores_per_row

ROUNDS: Final = 3
TRIED: Final = 8  # directions of a round


class Searching:
    """Takes a policy's choice among `count` even directions and seeks a better one near it, by LogSumExp's score.

    In every round the directions tried lie within half as much of the best so far as in the round before (the
    cross-entropy method's shrinking spread, laid out evenly).
    """

    def __init__(self, policy: Policy, count: int) -> None:
        self._policy, self._first = policy, np.pi / count

    def reset(self) -> None:
        """Forgets the episodes so far."""
        self._policy.reset()

    @torch.no_grad()
    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        """Directions [B, 2] for positions [B, 2] and B instructions."""
        policy, agent = self._policy, self._policy.agent
        best = torch.as_tensor(policy.act(observation, instructions, episodes))  # [B, 2]
        log_bc = torch.as_tensor(policy.goal_posterior(instructions)).log()  # [B, M]
        states, bridge = (
            torch.as_tensor(observation).unsqueeze(1),
            agent.encode_goals(torch.as_tensor(policy.goals())),
        )  # [B, 1, 2], [M, d]
        for turn in range(ROUNDS):
            angle = torch.linspace(-1, 1, 2 * (TRIED // 2) + 1) * (self._first / 2**turn)  # the present one among them
            row, column = best[:, :1], best[:, 1:]  # [B, 1] each
            tried = torch.stack(
                [angle.cos() * row - angle.sin() * column, angle.sin() * row + angle.cos() * column], dim=-1
            )  # [B, K, 2]
            encoded = agent.encode_state_actions(states, tried)  # [B, K, d]
            scores = bridge_scores_per_row(encoded, log_bc, bridge, agent.critic_ab)  # [B, K]
            best = tried[torch.arange(len(tried)), scores.argmax(dim=1)]
        directions: NDArray[Any] = best.numpy()
        return directions
