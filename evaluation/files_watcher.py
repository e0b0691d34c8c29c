"""How an agent that learns from files does while it trains: which goal a text means, of pairs that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch

from goalbridge.agents import Agent
from goalbridge.configs.schema import RunConfig
from goalbridge.data.collect import VALIDATION, stream
from goalbridge.evaluation.projector import Projection
from goalbridge.evaluation.watch import Watched
from goalbridge.worlds.files.world import FilesWorld

COMPARED: Final = 100  # pairs that compete with one another


class FilesWatcher:
    """Contrastive retrieval among the held-out captioned goals, the same `COMPARED` of them each time (or all)."""

    def __init__(self, config: RunConfig) -> None:
        pairs = FilesWorld(Path(config.run_dir) / "trajectories").held_out()
        self._goals, self._texts = np.zeros((0, 0)), list[str]()
        if pairs is None:
            return
        chosen = np.sort(stream(config.seed, VALIDATION).permutation(len(pairs.goals))[:COMPARED])  # [n]
        self._goals = pairs.goals[chosen]
        self._texts = [pairs.texts[text] for text in pairs.text[chosen].tolist()]
        self._true = (pairs.true_labels[chosen][:, None] == pairs.label[chosen][None, :, None]).any(axis=2)  # [n, n]

    @torch.no_grad()
    def watch(self, agent: Agent, step: int) -> Watched:
        """Shares of texts whose best goal is one that they are true of, of goals whose best text is true of them.

        Further: "retrieval/chance", the share that a random goal would reach. Nothing where no pairs are held out.
        """
        if not self._texts:
            return Watched({}, {}, b"")
        goals = torch.as_tensor(self._goals, device=agent.device)
        likeness = agent.critic_bc(agent.encode_meanings(goals), agent.encode_instructions(self._texts)).cpu().numpy()
        texts = np.arange(len(self._texts))
        metrics = {
            "goal_of_text": float(self._true[likeness.argmax(axis=0), texts].mean()),
            "text_of_goal": float(self._true[texts, likeness.argmax(axis=1)].mean()),
        }
        return Watched(metrics, {"retrieval/chance": float(self._true.mean())}, b"")

    def project(self, agent: Agent) -> Projection | None:
        """Nothing: what the goals of files are, nobody can say in words but their captions."""
        return None
