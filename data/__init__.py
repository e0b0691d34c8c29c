"""Trajectories and captioned goals: collecting, storing, sampling."""

from data.captions import CaptionBatch, CaptionPairs
from data.trajectories import DatasetError, FutureBatch, TrajectoryBuffer

__all__ = ["CaptionBatch", "CaptionPairs", "DatasetError", "FutureBatch", "TrajectoryBuffer"]
