"""The agent: three encoders, two critics, the goals that bridge them, and how it is saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from goalbridge.agents.critics import Critic
from goalbridge.agents.familiarity import FALSE_ALARMS, KEPT, familiarity, spread_out
from goalbridge.agents.spec import CandidateActions, WorldSpec
from goalbridge.agents.storage import CheckpointError, read_json, read_tensors, write_json, write_tensors
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.registries import text_encoders
from goalbridge.configs.schema import AgentConfig, PolicyConfig
from goalbridge.encoders import TextEncoder, TextModelError
from goalbridge.encoders.networks import networks_of

FORMAT = 2


class Agent(nn.Module):
    """State-action, goal and language encoders with a critic for each contrastive pair.

    world: the spaces it acts in. config, policy_config: see `configs.schema`. text: the frozen text encoder.
    candidates: the actions that policies weigh unless told otherwise.
    bridge_goals: [M, G] draws from the goals' marginal p(g), which policies sum over unless given others.
    has_goal_posterior: whether it was trained so that p(goal | instruction) means something.
    """

    bridge_goals: Tensor
    candidate_actions: Tensor
    execution: Tensor
    known_texts: Tensor
    least_familiarity: Tensor

    def __init__(
        self,
        world: WorldSpec,
        config: AgentConfig,
        policy_config: PolicyConfig,
        text: TextEncoder,
        candidates: CandidateActions,
        bridge_goals: NDArray[np.float32],
    ) -> None:
        super().__init__()
        self.world, self.config, self.policy_config, self.text = world, config, policy_config, text
        self.has_goal_posterior = True
        networks = networks_of(world, config)
        self.rotary = networks.rotary
        self.state_action_encoder, self.goal_encoder = networks.state_action, networks.goal
        self.meaning_encoder = networks.meaning  # None: the goal encoder serves both pairs
        self.language_head = text.head(config)
        self.critic_ab = Critic(config.critic, embedding_dim=config.embedding_dim)
        self.critic_bc = Critic(config.language_critic or config.critic, embedding_dim=config.embedding_dim)
        self.register_buffer("candidate_actions", torch.as_tensor(candidates.actions))
        self.register_buffer("execution", torch.as_tensor(candidates.execution, dtype=torch.float32))
        self.register_buffer("bridge_goals", torch.as_tensor(bridge_goals))
        self.register_buffer("known_texts", torch.zeros(KEPT, text.dim))
        self.register_buffer("least_familiarity", torch.tensor(-1.0))

    def fit_ood_threshold(self, captions: NDArray[np.float32], validation: NDArray[np.float32] | None) -> None:
        """Keeps what is needed to tell instructions that it understands from others.

        captions: features [N, T] of the texts that it learns from. validation: [V, T], of other texts that it should
        understand: the threshold is such that hardly any of them is taken for unknown. Where nobody knows of others,
        None: hardly any caption would be, had it been left out.
        """
        with torch.no_grad():
            learnt = torch.as_tensor(captions, device=self.device)
            self.known_texts.copy_(spread_out(learnt))
            if validation is None:
                alike = familiarity(learnt, self.known_texts, but_itself=True)
            else:
                alike = familiarity(torch.as_tensor(validation, device=self.device), self.known_texts)
            self.least_familiarity.copy_(alike.quantile(FALSE_ALARMS))

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.bridge_goals.device

    def encode_state_actions(self, states: Tensor, actions: Tensor) -> Tensor:
        """phi_A: states [..., S], actions [..., D] to [..., d]."""
        output: Tensor = self.state_action_encoder(states, actions)
        return output if self.rotary is None else self.rotary.turn(output, states)

    def encode_goals(self, goals: Tensor) -> Tensor:
        """phi_B towards state-actions: goals [..., G] to [..., d], or [..., 2 d] in grids with `AgentConfig.things`."""
        output: Tensor = self.goal_encoder(goals)
        if self.rotary is not None:
            output = self.rotary.turn(output, goals)
        if self.meaning_encoder is not None and self.config.things:
            output = torch.cat([output, self.meaning_encoder(goals)], dim=-1)
        return output

    def encode_meanings(self, goals: Tensor) -> Tensor:
        """phi_B towards language: goals [..., G] to [..., d]; where both pairs share one tower, the same as goals'."""
        output: Tensor = (self.meaning_encoder or self.goal_encoder)(goals)
        return output

    def language_part(self, a: Tensor) -> Tensor:
        """The part of phi_A [..., d or 2 d] that may be compared with language, [..., d]; ConfigError without one."""
        if self.meaning_encoder is not None and not self.config.things:
            raise ConfigError(
                "policy.name=direct: in grids needs an agent trained with agent.things=true; logsumexp would do"
            )
        return a[..., -self.config.embedding_dim :]

    def encode_language(self, features: Tensor) -> Tensor:
        """phi_C from frozen text features: [..., T] to [..., d]."""
        output: Tensor = self.language_head(features)
        return output

    def encode_instructions(self, instructions: Sequence[str]) -> Tensor:
        """phi_C: K strings to [K, d]. Raises InstructionError for what cannot be read."""
        features = torch.as_tensor(self.text.encode(instructions), device=self.device)  # [K, T]
        return self.encode_language(features)

    def policy(
        self,
        name: str | None = None,
        goals: NDArray[np.float32] | None = None,
        candidates: CandidateActions | None = None,
        average_noise: bool | None = None,
        escape: bool | None = None,
        seed: int = 0,
    ) -> Any:
        """A way to act, one of `configs.schema.POLICIES`; without a name, what it was trained for.

        A `Policy`, or where layouts differ a `ScenePolicy`, which reads its goals off each observation.

        goals: [M, G] bridge goals instead of those stored. candidates: actions instead of those stored.
        average_noise, escape: see `PolicyConfig`. seed: of the "sample" policy's goals.
        """
        from goalbridge.agents.policies import Policy  # policies need agents, not the other way round
        from goalbridge.agents.scene_policy import ScenePolicy

        if self.world.kind == "grid":
            if goals is not None or candidates is not None or average_noise:
                raise ConfigError("goals, candidates, average_noise: are read off each grid; leave them out")
            return ScenePolicy(self, name or self.policy_config.name, escape, seed)
        return Policy(self, name or self.policy_config.name, goals, candidates, average_noise, escape, seed)

    def observation_extent(self) -> Tensor:
        """The range of each observed coordinate, [S]."""
        low, high = torch.tensor(self.world.observation_low), torch.tensor(self.world.observation_high)
        return (high - low).to(self.device)

    def description(self) -> dict[str, Any]:
        """What `from_pretrained` needs beside the weights; JSON-able."""
        return {
            "format": FORMAT,
            "world": asdict(self.world),
            "agent": asdict(self.config),
            "policy": asdict(self.policy_config),
            "text": {"kind": text_encoders.name_of(type(self.text)), **self.text.description()},
            "has_goal_posterior": self.has_goal_posterior,
        }

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes agent.json, agent.safetensors and what the text encoder needs into `folder`, each atomically."""
        folder = Path(folder)
        self.text.save(folder)
        write_json(folder / "agent.json", self.description())
        write_tensors(folder / "agent.safetensors", self.state_dict())

    @classmethod
    def from_pretrained(cls, name_or_folder: str | Path, device: str | torch.device = "cpu") -> Agent:
        """The agent saved in a folder (a run_dir is one), or on the Hugging Face hub under "owner/name".

        Raises CheckpointError where files are missing, damaged, of another format or hold NaN.
        """
        folder = _folder_of(name_or_folder)
        description = read_json(folder / "agent.json")
        tensors, _ = read_tensors(folder / "agent.safetensors")
        try:
            agent = _build(description, tensors, folder)
            agent.load_state_dict(tensors)
        except (CheckpointError, TextModelError):
            raise
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"{folder}: agent.json and agent.safetensors do not fit together or this version ({reason}); train anew"
            ) from error
        return agent.to(device).eval()


def _folder_of(name_or_folder: str | Path) -> Path:
    folder = Path(name_or_folder)
    if folder.is_dir() or str(name_or_folder).count("/") != 1 or str(name_or_folder).startswith((".", "/", "runs/")):
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(name_or_folder), allow_patterns=["agent.json", "*.safetensors"]))
    except Exception as error:  # the hub client raises a dozen kinds; each means the same to the user
        raise CheckpointError(
            f"{name_or_folder}: is no folder here and could not be fetched from the hub ({type(error).__name__})"
        ) from error


def upgrade(description: dict[str, Any]) -> dict[str, Any]:
    """A description of FORMAT 1 as one of FORMAT 2: settings by their present names."""
    text = {"word_order": False, **description["text"]}
    return description | {"format": FORMAT, "text": text, "has_goal_posterior": True}


def _build(description: dict[str, Any], tensors: dict[str, Tensor], folder: Path) -> Agent:
    if description["format"] not in (1, FORMAT):
        raise CheckpointError(
            f"{folder}: agent.json: expected format 1 or {FORMAT}, got {description['format']}; "
            "try a newer version of goalbridge"
        )
    if description["format"] == 1:
        description = upgrade(description)
    world: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in description["world"].items()}
    settings = description["agent"] | {"frequencies": tuple(description["agent"]["frequencies"])}
    text = text_encoders.get(description["text"]["kind"], f"{folder}: agent.json: text encoder")
    agent = Agent(
        WorldSpec(**world),
        AgentConfig(**settings),
        PolicyConfig(**description["policy"]),
        text.from_description(description["text"], folder),
        CandidateActions(tensors["candidate_actions"].numpy(), tensors["execution"].double().numpy()),
        tensors["bridge_goals"].numpy(),
    )
    agent.has_goal_posterior = description["has_goal_posterior"]
    return agent
