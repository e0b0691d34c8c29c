"""Online data: what an agent collects between its gradient steps, without an expert.

Play comes in rounds: one segment of T steps in each of E environments. At first, actions are random. Afterwards the
agent commands itself goals, which it has reached before, and acts towards them with exploration noise. What it visits
goes into a bounded replay buffer, and a set share of it is captioned; actions and captions never meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.splits import Split
from goalbridge.data.captions import PLAY, CaptionBatch, CaptionPairs, Captions, caption_goals, stream
from goalbridge.data.replay import ReplayBuffer
from goalbridge.data.trajectories import FutureBatch

Commands = Callable[[np.random.Generator, NDArray[np.int64]], NDArray[Any]]

CELLS: Final = 16  # along each coordinate of the goals' bounds, in which visits are counted
_ENV: Final = "playground."  # before the names of its arrays, in checkpoints
REACHED: Final = 1.0  # step lengths: a goal nearer than that was reached, and the next one is commanded


class SelfPlayEnv(Protocol):
    """E episodes, played in segments of equal length. All chance comes from the seed of each segment.

    size: E. groups, places: of the present segments, [E] each one's layout and [E, 2] where it starts in it; None where
    there is one layout. directed: whether the agent is to command itself goals, or to play at random.
    """

    groups: NDArray[np.int64] | None
    places: NDArray[np.float32] | None
    directed: bool

    @property
    def size(self) -> int:
        """E."""

    def begin(self, seed: int) -> NDArray[Any]:
        """Begins a segment of every episode; what is observed, [E, S]."""

    def step(self, actions: NDArray[np.float32]) -> NDArray[Any]:
        """Takes the actions [E, D]; what is observed then, [E, S]."""

    def random_actions(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Uniformly random actions [E, D]."""

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """What the next segment depends on beside its seed."""

    def load_state_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restores what `state_arrays` gave."""


class ExploringPolicy(Protocol):
    """Who acts."""

    def act(self, observation: NDArray[Any], goals: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float32]:
        """Actions [E, D] from observations [E, S] towards goals [E, G], with exploration noise."""


class Frontier:
    """Draws of goals from visited ones [V, G], those in rarely visited cells as often as those in crowded ones.

    A cell of the goals' bounds [low, high] is drawn with a chance of one over its visits, then a goal in it: counts say
    where the frontier is (as in "go, then explore", Ecoffet et al., 2021). The grid is coarse, and knows no world.
    """

    def __init__(self, visited: NDArray[Any], low: Sequence[float], high: Sequence[float]) -> None:
        self._visited = visited
        extent = np.asarray(high, dtype=np.float64) - np.asarray(low)  # [G]
        share = (visited - np.asarray(low, dtype=np.float64)) / np.where(extent > 0, extent, 1.0)  # [V, G]
        cell = np.clip((share * CELLS).astype(np.int64), 0, CELLS - 1)  # [V, G]
        _, which, visits = np.unique(cell, axis=0, return_inverse=True, return_counts=True)  # [V], [cells]
        self._summed = np.cumsum(1.0 / visits[which.reshape(-1)].astype(np.float64) ** 2)  # [V]

    def sample(self, rng: np.random.Generator, count: int, rare: float) -> NDArray[Any]:
        """`count` goals, [count, G]: a share `rare` of them on the frontier, of the rest each visit as likely."""
        is_rare = rng.random(count) < rare
        drawn = rng.random(count) * self._summed[-1]
        seldom = np.searchsorted(self._summed, drawn, side="right").clip(max=len(self._visited) - 1)  # [count]
        usual = rng.integers(len(self._visited), size=count)
        return np.asarray(self._visited[np.where(is_rare, seldom, usual)])


class OnlineData:
    """Trajectories and captions that grow as the agent learns.

    env, captions: the world, and what is true of its goals. bounds: lowest and highest goals, [G] each. dtype:
    of observations.
    config reads: environment_steps, environments, walk_length, warmup, capacity, goals, frontier,
    random_steps_after_goal, labelled_goals.
    steps: gradient steps in all, over which play is spread evenly: the first round is played at once, the last before
    the last of them.
    """

    def __init__(
        self,
        env: SelfPlayEnv,
        captions: Captions,
        bounds: tuple[tuple[float, ...], tuple[float, ...]],
        config: DataConfig,
        steps: int,
        split: Split,
        seed: int,
        dtype: Any = np.float32,
    ) -> None:
        self._env, self._captions, self._bounds = env, captions, bounds
        self._config, self._steps, self._split, self._seed = config, steps, split, seed
        self.rounds = max(1, config.environment_steps // (env.size * config.walk_length))
        self.played, self._commanded, self.reached = 0, 0, 0
        self._pairs: CaptionPairs | None = None
        self._captioned = 0  # goals given to be captioned so far; of some nothing can be said
        action_dim = env.random_actions(np.random.default_rng(0)).shape[1]
        capacity = max(env.size, config.capacity // config.walk_length)
        self.replay = ReplayBuffer(capacity, config.walk_length, len(bounds[0]), action_dim, dtype)
        self._play(None)

    @property
    def environment_steps(self) -> int:
        """Steps taken so far, in all environments together."""
        return self.played * self._env.size * self._config.walk_length

    @property
    def figures(self) -> dict[str, float]:
        """What to log: steps taken, transitions and captions kept, the share of commanded goals that were reached."""
        return {
            "online/environment_steps": self.environment_steps,
            "online/transitions": self.replay.transitions,
            "online/captions": len(self.captions.goals),
            "online/goals_reached": self.reached / max(1, self._commanded),
        }

    @property
    def captions(self) -> CaptionPairs:
        """The captioned goals so far."""
        assert self._pairs is not None  # since the first round
        return self._pairs

    def sample_futures(
        self, rng: np.random.Generator, batch_size: int, discount: float, group_size: int = 0, nearby: float = 0.0
    ) -> FutureBatch:
        """As `TrajectoryBuffer.sample_futures`, of what is kept."""
        return self.replay.sample_futures(rng, batch_size, discount, group_size, nearby)

    def sample(self, rng: np.random.Generator, batch_size: int) -> CaptionBatch:
        """As `CaptionPairs.sample`, of the goals captioned so far."""
        return self.captions.sample(rng, batch_size)

    def advance(self, step: int, explorer: Callable[[], ExploringPolicy]) -> None:
        """Plays the rounds that are due before the gradient step numbered `step`; warm, a new explorer for each."""
        share = step / (self._steps - 1) if self._steps > 1 else 1.0
        due = 1 + int((self.rounds - 1) * share)
        while self.played < due:
            self._play(explorer() if share >= self._config.warmup else None)

    def _play(self, explorer: ExploringPolicy | None) -> None:
        """One round; at random without an explorer, or where the environments are not for directed play now."""
        rng = stream(self._seed, PLAY, self.played)  # one stream a round: resuming needs no state
        place = self._env.begin(int(rng.integers(2**31)))  # [E, S]
        command = None if explorer is None or not self._env.directed else self._commands()
        goals = place if command is None else command(rng, np.arange(len(place)))  # [E, S]
        places, actions = [place], []
        roaming = np.zeros(len(place), dtype=np.int64)  # [E], random steps that are left
        for _ in range(self._config.walk_length):
            if explorer is None or command is None:
                action = self._env.random_actions(rng)  # [E, D]
            else:
                action = explorer.act(place, goals, rng)
                if roaming.any():
                    action = np.where(roaming[:, None] > 0, self._env.random_actions(rng), action)
            place = self._env.step(action)
            places.append(place)
            actions.append(action)
            if command is not None:
                roaming = np.maximum(roaming - 1, 0)
                reached = np.flatnonzero(self._is_reached(place, goals) & (roaming == 0))  # [R]
                if len(reached):
                    goals[reached], roaming[reached] = command(rng, reached), self._config.random_steps_after_goal
                self.reached += len(reached)
        groups, starts = self._env.groups, self._env.places
        visited = self.replay.add(np.stack(places, axis=1), np.stack(actions, axis=1), groups, starts)  # [V, S]
        self._caption(visited, rng)
        self.played += 1

    def _is_reached(self, place: NDArray[Any], goals: NDArray[Any]) -> NDArray[np.bool_]:
        """[E]: where a goal [E, S] is as near as a step; where states are codes, all of it."""
        if place.dtype.kind != "f":
            return np.asarray((place == goals).all(axis=1))
        return np.asarray(np.linalg.norm(place - goals, axis=1) < REACHED * self.replay.step_length)

    def _commands(self) -> Commands:
        """How goals of this round are drawn: for the numbered episodes [R], [R, G]."""
        groups, (low, high) = self._env.groups, np.array(self._bounds, dtype=np.float32)  # [G] each
        is_counted = groups is None and self._config.goals == "buffer"
        frontier = Frontier(self.replay.states, *self._bounds) if is_counted else None

        def command(rng: np.random.Generator, episodes: NDArray[np.int64]) -> NDArray[Any]:
            self._commanded += len(episodes)
            if groups is not None:  # goals of the layout at hand; how often each was visited says little there
                return self.replay.sample_reached(rng, groups[episodes])
            if frontier is None:  # anywhere within the bounds
                return np.asarray(low + (high - low) * rng.random((len(episodes), len(low)), dtype=np.float32))
            return frontier.sample(rng, len(episodes), self._config.frontier)

        return command

    def _caption(self, visited: NDArray[Any], rng: np.random.Generator) -> None:
        """Captions this round's share of all captions, of states visited in it."""
        quota = max(1, self._config.labelled_goals * (self.played + 1) // self.rounds - self._captioned)
        if not len(visited):
            return
        chosen = visited[rng.choice(len(visited), size=quota, replace=quota > len(visited))]  # [quota, S]
        pairs = caption_goals(self._captions, chosen, self._split, self._seed, turn=(self.played,))
        self._pairs = pairs if self._pairs is None else self._pairs.joined(pairs)
        self._captioned += quota

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """All that later play and batches depend on, as arrays, for `load_state_arrays`."""
        pairs = self.captions
        counters = (self.played, self._commanded, self.reached, self._captioned)
        arrays = {"counters": np.array(counters), "goals": pairs.goals, "text": pairs.text, "label": pairs.label}
        arrays |= {f"replay.{name}": array for name, array in self.replay.state_arrays().items()}
        return arrays | {f"{_ENV}{name}": array for name, array in self._env.state_arrays().items()}

    def load_state_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restores what `state_arrays` gave; KeyError or ValueError where it does not fit."""
        self.played, self._commanded, self.reached, self._captioned = arrays["counters"].tolist()
        goals = arrays["goals"]
        true_labels = self._captions.true_labels(goals)  # [N, T]
        self._pairs = CaptionPairs(goals, self.captions.texts, arrays["text"], arrays["label"], true_labels)
        self.replay.load_state_arrays(_part(arrays, "replay."))
        self._env.load_state_arrays(_part(arrays, _ENV))


def _part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
