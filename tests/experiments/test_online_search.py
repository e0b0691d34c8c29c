"""A search over directions finds better ones than the grid that it starts from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from goalbridge.agents import Agent
from goalbridge.agents.bridge import bridge_scores_per_row
from goalbridge.experiments.agent.online_search import Searching


def test_the_search_is_no_worse_than_the_grid_that_it_starts_from(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent()
    policy = agent.policy("logsumexp", average_noise=False, mask_blocked=False)
    places = np.random.default_rng(0).random((20, 2)).astype(np.float32) * 15
    texts = ["row 3"] * 10 + ["column 12"] * 10
    log_bc = torch.as_tensor(policy.goal_posterior(texts)).log()

    def worth(actions: Any) -> torch.Tensor:
        encoded = agent.encode_state_actions(torch.as_tensor(places)[:, None], torch.as_tensor(actions)[:, None])
        scores = bridge_scores_per_row(
            encoded, log_bc, agent.encode_goals(torch.as_tensor(policy.goals())), agent.critic_ab
        )
        return scores[:, 0].detach()

    policy.reset()
    coarse = policy.act(places, texts)
    fine = Searching(policy, len(agent.candidate_actions))
    fine.reset()
    found = fine.act(places, texts)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (worth(found) >= worth(coarse) - 1e-4).all()
    assert (worth(found) > worth(coarse) + 1e-4).any()
