"""Records what the shipped agents do, step by step, for tests/agents/test_golden_actions.py.

Written for the code before goals, memory and estimators became one policy (commit efdacfe), whose packages were
top-level. actions.npz was made there, in the root of its checkout, by

    PYTHONPATH=. python record_actions.py actions.npz

The file holds arrays only. Of each run, "AGENT|LEVEL|VIEW|ESTIMATOR": `counts` [T], how many episodes go on at each of
T steps, and of those N rows, step after step, `episodes` [N], `actions` [N] (numbers of the agent's candidate actions)
and `observation` [N, S], or `grid` [N, W, H, 3] and `pose` [N, 3]; `instructions` [E]. "AGENT|texts" [K] and
"AGENT|features" [K, T] are what the agent's text encoder said of every text, rounded to float16, and the agents were
run on that: a replay needs no language model. Keys of episodes are KEYS[episode].
"""

import sys
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

import agents  # type: ignore[import-not-found]  # of the old code
import envs  # type: ignore[import-not-found]  # noqa: F401  (registers the ids)

MAZES = {"fork_maze": "ForkMaze", "island_maze": "IslandMaze"}
IN_MAZES = ("logsumexp", "max", "tempered", "resampled", "likeliest", "planned", "shortest", "direct")
GRIDS = (("GoToLocal", "full"), ("GoToObjMazeS4", "full"), ("GoToLocal", "partial"))
IN_GRIDS = ("planned", "logsumexp", "max", "tempered", "likeliest")
KEYS = tuple(7 + 13 * episode for episode in range(30))


def vectors_of(agent: Any, known: dict[str, Any]) -> Any:
    """The agent's text encoder, rounded."""
    encode = agent.text.encode

    def rounded(texts: Sequence[str]) -> Any:
        for text in texts:
            if text not in known:
                known[text] = encode([text])[0].astype(np.float16)
        return np.stack([known[text] for text in texts]).astype(np.float32)

    return rounded


def record(agent: Any, name: str, world: str, count: int, steps: int, **settings: Any) -> dict[str, Any]:
    """`count` episodes, of at most so many steps."""
    env = gymnasium.make_vec(f"goalbridge/{world}-v0", num_envs=count, **settings)
    policy, candidates = agent.policy(name), agent.candidate_actions.numpy()
    observation, _ = env.reset(seed=1)
    texts = list(observation["instruction"])
    kept: dict[str, list[Any]] = {}
    active = np.ones(count, dtype=bool)
    counts = []
    for _ in range(steps):
        going = np.flatnonzero(active)
        if not len(going):
            break
        seen = observation["observation"]
        rows = {k: v[going].copy() for k, v in seen.items()} if isinstance(seen, dict) else seen[going].copy()
        own = policy.act(rows, [texts[row] for row in going], [KEYS[row] for row in going])
        chosen = own if own.ndim == 1 else (own[:, None] == candidates).all(axis=2).argmax(axis=1)
        assert own.ndim == 1 or np.array_equal(candidates[chosen], own)
        parts = rows if isinstance(rows, dict) else {"observation": rows}
        for key, value in ({"episodes": going, "actions": chosen} | parts).items():
            kept.setdefault(key, []).append(value if key == "observation" else value.astype(np.uint8))
        counts.append(len(going))
        actions = np.zeros((count, *own.shape[1:]), dtype=own.dtype)
        actions[going] = own
        observation, _, terminated, truncated, _ = env.step(actions)
        active &= ~(terminated | truncated)
    env.close()
    found = {key: np.concatenate(values) for key, values in kept.items()}
    return found | {"counts": np.array(counts, dtype=np.uint8), "instructions": np.array(texts)}


def main(path: str) -> None:
    """Records every run into one file."""
    arrays: dict[str, Any] = {}
    runs = [(agent, world, "", name) for agent, world in MAZES.items() for name in IN_MAZES]
    runs += [("babyai", level, view, name) for level, view in GRIDS for name in IN_GRIDS]
    loaded: dict[str, Any] = {}
    vectors: dict[str, dict[str, Any]] = {}
    for folder, world, view, name in runs:
        if folder not in loaded:
            loaded[folder] = agents.Agent.from_pretrained(f"pretrained/{folder}")
            loaded[folder].text.encode = vectors_of(loaded[folder], vectors.setdefault(folder, {}))
        agent = loaded[folder]
        if name == "direct" and not getattr(agent, "has_language_part", True):
            continue
        if folder == "babyai":
            found = record(agent, name, f"BabyAI-{world}", 8, 40, view=view)
        else:
            found = record(agent, name, world, 30, 40)
        arrays |= {f"{folder}|{world}|{view}|{name}|{key}": value for key, value in found.items()}
        print(folder, world, view, name, len(found["actions"]), flush=True)
    for folder, known in vectors.items():
        arrays |= {f"{folder}|texts": np.array(list(known)), f"{folder}|features": np.stack(list(known.values()))}
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
