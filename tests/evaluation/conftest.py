"""Tiny agents of BabyAI's grids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from agents import Agent
from configs.schema import AgentConfig, EnvConfig, PolicyConfig
from encoders import LabelEncoder, TextEncoder
from encoders.readers import imaginable
from evaluation.grid_world import GridHome

LEVELS = ("GoToLocal", "GoToObjMazeS4")


@pytest.fixture
def make_grid_agent(fake_text: TextEncoder) -> Callable[..., Agent]:
    """`make_grid_agent(text, things=True)`: an untrained agent, by default with a text encoder that needs no model."""

    def make(text: TextEncoder | None = None, **settings: Any) -> Agent:
        home = GridHome(EnvConfig("goalbridge/BabyAI", levels=LEVELS))
        text = text or fake_text
        sample = text.labels[:1] if isinstance(text, LabelEncoder) else ["a red ball"]
        torch.manual_seed(0)
        return Agent(
            home.spec,
            AgentConfig(width=16, depth=2, embedding_dim=8, **settings),
            PolicyConfig("planned", candidate_actions=4, average_noise=False),
            text,
            text.encode(sample).shape[1],
            home.candidates(4),
            imaginable(8, 8),  # type: ignore[arg-type]
        ).eval()

    return make
