"""Trajectories and captions from files, without an environment."""
