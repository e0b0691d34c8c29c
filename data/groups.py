"""Trajectories by layout: batches in which goals are compared only with goals of the same layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 1 / 6  # of a layout's trajectories, how many count as starting near one of them


@dataclass(frozen=True, eq=False)
class Groups:
    """members: [N] trajectories, layout by layout. first, count: [L], where each layout's lie in it, and how many.

    near: [N, K] for each trajectory, those of its layout that start nearest, itself first; None where nobody said where
    trajectories start.
    """

    members: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    near: NDArray[np.int64] | None

    @classmethod
    def of(cls, groups: NDArray[np.int64], places: NDArray[np.float32] | None) -> Groups:
        """From the layout of each trajectory, [N], and the place where it starts, [N, P]."""
        members = np.argsort(groups, kind="stable")  # [N]
        _, first, count = np.unique(groups[members], return_index=True, return_counts=True)  # [L] each
        near = None if places is None else _nearest(members, first, count, np.asarray(places))
        return cls(members, first, count, near)

    def draw(self, rng: np.random.Generator, size: int, group_size: int, nearby: float) -> NDArray[np.int64]:
        """Trajectories [size], in runs of `group_size` from one layout each.

        A share `nearby` of each run are neighbours of one of its layout's trajectories, which is drawn first; the rest
        are uniform over the layout.
        """
        runs = -(-size // group_size)
        layout = rng.integers(len(self.first), size=runs)  # [R]
        pick = (rng.random((runs, group_size)) * self.count[layout, None]).astype(np.int64)  # [R, n]
        drawn = self.members[self.first[layout, None] + pick]  # [R, n]
        close = int(nearby * group_size)
        if self.near is not None and close:
            which = rng.integers(self.near.shape[1], size=(runs, close))  # [R, c]
            drawn[:, :close] = self.near[drawn[:, :1], which]
        flat: NDArray[np.int64] = drawn.reshape(-1)[:size]
        return flat


def _nearest(
    members: NDArray[np.int64], first: NDArray[np.int64], count: NDArray[np.int64], places: NDArray[np.float32]
) -> NDArray[np.int64]:
    kept = max(2, int(count.min() * NEIGHBOURS))
    near = np.empty((len(members), kept), dtype=np.int64)
    for start, size in zip(first, count, strict=True):
        own = members[start : start + size]  # [n]
        distance = np.abs(places[own, None] - places[own]).sum(axis=-1)  # [n, n]
        order = np.argsort(distance, axis=1, kind="stable")[:, :kept]  # a layout of one trajectory is its own neighbour
        near[own] = own[np.pad(order, ((0, 0), (0, kept - order.shape[1])), mode="edge")]
    return near
