"""Measures own play beside experts and random walks for RESULTS.md: three training seeds.

    python -m experiments.agent.online_protocol fork_maze  # own play, random walks, expert over environment steps
    python -m experiments.agent.online_protocol island_maze  # own play over environment steps; or blank_maze
    python -m experiments.agent.online_protocol corner  # every episode from one corner, against random goals
    python -m experiments.agent.online_protocol search  # directions to choose from, against a search over the circle
    python -m experiments.agent.online_protocol time  # the whole command, with and without a cache of embeddings

Trains with the command line that a user types, one core each, into runs/online, what is not there yet; about an hour on
an idle core. The evaluation's seeds were used for nothing else. Writes results/online_PART.json.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from goalbridge.experiments.agent.measuring import SEEDS, measure_parts, run_folder, train, train_command
from goalbridge.experiments.agent.online_search import Searching
from goalbridge.experiments.agent.trials import Trial, compared, estimates, expert_length
from goalbridge.worlds import Metrics

EPISODES = 1000
EVALUATION_SEED = 60_000_000
RUNS = Path("runs/online")
TEXTS = RUNS / "texts"
BUDGETS = (20_000, 50_000, 250_000)
WALKED = (100_000, 250_000)  # by random walks
CORNER_BUDGETS = (100_000, 250_000, 500_000)
WALK = 64
GRADIENT_STEPS = "train.steps=2000"  # of all, as data=online has it
SEARCH = {"8 directions": 8, "16 directions": 16, "32 directions": 32, "64 directions": 64, "128 directions": 128}
SEARCHED = {"8 directions, then a search": 8, "32 directions, then a search": 32}

# How trajectories come about.
OWN_PLAY = ("data=online",)
RANDOM_GOALS = ("data=online", "data.goals=uniform")
RANDOM_WALKS = ("data=random", "train.discount=0.95", "policy.name=shortest", GRADIENT_STEPS)
ON_WALKS = ("logsumexp", "planned", "shortest")
EXPERT = ("data=expert", GRADIENT_STEPS)
CORNER = (
    *("env.start=corner", "data.frontier=0.5", "data.random_steps_after_goal=16"),
    *("train.steps=3000", "train.discount=0.95"),
)
ON_CORNER = ("logsumexp", "shortest")


def trained(maze: str, name: str, seed: int, changes: Sequence[str]) -> tuple[Path, dict[str, float]]:
    """The folder of an agent, trained now unless it is there, and what that cost."""
    folder = run_folder(maze, seed, name, RUNS)
    return folder, train(folder, train_command(maze, seed, folder, (*changes, f"encoder.cache_dir={TEXTS}")))


def _row(costs: Sequence[dict[str, float]], by_seed: Sequence[Metrics], changes: Sequence[str]) -> dict[str, Any]:
    spent = {name: [cost[name] for cost in costs] for name in costs[0]}
    return estimates(by_seed) | spent | {"overrides": list(changes)}


def _rows(maze: str, name: str, changes: Sequence[str], estimators: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What agents trained so achieve, one row for each estimator."""
    folders, costs = zip(*(trained(maze, name, seed, changes) for seed in SEEDS), strict=True)
    by_seed = [compared(folder, estimators, episodes=EPISODES, seed=EVALUATION_SEED) for folder in folders]
    found = {one: _row(costs, [metrics[one] for metrics in by_seed], changes) for one in estimators}
    print(maze, name, {one: round(row["success"]["mean"], 3) for one, row in found.items()}, flush=True)
    return found


