"""Whether a world keeps its contract, as Gymnasium's `check_env` asks of an environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.schema import AgentConfig, PolicyConfig
from goalbridge.configs.world_settings import WorldEvaluation, WorldSettings
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.trajectories import FIELDS
from goalbridge.worlds._base import World, said

if TYPE_CHECKING:
    from goalbridge.agents import Agent

_DATA: Final = DataConfig("random", trajectories=8, walk_length=8, environments=6)
_ONLINE: Final = DataConfig("online", walk_length=8, environments=6)
_SLACK: Final = 1e-3  # of a coordinate's range
_SOME: Final = 16  # goals, actions and texts that are looked at

Lines = Iterator[str]


def check_world(world: World, data: DataConfig = _DATA, settings: Any = None) -> list[str]:
    """What a world does otherwise than its contract (`World`) says, one line each; none where all is well.

    data: what it is to collect for this. settings: of its evaluation, which is passed over without; None: those of
    `World.EvaluationSettings` as they are. What a world need not have is passed over: online data, episodes. A
    world with `late_captions` has met these data afterwards.
    """
    try:
        trajectories = world.collect(data, 0)
        again = world.collect(data, 0)
        world.meet(trajectories, np.asarray(trajectories.goals))
    except Exception as error:
        return [f"collect: expected trajectories, got {said(error)}"]
    goals = np.asarray(trajectories.goals)
    checks: tuple[tuple[str, Callable[[], Lines]], ...] = (
        ("settings", lambda: _settings(world)),
        ("collect", lambda: _trajectories(trajectories, again)),
        ("spec", lambda: _spec(world, trajectories)),
        ("candidates", lambda: _actions(world)),
        ("captions", lambda: _captions(world, goals)),
        ("self_play", lambda: _self_play(world)),
        ("describe", lambda: _goals(world, goals[:_SOME])),
        ("tasks", lambda: _episodes(world, goals[:_SOME], settings)),
    )
    lines = []
    for name, check in checks:
        try:
            lines += list(check())
        except Exception as error:
            lines.append(f"{name}: expected no exception, got {said(error)}")
    return lines


def _settings(world: World) -> Lines:
    for name, base in (("Settings", WorldSettings), ("EvaluationSettings", WorldEvaluation)):
        kind = getattr(world, name)
        if not isinstance(kind, type) or not issubclass(kind, base):
            yield f"{name}: expected a class that derives from {base.__name__}, got {kind!r}"
            continue
        if not is_dataclass(kind) or not getattr(kind, "__dataclass_params__").frozen:  # noqa: B009 (known to no type)
            yield f"{name}: expected a frozen dataclass, got {kind!r}"
            continue
        unsaid = [one.name for one in fields(kind) if not re.search(rf"\b{one.name}\b", kind.__doc__ or "")]
        if unsaid:
            yield f"{name}: expected a docstring that tells of every setting, got none of {', '.join(unsaid)}"
    if not isinstance(world.fingerprint, str) or not world.fingerprint:
        yield f"fingerprint: expected a text that tells two worlds of one id apart, got {world.fingerprint!r}"


def _trajectories(first: TrajectoryBuffer, second: TrajectoryBuffer) -> Lines:
    for name in FIELDS:
        one, other = getattr(first, name), getattr(second, name)
        if (one is None) != (other is None) or (one is not None and not np.array_equal(one, other)):
            yield f"collect: expected the same {name} for the same seed, got others"


def _spec(world: World, trajectories: TrajectoryBuffer) -> Lines:
    spec = world.spec
    for what, rows, low, high in (
        ("observations", trajectories.observations, spec.observation_low, spec.observation_high),
        ("goals", trajectories.goals, spec.goal_low, spec.goal_high),
    ):
        if rows.shape[1:] != (len(low),) or len(low) != len(high):
            yield f"spec: expected bounds of {rows.shape[1]} numbers for {what}, got {len(low)} and {len(high)}"
            continue
        least, most = np.array(low), np.array(high)
        if not (least < most).all():
            yield f"spec: expected lower bounds of {what} below upper ones, got number {int((least >= most).argmax())}"
        slack = _SLACK * np.where(np.isfinite(most - least), most - least, 0.0)
        outside = ((rows < least - slack) | (rows > most + slack)).any(axis=1)
        if outside.any():
            yield f"collect: expected {what} within the bounds of spec, got row {int(outside.argmax())} beyond them"
    if trajectories.observations.dtype != spec.dtype:
        yield f"collect: expected observations of {np.dtype(spec.dtype)}, got {trajectories.observations.dtype}"
    if trajectories.actions.shape[1] != spec.action_dim:
        yield f"collect: expected actions of {spec.action_dim} numbers, got {trajectories.actions.shape[1]}"
    if spec.discrete and not ((trajectories.actions.sum(axis=1) == 1) & (trajectories.actions.max(axis=1) == 1)).all():
        yield "collect: expected a vector with a single one for each discrete action, got another"


def _actions(world: World) -> Lines:
    dim = world.spec.action_dim
    some = world.candidates(_SOME)  # whose rows sum to one, or it could not be built
    if some.actions.ndim != 2 or some.actions.shape[1] != dim or some.actions.dtype != np.float32:
        yield f"candidates: expected float32 [A, {dim}], got {some.actions.dtype} {some.actions.shape}"
    pools = [world.action_pool(_SOME, np.random.default_rng(0)) for _ in range(2)]
    if pools[0].shape != (_SOME, dim) or pools[0].dtype != np.float32:
        yield f"action_pool: expected float32 ({_SOME}, {dim}), got {pools[0].dtype} {pools[0].shape}"
    if not np.array_equal(pools[0], pools[1]):
        yield "action_pool: expected the same draws for the same rng, got others"


def _captions(world: World, goals: NDArray[Any]) -> Lines:
    captions, count = world.captions, len(world.captions.labels)
    if count == 0 or len(set(captions.labels)) != count:
        yield f"captions: expected distinct labels, at least one, got {count}"
        return
    true = captions.true_labels(goals)  # [N, T]
    if true.ndim != 2 or len(true) != len(goals) or true.dtype.kind != "i":
        yield f"captions: expected true_labels of whole numbers [{len(goals)}, T], got {true.dtype} {true.shape}"
        return
    if true.min() < -1 or true.max() >= count:
        yield f"captions: expected true_labels from -1 to {count - 1}, got {true.min()} to {true.max()}"
    known = true[(true >= 0).any(axis=1)]
    if not len(known):
        yield f"captions: expected something true of some of {len(goals)} goals, got nothing"
        return
    chosen = captions.choose(known, np.random.default_rng(0))  # [N]
    if chosen.shape != (len(known),) or (known[np.arange(len(known)), chosen] < 0).any():
        yield "captions: expected choose to give the column of a true label of each goal, got another"
    texts = [text for label in range(count) for text in captions.phrasings(label, "train")]
    if tuple(texts) != tuple(captions.all_texts("train")):
        yield "captions: expected all_texts to be the phrasings of all labels in their order, got others"
    if not all(isinstance(text, str) and text.strip() for text in texts):
        yield "captions: expected phrasings to be texts of some words, got another"


def _self_play(world: World) -> Lines:
    try:
        env, other = world.self_play(_ONLINE, 0), world.self_play(_ONLINE, 0)
    except ConfigError:
        return  # a world need not have it
    first = env.begin(0)
    if not np.array_equal(first, other.begin(0)):
        yield "self_play: expected the same begin for the same seed, got another"
    actions = env.random_actions(np.random.default_rng(0))
    if actions.shape != (env.size, world.spec.action_dim):
        yield f"self_play: expected actions ({env.size}, {world.spec.action_dim}), got {actions.shape}"
    seen = first
    for _ in range(_ONLINE.walk_length):
        seen = env.step(actions)
    expected = (env.size, len(world.spec.observation_low))
    if seen.shape != expected or seen.dtype != world.spec.dtype:
        yield f"self_play: expected {np.dtype(world.spec.dtype)} {expected} from step, got {seen.dtype} {seen.shape}"
    other.load_state_arrays(env.state_arrays())
    if not np.array_equal(env.begin(1), other.begin(1)):
        yield "self_play: expected load_state_arrays to restore what state_arrays gave, got another begin"


def _goals(world: World, goals: NDArray[Any]) -> Lines:
    places = world.places(goals)
    if places.shape != (len(goals),) or places.dtype.kind != "i":
        yield f"places: expected whole numbers ({len(goals)},), got {places.dtype} {places.shape}"
    text = world.describe(goals[0])
    if not isinstance(text, str) or not text:
        yield f"describe: expected a text, got {text!r}"


def _agent(world: World, goals: NDArray[Any]) -> Agent:
    """An agent that has learnt nothing yet."""
    from goalbridge.agents import Agent  # not at the top: settings of worlds are read without torch
    from goalbridge.encoders.text.label import LabelEncoder

    text, candidates = LabelEncoder(world.captions.labels), world.candidates(_SOME)
    return Agent(world.spec, AgentConfig(embedding_dim=4, width=8, depth=1), PolicyConfig(), text, candidates, goals)


def _episodes(world: World, goals: NDArray[Any], settings: Any) -> Lines:
    if not world.playable:
        return
    settings = world.EvaluationSettings() if settings is None else settings
    agent = _agent(world, goals)
    try:
        tasks, again = (world.tasks(agent, settings, 2, 0) for _ in range(2))
    except NotImplementedError:
        return
    said = [[(task.text, task.category, task.seed, task.group) for task in some] for some in (tasks, again)]
    if not tasks or said[0] != said[1]:
        yield "tasks: expected at least one, and the same for the same seed, got others"
        return
    asked = list(takewhile(lambda task: task.group == tasks[0].group, tasks))[: world.at_once]
    begun = world.begin(asked)
    if len(begun.tasks) != len(asked) or not all(task.text for task in begun.tasks):
        yield f"begin: expected {len(asked)} tasks with their texts, got {[task.text for task in begun.tasks]}"
    if len(begun.observation["achieved_goal"]) != len(asked):
        yield f"begin: expected achieved_goal [{len(asked)}, G], got {np.shape(begun.observation['achieved_goal'])}"
    actions = world.action_pool(len(asked), np.random.default_rng(0))
    *_, info = begun.env.step(actions.argmax(axis=1) if world.spec.discrete else actions)
    success = np.asarray(info.get("is_success"))
    if success.shape != (len(asked),):
        yield f"step: expected info['is_success'] [{len(asked)}], got {success}"
    fits = world.satisfied_by(begun.tasks[0], goals)
    if fits is not None and (fits.shape != (len(goals),) or fits.dtype != np.bool_):
        yield f"satisfied_by: expected bool ({len(goals)},) or None, got {fits.dtype} {fits.shape}"
