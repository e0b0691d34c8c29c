"""The verdict tool, on embeddings whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.experiments.law.__main__ import main
from goalbridge.experiments.law.diagnose import diagnose
from goalbridge.experiments.law.exact import exact_embeddings
from goalbridge.experiments.law.world import LinearWorld

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


def test_direct_is_safe_on_a_uniform_sphere(tmp_path: Path) -> None:
    found = answers(tmp_path, *uniform())
    assert found[DIRECT] is True
    assert found[GOALS] is True
    assert found[ENOUGH] is True


def test_direct_is_not_safe_between_two_spaces(tmp_path: Path) -> None:
    found = answers(tmp_path, *uniform(turned=True))
    assert found[SPACE] is False
    assert found[DIRECT] is False
    assert found[GOALS] is True  # LogSumExp does not mind


def test_few_effective_goals_ask_for_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answers(tmp_path, *uniform(scale=100.0, goals=50))
    assert found[GOALS] is False
    assert found[ENOUGH] is False
    assert "at least" in capsys.readouterr().out


def test_a_lopsided_cloud_is_no_uniform_sphere(tmp_path: Path) -> None:
    ab, bc = uniform()
    ab["b"] = bc["b"] = sphere(4000, 4, 0) + np.array([2.0, 0.0, 0.0, 0.0])
    found = answers(tmp_path, ab, bc)
    assert found["marginal uniform on the sphere (Lemma 2)"] is False


@pytest.mark.parametrize(("scale", "safe"), [(10.0, True), (0.5, False)])
def test_direct_on_a_gaussian_is_safe_where_the_marginal_is_wide(tmp_path: Path, scale: float, safe: bool) -> None:
    a, b, c = (
        np.random.default_rng(seed).standard_normal((count, 3)) for seed, count in ((0, 100), (1, 4000), (2, 100))
    )
    critic: Arrays = {"critic": "neg_squared_l2", "scale": scale}
    found = answers(tmp_path, {"a": a, "b": b, **critic}, {"b": b, "c": c, **critic})
    assert found["marginal isotropic Gaussian (Lemma 3)"] is True
    assert found[DIRECT] is safe


def test_a_signal_past_the_bridge_violates_independence(tmp_path: Path) -> None:
    assert answers(tmp_path, *linear(bypass=0.0))[INDEPENDENT] is True
    assert answers(tmp_path, *linear(bypass=1.0))[INDEPENDENT] is False


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


def test_missing_files_and_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        main(["diagnose", str(tmp_path / "ab.npz"), str(tmp_path / "bc.npz")])
    with pytest.raises(ConfigError, match="1 files given"):
        main(["diagnose", "ab.npz"])
    with pytest.raises(ConfigError, match="tables: is no part"):
        main(["tables"])
    (tmp_path / "ab.npz").write_text("no arrays")
    with pytest.raises(ConfigError, match=r"ab\.npz: is no \.npz"):
        main(["diagnose", str(tmp_path / "ab.npz"), str(tmp_path / "ab.npz")])
    np.savez(tmp_path / "ab.npz", b=torch.zeros(3, 2).numpy())
    with pytest.raises(ConfigError, match="holds no a"):
        main(["diagnose", str(tmp_path / "ab.npz"), str(tmp_path / "ab.npz")])
