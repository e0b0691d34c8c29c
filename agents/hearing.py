"""What instructions mean over a set of bridge goals, and whether they mean anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.bridge import goal_posterior
from goalbridge.agents.expressions import Instruction, log_ratio, read, say, texts_of
from goalbridge.agents.familiarity import familiarity

if TYPE_CHECKING:
    from goalbridge.agents.agent import Agent


LEAST_AGREEMENT: Final = -1.5  # nats: parts that agree less than that contradict each other


@dataclass(frozen=True, eq=False)
class Understanding:
    """What an instruction was taken to mean.

    reading: how it was taken apart, if it was. entropy: of p(g | instruction), in nats; exp of it is how many bridge
    goals share it. likeliest: [k, G] goals, of `chances` [k]. familiarity: of its least familiar part, see
    `agents.familiarity`. agreement: of the parts of a composition, see `agents.expressions.log_ratio`. known,
    consistent: whether they are as high as with instructions that mean something. goals: how many there are.
    """

    reading: str
    entropy: float
    likeliest: NDArray[np.float32]
    chances: NDArray[np.float32]
    familiarity: float
    agreement: float
    known: bool
    consistent: bool
    goals: int

    @property
    def understood(self) -> bool:
        """Whether it is known and does not contradict itself."""
        return self.known and self.consistent


class Hearing:
    """Instructions over M bridge goals, each worked out when it is first heard.

    agent: whose encoders and critic. goals: [M, G]. bridge: [M, d], their representations. compose: whether "or",
    "and", "but not" are read as compositions; otherwise each text is encoded as a whole.
    """

    def __init__(self, agent: Agent, goals: Tensor, bridge: Tensor, compose: bool) -> None:
        self._agent, self._goals, self._bridge, self._compose = agent, goals, bridge, compose
        self._rows: dict[Instruction, int] = {}
        self._texts: dict[str, tuple[Tensor, float]] = {}  # f_BC [M] and familiarity of each
        self._agreement: list[float] = []
        self._whole: dict[Instruction, Tensor] = {}  # [1, d] each
        self.logits = bridge.new_empty(0, len(goals))  # [K, M], log p(g | instruction) / p(g), up to a constant

    @torch.no_grad()
    def rows(self, instructions: Sequence[Instruction]) -> Tensor:
        """Rows [B] of `logits`, which grow by what was not heard before."""
        new = [one for one in dict.fromkeys(instructions) if one not in self._rows]
        if new:
            readings = [self._reading(one) for one in new]
            self._listen([text for reading in readings for text in texts_of(reading)])
            prior = self._bridge.new_full((len(self._goals),), -math.log(len(self._goals)))  # [M]
            heard = [log_ratio(reading, lambda text: self._texts[text][0], prior) for reading in readings]
            self.logits = torch.cat([self.logits, torch.stack([ratio for ratio, _ in heard])])
            self._agreement += [float(agreement) for _, agreement in heard]
            self._rows.update({one: len(self._rows) + i for i, one in enumerate(new)})
        return torch.tensor([self._rows[one] for one in instructions], dtype=torch.long, device=self._bridge.device)

    @torch.no_grad()
    def language(self, instructions: Sequence[Instruction]) -> Tensor:
        """phi_C [B, d] of instructions, each encoded as a whole, as it is said: not all encoders read compositions."""
        new = [one for one in dict.fromkeys(instructions) if one not in self._whole]
        if new:
            encoded = self._agent.encode_instructions([say(one) for one in new])  # [k, d]
            self._whole.update(zip(new, encoded.unsqueeze(1), strict=True))
        nothing = self._bridge.new_empty(0, self._agent.config.embedding_dim)
        return torch.cat([nothing, *(self._whole[one] for one in instructions)])

    def understand(self, instruction: Instruction, likeliest: int = 3) -> Understanding:
        """What an instruction was taken to mean, with its `likeliest` goals."""
        row = int(self.rows([instruction])[0])
        reading = self._reading(instruction)
        alike = min(self._texts[text][1] for text in texts_of(reading))
        posterior = goal_posterior(self.logits[row].double()).cpu().numpy()  # [M]
        best = np.argsort(-posterior)[:likeliest]
        entropy = float(-(posterior * np.log(np.maximum(posterior, 1e-300))).sum())
        return Understanding(
            "" if isinstance(reading, str) else say(reading),
            entropy,
            self._goals[best].cpu().numpy(),
            posterior[best].astype(np.float32),
            alike,
            self._agreement[row],
            alike >= float(self._agent.least_familiarity),
            self._agreement[row] >= LEAST_AGREEMENT,
            len(self._goals),
        )

    def _reading(self, instruction: Instruction) -> Instruction:
        return read(instruction) if self._compose and isinstance(instruction, str) else instruction

    def _listen(self, texts: Sequence[str]) -> None:
        """f_BC and familiarity of texts, those that are new."""
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if new:
            agent = self._agent
            logits = agent.critic_bc(self._bridge, agent.encode_instructions(new)).T  # [k, M]
            features = torch.as_tensor(agent.text.encode(new), device=agent.device)  # [k, T]
            alike = familiarity(features, agent.known_texts).tolist()  # k
            self._texts.update(zip(new, zip(logits, alike, strict=True), strict=True))
