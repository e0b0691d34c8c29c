"""Tests of the marginal hold where the assumption holds, and speak where it does not; recall is exact."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from goalbridge.experiments.law.distribution import Cloud, Finding, gaussian_tests, sphere_tests
from goalbridge.experiments.law.retrieval import recall


def cloud(seed: int, count: int = 3000, dimension: int = 8) -> Cloud:
    return np.random.default_rng(seed).standard_normal((count, dimension))


@pytest.mark.parametrize("tests", [sphere_tests, gaussian_tests])
def test_p_values_are_uniform_where_the_assumption_holds(tests: Callable[[Cloud], list[Finding]]) -> None:
    found = np.array([[finding.p_value for finding in tests(cloud(seed, 500))] for seed in range(30)])  # [30, 3]
    assert (found.mean(0) > 0.3).all()
    assert ((found < 0.05).mean(0) < 0.2).all()
    assert all(finding.effect < 0.1 for finding in tests(cloud(0)))


def test_what_is_not_uniform_on_the_sphere_is_found() -> None:
    shifted, flat = cloud(0) + 1.0, cloud(0) * ([1.0] * 4 + [0.05] * 4)
    rayleigh, bingham, projected = sphere_tests(shifted)
    assert rayleigh.p_value < 1e-6
    assert rayleigh.effect > 0.5
    assert sphere_tests(flat)[1].effect == pytest.approx(0.5, abs=0.05)  # four of eight dimensions are unused
    assert sphere_tests(flat)[0].effect < 0.1
    assert projected.p_value < 1e-6
    assert bingham.p_value < 1e-6


def test_what_is_not_gaussian_or_not_isotropic_is_found() -> None:
    stretched, heavy = cloud(0) * ([1.0] * 4 + [0.05] * 4), np.random.default_rng(0).standard_t(4, (3000, 8))
    john, norms, mardia = gaussian_tests(stretched)
    assert john.effect == pytest.approx(0.5, abs=0.05)
    assert norms.p_value > 1e-3  # Gaussian all the same
    assert mardia.p_value > 1e-3
    _, norms, mardia = gaussian_tests(heavy)
    assert norms.effect > 0.1
    assert mardia.effect > 0.1


def test_recall_is_the_mean_over_all_draws_of_candidates() -> None:
    scores = torch.randn(40, 40, generator=torch.Generator().manual_seed(0)) + 2 * torch.eye(40)
    rng = np.random.default_rng(0)
    wins = []
    for row in range(40):
        others = np.delete(np.arange(40), row)
        drawn = np.stack([rng.choice(others, 7, replace=False) for _ in range(400)])  # [400, 7]
        wins.append((scores[row].numpy()[drawn] < float(scores[row, row])).all(1).mean())
    np.testing.assert_allclose(recall(scores, 8).numpy(), wins, atol=0.1)
    assert recall(torch.eye(40), 32).mean() == 1.0
    assert float(recall(torch.zeros(1000, 1000), 32).mean()) == pytest.approx(1 / 32, abs=0.02)


def test_recall_names_what_it_cannot_take() -> None:
    with pytest.raises(ValueError, match=r"\(8, 8\)"):
        recall(torch.zeros(8, 8))
    with pytest.raises(ValueError, match="NaN"):
        recall(torch.full((40, 40), torch.nan))
