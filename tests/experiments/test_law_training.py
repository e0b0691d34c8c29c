"""A small run of the table: training is repeatable, models are read back, LogSumExp finds what Direct cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from goalbridge.experiments.law import store
from goalbridge.experiments.law.curves import extrapolated
from goalbridge.experiments.law.laboratory import INDEPENDENT, Laboratory, train_bridged
from goalbridge.experiments.law.measure import figure
from goalbridge.experiments.law.retrieval import recall
from goalbridge.experiments.law.training import Recipe, train

SHORT = Recipe(embedding_dim=16, width=8, steps=60, learning_rate=2e-2, warm_up=5)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RUNS", tmp_path)


@pytest.fixture(scope="module")
def labs() -> list[Laboratory]:
    return [Laboratory(seed, pool=4000) for seed in (100, 101)]


def test_worlds_trained_together_are_those_trained_alone(labs: list[Laboratory]) -> None:
    data = [{("A", "B"): lab.data[("A", "B")]} for lab in labs]
    short = Recipe(embedding_dim=4, width=4, steps=5)
    together, again = train(data, "dot", short), train(data, "dot", short)
    for one, other in zip(together, again, strict=True):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name])
    alone = train(data[:1], "dot", short)[0]  # the first draws of the same seed
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(value, together[0].state_dict()[name], atol=1e-4, rtol=1e-3)


def test_the_bridge_finds_what_direct_cannot(labs: list[Laboratory], tmp_path: Path) -> None:
    models = train_bridged(labs, "neg_squared_l2", INDEPENDENT, SHORT)
    plain = figure([of.monte_carlo() for of in models])
    smoothed = figure([of.smoothed(0.7) for of in models])
    direct = figure([of.direct() for of in models])
    assert direct["mean"] < 0.1 < 0.3 < plain["mean"] < smoothed["mean"]
    assert len(list(tmp_path.glob("*.safetensors"))) == 4
    steps: list[None] = []
    again = train_bridged(labs, "neg_squared_l2", INDEPENDENT, SHORT, lambda: steps.append(None))
    assert not steps  # read, not trained
    assert torch.equal(again[0].direct(), models[0].direct())
    assert recall(extrapolated(models[0])).mean() > 0.3
