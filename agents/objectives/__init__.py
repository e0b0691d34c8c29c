"""What is minimised: one file an objective, each found by its name (`train.objective`)."""

from goalbridge.agents.objectives._base import Objective, TensorBatch

__all__ = ["Objective", "TensorBatch"]
