"""Instructions composed at the bridge: any of, all of, not; nestable, and none of them ever trained on.

What is composed is not text but what texts say of the bridge goals. With r(g) = p(g | part) / p(g), the ratio that f_BC
learns up to a constant:

    any of   p(g | A or B) ~ p(A) p(g | A) + p(B) p(g | B): the logsumexp of the parts' log posteriors, each as heavy as
             what it is true of, so that a goal in a large part is worth as much as one in a small part
    all of   p(g | A and B) ~ p(g) r_A(g) r_B(g): the parts say what they say independently, given the goal
    not      p(g | not A) ~ p(g) (1 - p(A | g)), where A is held to be true of what it fits about as well as it usually
             fits, and false of what it fits 3 nats less

p(A), which no contrastive critic gives, is taken from how sharp p(g | A) is: exp of the mean of - log r_A over it.

Words are read likewise: "row 3 or column 5", "the top half but not row 0", "row 3 and the left half".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

TOLERANCE: Final = 3.0  # nats below its usual fit at which a part is as likely to be false of a goal as true

_OR: Final = re.compile(r"\s*(?:,\s*)?\bor\b\s+(?:else\s+)?", re.IGNORECASE)
_EXCEPT: Final = re.compile(
    r"\s*(?:,\s*)?\b(?:(?:but|and)\s+not(?:\s+in)?|except(?:\s+for)?|but\s+outside(?:\s+of)?)\s+", re.IGNORECASE
)
_ALL_EXCEPT: Final = re.compile(_EXCEPT.pattern.replace(r"(?:,\s*)?", r",\s*", 1), re.IGNORECASE)  # a comma is a pause
_AND: Final = re.compile(r"\s*(?:,\s*)?\band\b\s+(?:also\s+)?", re.IGNORECASE)
_BEFORE: Final = re.compile(r"\b(?:either|both)\s+", re.IGNORECASE)


@dataclass(frozen=True, init=False)
class _Several:
    parts: tuple[Instruction, ...]

    def __init__(self, *parts: Instruction) -> None:
        if not parts:
            raise ValueError(f"{type(self).__name__}: expected one or more parts, got none")
        object.__setattr__(self, "parts", parts)


class AnyOf(_Several):
    """One of the parts is to hold: texts, or compositions themselves. ValueError without parts."""


class AllOf(_Several):
    """All of the parts are to hold at once: texts, or compositions themselves. ValueError without parts."""


@dataclass(frozen=True)
class Not:
    """The part is not to hold; best as one of the parts of `AllOf`."""

    part: Instruction


Instruction = str | AnyOf | AllOf | Not


def read(text: str) -> Instruction:
    """What a text composes; itself where nothing does.

    ", but not" and ", except" bind least, then "or", then the same without a comma, then "and".
    """
    plain = _BEFORE.sub("", text)
    for pattern in (_ALL_EXCEPT, _OR, _EXCEPT, _AND):
        parts = [part.strip() for part in pattern.split(plain)]
        if len(parts) > 1 and all(parts):
            first, *others = (read(part) for part in parts)
            if pattern is _OR:
                return AnyOf(first, *others)
            return AllOf(first, *(others if pattern is _AND else map(Not, others)))
    return text


def texts_of(instruction: Instruction) -> Iterator[str]:
    """All texts in a composition, from left to right."""
    if isinstance(instruction, str):
        yield instruction
    elif isinstance(instruction, Not):
        yield from texts_of(instruction.part)
    else:
        for part in instruction.parts:
            yield from texts_of(part)


def say(instruction: Instruction) -> str:
    """A composition as one line: "any of (row 3; all of (the top half; not row 0))"."""
    if isinstance(instruction, str):
        return instruction
    if isinstance(instruction, Not):
        return f"not {say(instruction.part)}"
    name = "any of" if isinstance(instruction, AnyOf) else "all of"
    return f"{name} ({'; '.join(say(part) for part in instruction.parts)})"


def log_ratio(instruction: Instruction, log_bc: Callable[[str], Tensor], log_prior: Tensor) -> tuple[Tensor, Tensor]:
    """log p(g | instruction) / p(g) of M bridge goals [M], and how far the parts agree, in nats [].

    log_bc: f_BC of the goals and a text, [M], up to a constant. log_prior: log p(g) of the goals [M], of sum 1: for
    draws from p(g), - log M each. The ratio has mean 1 under it. Agreement: the least, over all-of, of the log of the
    chance that the parts hold together over what it were if they had nothing to do with each other; 0 without any. Far
    below 0, they contradict each other.
    """
    if isinstance(instruction, str):
        return _normalised(log_bc(instruction), log_prior)[0], log_prior.new_zeros(())
    if isinstance(instruction, Not):
        ratio, agreement = log_ratio(instruction.part, log_bc, log_prior)
        return _normalised(logsigmoid(_usual(ratio, log_prior) - TOLERANCE - ratio), log_prior)[0], agreement
    parts = [log_ratio(part, log_bc, log_prior) for part in instruction.parts]
    ratios, agreements = torch.stack([part[0] for part in parts]), torch.stack([part[1] for part in parts])  # [P, M]
    if isinstance(instruction, AnyOf):
        chances = -torch.stack([_usual(ratio, log_prior) for ratio in ratios])  # [P], log p(part)
        return torch.logsumexp(ratios + chances.log_softmax(dim=0).unsqueeze(1), dim=0), agreements.min()
    joint, agreement = _normalised(ratios.sum(dim=0), log_prior)
    return joint, torch.minimum(agreements.min(), agreement)


def log_truth(instruction: Instruction, log_fit: Callable[[str], Tensor]) -> Tensor:
    """log p(instruction | g) of goals, as far as texts tell how well each fits: where it is known what fits best.

    log_fit: of a text, how much worse goals fit it than what fits it best, [M], nats of at most 0. Any of: the sum of
    the parts' truths, at most 1. All of: their product. Not: one minus, with `TOLERANCE`.
    """
    if isinstance(instruction, str):
        return log_fit(instruction)
    if isinstance(instruction, Not):
        return logsigmoid(-TOLERANCE - log_truth(instruction.part, log_fit))
    parts = torch.stack([log_truth(part, log_fit) for part in instruction.parts])  # [P, M]
    return torch.logsumexp(parts, dim=0).clamp(max=0.0) if isinstance(instruction, AnyOf) else parts.sum(dim=0)


def _usual(ratio: Tensor, log_prior: Tensor) -> Tensor:
    """E log p(g | part) / p(g) over p(g | part), []: how well what is meant usually fits.

    Where the part is true of its goals and false of others, this is - log p(part).
    """
    return ((ratio + log_prior).exp() * ratio.clamp(min=torch.finfo(ratio.dtype).min)).sum()


def _normalised(log_values: Tensor, log_prior: Tensor) -> tuple[Tensor, Tensor]:
    """The values over their mean under the prior, and the log of that mean."""
    mean = torch.logsumexp(log_values + log_prior, dim=-1)
    return log_values - mean, mean
