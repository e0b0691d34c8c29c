"""Trajectories and captions from files, without an environment."""

from goalbridge.worlds.files.world import FilesWorld

__all__ = ["FilesWorld"]
