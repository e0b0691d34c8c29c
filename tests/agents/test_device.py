"""Which devices a setting may name."""

import pytest
import torch

from goalbridge.agents.device import resolve_device
from goalbridge.configs.checks import ConfigError


@pytest.mark.parametrize(
    ("gpus", "there", "absent"),
    [
        (0, {"auto": "cpu", "cpu": "cpu"}, ("cuda", "cuda:0", "mps", "cpu:3")),
        (2, {"auto": "cuda", "cuda:1": "cuda:1", "cpu": "cpu"}, ("cuda:2", "mps")),
    ],
)
def test_devices_are_those_that_are_there(
    monkeypatch: pytest.MonkeyPatch, gpus: int, there: dict[str, str], absent: tuple[str, ...]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert {name: str(resolve_device(name)) for name in there} == there
    for name in absent:
        with pytest.raises(ConfigError, match=f"device={name}: expected a device of this machine; try device=auto"):
            resolve_device(name)
