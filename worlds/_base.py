"""The contract between a world and all that learns, acts and is measured in it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.checks import CheckpointError, ConfigError
from goalbridge.configs.registries import worlds
from goalbridge.configs.world_settings import WorldEvaluation, WorldSettings
from goalbridge.data.space_spec import SpaceSpec

if TYPE_CHECKING:
    import gymnasium

    from goalbridge.agents import Agent
    from goalbridge.agents.spec import CandidateActions, WorldSpec
    from goalbridge.configs.data_schema import DataConfig
    from goalbridge.configs.schema import RunConfig
    from goalbridge.data import CaptionPairs, TrajectoryBuffer
    from goalbridge.data.captions import Captions
    from goalbridge.data.online import SelfPlayEnv
    from goalbridge.encoders import TextEncoder

    VectorEnv = gymnasium.vector.VectorEnv[Any, Any, Any]

Metrics = dict[str, NDArray[np.float64]]


@runtime_checkable
class Actor(Protocol):
    """Anything that acts: a policy, or a reference that it is held against."""

    def reset(self) -> None:
        """Forgets the episodes so far."""

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        """Actions [B, D], or [B] where they are numbers, for the observations of B episodes with these keys."""


@dataclass(frozen=True, eq=False)
class Task:
    """One episode that is to be played.

    text: what the agent is told; "" for the environment's own instruction. category: for tables. seed: of the reset.
    group: which environments it is played in (BabyAI's level), "" where a world has one kind. options: of the reset.
    meant: what satisfies the instruction, in the world's own terms; None where nobody knows.
    """

    text: str
    category: str
    seed: int
    group: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    meant: Any = None


@dataclass(frozen=True, eq=False)
class Begun:
    """Episodes that have just begun, B of them, one an environment.

    env: whose `step` gives info["is_success"] [B]; what environments do whose episode is over is ignored.
    observation: batched, with "observation" and "achieved_goal". tasks: B of them, texts and meanings filled in.
    facts: what is known of each episode from its start, [B] each, such as the fewest steps.
    """

    env: VectorEnv
    observation: Mapping[str, Any]
    tasks: tuple[Task, ...]
    facts: Metrics = field(default_factory=dict)


class Player(Protocol):
    """A reference that plays by itself, for it sees what no actor is shown."""

    def play(self, tasks: Sequence[Task]) -> Episodes:
        """The episodes of tasks of one group."""


@dataclass(frozen=True, eq=False)
class Episodes:
    """E finished episodes of one group.

    tasks: E of them, texts and meanings filled in. success: [E] bool. steps: [E] taken. goals: E arrays [steps + 1, G],
    what was achieved at each moment. info: [E] each, numbers that the environment's last info held, and what was known
    from the start.
    """

    tasks: tuple[Task, ...]
    success: NDArray[np.bool_]
    steps: NDArray[np.int64]
    goals: tuple[NDArray[Any], ...]
    info: Metrics


Reference = Callable[[Sequence[Task]], Actor | Player | None]
"""Makes a reference for the tasks of one group; None where it cannot play them."""


@dataclass(frozen=True, eq=False)
class Belief:
    """What is taken to be meant: goals [M, G] and p(g | instruction) [M]."""

    goals: NDArray[Any]
    chances: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Moment:
    """One moment of an episode that is drawn.

    task: of the episode. observation: a batch of one. goals: [t + 1, G], what was achieved until now. picture: what the
    environment renders, where it does.
    """

    task: Task
    observation: Any
    goals: NDArray[Any]
    picture: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class Projection:
    """Points for TensorBoard's projector.

    goals: [M, G]. texts: K instructions. columns: names of what is said of each point. rows: M + K of them.
    """

    goals: NDArray[Any]
    texts: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class RandomActor:
    """Acts at random, whatever it is told; what it does in an episode depends on that episode alone.

    begin: makes, of an episode's own generator, the function that draws its actions one after the other.
    """

    def __init__(self, begin: Callable[[np.random.Generator], Callable[[], Any]], seed: int) -> None:
        self._begin, self._seed = begin, seed
        self.reset()

    def reset(self) -> None:
        self._draws: dict[int, Callable[[], Any]] = {}

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        keys = range(len(instructions)) if episodes is None else episodes
        for key in keys:
            if key not in self._draws:
                self._draws[key] = self._begin(np.random.default_rng([self._seed, key]))
        return np.stack([self._draws[key]() for key in keys])


def said(error: BaseException) -> str:
    """An exception of somebody else's code in a few words."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def first_goals(agent: Agent, count: int | None) -> NDArray[Any]:
    """So many of an agent's bridge goals, [M, G], or all; ConfigError where it has fewer."""
    goals: NDArray[Any] = agent.bridge_goals.cpu().numpy()
    if count is not None and count > len(goals):
        raise ConfigError(f"bridge_goals={count}: expected at most the agent's {len(goals)}")
    return goals[:count]


def spl(success: NDArray[np.bool_], shortest: NDArray[np.floating], path: NDArray[np.floating]) -> NDArray[np.float64]:
    """Success weighted by path length, [E]: success x shortest / max(path, shortest) (Anderson et al., 2018)."""
    longest = np.maximum(path, shortest)
    return np.where(success, shortest / np.where(longest > 0, longest, 1), 0.0)


class World(ABC):
    """What training and evaluation ask of a world. A world of one's own overrides what it does otherwise.

    Settings: dataclass of the settings of `env`. EvaluationSettings: of those that evaluate.py takes here beside the
    common ones. settings: of this world. captions: what is true of its goals; with `late_captions` known only from
    `meet` on, as may be the bounds in `spec`. layout_text: the layout to be kept with the run, "" where there are many,
    or none. brings_captions: captions come with the trajectories, see `own_pairs`; nobody knows then which actions led
    to what they say. playable: whether there is an environment. grouped: whether tasks come in groups, whose means have
    the same weight. ratios: metrics that are a mean over another's mean, such as steps over the fewest. at_once: most
    episodes that are played side by side.
    """

    Settings: ClassVar[type[WorldSettings]] = WorldSettings
    EvaluationSettings: ClassVar[type[WorldEvaluation]] = WorldEvaluation
    shown: ClassVar[tuple[str, ...]] = ("success", "steps")
    """Metrics that tables show, success first, then the one that says how well; all stand in evaluation.json."""

    settings: Any
    captions: Captions
    late_captions: bool = False
    layout_text: str = ""
    brings_captions: ClassVar[bool] = False
    playable: ClassVar[bool] = True
    grouped: ClassVar[bool] = False
    ratios: ClassVar[Mapping[str, tuple[str, str]]] = {}
    at_once: int = 10_000

    # What the learner is told, and learns from

    @property
    @abstractmethod
    def spec(self) -> WorldSpec:
        """What the learner is told."""

    @property
    def fingerprint(self) -> str:
        """Tells two worlds of one id apart."""
        return self.spec.fingerprint

    @abstractmethod
    def candidates(self, count: int) -> CandidateActions:
        """Actions worth weighing: `count` of them, or all where they are few."""

    @abstractmethod
    def action_pool(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draws [count, D] from the action space."""

    @abstractmethod
    def collect(self, data: DataConfig, seed: int) -> TrajectoryBuffer:
        """Trajectories without instructions, the same for the same seed; ConfigError for a kind that it has not."""

    def self_play(self, data: DataConfig, seed: int) -> SelfPlayEnv:
        """Where an agent collects its own data; the same for the same seed. ConfigError in a world that has none."""
        raise ConfigError(f"data.kind={data.kind}: expected data that this world can collect; try data=random")

    def meet(self, trajectories: TrajectoryBuffer, goals: NDArray[Any]) -> None:  # noqa: B027 (most know all of it)
        """Takes in what only data tell: which trajectories there are, and which of their goals [N, G] get captions."""

    def own_pairs(self) -> CaptionPairs | None:
        """Captions that came with the trajectories; None where they are made from `captions`."""
        return None

    def check_texts(self, text: TextEncoder) -> None:  # noqa: B027 (most say what any encoder reads)
        """DatasetError where captions that came with the trajectories are beyond the encoder."""

    def dataset_spec(self) -> SpaceSpec:
        """What a dataset must be like to be of this world, and how one of its trajectories is exported."""
        spec = self.spec
        observed, goals = (spec.observation_low, spec.observation_high), (spec.goal_low, spec.goal_high)
        return SpaceSpec(spec.env_id, *observed, *goals, spec.action_dim, spec.discrete)

    # Episodes

    def tasks(self, agent: Agent, settings: Any, episodes: int | None, seed: int) -> tuple[Task, ...]:
        """What an agent is asked in an evaluation, in words that it can read; the same for the same seed.

        settings: of `EvaluationSettings`. episodes: how many (of each group, where the world has several); None: as
        many as is usual here. ConfigError for what cannot be asked here.
        """
        raise NotImplementedError

    def watched_tasks(self, agent: Agent, episodes: int, seed: int) -> tuple[Task, ...]:
        """What an agent is asked at each evaluation in training, about `episodes` tasks."""
        return self.tasks(agent, self.EvaluationSettings(), episodes, seed)

    def watching_options(self, agent: Agent) -> dict[str, Any]:
        """What `Agent.policy` is given then beside its name: fewer goals, where that is quicker and near enough."""
        return {}

    def begin(self, tasks: Sequence[Task], render: bool = False) -> Begun:
        """Begins the episodes of tasks of one group. render: environments are to give pictures."""
        raise NotImplementedError

    def references(self, agent: Agent, settings: Any, seed: int) -> Mapping[str, Reference]:
        """Who the agent is held against, by name: chance, the optimum, ..."""
        return {}

    def default_estimators(self, agent: Agent, settings: Any) -> tuple[str, ...]:
        """Those compared unless the person chooses: the agent's estimators and this world's references."""
        return tuple(dict.fromkeys([agent.policy_config.name, "logsumexp", *self.references(agent, settings, 0)]))

    def policy_options(self, agent: Agent, settings: Any) -> dict[str, Any]:
        """What `Agent.policy` is given beside name, mask_blocked and seed: goals, candidates, average_noise."""
        return {}

    def metrics(self, episodes: Episodes) -> Metrics:
        """What is measured beside success, [E] each; "steps", if given, stands for the steps taken."""
        return {}

    def about(self, settings: Any) -> dict[str, Any]:
        """What decides, beside number and seed, on the episodes of an evaluation; its JSON begins with it."""
        return {"env": self.spec.env_id}

    def slices(self, tasks: Sequence[Task]) -> dict[str, NDArray[np.bool_]]:
        """Slices of the tasks that a report shows beside their categories, [E] each."""
        return {}

    def further_report(self, policy: Any, settings: Any, episodes: int | None, seed: int) -> dict[str, Any]:
        """What evaluation.json holds here beside what it holds everywhere; arrays [N] become means with intervals.

        policy: of the agent. episodes, seed: as `tasks` was given them.
        """
        return {}

    def task_arrays(self, tasks: Sequence[Task]) -> dict[str, NDArray[Any]]:
        """What episodes.npz holds here of each task, [E, ...] each."""
        return {}

    def facts(self, tasks: Sequence[Task]) -> dict[str, float]:
        """What a report says of the tasks of one category beside how they ended."""
        return {}

    def notes(self, report: Mapping[str, Any]) -> list[str]:
        """Lines to be printed below the tables."""
        return []

    # What was meant, in words and pictures

    def satisfied_by(self, task: Task, goals: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Which goals [M, G] satisfy the task's instruction, [M]; None where nobody knows."""
        return None

    def places(self, goals: NDArray[Any]) -> NDArray[np.int64]:
        """A number for each goal [M, G], the same in every call, and equal for goals that are reached together, [M]."""
        digests = [hashlib.blake2b(np.ascontiguousarray(goal).tobytes(), digest_size=8).digest() for goal in goals]
        return np.array([int.from_bytes(digest, "big", signed=True) for digest in digests], dtype=np.int64)

    def describe(self, goal: NDArray[Any]) -> str:
        """A goal [G] in words."""
        return f"({', '.join(f'{value:.1f}' for value in goal)})"

    def follow_task(self, instruction: str, seed: int, settings: Any) -> tuple[Task, str]:
        """The task of somebody's own words, with `meant` where they can be judged; and what is said of that."""
        raise NotImplementedError

    def ends_where_meant(self) -> bool:
        """Whether an episode in somebody's own words ends where the agent takes them to be fulfilled.

        Otherwise it ends where the environment says so.
        """
        return False

    def frame(self, moment: Moment, belief: Belief | None, title: str) -> NDArray[np.uint8] | None:
        """A picture [h, w, 3] of one moment; None where nothing can be drawn."""
        return moment.picture

    def pictures(self, agent: Agent) -> dict[str, NDArray[np.uint8]]:
        """Pictures [h, w, 3] of what an agent has learnt, by tag, drawn at each evaluation in training."""
        return {}

    def project(self, agent: Agent) -> Projection | None:
        """Goals and instructions for the projector."""
        return None

    def retrieval(self, agent: Agent) -> dict[str, float]:
        """Figures of an agent that need no episodes, such as how often it finds the goal of a text."""
        return {}

    # Saved runs

    @classmethod
    def open_training(cls, config: RunConfig, folder: Path) -> World:
        """The world of a run that is to keep its trajectories in `folder`; where it is they that tell what the world
        is, they are staged first (`data.episodes.stage`). ConfigError or DatasetError where there is none."""
        return cls(config.env)  # type: ignore[call-arg]

    @classmethod
    def open_trained(cls, config: RunConfig, folder: Path) -> World:
        """The world of the run in `folder`, from what was kept there."""
        return cls(config.env)  # type: ignore[call-arg]


def world_of(env: WorldSettings) -> type[World]:
    """The world that settings are of; ConfigError where there is none."""
    kind: type[World] = worlds.get(env.world, "env.world")
    return kind


def open_trained(run: RunConfig, folder: Path) -> World:
    """The world of the run in `folder`, from what was kept there, to play in; ConfigError where nothing can be played.

    Raises ConfigError, LayoutError or LevelError also where there is none.
    """
    kind = world_of(run.env)
    if not kind.playable:
        raise ConfigError(
            f"run_dir={folder}: was trained on data={run.data.kind}, which have no environment to evaluate in; from "
            f"Python, Agent.from_pretrained({str(folder)!r}).policy().act(observations, instructions) works"
        )
    return kind.open_trained(run, folder)


def require_same(world: World, spec: WorldSpec, folder: str) -> None:
    """CheckpointError where an agent, which knows `spec`, was trained in another world than this."""
    here = world.spec.env_id
    if spec.env_id != here:
        raise CheckpointError(f"{folder}: the agent was trained in {spec.env_id}, not {here}; train one there")
    if spec.fingerprint != world.fingerprint:
        raise CheckpointError(f"{folder}: the agent was trained on another layout of {here}; give it that layout")
