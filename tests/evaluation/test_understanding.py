"""How an agent took instructions, on a line of six places that can be counted by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.configs.registries import metrics
from goalbridge.evaluation.metrics import UnderstandingRecord, measured
from goalbridge.worlds import Begun, Episodes, Task

GOALS = np.array([[0.2], [0.7], [1.5], [2.5], [3.5], [4.5]])  # [M, 1]; the first two are one place
POSTERIOR = {"left": [0.3, 0.2, 0.1, 0.2, 0.1, 0.1], "right": [0.4, 0.3, 0.0, 0.1, 0.0, 0.2], "who knows": [1 / 6] * 6}


class Line:
    """A world of one number; `meant` is the places that satisfy a task."""

    def satisfied_by(self, task: Task, goals: NDArray[Any]) -> Any:
        return None if task.meant is None else np.isin(np.floor(goals[:, 0]), task.meant)

    def places(self, goals: NDArray[Any]) -> NDArray[np.int64]:
        return np.asarray(np.floor(goals[:, 0]), np.int64)

    def metrics(self, episodes: Episodes) -> dict[str, Any]:
        return {}


class Reader:
    """Believes what POSTERIOR says, of goals that all episodes share or of each one's own."""

    def __init__(self, shared: bool) -> None:
        self.shared = shared

    def goals(self, observation: Any) -> Any:
        return GOALS if self.shared else [GOALS for _ in observation]

    def goal_posterior(self, texts: list[str], observation: Any) -> Any:
        return [np.array(POSTERIOR[text]) for text in texts]


TASKS = (Task("left", "c", 0, meant=[0]), Task("right", "c", 1, meant=[4]), Task("who knows", "c", 2))
PATHS = tuple(np.array(path)[:, None] for path in ([5.5, 2.1, 2.9, 0.1], [2.5, 0.5, 0.9, 3.5], [0.5, 1.5]))


def understood(tasks: tuple[Task, ...], shared: bool = True) -> UnderstandingRecord:
    world: Any = Line()
    found = UnderstandingRecord(world, Reader(shared))
    for part in (tasks[:1], tasks[1:]):
        if part:
            env: Any = SimpleNamespace()
            found.add(Begun(env, {"observation": np.zeros((len(part), 1))}, part))
    return found


def played(tasks: tuple[Task, ...], paths: tuple[NDArray[Any], ...]) -> Episodes:
    count = len(tasks)
    return Episodes(tasks, np.zeros(count, np.bool_), np.array([len(path) - 1 for path in paths]), paths, {})


@pytest.mark.parametrize("shared", [True, False])
def test_the_start_of_each_episode_by_hand(shared: bool) -> None:
    found = understood(TASKS, shared)
    np.testing.assert_allclose(found.mass, [0.5, 0.2, np.nan])
    np.testing.assert_allclose(found.first_guess, [1, 0, np.nan])
    # Likely are places of half the likeliest one's probability: 0 of the left has 0.5, none other 0.25.
    assert found.mistaken == [frozenset(), frozenset({0}), frozenset()]


def test_metrics_are_of_each_episode_and_unknown_where_nobody_knows() -> None:
    world: Any = Line()
    found = measured(world, played(TASKS, PATHS), understood(TASKS))
    assert {"mass", "first_guess", "wrong_visits"} <= set(metrics.names()) & set(found)
    np.testing.assert_allclose(found["mass"], [0.5, 0.2, np.nan])
    np.testing.assert_array_equal(found["wrong_visits"][:2], [0, 1])  # place 0 once, though twice seen
    there = (np.array([[0.5], [0.6], [3.5]]),)
    at_start = measured(world, played(TASKS[1:2], there), understood(TASKS[1:2]))
    assert at_start["wrong_visits"].tolist() == [0]  # where an episode begins does not count


@pytest.mark.parametrize("known", [True, False])
def test_nothing_is_said_of_who_has_no_posterior_or_what_nobody_knows(known: bool) -> None:
    world: Any = Line()
    tasks, paths = (TASKS[:1], PATHS[:1]) if known else (TASKS[2:], PATHS[2:])
    found = measured(world, played(tasks, paths), None if known else understood(tasks))
    assert set(found) == {"success", "steps"}
