"""Trajectories and captioned goals: collecting, storing, sampling."""

from goalbridge.data.captions import CaptionBatch, CaptionPairs
from goalbridge.data.trajectories import DatasetError, FutureBatch, TrajectoryBuffer

__all__ = ["CaptionBatch", "CaptionPairs", "DatasetError", "FutureBatch", "TrajectoryBuffer"]
