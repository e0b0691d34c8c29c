"""The learner in mazes and grids: it learns, averages, keeps its schedule and precision, and goes on bit for bit."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalbridge.agents.objectives import info_nce
from goalbridge.experiments.reading import Reading

Make = Callable[..., Any]
BF16_LOSS, BF16_GRADIENT = 0.02, 0.1  # relative: of the loss, and of the gradient by the norm of the difference
both_worlds = pytest.mark.parametrize("kind", ["maze", "grid"])


def of_parts(infos: list[dict[str, float]], count: int) -> list[dict[str, float]]:
    """Means over the first steps and over the last ones."""
    return [
        {key: float(np.mean([i[key] for i in part])) for key in infos[0]} for part in (infos[:count], infos[-count:])
    ]


def test_losses_fall_and_accuracies_rise(course: Make) -> None:
    torch.manual_seed(0)
    made = course("maze", steps=250)
    first, last = of_parts([made.step() for _ in range(250)], 20)
    for key in ("loss", "goal/loss", "action/loss"):
        assert last[key] < 0.8 * first[key], key
    # A goal makes two captions true, and a caption is true of several goals of a batch: far from zero at best.
    assert last["language/loss"] < first["language/loss"] - 0.15
    for key in ("goal/accuracy", "goal/accuracy_columns", "language/accuracy", "action/accuracy"):
        assert last[key] > 1.5 * first[key], key
    for pair in ("goal", "language"):
        gap = [part[f"{pair}/positive_logits"] - part[f"{pair}/negative_logits"] for part in (first, last)]
        assert gap[1] > gap[0] + 0.2
    assert made.learner.step == 250
    assert last["action/accuracy"] > 0.4  # of five actions


def test_losses_fall_in_grids(course: Make) -> None:
    torch.manual_seed(0)
    made = course("grid", {"width": 32, "embedding_dim": 16}, steps=150)
    first, last = of_parts([made.step() for _ in range(150)], 10)
    for name in ("goal/loss", "language/loss"):
        assert last[name] < first[name] - 0.3, name


def test_what_is_logged_fits_together(course: Make) -> None:
    info = course("maze", caption_weight=0.7, action_weight=2.0).step()
    total = info["goal/loss"] + 0.7 * info["language/loss"] + 2 * info["action/loss"]
    assert info["loss"] == pytest.approx(total, rel=1e-5)
    assert info["gradient_norm"] > 0
    assert not any(name.startswith("action/") for name in course("maze", action_negatives=0).step())


GRIDS = [{"language_in_actions": things, "rotary": rotary} for things in (False, True) for rotary in (False, True)]


@pytest.mark.parametrize("negatives", [0, 3])
@pytest.mark.parametrize(("kind", "networks"), [("maze", {}), *(("grid", networks) for networks in GRIDS)])
def test_one_step_moves_every_parameter_and_no_buffer(
    course: Make, kind: str, networks: dict[str, Any], negatives: int
) -> None:
    # Decay would move what no gradient reaches.
    made = course(kind, networks, action_negatives=negatives, weight_decay=0.0)
    learner = made.learner
    before = {name: value.clone() for name, value in learner.agent.state_dict().items()}
    info = made.step()
    after, trained = learner.agent.state_dict(), {name for name, _ in learner.agent.named_parameters()}
    assert {name for name in before if torch.equal(before[name], after[name])} == set(before) - trained
    parts = {"state_action_encoder", "goal_encoder", "language_head", "critic_ab", "critic_bc"}
    parts |= {"meaning_encoder"} if kind == "grid" else set()
    parts |= {"rotary"} if networks.get("rotary") else set()
    assert {name.split(".")[0] for name in trained} == parts
    assert all(np.isfinite(value) for value in info.values())
    assert ("action/loss" in info) == (negatives > 0)
    assert not any(parameter.requires_grad for parameter in learner.ema.parameters())


def test_an_update_is_read_in_five_files(course: Make, fake_text: Any) -> None:
    made = course("maze", {"text": fake_text})
    batch, reading = made.draw(), Reading()
    reading.start()
    made.learner.update(*batch)
    assert len(reading.stop()) <= 5


def test_averages_are_the_formula(course: Make) -> None:
    """decay x average + (1 - decay) x weights after each step, from the initial weights on."""
    made = course("maze", ema=0.8)
    learner = made.learner
    expected = {name: value.detach().double() for name, value in learner.agent.named_parameters()}
    for _ in range(5):
        made.step()
        for name, value in learner.agent.named_parameters():
            expected[name] = 0.8 * expected[name] + 0.2 * value.detach().double()
    for name, value in learner.ema.named_parameters():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)
    assert learner.ema.text is learner.agent.text


def test_learning_rate_rises_to_the_peak_and_falls_along_a_cosine(course: Make) -> None:
    made = course("maze", steps=200, warmup=0.1, learning_rate=0.02)
    learner, rates = made.learner, []
    for learner.step in range(200):
        rates.append(learner.learning_rate())
    np.testing.assert_allclose(np.diff(rates[:20]), rates[0], rtol=1e-6)  # linear, from the first step on
    assert max(rates) == rates[20] == 0.02
    for at in (60, 110, 160):
        assert rates[at] == pytest.approx(0.01 * (1 + math.cos(math.pi * (at - 20) / 180)))
    assert 0 < rates[-1] < 1e-5
    learner.step = 7
    made.step()
    assert [group["lr"] for group in learner.optimizer.param_groups] == [rates[7]] * 2


def gradient(learner: Any) -> torch.Tensor:
    return torch.cat([p.grad.reshape(-1) for p in learner.agent.parameters() if p.grad is not None])


def test_gradients_are_clipped_and_matrices_alone_decay(course: Make) -> None:
    made = course("maze", gradient_clip=1e-3, weight_decay=0.5)
    assert made.step()["gradient_norm"] > 1e-3
    assert gradient(made.learner).norm().item() == pytest.approx(1e-3, rel=1e-2)
    for group, decay in zip(made.learner.optimizer.param_groups, (0.5, 0.0), strict=True):
        assert group["weight_decay"] == decay
        assert all((p.ndim > 1) == (decay > 0) for p in group["params"])


NETWORKS: list[tuple[str, dict[str, Any]]] = [("maze", {}), ("grid", {}), ("grid", {"language_in_actions": True})]
NETWORKS += [("grid", {"text_dropout": 0.4, "language_critic": "dot"})]


@pytest.mark.parametrize(("kind", "networks"), NETWORKS)
def test_a_restored_learner_goes_on_bit_for_bit(course: Make, kind: str, networks: dict[str, Any]) -> None:
    whole, halted = (course(kind, networks) for _ in range(2))
    for _ in range(6):
        whole.step()
    for _ in range(3):
        halted.step()
    saved = {name: tensor.clone() for name, tensor in halted.learner.state_tensors().items()}
    halted.step()  # what happens afterwards is no part of it
    torch.manual_seed(5)
    resumed = course(kind, networks)
    resumed.step()
    resumed.learner.load_state_tensors(saved, 3)
    for name, tensor in resumed.learner.state_tensors().items():
        assert torch.equal(tensor, saved[name]), name
    for _ in range(3):
        resumed.step()
    states = whole.learner.state_tensors(), resumed.learner.state_tensors()
    assert states[0].keys() == states[1].keys()
    for name in states[0]:
        assert torch.equal(states[0][name], states[1][name]), name
    assert whole.step() == resumed.step()


def test_a_state_that_does_not_fit_is_refused(course: Make) -> None:
    made = course("maze")
    made.step()
    learner, tensors = made.learner, made.learner.state_tensors()
    with pytest.raises(KeyError):
        learner.load_state_tensors({**tensors, "stranger.x": torch.zeros(1)}, 1)
    narrow = {**tensors, "agent.goal_encoder.tower.0.weight": torch.zeros(2, 2)}
    with pytest.raises(RuntimeError, match="size mismatch"):
        learner.load_state_tensors(narrow, 1)
    with pytest.raises(RuntimeError, match="Missing key"):
        learner.load_state_tensors({k: v for k, v in tensors.items() if not k.startswith("average.critic")}, 1)


@pytest.mark.parametrize("where", ["agent", "ema", "temperature"])
def test_a_weight_that_is_no_number_is_noticed(course: Make, where: str) -> None:
    made = course("maze")
    learner = made.learner
    made.step()
    assert learner.is_finite()
    with torch.no_grad():
        if where == "temperature":
            learner.agent.critic_bc.log_scale.fill_(1e3)  # which overflows
        else:
            next(getattr(learner, where).goal_encoder.parameters())[0, 0] = math.nan
    assert not learner.is_finite()


def test_language_alone_moves_the_meanings_and_places_alone_the_rest(course: Make) -> None:
    """The two pairs share no tower unless the agent is to compare actions with words directly."""
    made = course("grid")
    agent, batch = made.learner.agent, made.learner.tensors(*made.draw())

    def touched() -> set[str]:
        return {name.split(".")[0] for name, p in agent.named_parameters() if p.grad is not None}

    a, b = agent.encode_state_actions(batch.states, batch.actions), agent.encode_goals(batch.goals)
    info_nce(agent.critic_ab(a, b))[0].backward()  # type: ignore[no-untyped-call]
    assert touched() == {"state_action_encoder", "goal_encoder", "rotary", "critic_ab"}
    agent.zero_grad()
    c = agent.encode_language(made.learner.objective.text_features(batch.captions))
    info_nce(agent.critic_bc(agent.encode_meanings(batch.caption_goals), c))[0].backward()  # type: ignore[no-untyped-call]
    assert touched() == {"meaning_encoder", "language_head", "critic_bc"}


@torch.no_grad()
def test_the_goal_loss_is_the_mean_over_groups(course: Make) -> None:
    made = course("grid")
    agent, batch = made.learner.agent, made.learner.tensors(*made.draw())
    _, info = made.learner.loss(batch)
    a, b = agent.encode_state_actions(batch.states, batch.actions), agent.encode_goals(batch.goals)
    alone = [info_nce(agent.critic_ab(a[i : i + 8], b[i : i + 8]))[0] for i in range(0, 32, 8)]
    torch.testing.assert_close(info["goal/loss"], torch.stack(alone).mean())
    assert abs(float(info_nce(agent.critic_ab(a, b))[0]) - float(info["goal/loss"])) > 0.1


def test_text_dropout_is_of_training_alone(course: Make) -> None:
    made = course("grid", {"text_dropout": 0.5})
    learner, features = made.learner, made.learner.objective.texts[:5]
    with torch.no_grad():
        drawn, steady = ([one.encode_language(features) for _ in range(2)] for one in (learner.agent, learner.ema))
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(steady[0], steady[1])
    made.step()
    assert (learner.agent.training, learner.ema.training) == (True, False)


@pytest.mark.parametrize("negatives", [0, 1, 2, 3, 9])
def test_other_actions_are_others_each_once(course: Make, negatives: int) -> None:
    made = course("grid", action_negatives=negatives)
    batch = made.learner.tensors(*made.draw())
    assert batch.other_actions.shape == (32, min(negatives, 3), 4)
    for taken, others in zip(batch.actions, batch.other_actions, strict=True):
        assert (others.sum(dim=1) == 1).all()
        numbers = [int(taken.argmax()), *others.argmax(dim=1).tolist()]
        assert len(set(numbers)) == 1 + min(negatives, 3)


# Precision and compilation change speed, not results beyond what is stated here.


@both_worlds
def test_a_step_in_bf16_is_close_and_keeps_weights_in_float32(course: Make, kind: str) -> None:
    plain, quick = (course(kind, precision=precision, batch_size=64) for precision in ("float32", "bf16"))
    one, other = plain.step()["loss"], quick.step()["loss"]
    assert other != one
    assert other == pytest.approx(one, rel=BF16_LOSS)
    exact, rounded = gradient(plain.learner), gradient(quick.learner)
    assert kind == "grid" or float((rounded - exact).norm() / exact.norm()) < BF16_GRADIENT
    assert all(tensor.dtype == torch.float32 for tensor in quick.learner.agent.parameters())


@pytest.mark.slow
def test_bf16_learns_as_well(course: Make) -> None:
    """The mean of the last losses, and how often the action taken wins, after 300 steps."""
    last = []
    for precision in ("float32", "bf16"):
        made = course("maze", steps=300, batch_size=64, learning_rate=3e-3, precision=precision)
        last.append(of_parts([made.step() for _ in range(300)], 50)[1])
    assert last[1]["loss"] == pytest.approx(last[0]["loss"], rel=BF16_LOSS)
    assert last[1]["action/accuracy"] == pytest.approx(last[0]["action/accuracy"], abs=0.02)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_steps_are_the_plain_ones(course: Make) -> None:
    """Twenty steps: weights within 1e-4, losses within 1e-4."""
    plain, quick = (course("maze", batch_size=64, learning_rate=3e-3, compile=compiled) for compiled in (False, True))
    for _ in range(20):
        one, other = plain.step(), quick.step()
        assert other.keys() == one.keys()
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-4)
    for first, second in zip(plain.learner.agent.parameters(), quick.learner.agent.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=1e-4)


def test_without_a_compiler_compiling_is_refused_before_any_work(
    script: Any, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    refused = script("train", *tiny, "train.compile=true", f"run_dir={tmp_path / 'run'}").error
    assert refused.startswith("train.compile=true: expected a C++ compiler")
    assert not (tmp_path / "run").exists()
