"""What a policy remembers of each episode, where every episode has a layout of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents.scenes import Known, Plan, Scene
from goalbridge.encoders.grid import OWN
from goalbridge.encoders.readers import GridView


@dataclass
class Episode:
    """What is remembered of an episode.

    done: parts of a composed instruction. ruled_out: [M] goals of the scene that were tried, from `visited` states.
    drawn: each part's goal, in policies that draw one. last: situation and action before. barred, taken: actions in
    situations; the first changed nothing, and no plan counts on them again.
    """

    instruction: str
    view: GridView
    scene: Scene
    known: Known
    ruled_out: NDArray[np.bool_]
    plan: Plan | None = None
    done: frozenset[int] = frozenset()
    begun: bool = False
    drawn: dict[int, int] = field(default_factory=dict)
    last: tuple[bytes, int] | None = None
    visited: list[NDArray[np.uint8]] = field(default_factory=list)
    barred: set[tuple[bytes, int]] = field(default_factory=set)
    taken: dict[tuple[bytes, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, instruction: str, view: GridView, scene: Scene, known: Known) -> Episode:
        """One that begins."""
        return cls(instruction, view, scene, known, np.zeros(len(scene.rows), dtype=np.bool_))

    def goes_on(self, view: GridView, instruction: str) -> bool:
        """Whether what is seen and asked for may be a later moment of this episode."""
        return self.instruction == instruction and view.goes_on_from(self.view)

    def enter(self, scene: Scene, known: Known, view: GridView) -> None:
        """Goes on in another scene: the grid has changed, or more of it has been seen."""
        self.scene, self.known, self.plan = scene, known, None
        self.drawn.clear()
        self.taken.clear()  # there is something new to go by
        self.ruled_out = np.zeros(len(scene.rows), dtype=np.bool_)
        for state in self.visited:
            self.ruled_out |= view.alike(scene.rows, state)

    def bar(self, moment: bytes, action: int) -> None:
        """Notes that the action changed nothing in that situation."""
        if (moment, action) not in self.barred:
            self.barred.add((moment, action))
            self.plan = None

    def blocked(self) -> NDArray[np.int64]:
        """Rows of the scene's hops, goal times action, that have been tried in vain."""
        rows: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        for moment, action in self.barred:
            own = np.frombuffer(moment, dtype=np.uint8)[:OWN]
            goals = np.flatnonzero((self.scene.rows[:, :OWN] == own).all(axis=1))
            rows.append(goals * len(self.scene.agent.candidate_actions) + action)
        return np.concatenate(rows)

    def rule_out(self, state: NDArray[np.uint8]) -> None:
        """Notes that the episode went on after `state`: what means the same is not what was asked for."""
        alike = self.view.alike(self.scene.rows, state)  # [M]
        if (alike & ~self.ruled_out).any():
            self.visited.append(state)
            self.ruled_out = self.ruled_out | alike
            self.drawn = {part: goal for part, goal in self.drawn.items() if not self.ruled_out[goal]}
            if self.plan is not None and (self.plan.aims[0][alike] > 0).any():
                self.plan = None
