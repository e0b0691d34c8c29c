"""BabyAI made by others: minigrid's own environments, recorded with the whole grid in view."""

from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from minigrid.wrappers import FullyObsWrapper

from goalbridge.data import DatasetError
from goalbridge.encoders.grid import situations
from goalbridge.envs.babyai.navigation import make_navigation
from goalbridge.envs.babyai.simulator import MINIGRID_ACTIONS
from goalbridge.worlds.babyai.minari import GridReader
from goalbridge.worlds.babyai.settings import BabyAISettings
from goalbridge.worlds.babyai.world import BabyAIWorld

STEPS = 60
WHOLE = Dict({"image": Box(0, 255, (8, 8, 3), np.uint8), "direction": Discrete(4)})


def _whole(env: Any) -> Any:
    return FullyObsWrapper(env)  # type: ignore[no-untyped-call]


def recorded(seed: int) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """What minigrid shows of random play, the actions by its numbers, and our environment's situations."""
    rng = np.random.default_rng(seed)
    theirs, ours = _whole(gymnasium.make("BabyAI-GoToLocal-v0")), make_navigation("GoToLocal")
    seen, _ = theirs.reset(seed=seed)
    own, _ = ours.reset(seed=seed)
    frames, poses, actions, rows = [seen["image"]], [seen["direction"]], [], [own["observation"]]
    for _ in range(STEPS):
        action = int(rng.integers(3))
        seen, _, over, cut, _ = theirs.step(MINIGRID_ACTIONS[action])
        own = ours.step(action)[0]
        actions.append(MINIGRID_ACTIONS[action])
        frames.append(seen["image"])
        poses.append(seen["direction"])
        rows.append(own["observation"])
        if over or cut:
            break
    expected = situations(np.stack([row["grid"] for row in rows]), np.stack([row["pose"] for row in rows]))
    return {"image": np.stack(frames), "direction": np.array(poses)}, np.array(actions), expected


def test_the_situations_are_those_of_our_environment() -> None:
    reader = GridReader("d", WHOLE, Discrete(7))
    for seed in range(3):
        seen, actions, expected = recorded(seed)
        np.testing.assert_array_equal(reader.observations(seen), expected)
        assert reader.actions(actions).argmax(axis=1).tolist() == [MINIGRID_ACTIONS.index(a) for a in actions.tolist()]
        assert reader.layout(seen) == seed
    assert reader.layout(recorded(1)[0]) == 1
    spaces = BabyAIWorld(BabyAISettings(levels=("GoToLocal",))).dataset_spec()
    assert len(spaces.observation_low) == expected.shape[1]


def test_grids_and_poses_of_our_environments_are_read() -> None:
    env = make_navigation("GoToLocal")
    first = env.reset(seed=4)[0]["observation"]
    second = env.step(2)[0]["observation"]
    seen = {"observation": {name: np.stack([first[name], second[name]]) for name in ("grid", "pose")}}
    reader = GridReader("d", env.observation_space, env.action_space)
    np.testing.assert_array_equal(
        reader.observations(seen), situations(seen["observation"]["grid"], seen["observation"]["pose"])
    )


def test_what_is_no_whole_grid_is_named() -> None:
    with pytest.raises(DatasetError, match="dataset=d: expected observations of whole grids, got Dict"):
        GridReader("d", Dict({"state": Box(0, 1, (2,))}), Discrete(7))
    with pytest.raises(DatasetError, match=r"dataset=d: expected actions Discrete\(7\), .*, got Discrete\(5\)"):
        GridReader("d", WHOLE, Discrete(5))
    reader = GridReader("d", WHOLE, Discrete(7))
    with pytest.raises(DatasetError, match=r"expected left, right, forward, toggle, got 3 \(pickup\) at step 1"):
        reader.actions(np.array([0, 3]))
    seen = recorded(0)[0]
    seen["image"] = np.where(seen["image"] == 10, 1, seen["image"])
    with pytest.raises(DatasetError, match="expected one agent in each image, got 0 at step 0"):
        reader.observations(seen)
