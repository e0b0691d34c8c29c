"""Episodes in batches: paired between actors, frozen once over, and only going ones shown to the actor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest

from goalbridge.envs.commands import CommandError
from goalbridge.evaluation.rivals import Chance, Expert, Limit
from goalbridge.evaluation.rollouts import Actor, Instructed, play
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.vector import make_world, surface

FORK = MazeSettings("goalbridge/ForkMaze-v0", max_episode_steps=30)
E = 25


class Scripted:
    """Acts by a table of angles [E, T]; remembers what it was shown."""

    def __init__(self, seed: int = 0) -> None:
        self.angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, size=(E, 200))
        self.clock = 0
        self.shown: list[list[int]] = []
        self.seen: list[np.ndarray[Any, Any]] = []
        self.texts: list[list[str]] = []

    def reset(self) -> None: ...

    def act(
        self, observation: np.ndarray[Any, Any], instructions: Sequence[str], episodes: Sequence[int] | None = None
    ) -> np.ndarray[Any, Any]:
        assert episodes is not None
        assert len(observation) == len(instructions) == len(episodes)
        self.shown.append(list(episodes))
        self.seen.append(observation.copy())
        self.texts.append(list(instructions))
        angle = self.angles[list(episodes), self.clock]
        self.clock += 1
        return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def test_two_actors_meet_the_same_starts_commands_and_noise() -> None:
    world = make_world(FORK, E)
    one, other, different = (play(world, Scripted(seed), 7) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.paths, other.paths)
    np.testing.assert_array_equal(one.success, other.success)
    np.testing.assert_array_equal(one.steps, other.steps)
    np.testing.assert_array_equal(one.starts, different.starts)
    assert [c.text for c in one.commands] == [c.text for c in different.commands]
    assert not np.array_equal(one.paths[:, :5], different.paths[:, :5])
    again = play(make_world(FORK, E), Scripted(0), 7)  # in a world made anew, too
    np.testing.assert_array_equal(one.paths, again.paths)
    assert not np.array_equal(one.starts, play(world, Scripted(0), 8).starts)


def test_the_noise_is_the_same_where_paths_have_parted() -> None:
    """In the open, a step's displacement is the action turned by the episode's own noise of that step."""
    layout = "\n".join(["." * 60] * 60)
    blank = MazeSettings("goalbridge/BlankMaze-v0", action_noise_degrees=30.0, max_episode_steps=8)
    world = gymnasium.make_vec(
        "goalbridge/PointMaze-v0",
        num_envs=E,
        layout=[[c == "#" for c in row] for row in layout.split("\n")],
        action_noise_degrees=blank.action_noise_degrees,
        max_episode_steps=8,
    )
    turns = []
    for seed in (0, 1):
        actor = Scripted(seed)
        episodes = play(world, actor, 3)
        moves = np.diff(episodes.paths, axis=1)[:, :4]  # [E, 4, 2]
        turn = np.arctan2(moves[..., 1], moves[..., 0]) - actor.angles[:, :4]
        turns.append(np.angle(np.exp(1j * turn)))
    inside = np.abs(turns[0] - turns[1]) < 0.02  # all but those at a border or over
    assert inside.mean() > 0.7
    assert np.std(turns[0][inside]) == pytest.approx(np.deg2rad(30), rel=0.35)


def test_a_finished_episode_is_frozen_and_no_longer_shown() -> None:
    world, actor = make_world(FORK, E), Scripted()
    episodes = play(world, actor, 0)
    over = episodes.steps < 30
    assert over.any()
    assert not over.all()
    for episode in range(E):
        end = int(episodes.steps[episode])
        np.testing.assert_array_equal(episodes.paths[episode, end:], episodes.paths[episode, -1:].repeat(31 - end, 0))
        assert sum(episode in shown for shown in actor.shown) == end
        held = episodes.commands[episode].holds(episodes.paths[episode])
        assert held[end] == episodes.success[episode]  # success is where the command holds, at the end and not before
        assert not held[:end].any()
        assert len(episodes.path(episode)) == end + 1
    assert (episodes.success[over]).all()  # nothing but success ends an episode early
    assert (episodes.steps <= 30).all()


def test_the_actor_sees_its_own_episode_and_its_words() -> None:
    world, actor = make_world(FORK, E), Scripted()
    episodes = play(world, actor, 0)
    for t, (shown, seen, texts) in enumerate(zip(actor.shown, actor.seen, actor.texts, strict=True)):
        np.testing.assert_array_equal(seen, episodes.paths[shown, t])
        assert texts == [episodes.commands[episode].text for episode in shown]


def test_an_instructed_actor_hears_only_its_instruction() -> None:
    world, actor = make_world(FORK, E), Scripted()
    command = surface(world).commands.parse("go to row 3")
    episodes = play(world, Instructed(actor, "somewhere nice"), 0, {"instruction": command})
    assert {text for texts in actor.texts for text in texts} == {"somewhere nice"}
    assert {c.label for c in episodes.commands} == {"row 3"}


def test_rivals_are_ranked_as_they_must_be() -> None:
    config = MazeSettings("goalbridge/ForkMaze-v0", max_episode_steps=100)
    world = make_world(config, 60)
    world.reset(seed=5)
    commands: Any = world.unwrapped.current_commands  # type: ignore[attr-defined]
    layout = surface(world).layout
    chance = Chance(surface(world).candidate_actions(8), 0)
    steps, success = {}, {}
    rivals: dict[str, Actor] = {
        "limit": Limit(layout, commands, config.action_noise_degrees, 16),
        "expert": Expert(layout, commands),
        "random": chance,
    }
    for name, actor in rivals.items():
        episodes = play(world, actor, 5)
        assert [c.text for c in episodes.commands] == [c.text for c in commands]
        steps[name], success[name] = episodes.steps.mean(), episodes.success.mean()
    assert success["limit"] == 1
    assert success["expert"] > 0.95
    assert success["random"] < 0.8
    assert steps["limit"] < steps["expert"] < steps["random"]


def test_an_instruction_that_nobody_could_be_given() -> None:
    """In a maze of one row, that row holds wherever one starts."""
    world = gymnasium.make_vec("goalbridge/PointMaze-v0", num_envs=2, layout=[[0, 0, 0]])
    with pytest.raises(CommandError, match="holds wherever it is reached"):
        play(world, Scripted(), 0, {"instruction": "go to row 0"})
