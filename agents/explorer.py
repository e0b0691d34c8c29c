"""Acting towards goals that the agent has commanded itself, with noise enough to find out more."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from goalbridge.agents.agent import Agent
from goalbridge.agents.memory import VectorMemory


class Explorer:
    """Takes the candidate action with the highest f_AB(s, a, g), or now and then another, and turns it a little.

    Args:
        agent: whose critic; its averaged weights act best.
        exploration: chance of a uniformly random candidate instead of the best one.
        noise_degrees: standard deviation of the angle by which an action is turned, in a random plane; the length of
            an action stays as it is. Discrete actions are not turned.

    Actions that changed nothing are masked for a few steps (`agents.memory`). One explorer serves one round.
    """

    def __init__(self, agent: Agent, exploration: float, noise_degrees: float) -> None:
        self._agent, self._exploration = agent, exploration
        turns = agent.world.action_dim > 1 and not agent.world.discrete
        self._noise = float(np.deg2rad(noise_degrees)) if turns else 0.0
        extent = agent.observation_extent()
        self._memory = VectorMemory(agent.bridge_goals, agent.execution, extent, False, True, False)

    @torch.no_grad()
    def act(self, observation: NDArray[Any], goals: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float32]:
        """Actions [E, D] from observations [E, S] towards goals [E, G]."""
        agent, episodes = self._agent, range(len(observation))
        states = torch.as_tensor(observation, device=agent.device)  # [E, S]
        place = states.float()
        encoded_goals = agent.encode_goals(torch.as_tensor(goals, device=agent.device))  # [E, d]
        encoded = agent.encode_state_actions(states.unsqueeze(1), agent.candidate_actions.unsqueeze(0))  # [E, A, d]
        scores = agent.critic_ab.paired(encoded, encoded_goals.unsqueeze(1))  # [E, A]
        best = self._memory.mask(scores, place, episodes).argmax(dim=1).cpu().numpy()  # [E]
        other = rng.integers(len(agent.candidate_actions), size=len(best))  # [E]
        chosen = np.where(rng.random(len(best)) < self._exploration, other, best)  # [E]
        self._memory.chose(place, torch.as_tensor(chosen, device=agent.device), episodes)
        actions: NDArray[np.float32] = agent.candidate_actions.cpu().numpy()[chosen]  # [E, D]
        return _turned(actions, self._noise, rng) if self._noise else actions


def _turned(actions: NDArray[np.float32], noise: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """The actions [E, D], each turned by a Gaussian angle of deviation `noise` (radians) in a random plane."""
    length = np.linalg.norm(actions.astype(np.float64), axis=1, keepdims=True)  # [E, 1]
    along = actions / np.where(length > 0, length, 1.0)  # [E, D]
    across = rng.standard_normal(actions.shape)
    for _ in range(2):  # once leaves rounding errors where it is all but parallel
        across -= (across * along).sum(axis=1, keepdims=True) * along
        across /= np.linalg.norm(across, axis=1, keepdims=True)  # [E, D]
    angle = noise * rng.standard_normal(length.shape)  # [E, 1]
    turned = length * (np.cos(angle) * along + np.sin(angle) * across)
    return np.asarray(turned, dtype=np.float32)
