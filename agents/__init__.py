"""Critics, losses, the bridge, the agent and its policies; nothing about environments."""

from goalbridge.agents.agent import Agent
from goalbridge.agents.learner import Learner
from goalbridge.agents.policy import Policy
from goalbridge.agents.spec import CandidateActions, WorldSpec
from goalbridge.agents.storage import CheckpointError

__all__ = ["Agent", "CandidateActions", "CheckpointError", "Learner", "Policy", "WorldSpec"]
