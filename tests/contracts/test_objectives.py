"""What every objective keeps to, whoever registered it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from goalbridge.agents import Agent, Learner
from goalbridge.agents.objectives import Objective, TensorBatch
from goalbridge.agents.parallel import ALONE, Processes
from goalbridge.configs.registries import objectives
from goalbridge.configs.schema import TrainConfig

B, TEXTS = 8, ["row 3", "column 4", "row 7", "top half", "border"]
MakeAgent = Callable[..., Agent]
every_objective = pytest.mark.parametrize("name", objectives.names())


def objective_of(agent: Agent, name: str, processes: Processes = ALONE, **settings: Any) -> Objective:
    texts = torch.as_tensor(agent.text.encode(TEXTS)).to(agent.critic_ab.log_scale.dtype)
    made: Objective = objectives.get(name)(agent, TrainConfig(objective=name, **settings), texts, processes)
    return made


def some_batch(agent: Agent) -> TensorBatch:
    rng = np.random.default_rng(0)
    dtype, action_dim = agent.critic_ab.log_scale.dtype, agent.world.action_dim

    def draw(*shape: int) -> Tensor:
        return torch.as_tensor(rng.uniform(1, 9, size=shape)).to(dtype)

    captions = torch.as_tensor(rng.integers(len(TEXTS), size=B))
    same = captions[:, None] == captions[None]
    goals = draw(B, 2), draw(B, 2)
    states, actions, negatives = draw(B, 2), draw(B, action_dim), draw(B, 3, action_dim)
    return TensorBatch(states, actions, goals[0], negatives, goals[1], captions, same.fill_diagonal_(False))


@every_objective
@pytest.mark.parametrize("settings", [{}, {"precision": "bf16"}, {"action_negatives": 0, "multi_positives": "masked"}])
def test_its_loss_is_finite_and_reaches_words_and_actions(
    make_agent: MakeAgent, fake_text: Any, name: str, settings: dict[str, Any]
) -> None:
    agent = make_agent(fake_text).train()
    objective = objective_of(agent, name, **settings)
    loss, info = objective(some_batch(agent))
    assert loss.shape == ()
    assert torch.equal(info["loss"], loss.detach())
    assert all(value.isfinite().all() and not value.requires_grad for value in info.values())
    loss.backward()  # type: ignore[no-untyped-call]
    for tower in (agent.state_action_encoder, agent.language_head):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in tower.parameters())
    brief, less = objective(some_batch(agent), detailed=False)
    assert torch.equal(brief, loss)
    assert less.keys() <= info.keys()


@dataclass(frozen=True)
class Peer(Processes):
    """One of two processes that the test plays itself, one after the other: what the other one said is on record."""

    record: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    number: Iterator[int] = field(default_factory=count)

    def gather(self, rows: Tensor) -> Tensor:
        call = next(self.number)
        self.record[self.rank, call] = rows
        return torch.cat([self.record.get((rank, call), rows) for rank in range(self.count)])


@every_objective
def test_what_two_processes_give_sums_to_what_one_gives(make_agent: MakeAgent, fake_text: Any, name: str) -> None:
    agent = make_agent(fake_text).double().train()
    batch = some_batch(agent)
    whole, info = objective_of(agent, name, logsumexp_penalty=0.1)(batch)
    record: dict[tuple[int, int], Tensor] = {}
    for _ in range(2):  # the first time around, to hear what each has to say
        shares = []
        for rank in range(2):
            peer = Peer(rank, 2, record)
            rows = {name: getattr(batch, name)[peer.share(B)] for name in batch._fields[:-1]}
            own = batch._replace(**rows)
            shares.append(objective_of(agent, name, peer, logsumexp_penalty=0.1)(own))
    assert sum(loss.item() for loss, _ in shares) == pytest.approx(whole.item(), rel=1e-10)
    for key, value in info.items():
        assert sum(float(share[key]) for _, share in shares) == pytest.approx(float(value), rel=1e-6), key


@every_objective
def test_its_agent_remembers_whether_it_has_a_posterior(
    make_agent: MakeAgent, fake_text: Any, tmp_path: Path, name: str
) -> None:
    agent = make_agent(fake_text)
    learner = Learner(agent, TrainConfig(objective=name), agent.text.encode(TEXTS), np.zeros((5, 2), np.float32))
    learner.ema.save_pretrained(tmp_path)
    loaded = Agent.from_pretrained(tmp_path)
    assert loaded.has_goal_posterior is agent.has_goal_posterior is objectives.get(name).has_goal_posterior
    assert torch.equal(loaded.encode_instructions(TEXTS), learner.ema.encode_instructions(TEXTS))
