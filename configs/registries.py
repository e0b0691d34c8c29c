"""The kinds of things that others may add: each is named in settings and found by its registry."""

from __future__ import annotations

from typing import Any, Final

from goalbridge.configs.registry import Registry

worlds: Final = Registry[Any]("worlds", "worlds")
estimators: Final = Registry[Any]("estimators", "agents.estimators")
objectives: Final = Registry[Any]("objectives", "agents.objectives")
text_encoders: Final = Registry[Any]("text_encoders", "encoders.text")
metrics: Final = Registry[Any]("metrics", "evaluation.metrics")
