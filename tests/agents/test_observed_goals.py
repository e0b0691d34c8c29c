"""Goals read off observations: layouts, parts in turn, doors and maps that grow; with exact encoders, fewest steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT
from numpy.typing import NDArray

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.agents import Agent, Policy, observed_goals
from goalbridge.agents.observed_goals import GoalSet, ObservedGoals
from goalbridge.configs.checks import ConfigError
from goalbridge.envs.babyai.layouts import draw_layouts, free_poses
from goalbridge.envs.babyai.optimum import PoseGraph, facing, fewest_steps
from goalbridge.envs.babyai.simulator import FORWARD, TOGGLE, GridBatch

Grid = NDArray[np.uint8]
WALL, BALL, KEY, BOX, RED, BLUE, GREY = 2, 6, 5, 7, 0, 2, 5


def episode_of(policy: Policy, key: Any = 0) -> Any:
    """What is remembered of an episode."""
    source = policy.source
    assert isinstance(source, ObservedGoals)
    return source.episodes.get(key)


def things_in(grid: Grid) -> list[tuple[str, NDArray[np.bool_]]]:
    """Every kind of coloured thing in a grid and where it lies, ("red ball", bool [W, H])."""
    found = {tuple(cell) for cell in grid[np.isin(grid[..., 0], (4, 5, 6, 7)), :2].tolist()}
    return [
        (f"{IDX_TO_COLOR[colour]} {IDX_TO_OBJECT[kind]}", (grid[..., :2] == (kind, colour)).all(axis=-1))
        for kind, colour in sorted(found)
    ]


def play(agent: Agent, grid: Grid, pose: NDArray[np.int64], instruction: str, stops: Any, most: int = 300) -> int:
    """Steps that "planned" takes until `stops(batch)`."""
    policy, batch = agent.policy("planned"), GridBatch(grid[None], pose[None])
    for step in range(1, most + 1):
        batch.step(policy.act({"grid": batch.grids, "pose": batch.poses}, [instruction]))
        if stops(batch):
            return step
    return most + 1


def faces(target: NDArray[np.bool_]) -> Any:
    """Whether the agent of a batch of one faces one of the cells."""

    def holds(batch: GridBatch) -> bool:
        return bool(target.reshape(-1)[batch.front()[0]])

    return holds


@pytest.mark.parametrize("level", ["GoToLocal", "GoToObjS4", "GoToObjMazeS4R2", "GoToSeqS5R2", "GoToObjMazeS4"])
def test_a_thing_is_reached_in_the_fewest_steps(perfect_agent: Agent, level: str) -> None:
    rng = np.random.default_rng(0)
    layouts = draw_layouts([level], 6, rng)
    played = 0
    for grid in layouts.grids:
        for name, target in things_in(grid)[:4]:
            pose = rng.choice(free_poses(grid))
            optimum = fewest_steps(grid, pose, target)
            if np.isfinite(optimum) and grid[pose[0], pose[1], 0] != 4:
                assert play(perfect_agent, grid, pose, f"go to the {name}", faces(target)) == optimum
                played += 1
    assert played >= 6


def test_of_several_that_fit_the_nearest_is_reached(perfect_agent: Agent) -> None:
    rng = np.random.default_rng(1)
    for grid in draw_layouts(["GoToLocalS8N7"], 8, rng).grids:
        kinds, counts = np.unique(grid[np.isin(grid[..., 0], (5, 6, 7)), 0], return_counts=True)
        kind = kinds[counts.argmax()]
        target, pose = grid[..., 0] == kind, rng.choice(free_poses(grid))
        optimum = fewest_steps(grid, pose, target)
        assert play(perfect_agent, grid, pose, f"go to a {IDX_TO_OBJECT[kind]}", faces(target)) == optimum


class Sequence:
    """Stops once the targets have been faced in turn; both orders do where `in_turn` is false."""

    def __init__(self, targets: list[NDArray[np.bool_]], in_turn: bool) -> None:
        self.left, self.in_turn = list(targets), in_turn

    def __call__(self, batch: GridBatch) -> bool:
        while hits := [target for target in self.left[: 1 if self.in_turn else None] if faces(target)(batch)]:
            self.left = [target for target in self.left if not any(target is hit for hit in hits)]
        return not self.left


def fewest_in_turn(grid: Grid, pose: NDArray[np.int64], first: NDArray[np.bool_], last: NDArray[np.bool_]) -> float:
    """Fewest steps until the first target was faced and then the last, in a grid without doors."""
    graph = PoseGraph(grid)
    onwards, best = graph.distances(facing(last)), np.inf
    for turn in np.argwhere(facing(first)):
        alone = np.zeros(graph.shape, dtype=np.bool_)
        alone[tuple(turn)] = True
        steps = max(1.0, graph.distances(alone)[tuple(pose)])
        best = min(best, steps + onwards[tuple(turn)])
    return float(best)


@pytest.mark.parametrize("form", ["{}, then {}", "{1} after you {0}", "{} and {}"])
def test_composed_instructions_take_the_fewest_steps_in_all(perfect_agent: Agent, form: str) -> None:
    rng = np.random.default_rng(2)
    played = 0
    for grid in draw_layouts(["GoToLocalS8N4"], 12, rng).grids:
        (one, here), (other, there) = things_in(grid)[:2]
        pose = rng.choice(free_poses(grid))
        orders = [fewest_in_turn(grid, pose, here, there)]
        if "and" in form:
            orders.append(fewest_in_turn(grid, pose, there, here))
        if not np.isfinite(orders).all():
            continue
        stops = Sequence([here, there], in_turn="and" not in form)
        text = form.format(f"go to the {one}", f"go to the {other}")
        assert play(perfect_agent, grid, pose, text, stops) == min(orders)
        played += 1
    assert played >= 8


def test_parts_are_noted_when_they_are_done_and_not_before(perfect_agent: Agent) -> None:
    grid = room()
    grid[5, 3], grid[3, 5] = (BALL, RED, 0), (KEY, BLUE, 0)
    text = "go to the red ball and go to the blue key, then go to the red ball"
    policy = perfect_agent.policy("planned")

    def done_at(*pose: int) -> frozenset[int]:
        policy.act({"grid": grid[None], "pose": np.array([pose])}, [text])
        done: frozenset[int] = episode_of(policy).done
        return done

    assert done_at(4, 3, 0) == frozenset()  # it faces the ball as it begins; minigrid looks after the first action
    assert done_at(4, 3, 1) == frozenset()
    assert done_at(4, 3, 0) == {0}
    assert done_at(3, 3, 0) == {0}
    assert done_at(3, 4, 1) == {0, 1}
    assert done_at(3, 4, 0) == {0, 1}
    assert done_at(4, 4, 0) == {0, 1}
    assert done_at(4, 3, 0) == frozenset()  # all is done, and yet it goes on: begin again


def room(width: int = 8, height: int = 8) -> Grid:
    grid = np.zeros((width, height, 3), dtype=np.uint8)
    grid[:] = (WALL, GREY, 0)
    grid[1:-1, 1:-1] = (1, 0, 0)
    return grid


def two_rooms(door: int) -> Grid:
    """A wall in the middle, x = 6 of 13, with a door of the given state, and a red ball behind it."""
    grid = room(13, 7)
    grid[6] = (WALL, GREY, 0)
    grid[6, 3] = (4, GREY, door)
    grid[10, 2] = (BALL, RED, 0)
    return grid


@pytest.mark.parametrize("door", [0, 1])
def test_doors_are_opened_on_the_way_and_no_others(perfect_agent: Agent, door: int) -> None:
    grid, pose = two_rooms(door), np.array([2, 3, 2])
    target = grid[..., 0] == BALL
    assert play(perfect_agent, grid, pose, "go to a ball", faces(target)) == fewest_steps(grid, pose, target)


def test_a_goal_set_lasts_while_doors_swing_and_no_longer_than_the_layout(perfect_agent: Agent) -> None:
    grid, policy = two_rooms(1), perfect_agent.policy("planned")
    grid[2, 1] = (BOX, RED, 0)

    def goals(*pose: int) -> GoalSet:
        policy.act({"grid": grid[None], "pose": np.array([pose])}, ["go to a ball"])
        found: GoalSet = episode_of(policy).goals
        return found

    first = goals(5, 3, 0)
    grid[6, 3, 2] = 0
    assert goals(5, 3, 0) is first
    assert episode_of(policy).plan is not None
    grid[2, 1] = (1, 0, 0)  # a box that was toggled
    assert goals(5, 3, 0) is not first
    assert len(policy.source.episodes) == 1  # type: ignore[attr-defined]


def test_the_state_itself_is_no_way_forward_even_with_a_door_open_beside_it(perfect_agent: Agent) -> None:
    """Goal sets show the doors as they first were; whoever stands where it stands is still the same."""
    grid, policy = two_rooms(1), perfect_agent.policy("planned")
    policy.act({"grid": grid[None], "pose": np.array([(5, 3, 0)])}, ["go to a ball"])
    for opened in (1, 0):
        grid[6, 3, 2] = opened
        scores = policy.scores({"grid": grid[None], "pose": np.array([(5, 3, 1)])}, ["go to a ball"])[0]
        assert scores[TOGGLE] == -np.inf  # which changes nothing here
        assert scores[0].isfinite()


def test_what_an_episode_went_on_after_was_not_what_was_asked_for(perfect_agent: Agent) -> None:
    grid, policy = room(), perfect_agent.policy("planned")
    grid[3, 3], grid[3, 5], grid[6, 6] = (KEY, RED, 0), (KEY, RED, 0), (KEY, BLUE, 0)

    def worth(*pose: int) -> set[int]:
        """The colours of what is worth going to, after a look from a pose."""
        policy.act({"grid": grid[None], "pose": np.array([pose])}, ["go to a key"])
        episode = episode_of(policy)
        return set(episode.goals.rows[episode.plan.weights[0] == 1, 6].tolist())

    assert worth(2, 3, 0) == {RED, BLUE}  # it faces one as it begins, which nobody has judged yet
    assert worth(2, 3, 1) == {RED, BLUE}
    assert worth(2, 3, 0) == {BLUE}
    assert worth(2, 3, 3) == {BLUE}
    policy.reset()
    assert worth(2, 3, 3) == {RED, BLUE}


@pytest.mark.parametrize("name", ["planned", "logsumexp", "max"])
def test_what_is_in_front_as_it_begins_is_reached_by_staying(perfect_agent: Agent, name: str) -> None:
    grid = room()
    grid[3, 3] = (BALL, RED, 0)
    policy = perfect_agent.policy(name)
    action = policy.act({"grid": grid[None], "pose": np.array([(2, 3, 0)])}, ["go to the red ball"])
    batch = GridBatch(grid[None], np.array([(2, 3, 0)]))
    batch.step(action)
    assert batch.poses.tolist() == [[2, 3, 0]]


def partial(grid: Grid, unseen: slice) -> Grid:
    """The grid without what lies in a range of columns."""
    known = grid.copy()
    known[unseen] = 0
    return known


def test_the_frontier_is_gone_to_while_nothing_seen_fits(perfect_agent: Agent) -> None:
    grid, policy = room(13, 7), perfect_agent.policy("planned")
    grid[11, 3], grid[1, 1] = (BALL, RED, 0), (KEY, BLUE, 0)
    pose, text = np.array([(2, 3, 1)]), ["go to the red ball"]
    seen = partial(grid, slice(7, None))
    (action,) = policy.act({"grid": seen[None], "pose": pose}, text)
    episode = episode_of(policy)
    values, goals = episode.plan.values[frozenset()], episode.goals.rows
    frontier = (goals[:, 0] == 6) & (goals[:, 2] == 0)
    np.testing.assert_array_equal(values == 1, frontier)
    assert action == 0  # it turns to the unknown
    (action,) = policy.act({"grid": partial(grid, slice(12, None))[None], "pose": np.array([(2, 3, 0)])}, text)
    goals, values = episode.goals.rows, episode.plan.values[frozenset()]
    np.testing.assert_array_equal(values == 1, (goals[:, 5] == BALL) & (goals[:, 6] == RED))
    assert action == 2


def test_a_thing_like_what_is_asked_for_is_not_it_while_there_is_more_to_see(perfect_agent: Agent) -> None:
    """On the whole map the best that there is is meant; on a part of it, the red key may yet turn up."""
    grid = room(13, 7)
    grid[1, 3] = (KEY, BLUE, 0)
    for known, is_wanted in ((grid, True), (partial(grid, slice(7, None)), False)):
        policy = perfect_agent.policy("planned")
        policy.act({"grid": known[None], "pose": np.array([(3, 3, 1)])}, ["go to the red key"])
        episode = episode_of(policy)
        at_key = episode.goals.rows[:, 5] == KEY
        assert (episode.plan.values[frozenset()][at_key] == 1).all() == is_wanted


def test_where_nothing_is_left_to_see_the_best_that_is_known_is_gone_to(perfect_agent: Agent) -> None:
    grid, policy = room(), perfect_agent.policy("planned")
    grid[3, 3], grid[0, 0] = (BALL, RED, 0), 0  # a corner that nobody can ever look at
    for text in ("go to the red ball", "go to the blue ball"):
        policy.act({"grid": grid[None], "pose": np.array([(1, 1, 0)])}, [text])
        episode = episode_of(policy)
        assert episode.grounded.partial
        assert episode.goals.frontier.sum() == 0
        np.testing.assert_array_equal(episode.plan.values[frozenset()] == 1, episode.goals.rows[:, 5] == BALL)


@pytest.mark.parametrize("view", ["full", "partial"])
@pytest.mark.parametrize(("level", "steps"), [("GoToObjMazeS4R2", 12), ("GoToObjMazeS4", 30), ("GoToSeqS5R2", 30)])
def test_minigrids_own_verifier_is_content(perfect_agent: Agent, level: str, steps: int, view: str) -> None:
    """On the whole map, and finding its way by the 7x7 view; sequences with all their parts in order."""
    env: Any = gymnasium.make(f"goalbridge/BabyAI-{level}-v0", view=view)
    policy, taken = perfect_agent.policy("planned"), []
    for episode in range(6):
        observation, _ = env.reset(seed=episode)
        over, reward = False, 0.0
        while not over:
            seen = {name: value[None] for name, value in observation["observation"].items()}
            action = policy.act(seen, [observation["instruction"]], [episode])[0]
            observation, reward, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
        assert reward > 0, observation["instruction"]
        taken.append(env.unwrapped.step_count)
    assert np.mean(taken) < steps
    env.close()


def test_a_plan_no_longer_counts_on_what_changed_nothing(perfect_agent: Agent) -> None:
    """An action that failed is struck from the plan, which then goes another way, and from plans of later goal sets."""
    grid = np.full((8, 8, 3), (1, 0, 0), dtype=np.uint8)
    grid[[0, -1]] = grid[:, [0, -1]] = (WALL, GREY, 0)
    grid[6, 3] = (BALL, RED, 0)
    start, policy = np.array([2, 3, 0]), perfect_agent.policy("planned")
    observation, texts = {"grid": grid[None], "pose": start[None]}, ["go to the red ball"]
    assert policy.act(observation, texts)[0] == FORWARD
    episode = episode_of(policy)
    here = int(np.flatnonzero((episode.goals.rows[:, :3] == start).all(axis=1))[0])
    before = episode.plan.values[frozenset()][here]
    assert policy.act(observation, texts)[0] != FORWARD  # the same situation again: nothing had changed
    after = episode.plan.values[frozenset()][here]
    assert after < before
    assert episode.blocked(4).tolist() == [here * 4 + FORWARD]
    assert episode.goals.transitions.without(episode.blocked(4)).chances[[here * 4 + FORWARD]].nnz == 0
    assert episode.goals.transitions.chances[[here * 4 + FORWARD]].nnz == 1
    batch, arrived = GridBatch(grid[None], start[None]), faces(grid[..., 0] == BALL)
    policy.reset()
    for _ in range(20):
        action = policy.act({"grid": batch.grids, "pose": batch.poses}, texts)
        if not ((batch.poses[0] == start).all() and action[0] == FORWARD):  # a wall that nobody sees
            batch.step(action)
        if arrived(batch):
            break
    assert arrived(batch)


def test_an_episode_lasts_until_the_grid_or_the_instruction_is_another(make_grid_agent: Callable[..., Agent]) -> None:
    policy, rng = make_grid_agent().policy(), np.random.default_rng(0)
    grids = draw_layouts(["GoToLocal"], 2, rng).grids
    batch = GridBatch(grids, np.stack([rng.choice(free_poses(grid)) for grid in grids]))

    def episode(text: str = "find a key", key: Any = "a", row: int = 0, pose: Any = None) -> Any:
        poses = batch.poses[row : row + 1].copy() if pose is None else np.array([pose])
        policy.act({"grid": batch.grids[row : row + 1].copy(), "pose": poses}, [text], [key])
        return episode_of(policy, key)

    first = episode()
    for action in (0, 0, 2, 1, 2, 3):
        batch.step(np.array([action, 0]))
        assert episode() is first
    assert episode(key=(1, 2)) is not first
    assert episode() is first
    other = episode("a box")
    assert other is not first
    assert (other.begun, other.masked, len(other.taken)) == (True, set(), 1)
    far = free_poses(batch.grids[0])
    jumped = episode("a box", pose=far[np.abs(far[:, :2] - batch.poses[0, :2]).sum(axis=1).argmax()])
    assert jumped is not other
    assert episode("a box", row=1) is not jumped
    assert len(policy.source.episodes) == 2  # type: ignore[attr-defined]


def test_actions_that_changed_nothing_are_masked_there_and_in_that_episode(
    make_grid_agent: Callable[..., Agent],
) -> None:
    policy, rng = make_grid_agent().policy(), np.random.default_rng(0)
    grids = draw_layouts(["GoToLocal"], 1, rng).grids
    batch, texts = GridBatch(grids, np.stack([rng.choice(free_poses(grids[0]))])), ["find a key"]

    def act(policy: Policy, key: Any = 0) -> int:
        return int(policy.act({"grid": batch.grids.copy(), "pose": batch.poses.copy()}, texts, [key])[0])

    first = act(policy)
    assert act(policy) != first
    assert {action for _, action in episode_of(policy).masked} == {first}
    batch.step(np.array([0]))
    act(policy)
    batch.step(np.array([1]))
    assert act(policy) != first  # back again
    assert act(policy, "another") == first
    policy.reset()
    assert sorted(act(policy) for _ in range(4)) == [0, 1, 2, 3]  # each in turn, as if the world stood still
    for name in ("planned", "max"):
        stubborn = make_grid_agent().policy(name, mask_blocked=False)
        assert len({act(stubborn) for _ in range(4)}) == 1


def test_ten_thousand_episodes_are_remembered_and_no_more(
    perfect_agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed_goals, "EPISODES_KEPT", 20)
    policy, grid = perfect_agent.policy("logsumexp"), room()
    grid[3, 3] = (BALL, RED, 0)
    for start in range(0, 100, 10):
        keys = [("session", key) for key in range(start, start + 10)]
        policy.act({"grid": np.stack([grid] * 10), "pose": np.array([(1, 1, 0)] * 10)}, ["go to a ball"] * 10, keys)
    assert len(policy.source.episodes) == 20  # type: ignore[attr-defined]
    assert episode_of(policy, ("session", 99)) is not None
    assert episode_of(policy, ("session", 79)) is None


@pytest.mark.parametrize("form", ["{0}", "{0}, then {1}", "{1} after you {0}", "{0} and {1}"])
def test_fulfilment_ticks_parts_off_in_their_order(perfect_agent: Agent, form: str) -> None:
    grid = room()
    grid[5, 3], grid[3, 5] = (BALL, RED, 0), (KEY, BLUE, 0)
    ball, key = (4, 3, 0), (3, 4, 1)
    text = form.format("go to the red ball", "go to the blue key")

    def there(*poses: tuple[int, int, int]) -> bool:
        judge = perfect_agent.policy().fulfilment(text)
        found = [judge({"grid": grid[None], "pose": np.array([pose])}) for pose in poses]
        return bool(found[-1])

    assert not there((1, 1, 0))
    assert there(ball) is (form == "{0}")
    assert not there(key)
    assert there((1, 1, 0), ball, (1, 1, 0), key) or form == "{0}"
    assert there(key, ball) is (form in ("{0}", "{0} and {1}"))


def test_fulfilment_is_for_goals_that_are_read_off_observations(make_agent: Callable[..., Agent]) -> None:
    with pytest.raises(ConfigError, match="fulfilment: expected goals that are read off each observation"):
        make_agent().policy().fulfilment("row 3")


def test_either_of_two_things_is_a_composition(perfect_agent: Agent) -> None:
    grid = room()
    grid[3, 3], grid[5, 5], grid[6, 1] = (BALL, RED, 0), (KEY, BLUE, 0), (BOX, GREY, 0)
    observation, policy = {"grid": grid[None], "pose": np.array([(1, 1, 0)])}, perfect_agent.policy()
    (posterior,), (goals,) = policy.goal_posterior(["a ball or a key"], observation), policy.goals(observation)
    meant = np.isin(goals[:, 5], (BALL, KEY))
    np.testing.assert_allclose(posterior, meant / meant.sum(), atol=1e-4)
