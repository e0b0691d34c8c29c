"""How well texts and goals of files find each other: contrastive retrieval among pairs that were not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from goalbridge.data.captions import VALIDATION, stream

if TYPE_CHECKING:
    from goalbridge.agents import Agent
    from goalbridge.data import CaptionPairs

COMPARED: Final = 100  # pairs that compete with one another


@torch.no_grad()
def retrieval(agent: Agent, pairs: CaptionPairs) -> dict[str, float]:
    """Among the same `COMPARED` pairs each time (or all): goal_of_text, the share of texts whose best goal is one that
    they are true of; text_of_goal, of goals whose best text is true of them; chance, what a random goal would reach."""
    chosen = np.sort(stream(0, VALIDATION).permutation(len(pairs.goals))[:COMPARED])  # [n]
    texts = [pairs.texts[text] for text in pairs.text[chosen].tolist()]
    true = (pairs.true_labels[chosen][:, None] == pairs.label[chosen][None, :, None]).any(axis=2)  # [n goal, n text]
    goals = torch.as_tensor(pairs.goals[chosen], device=agent.device)
    likeness = agent.critic_bc(agent.encode_meanings(goals), agent.encode_instructions(texts)).cpu().numpy()  # [n, n]
    rows = np.arange(len(texts))
    return {
        "goal_of_text": float(true[likeness.argmax(axis=0), rows].mean()),
        "text_of_goal": float(true[rows, likeness.argmax(axis=1)].mean()),
        "retrieval/chance": float(true.mean()),
    }
