"""Metrics of finished episodes; each is one file here, or in a package of its own (entry points "goalbridge.metrics").

A metric is called with the world, the episodes [E] of one group and how the agent understood them, and gives [E]
numbers, or None where it says nothing of them. What an environment's last info holds in numbers is a metric, too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.registries import metrics
from goalbridge.evaluation.understanding import UnderstandingRecord
from goalbridge.worlds import Episodes, Metrics, World

Metric = Callable[[World, Episodes, UnderstandingRecord | None], NDArray[np.float64] | None]
register = metrics.register


def measured(world: World, episodes: Episodes, understanding: UnderstandingRecord | None) -> Metrics:
    """All metrics of episodes of one group, [E] each: success, the world's own, steps, then the others."""
    found: Metrics = {"success": episodes.success.astype(np.float64)}
    found |= world.metrics(episodes)
    found["steps"] = found.pop("steps", episodes.steps.astype(np.float64))
    found |= {name: values for name, values in episodes.info.items() if name[0] != "_" and name not in found}
    for name in metrics.names():
        metric: Metric = metrics.get(name)
        values = metric(world, episodes, understanding)
        if values is not None:
            found[name] = values
    return found
