"""Tests of the marginal, recall, and the verdict tool, where what holds is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.experiments.law.__main__ import main
from goalbridge.experiments.law.diagnose import diagnose
from goalbridge.experiments.law.distribution import Cloud, Finding, gaussian_tests, sphere_tests
from goalbridge.experiments.law.exact import exact_embeddings
from goalbridge.experiments.law.retrieval import recall
from goalbridge.experiments.law.world import LinearWorld


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


Arrays = dict[str, NDArray[np.float64] | str | float]
DIRECT, SPACE, GOALS = "Direct is safe", "one space for both models", "goals that carry the sum"
ENOUGH, INDEPENDENT = "these goals are enough", "a and c independent given goals"


def answers(folder: Path, ab: Arrays, bc: Arrays) -> dict[str, bool | None]:
    np.savez(folder / "ab.npz", **ab)  # type: ignore[arg-type]
    np.savez(folder / "bc.npz", **bc)  # type: ignore[arg-type]
    return {verdict.question: verdict.holds for verdict in diagnose(folder / "ab.npz", folder / "bc.npz")}


def sphere(count: int, dimension: int, seed: int) -> NDArray[np.float64]:
    points = np.random.default_rng(seed).standard_normal((count, dimension))
    directions: NDArray[np.float64] = points / np.linalg.norm(points, axis=1, keepdims=True)
    return directions


def uniform(scale: float = 6.0, turned: bool = False, goals: int = 4000) -> tuple[Arrays, Arrays]:
    """Uniform on the sphere; `turned` gives the second model axes of its own."""
    b, a, c = sphere(goals, 4, 0), sphere(100, 4, 1), sphere(100, 4, 2)
    axes = np.linalg.qr(np.random.default_rng(3).standard_normal((4, 4)))[0] if turned else np.eye(4)
    critic: Arrays = {"critic": "cosine", "log_scale": float(np.log(scale))}
    return {"a": a, "b": b, **critic}, {"b": b @ axes, "c": c @ axes, **critic}


def linear(bypass: float, goals: int = 2000) -> tuple[Arrays, Arrays]:
    """The exact densities of the linear world, with 400 pairs of a and c."""
    world = LinearWorld(0, bypass)
    held_out = world.draw(400)
    exact = exact_embeddings(world, held_out.a, held_out.c, world.draw_b(goals))
    scale: Arrays = {"critic": "neg_squared_l2", "scale": 0.5}
    ab: Arrays = {"a": exact.a.numpy(), "b": exact.bridge_ab.numpy(), **scale, "paired": 400}
    return ab, {"b": exact.bridge_bc.numpy(), "c": exact.c.numpy(), **scale}


def lopsided() -> tuple[Arrays, Arrays]:
    ab, bc = uniform()
    ab["b"] = bc["b"] = sphere(4000, 4, 0) + np.array([2.0, 0.0, 0.0, 0.0])
    return ab, bc


def gaussian(scale: float) -> tuple[Arrays, Arrays]:
    shapes = enumerate(((100, 3), (4000, 3), (100, 3)))
    a, b, c = (np.random.default_rng(seed).standard_normal(shape) for seed, shape in shapes)
    critic: Arrays = {"critic": "neg_squared_l2", "scale": scale}
    return {"a": a, "b": b, **critic}, {"b": b, "c": c, **critic}


VERDICTS: dict[str, tuple[Callable[[], tuple[Arrays, Arrays]], dict[str, bool]]] = {
    "a uniform sphere": (uniform, {DIRECT: True, GOALS: True, ENOUGH: True}),
    "two spaces, which LogSumExp does not mind": (
        partial(uniform, turned=True),
        {SPACE: False, DIRECT: False, GOALS: True},
    ),
    "few effective goals": (partial(uniform, scale=100.0, goals=50), {GOALS: False, ENOUGH: False}),
    "a lopsided cloud": (lopsided, {"marginal uniform on the sphere (Lemma 2)": False}),
    "a wide Gaussian": (partial(gaussian, 10.0), {"marginal isotropic Gaussian (Lemma 3)": True, DIRECT: True}),
    "a narrow Gaussian": (partial(gaussian, 0.5), {"marginal isotropic Gaussian (Lemma 3)": True, DIRECT: False}),
    "no signal past the bridge": (partial(linear, bypass=0.0), {INDEPENDENT: True}),
    "a signal past the bridge": (partial(linear, bypass=1.0), {INDEPENDENT: False}),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_verdicts_are_as_known(tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, known = VERDICTS[case]
    found = answers(tmp_path, *make())
    assert {question: found[question] for question in known} == known
    if ENOUGH in known:
        assert ("at least" in capsys.readouterr().out) != known[ENOUGH]  # how many are needed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"critic": "euclidean"}, "critic=euclidean"),
        ({"log_scale": np.nan}, "log_scale=nan"),
        ({"b": np.zeros((7, 4))}, "7 goals"),
        ({"b": np.zeros((4000, 5))}, "dimension 5"),
        ({"a": np.zeros(4)}, r"a has shape \(4,\)"),
        ({"a": np.full((100, 4), np.nan)}, "NaN"),
        ({"paired": 101}, "paired=101"),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path: Path, change: Arrays, message: str) -> None:
    ab, bc = uniform()
    with pytest.raises(ConfigError, match=message) as caught:
        answers(tmp_path, ab | change, bc)
    assert "\n" not in str(caught.value)


def test_missing_files_and_parts_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("none.npz").write_text("no arrays")
    np.savez("b.npz", b=np.zeros((3, 2)))
    for arguments, message in (
        ("diagnose absent.npz absent.npz", "no such file"),
        ("diagnose ab.npz", "1 files given"),
        ("tables", "tables: is no part"),
        ("diagnose none.npz none.npz", r"none\.npz: is no \.npz"),
        ("diagnose b.npz b.npz", "holds no a"),
    ):
        with pytest.raises(ConfigError, match=message):
            main(arguments.split())
