"""Texts to features, and the trained head on top: one file an encoder, each found by its name (`encoder.kind`)."""

from goalbridge.encoders.text._base import InstructionError, TextEncoder, TextModelError, check_instruction

__all__ = ["InstructionError", "TextEncoder", "TextModelError", "check_instruction"]
