"""Sizes that cannot fit are refused before anything is allocated."""

from __future__ import annotations

import os

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.schema import RunConfig

_FLOAT = 4  # bytes
_COPIES = 5  # of each weight: itself, its gradient, two moments and its average


def require_memory(config: RunConfig) -> None:
    """ConfigError, with the bytes, for a setting that needs more than this machine's memory even at the least."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    agent, train, data = config.agent, config.train, config.data
    least = {
        f"agent.width={agent.width} agent.depth={agent.depth}": (
            _COPIES * _FLOAT * agent.width**2 * max(agent.depth - 1, 0)
        ),
        f"agent.embedding_dim={agent.embedding_dim}": _COPIES * _FLOAT * agent.embedding_dim * agent.width,
        f"agent.bridge_goals={agent.bridge_goals}": _FLOAT * agent.bridge_goals * agent.embedding_dim,
        f"train.batch_size={train.batch_size}": _FLOAT * train.batch_size**2,
        f"data.trajectories={data.trajectories}": 4 * _FLOAT * data.trajectories,  # of a step and two numbers each
        f"data.labelled_goals={data.labelled_goals}": 2 * _FLOAT * data.labelled_goals,
    }
    for setting, needed in least.items():
        if needed > there:
            raise ConfigError(
                f"{setting}: expected what fits into this machine's {_said(there)}, got at least {_said(needed)}; "
                "try less"
            )


def _said(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
