"""States, goals and text to vectors; nothing about losses."""

from goalbridge.encoders.text import InstructionError, TextEncoder, TextModelError, check_instruction
from goalbridge.encoders.text.label import LabelEncoder
from goalbridge.encoders.text.sentence import SentenceEncoder
from goalbridge.encoders.towers import FourierFeatures, GoalEncoder, StateActionEncoder, TextHead

__all__ = [
    "FourierFeatures",
    "GoalEncoder",
    "InstructionError",
    "LabelEncoder",
    "SentenceEncoder",
    "StateActionEncoder",
    "TextEncoder",
    "TextHead",
    "TextModelError",
    "check_instruction",
]
