"""Breaking ties: an agent that stays where it is, between goals worth the same or misled, settles on one goal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

WINDOW: Final = 10  # steps looked back on
STAYED: Final = 3.0  # longest steps: who has not been farther apart than that within the window dithers
COMMITTED: Final = 20  # steps for which one goal is followed


class Commitment:
    """Notices which numbered episodes dither, and holds them to one goal for a while; each goal is settled on once.

    LogSumExp adds up what lies both ways around an obstacle, and may hold an agent between them for ever; and what a
    critic says of far goals may lead into a dead end.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begins anew, with no episode known."""
        self._recent = torch.empty(0, WINDOW, 0)  # [E, W, S], the present state last; NaN before the episode
        self._goal = torch.empty(0, dtype=torch.long)  # [E], -1 where there is none
        self._left = torch.empty(0, dtype=torch.long)  # [E] steps
        self._had: dict[int, list[int]] = {}  # goals settled on so far

    def note(self, states: Tensor, episodes: Sequence[int], begun: Tensor) -> None:
        """Episodes are in the states [B, S] now; begun: bool [B], those of which nothing that is known is true."""
        keys = torch.as_tensor(episodes, dtype=torch.long, device=states.device)  # [B]
        self._grow(max(episodes, default=-1) + 1, states)
        fresh = keys[begun]
        self._recent[fresh], self._goal[fresh], self._left[fresh] = torch.nan, -1, 0
        for key in fresh.tolist():
            self._had.pop(key, None)
        self._recent[keys] = torch.cat([self._recent[keys, 1:], states.unsqueeze(1)], dim=1)
        self._left[keys] -= 1
        self._goal[keys] = torch.where(self._left[keys] > 0, self._goal[keys], -1)

    def goals(self, log_bc: Tensor, episodes: Sequence[int]) -> Tensor:
        """The goal [B] that each episode has settled on, the likeliest that is left of log_bc [B, M]; -1 for none."""
        keys = torch.as_tensor(episodes, dtype=torch.long, device=log_bc.device)  # [B]
        if not len(self._goal) or not len(keys):
            return torch.full_like(keys, -1)
        self._grow(int(keys.max()) + 1, self._recent[:1, 0])
        recent = self._recent[keys]  # [B, W, S]
        steps = recent.diff(dim=1).norm(dim=-1).amax(dim=1)  # [B]; NaN at first
        extent = (recent.amax(dim=1) - recent.amin(dim=1)).norm(dim=-1)  # [B]
        gone = (self._goal[keys] >= 0) & log_bc.gather(1, self._goal[keys].clamp(min=0)[:, None])[:, 0].isneginf()
        self._goal[keys[gone]] = -1
        rows = ((extent < STAYED * steps) & (self._goal[keys] < 0)).nonzero()[:, 0]  # [R]
        if len(rows):
            self._settle(keys[rows], log_bc[rows])
        return self._goal[keys]

    def _settle(self, keys: Tensor, log_bc: Tensor) -> None:
        choices = log_bc.clone()
        for row, key in enumerate(keys.tolist()):
            had = self._had.setdefault(key, [])
            choices[row, had] = -torch.inf
            if choices[row].isneginf().all():
                choices[row] = log_bc[row]
                had.clear()
        goals = choices.argmax(dim=1)  # [R]
        for key, goal in zip(keys.tolist(), goals.tolist(), strict=True):
            self._had[key].append(goal)
        self._goal[keys], self._left[keys] = goals, COMMITTED
        self._recent[keys] = torch.nan  # it is given time to get away

    def _grow(self, count: int, states: Tensor) -> None:
        if not len(self._goal):
            self._recent = states.new_empty(0, WINDOW, states.shape[1])
            self._goal, self._left = self._goal.to(states.device), self._left.to(states.device)
        missing = count - len(self._goal)  # states: [any, S]
        if missing > 0:
            grown = self._recent.new_full((missing, WINDOW, states.shape[1]), torch.nan)
            self._recent = torch.cat([self._recent, grown])
            self._goal = torch.cat([self._goal, self._goal.new_full((missing,), -1)])
            self._left = torch.cat([self._left, self._left.new_zeros(missing)])
