"""What is minimised: one file an objective, each found by its name (`train.objective`)."""

from goalbridge.agents.objectives._base import (
    Info,
    Objective,
    TensorBatch,
    action_contrast,
    info_nce,
    info_nce_share,
)

__all__ = ["Info", "Objective", "TensorBatch", "action_contrast", "info_nce", "info_nce_share"]
