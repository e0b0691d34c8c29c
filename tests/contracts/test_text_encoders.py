"""What every text encoder keeps to, whoever registered it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent
from goalbridge.configs.registries import text_encoders
from goalbridge.configs.schema import AgentConfig, EncoderConfig
from goalbridge.encoders import InstructionError, TextEncoder

LABELS = ["row 0", "row 1", "column 0", "top half"]


@pytest.fixture(scope="module", params=text_encoders.names())
def encoder(request: pytest.FixtureRequest, text_cache: Path) -> TextEncoder:
    kind: type[TextEncoder] = text_encoders.get(request.param)
    config = EncoderConfig(kind=request.param)
    kind.check(config)
    return kind.from_config(config, text_cache / "contract" / f"{request.param}.safetensors", LABELS)


def test_features_are_rows_of_one_length_whatever_they_are_asked_with(encoder: TextEncoder) -> None:
    features = encoder.encode(LABELS)
    assert features.dtype == np.float32
    assert features.shape == (len(LABELS), encoder.dim)
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(encoder.encode([*LABELS[::-1], LABELS[0]]), [*features[::-1], features[0]])
    assert len(np.unique(features, axis=0)) == len(LABELS)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_instruction_is_refused_in_one_line(encoder: TextEncoder, text: str) -> None:
    with pytest.raises(InstructionError, match="is empty") as caught:
        encoder.encode([LABELS[0], text])
    assert "\n" not in str(caught.value)


def test_it_reads_the_wordings_that_it_is_trained_on(encoder: TextEncoder) -> None:
    assert encoder.split() == ("label" if encoder.canonical else "train")
    assert encoder.first_too_long(LABELS) is None
    if encoder.canonical:
        with pytest.raises(InstructionError, match="knows only"):
            encoder.encode(["walk to row 0"])
    else:
        assert encoder.encode(["walk to row 0"]).shape == (1, encoder.dim)


def test_its_description_is_json_and_makes_it_again(encoder: TextEncoder, tmp_path: Path) -> None:
    features = encoder.encode(LABELS)
    encoder.save(tmp_path)
    again = type(encoder).from_description(json.loads(json.dumps(encoder.description())), tmp_path)
    assert (again.fingerprint, again.dim) == (encoder.fingerprint, encoder.dim)
    np.testing.assert_allclose(again.encode(LABELS), features, atol=1e-6)


def test_its_head_takes_any_leading_axes_and_learns(encoder: TextEncoder) -> None:
    head = encoder.head(AgentConfig(embedding_dim=7, width=5))
    rows = torch.as_tensor(encoder.encode(LABELS))
    out = head(rows.reshape(2, 2, -1))
    assert out.shape == (2, 2, 7)
    torch.testing.assert_close(out.reshape(4, 7), head(rows))
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in head.parameters())


def test_an_agent_that_reads_by_it_reads_the_same_once_saved(
    encoder: TextEncoder, make_agent: Callable[..., Agent], tmp_path: Path
) -> None:
    agent: Any = make_agent(encoder)
    agent.save_pretrained(tmp_path)
    loaded = Agent.from_pretrained(tmp_path)
    assert loaded.description() == agent.description()
    torch.testing.assert_close(loaded.encode_instructions(LABELS), agent.encode_instructions(LABELS))
