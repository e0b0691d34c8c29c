"""The exceptions that a person at the terminal can mend: each message is one line."""

from __future__ import annotations

from agents.parallel import PeerError
from agents.storage import CheckpointError
from configs.checks import ConfigError
from data.trajectories import DatasetError
from encoders.readers import ObservationError
from encoders.text import InstructionError, TextModelError
from envs.babyai.levels import LevelError
from envs.commands import CommandError
from envs.layouts import LayoutError


class DivergedError(ValueError):
    """Training left the finite numbers."""


EXPECTED = (
    CheckpointError,
    CommandError,
    ConfigError,
    DatasetError,
    DivergedError,
    InstructionError,
    LayoutError,
    LevelError,
    ObservationError,
    PeerError,
    TextModelError,
)
