"""Distortions of training's speech: what each does, and that silence stays silent."""

from __future__ import annotations

import torch

from goalbridge.experiments.pretrained.distortion import Distortion


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(count: int = 50) -> torch.Tensor:
    """Features [count, 72, 40]: a loud band at 20 in frames 10 to 29, silence elsewhere."""
    features = torch.zeros(count, 72, 40)
    features[:, 10:30, 20] = 1.0
    return features


def test_nothing_asked_is_nothing_but_standardised() -> None:
    found = Distortion(shift=0, stretch=0.0, colour=0.0, noise=0.0)(clips(), seeded())
    expected = (clips() - clips().mean()) / clips()[0].std()
    torch.testing.assert_close(found, expected)


def test_each_clip_is_moved_and_stretched_in_its_own_way_within_bounds() -> None:
    moved = Distortion(shift=3, stretch=0.0, colour=0.0, noise=0.0)(clips(), seeded())
    starts = (moved[:, :, 20] > 0).int().argmax(1)
    assert set(starts.tolist()) == set(range(7, 14))
    stretched = Distortion(shift=0, stretch=0.2, colour=0.0, noise=0.0)(clips(), seeded())
    bands = stretched[:, 15].argmax(1)
    assert 16 <= bands.min() < 18
    assert 22 < bands.max() <= 25


def test_a_colour_is_the_same_at_all_times_and_leaves_silence_alone() -> None:
    features = torch.rand(20, 72, 40) + 1
    features[:, 50:] = 0.0
    found = Distortion(shift=0, stretch=0.0, colour=0.3, noise=0.0)(features, seeded())
    assert (found[:, 50:] == found[:, 50:].amin((1, 2), keepdim=True)).all()
    added = found[:, :50] - found[:, :1]  # what is constant over time drops out
    ratio = added / (features[:, :50] - features[:, :1])
    whole = ratio[:, 1:].flatten(1)
    assert (whole.quantile(0.9, dim=1) - whole.quantile(0.1, dim=1)).max() < 0.01
    assert not torch.allclose(found[0, :50].mean(0), found[1, :50].mean(0), atol=0.1)


def test_the_same_seed_hears_the_same() -> None:
    assert torch.equal(Distortion()(clips(), seeded(1)), Distortion()(clips(), seeded(1)))
    assert not torch.equal(Distortion()(clips(), seeded(1)), Distortion()(clips(), seeded(2)))
