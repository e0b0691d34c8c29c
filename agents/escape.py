"""Leaving where an action changes nothing: a short memory that bars it and its like."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

BARRED_STEPS = 4
LIKE = 0.5
STILL = 1e-3


class Escape:
    """Bars actions, until a few steps after things move again, once one of their like left the observation as it was.

    Trajectories of a good walker hardly ever touch a wall, so no critic knows what happens there; an agent that would
    choose the same blocked action for ever needs only to notice that nothing changed.

    execution: [A, A], row i the probabilities of what is executed when i is chosen. Two actions are alike where their
    rows overlap by at least half of what a row overlaps with itself: only the action itself if the actuator obeys.
    extent: [S], the range of each observed coordinate; less than a thousandth of it counts as no change.
    """

    def __init__(self, execution: Tensor, extent: Tensor) -> None:
        overlap = execution @ execution.T  # [A, A]
        self._alike = overlap >= LIKE * overlap.diagonal().unsqueeze(1)  # [A, A]
        self._still = STILL * extent  # [S]
        self.forget()

    def forget(self) -> None:
        """Begins anew, with no episode known."""
        device = self._still.device
        self._observation = torch.full((0, len(self._still)), torch.nan, device=device)  # [E, S]
        self._chosen = torch.zeros(0, dtype=torch.long, device=device)  # [E]
        self._barred = torch.zeros(0, len(self._alike), dtype=torch.long, device=device)  # [E, A] steps still barred

    def bar(self, scores: Tensor, observation: Tensor, episodes: Sequence[int]) -> Tensor:
        """Scores [B, A] with -inf where an action is barred in the numbered episodes; all if all would be barred."""
        keys = torch.as_tensor(episodes, dtype=torch.long, device=scores.device)  # [B]
        self._grow(max(episodes, default=-1) + 1)
        stuck = ((observation - self._observation[keys]).abs() < self._still).all(dim=1)  # [B]; False at first (NaN)
        # Bars run out only while it moves: pressed against a wall, one kind of blocked action after another goes.
        barred = torch.where(stuck.unsqueeze(1), self._barred[keys], (self._barred[keys] - 1).clamp(min=0))  # [B, A]
        blocked = stuck.unsqueeze(1) & self._alike[self._chosen[keys]]  # [B, A]
        barred = torch.where(blocked, BARRED_STEPS, barred)
        self._barred[keys] = barred
        shut = barred > 0
        return scores.masked_fill(shut & ~shut.all(dim=1, keepdim=True), -torch.inf)

    def remember(self, observation: Tensor, chosen: Tensor, episodes: Sequence[int]) -> None:
        """Keeps what was observed [B, S] and chosen [B] in the numbered episodes."""
        keys = torch.as_tensor(episodes, dtype=torch.long, device=observation.device)
        self._observation[keys], self._chosen[keys] = observation, chosen

    def _grow(self, count: int) -> None:
        missing = count - len(self._chosen)
        if missing > 0:
            grown = self._observation.new_full((missing, self._observation.shape[1]), torch.nan)
            self._observation = torch.cat([self._observation, grown])
            self._chosen = torch.cat([self._chosen, self._chosen.new_zeros(missing)])
            self._barred = torch.cat([self._barred, self._barred.new_zeros(missing, self._barred.shape[1])])
