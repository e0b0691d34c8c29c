"""That an episode goes on tells what was not meant: the goals where it has been."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from agents.expressions import Instruction

REACH: Final = 0.5  # of the longest step so far: goals nearer than that to where an episode has been were tried
LEAST_LEFT: Final = -6.0  # nats of the posterior: where less would remain, what was tried counts again
FAR: Final = 2.5  # longest steps: who is farther away than that from where it was is in another episode


class Tried:
    """Remembers, for each numbered episode, which of M bridge goals [M, G] it has come by in vain.

    States must be of the goals' space. An instruction that fits where the agent stands would have ended the episode.
    """

    def __init__(self, goals: Tensor) -> None:
        self._goals = goals
        self.forget()

    def forget(self) -> None:
        """Begins anew, with no episode known."""
        self._last: dict[int, tuple[Instruction, Tensor, float]] = {}  # instruction, state [G], longest step
        self._masks: dict[int, Tensor] = {}  # [M] each

    def note(self, states: Tensor, instructions: Sequence[Instruction], episodes: Sequence[int]) -> Tensor:
        """Episodes that go on are in the states [B, G] now; bool [B]: those that are new."""
        begun = torch.zeros(len(states), dtype=torch.bool, device=states.device)  # [B]
        for row, (key, instruction) in enumerate(zip(episodes, instructions, strict=True)):
            known = self._last.get(key)
            step = 0.0
            if known is not None:
                moved = float((states[row] - known[1]).norm())
                step = max(moved, known[2])
                if known[0] != instruction or (known[2] > 0 and moved > FAR * known[2]):
                    known, step = None, 0.0
            if known is None:
                self._masks.pop(key, None)
            begun[row] = known is None
            self._last[key] = (instruction, states[row].clone(), step)  # worlds may overwrite what they showed
        reach = states.new_tensor([REACH * self._last[key][2] for key in episodes])  # [B]
        near = torch.cdist(states, self._goals) < reach.unsqueeze(1)  # [B, M]
        for row, key in enumerate(episodes):
            self._masks[key] = near[row] | self._masks[key] if key in self._masks else near[row]
        return begun

    def exclude(self, log_bc: Tensor, episodes: Sequence[int]) -> Tensor:
        """log_bc [B, M] with -inf for goals that were tried, unless next to nothing would be left of the posterior."""
        if not self._masks or not len(episodes):
            return log_bc
        nothing = torch.zeros(log_bc.shape[1], dtype=torch.bool, device=log_bc.device)
        tried = torch.stack([self._masks.get(key, nothing) for key in episodes])  # [B, M]
        left = log_bc.masked_fill(tried, -torch.inf)  # [B, M]
        share = torch.logsumexp(left, dim=1) - torch.logsumexp(log_bc, dim=1)  # [B]
        return torch.where((share > LEAST_LEFT).unsqueeze(1), left, log_bc)
