"""The agent: a model that reads texts, acts by a policy, and is saved and loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.model import Model
from goalbridge.agents.ood import FALSE_ALARMS, KEPT, familiarity, spread_out
from goalbridge.agents.policy import Policy
from goalbridge.agents.spec import CandidateActions, WorldSpec
from goalbridge.agents.storage import CheckpointError, read_json, read_tensors, write_json, write_tensors
from goalbridge.configs.registries import text_encoders
from goalbridge.configs.renamed import present_in
from goalbridge.configs.schema import AgentConfig, PolicyConfig
from goalbridge.encoders import TextEncoder, TextModelError

FORMAT = 2


class Agent(Model):
    """A model with what it reads texts by, what it learnt of them, and how it acts unless told otherwise.

    world, config, text, candidates, bridge_goals: see `Model`. policy_config: see `configs.schema`.
    has_goal_posterior: whether it was trained so that p(goal | instruction) means something.
    """

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
        super().__init__(world, config, text, candidates, bridge_goals)
        self.policy_config, self.text = policy_config, text
        self.has_goal_posterior = True
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
        mask_blocked: bool | None = None,
        seed: int = 0,
    ) -> Policy:
        """A way to act by one of the registered estimators; without a name, by the one that it was trained for.

        goals: [M, G] bridge goals instead of those stored. candidates: actions instead of those stored. None of both
        where goals are read off observations. average_noise, mask_blocked: see `PolicyConfig`. seed: of drawn goals.
        It computes in float32, with a copy of the weights where this agent holds others.
        Raises ConfigError for an estimator that this agent cannot use.
        """
        agent = self
        if any(parameter.dtype != torch.float32 for parameter in self.parameters()):
            agent = deepcopy(self, {id(self.text): self.text}).float()
        return Policy(agent, name or self.policy_config.name, goals, candidates, average_noise, mask_blocked, seed)

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
    def from_pretrained(
        cls, name_or_folder: str | Path, device: str | torch.device = "cpu", trust_remote_code: bool = False
    ) -> Agent:
        """The agent saved in a folder (a run_dir is one), or on the Hugging Face hub under "owner/name".

        Runs no code that the folder brings or names, unless trust_remote_code: the modules of its text model.
        Raises CheckpointError where files are missing, damaged, of another format or hold NaN.
        """
        folder = _folder_of(name_or_folder)
        description = read_json(folder / "agent.json")
        tensors, _ = read_tensors(folder / "agent.safetensors")
        try:
            agent = _build(description, tensors, folder)
            agent.load_state_dict(tensors)
            agent.text.trust_remote_code = trust_remote_code
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


def _require_room(settings: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: Path) -> None:
    """CheckpointError for networks that are larger than what is saved, before any is made."""
    numbers = sum(tensor.numel() for tensor in tensors.values())
    depth, width = int(settings.get("depth", 1)), int(settings.get("width", 1))
    needed = {
        "depth": (depth, len(tensors)),
        "text_depth": (int(settings.get("text_depth", 1)), len(tensors)),
        "width": (width**2 * (depth - 1) if depth > 1 else width, numbers),
        "embedding_dim": (int(settings.get("embedding_dim", 1)), numbers),
    }
    for name, (size, most) in needed.items():
        if size > most:
            raise CheckpointError(
                f"{folder}: agent.json: expected networks of the sizes in agent.safetensors, got "
                f"agent.{name}={settings[name]}; restore it or train anew"
            )


def _build(description: dict[str, Any], tensors: dict[str, Tensor], folder: Path) -> Agent:
    if description["format"] not in (1, FORMAT):
        raise CheckpointError(
            f"{folder}: agent.json: expected format 1 or {FORMAT}, got {description['format']}; "
            "try a newer version of goalbridge"
        )
    if description["format"] == 1:
        description |= {"text": {"word_order": False, **description["text"]}, "has_goal_posterior": True}
    world: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in description["world"].items()}
    settings = present_in("agent", description["agent"]) | {"frequencies": tuple(description["agent"]["frequencies"])}
    _require_room(settings, tensors, folder)
    actions, dim = tensors["candidate_actions"], world["action_dim"]
    if tuple(actions.shape[1:]) != (dim,):
        raise CheckpointError(f"{folder}: expected candidate actions [A, {dim}], got {list(actions.shape)}; train anew")
    text = text_encoders.get(description["text"]["kind"], f"{folder}: agent.json: text encoder")
    agent = Agent(
        WorldSpec(**world),
        AgentConfig(**settings),
        PolicyConfig(**present_in("policy", description["policy"])),
        text.from_description(description["text"], folder),
        CandidateActions(tensors["candidate_actions"].numpy(), tensors["execution"].double().numpy()),
        tensors["bridge_goals"].numpy(),
    )
    agent.has_goal_posterior = description["has_goal_posterior"]
    return agent
