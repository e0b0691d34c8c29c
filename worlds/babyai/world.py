"""BabyAI's levels as a `World`: one agent for all of them, each judged by its own verifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents.spec import CandidateActions, WorldSpec
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.registries import worlds
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.captions import LAYOUTS, stream
from goalbridge.data.online import SelfPlayEnv
from goalbridge.data.space_spec import SpaceSpec
from goalbridge.encoders.grid import OWN, WINDOW
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.layouts import HELD_OUT_COMBINATIONS, Layouts, draw_layouts
from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.envs.babyai.phrasing import COLOURS, FIRST_TYPE, TYPES, other_action
from goalbridge.envs.babyai.simulator import ACTIONS, DIRECTIONS
from goalbridge.worlds._base import (
    Begun,
    Belief,
    Episodes,
    Metrics,
    Moment,
    Projection,
    Reference,
    Task,
    World,
    spl,
)
from goalbridge.worlds.babyai.collect import BabyAISelfPlay, collect_grids
from goalbridge.worlds.babyai.episodes import (
    Bot,
    UnjudgedEnv,
    ambiguous,
    environments,
    known_levels,
    meant_by,
    names_held_out,
    optimum_of,
    random_actions,
    watched_levels,
)
from goalbridge.worlds.babyai.minari import FORM, GridReader
from goalbridge.worlds.babyai.settings import BABYAI, BabyAIEvaluation, BabyAISettings

if TYPE_CHECKING:
    from goalbridge.agents import Agent

EPISODES: Final = 100  # of each level
GOALS: Final = 500  # of the projector
ABOUT: Final = (
    "estimators: means over levels, each of the same weight; steps: a failure counts as its level's own limit; "
    "against_optimum: mean steps / mean fewest steps on the full map; against_optimum and spl: of levels whose optimum "
    "is known (no sequences); slices: two by two over the levels that hold both kinds of mission"
)
_LARGE: Final = 13  # cells along a side from which tiles are drawn smaller
_TILE, _SMALL_TILE = 24, 16


@worlds.register("babyai")
class BabyAIWorld(World):
    """Levels to draw layouts from. Raises LevelError for what is no navigation level.

    A goal is a situation, or the first 7 numbers of one: (x, y, direction, W, H, type and colour in front). The `meant`
    of a task is a `Meant`, None of sequences.
    """

    shown = ("success", "steps", "against_optimum")
    grouped = True
    ratios = {"against_optimum": ("steps", "optimum")}  # noqa: RUF012 (never changed)
    at_once = 128  # each keeps its goals and its plans
    captions: GridCaptions
    Settings = BabyAISettings
    EvaluationSettings = BabyAIEvaluation
    settings: BabyAISettings

    def __init__(self, settings: BabyAISettings) -> None:
        self.settings = settings
        self.levels = known_levels("env.levels", settings.levels)
        self.captions = GridCaptions(settings.lexicon)

    @property
    def spec(self) -> WorldSpec:
        """Situations in grids of at most the largest level's size."""
        largest = (max(known.width for known in LEVELS.values()), max(known.height for known in LEVELS.values()))
        own = (largest[0] - 1, largest[1] - 1, 3, *largest, 10, 5, 2)
        high = tuple(float(value) for value in (*own, *[12] * WINDOW, *[5] * WINDOW))
        assert len(own) == OWN
        low = (0.0,) * len(high)
        return WorldSpec(BABYAI, "any layout", low, high, low, high, len(ACTIONS), kind="grid", discrete=True)

    def candidates(self, count: int) -> CandidateActions:
        return CandidateActions(np.eye(len(ACTIONS), dtype=np.float32), np.eye(len(ACTIONS)))

    def action_pool(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        return np.eye(len(ACTIONS), dtype=np.float32)[rng.integers(len(ACTIONS), size=count)]

    def collect(self, data: DataConfig, seed: int) -> TrajectoryBuffer:
        return collect_grids(self._draw(seed), data, seed)

    def self_play(self, data: DataConfig, seed: int) -> SelfPlayEnv:
        return BabyAISelfPlay(self._draw(seed), data.environments)

    def dataset_spec(self) -> SpaceSpec:
        """Situations, which are read off the grids of a dataset."""
        return replace(super().dataset_spec(), reader=GridReader, form=FORM)

    def _draw(self, seed: int) -> Layouts:
        held_out = HELD_OUT_COMBINATIONS if self.settings.held_out else frozenset[tuple[str, str]]()
        return draw_layouts(self.levels, self.settings.layouts, stream(seed, LAYOUTS), held_out)

    # Episodes

    def tasks(self, agent: Agent, settings: Any, episodes: int | None, seed: int) -> tuple[Task, ...]:
        """Episode i of a level has the seed + i; an agent that reads labels is told the one that a mission words."""
        names = tuple(dict.fromkeys(known_levels("levels", settings.levels))) or self._readable(agent)
        options = self._options(agent, settings)
        count = episodes or EPISODES
        return tuple(Task("", name, seed + i, name, options) for name in names for i in range(count))

    def watched_tasks(self, agent: Agent, episodes: int, seed: int) -> tuple[Task, ...]:
        names = watched_levels(self.levels)
        options = self._options(agent, None)
        each = max(1, round(episodes / len(names)))
        return tuple(Task("", name, seed + i, name, options) for name in names for i in range(each))

    def _options(self, agent: Agent, settings: Any) -> dict[str, Any]:
        view = getattr(settings, "view", None) or self.settings.view
        return {"view": view, "canonical": agent.text.canonical}

    def _readable(self, agent: Agent) -> tuple[str, ...]:
        """All levels, but for an agent without language those of sequences, which no label words."""
        skipped = ("sequence",) if agent.text.canonical else ()
        return tuple(name for name, known in LEVELS.items() if known.family not in skipped)

    def begin(self, tasks: Sequence[Task], render: bool = False) -> Begun:
        """Environments of one level, whose missions the seeds draw."""
        options, group = tasks[0].options, tasks[0].group
        unjudged, view = options.get("unjudged"), options["view"]
        env: Any = UnjudgedEnv(group, view) if unjudged else environments(group, len(tasks), view)
        observation, _ = env.reset(seed=[task.seed for task in tasks])
        meant = [None if task.text else meant_by(one) for task, one in zip(tasks, env.envs, strict=True)]
        told = [
            replace(task, text=task.text or self._told(mission, options), meant=what)
            for task, mission, what in zip(tasks, env.missions, meant, strict=True)
        ]
        optimum = np.array([optimum_of(one) for one in env.envs])
        limits = np.array([one.unwrapped.max_steps for one in env.envs], dtype=np.float64)
        return Begun(env, observation, tuple(told), {"optimum": optimum, "_limit": limits})

    def _told(self, mission: str, options: Mapping[str, Any]) -> str:
        known = self.captions.label_id(mission) if options["canonical"] else None
        return mission if known is None else self.captions.labels[known]

    def references(self, agent: Agent, settings: Any, seed: int) -> Mapping[str, Reference]:
        """bot: minigrid's own, which sees 7 x 7 cells and cannot read FourRooms. random: any action."""

        def bot(tasks: Sequence[Task]) -> Any:
            return None if LEVELS[tasks[0].group].family == "four_rooms" else Bot()

        return {"bot": bot, "random": lambda _tasks: random_actions(seed)}

    def default_estimators(self, agent: Agent, settings: Any) -> tuple[str, ...]:
        """The planners first: the critic's horizon is short."""
        return ("planned", "logsumexp", "max", "sample", "bot", "random")

    def metrics(self, episodes: Episodes) -> Metrics:
        """steps: a failure counts as its level's own limit. spl: where the fewest steps are known."""
        steps = np.where(episodes.success, episodes.steps, episodes.info["_limit"])  # [E]
        optimum = episodes.info["optimum"]
        known = np.isfinite(optimum).all()
        return {"steps": steps} | ({"spl": spl(episodes.success, optimum, steps)} if known else {})

    def about(self, settings: Any) -> dict[str, Any]:
        return {"env": self.spec.env_id, "view": settings.view or self.settings.view}

    def further_report(self, policy: Any, settings: Any, episodes: int | None, seed: int) -> dict[str, Any]:
        return {"about": ABOUT}

    def notes(self, report: Mapping[str, Any]) -> list[str]:
        bot = "; the bot sees 7 x 7 cells, whatever the view" if "bot" in report["estimators"] else ""
        return [f"steps: a failure counts as its level's own limit{bot}"]

    def slices(self, tasks: Sequence[Task]) -> dict[str, NDArray[np.bool_]]:
        """Missions that leave open which thing is meant, and that name colour-type pairs which training never shows."""
        unclear = np.array([ambiguous(task.text) for task in tasks], dtype=np.bool_)
        held_out = [names_held_out(task.text) for task in tasks]
        return {
            "ambiguous": unclear,
            "unambiguous": ~unclear,
            "held_out_things": np.array([named is True for named in held_out], dtype=np.bool_),
            "seen_things": np.array([named is False for named in held_out], dtype=np.bool_),
        }

    def satisfied_by(self, task: Task, goals: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Which goals [M, G] face what was meant, or stand in it."""
        if task.meant is None:
            return None
        ours = goals[:, :3].astype(np.int64)  # [M, 3]
        cells = ours[:, :2] + DIRECTIONS[ours[:, 2]] if task.meant.faced else ours[:, :2]  # [M, 2]
        inside = (cells < task.meant.cells.shape).all(axis=1)  # [M]: goals may be of other, larger layouts
        return np.asarray(inside & task.meant.cells[tuple(np.where(inside[:, None], cells, 0).T)])

    def places(self, goals: NDArray[Any]) -> NDArray[np.int64]:
        """The thing that is faced, or else the cell that is stood in."""
        ours = goals[:, :7].astype(np.int64)  # [M, 7]
        thing = (ours[:, 5] >= FIRST_TYPE) & (ours[:, 5] < FIRST_TYPE + len(TYPES))  # [M]
        cells = np.where(thing[:, None], ours[:, :2] + DIRECTIONS[ours[:, 2]], ours[:, :2])  # [M, 2]
        return np.asarray((cells[:, 0] * 1000 + cells[:, 1]) * 2 + thing)

    def describe(self, goal: NDArray[Any]) -> str:
        from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT

        x, y, direction, _, _, kind, colour = (int(value) for value in goal[:7])
        if FIRST_TYPE <= kind < FIRST_TYPE + len(TYPES):
            x, y = x + int(DIRECTIONS[direction, 0]), y + int(DIRECTIONS[direction, 1])
            return f"{IDX_TO_COLOR[colour]} {IDX_TO_OBJECT[kind]} at ({x}, {y})"
        return f"floor at ({x}, {y})"

    def follow_task(self, instruction: str, seed: int, settings: Any) -> tuple[Task, str]:
        """In a layout of the first level; nobody judges it but the caption that it may word."""
        name = (*known_levels("levels", settings.levels), *self.levels)[0]
        label = self.captions.label_id(instruction)
        known = "is in no caption" if label is None else f"words the caption {self.captions.labels[label]!r}"
        if (action := other_action(instruction)) is not None:
            known = f"asks to {action}, a mission of other levels: this agent goes to things and places, and no more"
        view = settings.view or self.settings.view
        task = Task(instruction, "instruction", seed, name, {"view": view, "canonical": False, "unjudged": True})
        return task, (
            f"{known}; no verifier judges it: in layouts of {name}, it is followed until the agent stands where it "
            "thinks that it was sent, or to the level's limit of steps"
        )

    def ends_where_meant(self) -> bool:
        """No verifier knows the person's own words."""
        return True

    def frame(self, moment: Moment, belief: Belief | None, title: str) -> NDArray[np.uint8]:
        """The grid as far as it is seen, the path, and what the agent takes to be meant."""
        from goalbridge.envs.babyai.rendering import draw_grid

        grid, pose = moment.observation["grid"][0], moment.observation["pose"][0]  # [W, H, 3], [3]
        tile = _TILE if max(grid.shape) < _LARGE else _SMALL_TILE
        heat = None
        if belief is not None:
            heat = np.zeros(grid.shape[:2])
            goals = belief.goals.astype(np.int64)
            np.add.at(heat, (goals[:, 0], goals[:, 1]), belief.chances)
        return draw_grid(grid, pose, heat, title, moment.goals[:, :2], tile)

    def project(self, agent: Agent) -> Projection:
        """Situations by what they face, and instructions, one of each label.

        Columns: text (of a goal, all that is true of it), kind ("goal" or "instruction"), type, colour.
        """
        goals = agent.bridge_goals[:GOALS].cpu().numpy()  # [M, S]
        captions, rows = self.captions, list[tuple[str, ...]]()
        for goal, true in zip(goals.astype(np.int64), captions.true_labels(goals), strict=True):
            kind = goal[5] - FIRST_TYPE
            faces = (TYPES[kind], COLOURS[goal[6]]) if 0 <= kind < len(TYPES) else ("none", "none")
            rows.append((", ".join(captions.labels[i] for i in true if i >= 0), "goal", *faces))
        texts = [captions.phrasings(label, agent.text.split())[0] for label in range(len(captions.labels))]
        for label, text in zip(captions.labels, texts, strict=True):
            words = label.split()
            means = [next((word for word in words if word in names), "several") for names in (TYPES, COLOURS)]
            rows.append((text, "instruction", *means))
        return Projection(goals, tuple(texts), ("text", "kind", "type", "colour"), tuple(rows))