def measure_steps(maze: str, rivals: bool) -> dict[str, Any]:
    """Success over environment steps of own play, and where asked for of its rivals."""
    found: dict[str, dict[str, Any]] = {}

    def note(title: str, steps: int, row: dict[str, Any]) -> None:
        found.setdefault(title, {})[str(steps)] = row

    for steps in BUDGETS if rivals else BUDGETS[1:]:
        budget = f"data.environment_steps={steps}"
        for title, changes in (("own play", OWN_PLAY), ("own play, random goals", RANDOM_GOALS))[: 1 + rivals]:
            note(title, steps, _rows(maze, f"{title} {steps}", (*changes, budget), ["logsumexp"])["logsumexp"])
        if rivals:
            expert = (*EXPERT, f"data.trajectories={max(1, round(steps / expert_length(maze)))}")
            note("expert", steps, _rows(maze, f"expert {steps}", expert, ["logsumexp"])["logsumexp"])
    for steps in WALKED if rivals else ():
        walks = (*RANDOM_WALKS, f"data.trajectories={steps // WALK}", f"data.walk_length={WALK}")
        for one, row in _rows(maze, f"random walks {steps}", walks, ON_WALKS).items():
            note(f"random walks, {one}", steps, row)
    return {"maze": maze, "rows": found}


def measure_corner() -> dict[str, Any]:
    """Every episode from one corner: own play against the same agent that commands itself random goals."""
    recipes = {
        "own play": (*OWN_PLAY, *CORNER),
        "own play, random goals": (*RANDOM_GOALS, *CORNER),
        "own play, no frontier": (*OWN_PLAY, *CORNER, "data.frontier=0"),
        "own play, no roaming": (*OWN_PLAY, *CORNER, "data.random_steps_after_goal=0"),
    }
    rows: dict[str, Any] = {}
    for title, changes in recipes.items():
        for steps in CORNER_BUDGETS if title in list(recipes)[:2] else CORNER_BUDGETS[-1:]:
            budget = f"data.environment_steps={steps}"
            found = _rows("fork_maze", f"{title} corner {steps}", (*changes, budget), ON_CORNER)
            for one, row in found.items():
                rows.setdefault(f"{title}, {one}", {})[str(steps)] = row
    return {"maze": "fork_maze", "rows": rows}


def measure_search() -> dict[str, Any]:
    """How finely directions are chosen: grids of them, and a search that starts from a grid."""
    name, changes = f"own play {BUDGETS[-1]}", (*OWN_PLAY, f"data.environment_steps={BUDGETS[-1]}")
    folders, costs = zip(*(trained("fork_maze", name, seed, changes) for seed in SEEDS), strict=True)
    rows = {}
    for title, count in (SEARCH | SEARCHED).items():
        by_seed = [_searched(folder, count, title in SEARCHED) for folder in folders]
        rows[title] = _row(costs, by_seed, changes)
        print(title, rows[title]["success"], rows[title]["spl_grid"], flush=True)
    return {"maze": "fork_maze", "rows": rows}


def _searched(folder: Path, count: int, refines: bool) -> Metrics:
    trial = Trial(folder, episodes=EPISODES, seed=EVALUATION_SEED)
    policy = trial.evaluation.agent.policy("logsumexp", candidates=trial.world.candidates(count))
    return trial.play(Searching(policy, count) if refines else policy).metrics


def measure_time() -> dict[str, Any]:
    """Wall-clock and processor seconds of the whole command, seed 0: captions encoded in it, and found in a cache."""
    seconds: dict[str, Any] = {}
    for maze in ("fork_maze", "island_maze", "blank_maze"):
        for title in ("cold", "warm"):
            folder = RUNS / f"{maze}_time_{title}"
            cache = f"encoder.cache_dir={RUNS / f'{maze}_time_texts'}"
            seconds[f"{maze}, {title}"] = train(folder, train_command(maze, 0, folder, (*OWN_PLAY, cache)))
    return {"rows": seconds}


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "fork_maze": partial(measure_steps, "fork_maze", True),
    "island_maze": partial(measure_steps, "island_maze", False),
    "blank_maze": partial(measure_steps, "blank_maze", False),
    "corner": measure_corner,
    "search": measure_search,
    "time": measure_time,
}


if __name__ == "__main__":
    RUNS.mkdir(parents=True, exist_ok=True)
    measure_parts(
        "online_protocol",
        "online_",
        PARTS,
        sys.argv[1:],
        episodes=EPISODES,
        evaluation_seed=EVALUATION_SEED,
    )
