"""States, goals and text to vectors; nothing about losses."""

from goalbridge.encoders.text import (
    InstructionError,
    LabelEncoder,
    SentenceEncoder,
    TextEncoder,
    TextModelError,
    check_instruction,
)
from goalbridge.encoders.towers import FourierFeatures, GoalEncoder, LabelHead, StateActionEncoder, TextHead

__all__ = [
    "FourierFeatures",
    "GoalEncoder",
    "InstructionError",
    "LabelEncoder",
    "LabelHead",
    "SentenceEncoder",
    "StateActionEncoder",
    "TextEncoder",
    "TextHead",
    "TextModelError",
    "check_instruction",
]
