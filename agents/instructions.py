"""Instructions: taken apart, encoded, and what they say of goals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.composition import Composition, parse
from goalbridge.agents.expressions import Instruction, log_ratio, log_truth, read, say, texts_of
from goalbridge.agents.lru import LRU
from goalbridge.agents.memory import cached
from goalbridge.agents.ood import familiarity

if TYPE_CHECKING:
    from goalbridge.agents.agent import Agent

LEAST_AGREEMENT: Final = -1.5  # nats: parts that agree less than that contradict each other
TEXTS_KEPT: Final = 4096  # texts and instructions that are remembered


@dataclass(frozen=True, eq=False)
class Understanding:
    """What an instruction was taken to mean.

    reading: how it was taken apart, if it was. entropy: of p(g | instruction), in nats; exp of it is how many goals
    share it. likeliest: [k, G] goals, of `chances` [k]. familiarity: of its least familiar part, see `agents.ood`.
    agreement: of the parts of a composition, see `agents.expressions.log_ratio`. known, consistent: whether they are as
    high as with instructions that mean something. goals: how many there are.
    """

    reading: str
    entropy: float
    likeliest: NDArray[np.generic]
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


class EncodedText(NamedTuple):
    """language: phi_C [d]. familiarity: see `agents.ood`."""

    language: Tensor
    familiarity: float


@dataclass(frozen=True, eq=False)
class ParsedInstruction:
    """composition: its parts in time. readings: what each of them composes. texts: all texts in them, encoded."""

    composition: Composition
    readings: tuple[Instruction, ...]
    texts: dict[str, EncodedText]

    @property
    def reading(self) -> str:
        """How it was taken apart, in words; "" where it was not."""
        said = [say(reading) for reading in self.readings]
        return "" if len(said) == 1 and isinstance(self.readings[0], str) else ", then ".join(said)


class InstructionEncoder:
    """Takes instructions apart and encodes their texts, each once.

    in_time: whether "A, then B" and the like are several tasks. At the bridge, "or", "and", "but not" are compositions
    where `PolicyConfig.parse_compositions` says so; otherwise each text is encoded as a whole.
    """

    def __init__(self, agent: Agent, in_time: bool) -> None:
        self._agent, self._in_time = agent, in_time
        self._parsed: LRU[Instruction, ParsedInstruction] = LRU(TEXTS_KEPT)
        self._texts: LRU[str, EncodedText] = LRU(TEXTS_KEPT)

    @torch.no_grad()
    def parsed(self, instructions: Sequence[Instruction]) -> list[ParsedInstruction]:
        """Each of B instructions; those that are new are encoded together."""
        return cached(self._parsed, instructions, self._parse)

    def _parse(self, instructions: Sequence[Instruction]) -> list[ParsedInstruction]:
        taken = [self._take_apart(one) for one in instructions]
        texts = [[text for reading in readings for text in texts_of(reading)] for _, readings in taken]
        every = [text for own in texts for text in own]
        encoded = dict(zip(every, cached(self._texts, every, self._encode), strict=True))
        return [
            ParsedInstruction(composition, readings, {text: encoded[text] for text in own})
            for (composition, readings), own in zip(taken, texts, strict=True)
        ]

    def _take_apart(self, instruction: Instruction) -> tuple[Composition, tuple[Instruction, ...]]:
        if not isinstance(instruction, str):
            return Composition((say(instruction),), (frozenset(),)), (instruction,)
        composition = parse(instruction) if self._in_time else Composition((instruction,), (frozenset(),))
        composes = self._agent.policy_config.parse_compositions
        return composition, tuple(read(part) if composes else part for part in composition.parts)

    def _encode(self, texts: Sequence[str]) -> list[EncodedText]:
        agent = self._agent
        features = torch.as_tensor(agent.text.encode(texts), device=agent.device)  # [k, T]
        alike = familiarity(features, agent.known_texts).tolist()  # k
        return list(map(EncodedText, agent.encode_instructions(texts), alike))

    def whole(self, texts: Sequence[str]) -> Tensor:
        """phi_C [B, d] of texts, each encoded as a whole."""
        encoded = cached(self._texts, texts, self._encode)
        nothing = self._agent.bridge_goals.new_empty(0, self._agent.config.embedding_dim, dtype=torch.float32)
        return torch.cat([nothing, *(one.language.unsqueeze(0) for one in encoded)])


def log_ratios(agent: Agent, parsed: ParsedInstruction, meaning: Tensor, part: int = 0) -> tuple[Tensor, float]:
    """log p(g | part) / p(g) of goals drawn from p(g), meaning [M, d'], to [M]; and how far its parts agree."""
    texts = list(parsed.texts)
    languages = torch.stack([parsed.texts[text].language for text in texts])  # [K, d']
    logits = dict(zip(texts, agent.critic_bc(meaning, languages).T, strict=True))  # K x [M]
    prior = meaning.new_full((len(meaning),), -math.log(len(meaning)))  # [M]
    ratio, agreement = log_ratio(parsed.readings[part], lambda text: logits[text], prior)
    return ratio, float(agreement)


def log_fits(agent: Agent, parsed: ParsedInstruction, meaning: Tensor, part: int, best: dict[str, float]) -> Tensor:
    """How much worse goals fit a part than what fits it best, in nats: meaning [M, d'] to [M].

    best: of each text, the f_BC of what fits it best of all that can be imagined.
    """

    def log_fit(text: str) -> Tensor:
        logits: Tensor = agent.critic_bc(meaning, parsed.texts[text].language.unsqueeze(0)).squeeze(1)
        return logits - best[text]

    return log_truth(parsed.readings[part], log_fit)


def understanding(
    agent: Agent, parsed: ParsedInstruction, rows: NDArray[np.generic], logits: Tensor, agreement: float, likeliest: int
) -> Understanding:
    """What an instruction was taken to mean over goals, rows [M, G], from log p(g | instruction) [M]."""
    posterior = logits.double().softmax(-1).cpu().numpy()  # [M]
    best = np.argsort(-posterior)[:likeliest]
    entropy = float(-(posterior * np.log(np.maximum(posterior, 1e-300))).sum())
    alike = min(encoded.familiarity for encoded in parsed.texts.values())
    return Understanding(
        parsed.reading,
        entropy,
        rows[best],
        posterior[best].astype(np.float32),
        alike,
        agreement,
        alike >= float(agent.least_familiarity),
        agreement >= LEAST_AGREEMENT,
        len(rows),
    )
