"""The exceptions that a person at the terminal can mend: each message is one line."""

from __future__ import annotations

from goalbridge.agents.parallel import PeerError
from goalbridge.agents.storage import CheckpointError
from goalbridge.configs.checks import ConfigError
from goalbridge.data.trajectories import DatasetError
from goalbridge.encoders.readers import ObservationError
from goalbridge.encoders.text import InstructionError, TextModelError
from goalbridge.envs.babyai.levels import LevelError
from goalbridge.envs.commands import CommandError
from goalbridge.envs.layouts import LayoutError


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
