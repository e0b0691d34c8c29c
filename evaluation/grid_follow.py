"""Following words of one's own in BabyAI's layouts, where no verifier says whether they were fulfilled."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.agents.composition import parse
from goalbridge.agents.planning import aims_of
from goalbridge.agents.scenes import FOUND, Known
from goalbridge.encoders.readers import imaginable, read_grids, states_of
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.phrasing import FIRST_TYPE, TYPES
from goalbridge.envs.babyai.simulator import DIRECTIONS
from goalbridge.evaluation.grid_watch import Observation, Recording

_FLOOR: Final = ("unseen", "empty", "floor")


class Fulfilment:
    """Whether an agent that follows an instruction has come where, by its own reading, the instruction leads.

    A state is there if it fits at least `agents.scenes.FOUND` times as well as the best goal that is seen (and, where
    not all is seen, as the best imaginable one). Parts of a composed instruction are ticked off in their order.
    """

    def __init__(self, agent: Agent, instruction: str) -> None:
        self._agent, self._instruction, self._task = agent, instruction, parse(instruction)
        self._done: frozenset[int] = frozenset()
        self._largest = (int(agent.world.observation_high[3]), int(agent.world.observation_high[4]))

    def __call__(self, observation: Observation) -> bool:
        """Takes in one more moment; True once all parts are done."""
        view = read_grids(observation, self._largest)[0]
        partial = bool((view.grid[..., 0] == 0).any())
        rows = [view.goals(), states_of([view])] + ([imaginable(*view.grid.shape[:2])] if partial else [])
        fits = self._fits(np.concatenate(rows), Known.of(self._agent, self._instruction, view))  # [P, M + 1 + K]
        here = [aims_of(of[len(rows[0])][None], of.max())[0] >= FOUND for of in fits]  # P
        while newly := [part for part in self._task.open_parts(self._done) if here[part]]:
            self._done |= set(newly)
        return self._done == self._task.all_parts

    @torch.no_grad()
    def _fits(self, goals: NDArray[np.uint8], known: Known) -> list[NDArray[np.float64]]:
        agent = self._agent
        meaning = agent.encode_meanings(torch.as_tensor(goals, device=agent.device))  # [M, d]
        return [known.fits(meaning, part).double().cpu().numpy() for part in range(len(known.readings))]


def likeliest_places(policy: Any, observation: Observation, instruction: str, count: int = 3) -> list[str]:
    """What the agent thinks was meant, the likeliest first, as "red ball at (3, 4)".

    Goals are told apart by the thing that they face, or where they face none, by the cell that they stand in.
    """
    goals = policy.goals(observation)[0].astype(np.int64)  # [M, S]
    posterior = policy.goal_posterior([instruction], observation)[0]  # [M]
    chances: dict[str, float] = {}
    for goal, chance in zip(goals, posterior.tolist(), strict=True):
        place = place_of(goal)
        chances[place] = chances.get(place, 0.0) + chance
    return sorted(chances, key=lambda place: -chances[place])[:count]


def place_of(goal: NDArray[np.integer]) -> str:
    """In words, the thing that a goal faces, or else the cell that it stands in; goal: [>= 7]."""
    x, y, direction, _, _, kind, colour = (int(value) for value in goal[:7])
    if FIRST_TYPE <= kind < FIRST_TYPE + len(TYPES):
        x, y = x + int(DIRECTIONS[direction, 0]), y + int(DIRECTIONS[direction, 1])
        return f"{IDX_TO_COLOR[colour]} {IDX_TO_OBJECT[kind]} at ({x}, {y})"
    return f"floor at ({x}, {y})"


def is_true_of(captions: GridCaptions, label: int, recording: Recording) -> bool:
    """Whether a caption's label is true of where the recording ends."""
    grid, pose = recording.moments[-1]["grid"][0], recording.moments[-1]["pose"][0]  # [W, H, 3], [3]
    faced = grid[tuple(pose[:2] + DIRECTIONS[pose[2]])]  # [3]
    goal = np.concatenate([pose, grid.shape[:2], faced[:2]])  # [7]
    return bool((captions.true_labels(goal[None]) == label).any())
