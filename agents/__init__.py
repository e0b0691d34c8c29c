"""Critics, losses, the bridge, the agent and its policies; nothing about environments."""

from agents.agent import Agent
from agents.learner import Learner
from agents.policies import Policy
from agents.storage import CheckpointError
from agents.world import CandidateActions, WorldSpec

__all__ = ["Agent", "CandidateActions", "CheckpointError", "Learner", "Policy", "WorldSpec"]
