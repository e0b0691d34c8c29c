"""Measures the BabyAI protocol for RESULTS.md: one agent for all levels, three training seeds.

    python -m experiments.agent.grid_protocol full  # every level, the whole grid seen
    python -m experiments.agent.grid_protocol partial  # every level, the 7 x 7 view
    python -m experiments.agent.grid_protocol rivals  # other estimators, and agents trained end to end or for Direct
    python -m experiments.agent.grid_protocol ablations  # horizon, position code, negatives, data: equal steps
    python -m experiments.agent.grid_protocol words  # colours and types in words never trained on
    python -m experiments.agent.grid_protocol captions  # success over the number of captioned goals
    python -m experiments.agent.grid_protocol online  # own play beside play collected beforehand

Trains with the command line that a user types, into runs/protocol, what is not there yet. Levels, missions and verifier
are minigrid's own; the evaluation's seeds were used for nothing else. Writes results/babyai_PART.json.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents import Policy
from goalbridge.envs.babyai.layouts import HELD_OUT_COMBINATIONS
from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.envs.babyai.lexicon import DEVELOPMENT_WORDS, TEST_WORDS, reword
from goalbridge.experiments.agent.measuring import SEEDS, agent_of, measure_parts, run_folder
from goalbridge.experiments.agent.trials import Outcome, level_trial, spread

ENV, BOT = "babyai", "bot"
EVALUATION_SEED = 40_000_000  # blocks 20 000 000 and 30 000 000 were looked at before the recipe was what it is
# Episodes of each training seed: in the four levels that the literature compares, in the others, and in ablations.
MOST, MANY, FEW = 1000, 300, 100
FOUR = ("GoToRedBallGrey", "GoToRedBall", "GoToObj", "GoToLocal")
LARGE = ("GoToObjMaze", "GoToObjMazeOpen", "GoToObjMazeS6", "GoToObjMazeS7", "GoTo", "GoToOpen", "GoToSeq")
SIX = ("GoToRedBallGrey", "GoToLocal", "GoToObjDoor", "FourRooms", "GoToObjMazeS4", "GoTo")
UNDERSTANDING = ("mass", "first_guess", "wrong_visits")  # beside success, wherever it is known what was meant
REFERENCES = ("planned", "logsumexp")  # beside which others are put, episode by episode
ANYWHERE = "planned, all poses"  # nothing is assumed of where one can stand
RIVALS = {
    "direct": (
        "agent.language_in_actions=true",
        "agent.language_critic=neg_squared_l2",
        "train.discount=0.9",
        "policy.name=direct",
    ),
    "end to end": (
        "agent.language_in_actions=true",
        "train.objective=end_to_end",
        "train.discount=0.9",
        "policy.name=direct",
    ),
}
ABLATIONS: dict[str, tuple[str, ...]] = {
    "default": (),
    "discount .2": ("train.discount=0.2",),
    "discount .6": ("train.discount=0.6",),
    "discount .8": ("train.discount=0.8",),
    "absolute position": ("agent.rotary=false",),
    "no nearby negatives": ("train.hard_negative_share=0.0",),
    "negatives from all layouts": ("train.negatives_per_layout=0",),
    "no action contrast": ("train.action_negatives=0",),
    "half shortest paths": ("data.kind=mixed",),
    "shortest paths alone": ("data.kind=expert",),
}
SHORT = ("train.steps=1000", "train.evaluate_every=0")  # of ablations, words and captions: all that is compared
CAPTIONS = (30, 100, 300, 1000, 10_000, 100_000)
OWN_PLAY = ("data=online_grids",)  # as many steps in as many layouts


def play_level(level: str, actor: Policy | str, episodes: int, view: str = "full", reword: Any = None) -> Outcome:
    """What becomes of so many episodes of a level; actor: a policy, or the name of a reference."""
    trial = level_trial(run_folder(ENV, SEEDS[0]), level, episodes, EVALUATION_SEED, view)
    return trial.play(actor, reword)


def ratio(steps: NDArray[np.float64], optimum: NDArray[np.float64], resamples: int = 2000) -> dict[str, float]:
    """Mean steps over mean optimum, [S, E] each, with a bootstrap over seeds, then episodes."""
    rng = np.random.default_rng(0)
    seeds, episodes = steps.shape
    drawn = []
    for _ in range(resamples):
        seed, episode = rng.integers(seeds, size=(seeds, 1)), rng.integers(episodes, size=(seeds, episodes))
        drawn.append(steps[seed, episode].sum() / optimum[seed, episode].sum())
    low, high = np.quantile(drawn, (0.025, 0.975))
    return {"mean": float(steps.sum() / optimum.sum()), "low": float(low), "high": float(high)}


def figures(by_seed: Sequence[Outcome]) -> dict[str, Any]:
    """Success, steps and steps over the optimum of one level, over training seeds, and by slices of the missions."""
    success = np.stack([outcome.metrics["success"] for outcome in by_seed])  # [S, E]
    steps = np.stack([outcome.metrics["steps"] for outcome in by_seed])
    optimum = np.stack([outcome.optimum for outcome in by_seed])
    found: dict[str, Any] = {
        "episodes": success.shape[1],
        "success": spread(success),
        "success_per_seed": [round(float(row.mean()), 4) for row in success],
        "steps": spread(steps),
    }
    for name in UNDERSTANDING:
        if all(name in outcome.metrics and np.isfinite(outcome.metrics[name]).all() for outcome in by_seed):
            found[name] = spread([outcome.metrics[name] for outcome in by_seed])
    if np.isfinite(optimum).all():
        found |= {"optimum": float(optimum.mean()), "against_optimum": ratio(steps, optimum)}
    for name, rows in by_seed[0].slices.items():
        if rows.any():
            found[name] = {"episodes": int(rows.sum()), "success": spread(success[:, rows])}
            found[name]["steps"] = spread(steps[:, rows])
    return found


def episodes_of(name: str) -> int:
    """How many episodes of a level each training seed plays."""
    return MOST if name in FOUR else MANY


def measure_levels(view: str) -> dict[str, Any]:
    """The default agent in every level; the bot and chance beside it, once, for they are not trained."""
    agents = [agent_of(ENV, seed) for seed in SEEDS]
    rows: dict[str, Any] = {}
    for name in LEVELS:
        count = episodes_of(name)
        ours = [play_level(name, agent.policy(), count, view) for agent in agents]
        rows[name] = {"planned": figures(ours)}
        if view == "full" or name not in LARGE:
            chance = play_level(name, "random", min(count, MANY))
            rows[name]["random"] = figures([chance])
        if LEVELS[name].family != "four_rooms":
            bot = play_level(name, BOT, count)
            rows[name][BOT] = figures([bot])
            steps = np.stack([outcome.metrics["steps"] for outcome in ours])
            rows[name]["planned"]["against_bot"] = ratio(steps, np.broadcast_to(bot.metrics["steps"], steps.shape))
        _say(name, rows[name]["planned"])
    return {"view": view, "levels": rows}


def measure_rivals() -> dict[str, Any]:
    """Estimators of the default agent, and rivals trained on the same data and captions, on six levels."""
    rows: dict[str, Any] = {name: {} for name in SIX}
    references: dict[str, dict[str, list[Outcome]]] = {name: {} for name in SIX}  # [level][estimator]
    for estimator in ("planned", ANYWHERE, "planned_sample", "logsumexp", "max", "sample", *RIVALS):
        for name in SIX:
            by_seed = [play_level(name, _policy(estimator, s), MANY) for s in SEEDS]
            rows[name][estimator] = figures(by_seed)
            for other, reference in references[name].items():
                rows[name][estimator] |= beside(other, reference, by_seed)
            if estimator in REFERENCES:
                references[name][estimator] = by_seed
            _say(f"{estimator} {name}", rows[name][estimator])
    return {"levels": rows, "recipes": {name: list(changes) for name, changes in RIVALS.items()}}


def _policy(estimator: str, seed: int) -> Policy:
    if estimator in RIVALS:
        return agent_of(ENV, seed, estimator, RIVALS[estimator]).policy()
    agent = agent_of(ENV, seed)
    if estimator == ANYWHERE:
        agent.policy_config = replace(agent.policy_config, candidate_goals="all")
        return agent.policy("planned")
    return agent.policy(estimator, seed=EVALUATION_SEED)


def beside(name: str, first: Sequence[Outcome], second: Sequence[Outcome]) -> dict[str, Any]:
    """How much more often the first, so named, succeeds in the same episodes, on all missions and ambiguous ones."""
    gain = np.stack([a.metrics["success"] - b.metrics["success"] for a, b in zip(first, second, strict=True)])  # [S, E]
    steps = np.stack([b.metrics["steps"] - a.metrics["steps"] for a, b in zip(first, second, strict=True)])  # [S, E]
    found = {f"{name}_minus_this": spread(gain, paired=True), f"steps_more_than_{name}": spread(steps, paired=True)}
    unclear = first[0].slices["ambiguous"]
    if unclear.any():
        found[f"{name}_minus_this_ambiguous"] = spread(gain[:, unclear], paired=True)
        found[f"steps_more_than_{name}_ambiguous"] = spread(steps[:, unclear], paired=True)
    return found


def measure_ablations() -> dict[str, Any]:
    """One change of the recipe at a time, equal steps, three seeds."""
    rows: dict[str, Any] = {}
    for change, overrides in ABLATIONS.items():
        agents = [agent_of(ENV, seed, f"short {change}", (*SHORT, *overrides)) for seed in SEEDS]
        rows[change] = {"changes": list(overrides)}
        for name in ("GoToLocal", "GoToObjMazeS4", "GoTo"):
            rows[change][name] = figures([play_level(name, a.policy(), FEW) for a in agents])
            _say(f"{change} {name}", rows[change][name])
    return {"rows": rows, "steps": SHORT[0]}


def measure_words() -> dict[str, Any]:
    """Missions of GoToLocal said in other words, over the size of the lexicon that captions draw on."""
    rows: dict[str, Any] = {}
    for size in (0, 5, 20, 60):
        agents = [agent_of(ENV, seed, f"short lexicon {size}", (*SHORT, f"env.lexicon={size}")) for seed in SEEDS]
        rows[str(size)] = {}
        for title, words in (("development", DEVELOPMENT_WORDS), ("test", TEST_WORDS)):
            for kind in ("colours", "types", "both"):
                told = [play_level("GoToLocal", a.policy(), MANY, reword=_in_words(words, kind))
                        for a in agents]  # fmt: skip
                found = figures(told)
                at_once = np.stack([outcome.metrics["steps"] <= outcome.optimum + 2 for outcome in told]).astype(
                    np.float64
                )
                found["first_guess"] = spread(at_once)
                rows[str(size)][f"{title} {kind}"] = found
                _say(f"lexicon {size} {title} {kind}", found)
    return {"level": "GoToLocal", "lexicon": rows, "words": {"development": DEVELOPMENT_WORDS, "test": TEST_WORDS}}


def _in_words(words: Any, kind: str) -> Callable[[str], str]:
    """Replaces colours, types or both by held-out words, drawn from the mission's own text and place."""
    from goalbridge.envs.babyai.phrasing import COLOURS, TYPES

    rng = np.random.default_rng(0)
    names = {"colours": COLOURS, "types": TYPES, "both": (*COLOURS, *TYPES)}[kind]

    def told(mission: str) -> str:
        return reword(mission, {name: words[name][rng.integers(len(words[name]))] for name in names if name in words})

    return told


def measure_captions() -> dict[str, Any]:
    """Success over how many goals were captioned, against training end to end on the same captions."""
    rows: dict[str, Any] = {}
    for count in CAPTIONS:
        rows[str(count)] = {}
        for title, overrides in (("bridge", ()), ("end to end", RIVALS["end to end"])):
            changes = (*SHORT, f"data.labelled_goals={count}", *overrides)
            agents = [agent_of(ENV, seed, f"short {title} {count}", changes) for seed in SEEDS]
            found = figures([play_level("GoToLocal", a.policy(), MANY) for a in agents])
            rows[str(count)][title] = found
            _say(f"{count} captions, {title}", found)
    return {"level": "GoToLocal", "captions": rows}


def measure_online() -> dict[str, Any]:
    """Own play beside data collected beforehand: success and steps on six levels, and paired differences."""
    collected = [agent_of(ENV, seed) for seed in SEEDS]
    own = [agent_of(ENV, seed, "online", OWN_PLAY) for seed in SEEDS]
    rows: dict[str, Any] = {}
    for name in SIX:
        count = episodes_of(name)
        before, now = ([play_level(name, agent.policy(), count) for agent in agents] for agents in (collected, own))
        rows[name] = {"collected": figures(before), "own play": figures(now) | beside("collected", before, now)}
        _say(f"{name}, own play", rows[name]["own play"])
    return {"levels": rows, "recipe": list(OWN_PLAY)}


def _say(what: str, found: dict[str, Any]) -> None:
    success, steps = found["success"], found["steps"]
    more = f", {found['against_optimum']['mean']:.3f} x optimum" if "against_optimum" in found else ""
    print(f"{what}: success {success['mean']:.3f}, steps {steps['mean']:.1f}{more}", flush=True)


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "full": lambda: measure_levels("full"),
    "partial": lambda: measure_levels("partial"),
    "rivals": measure_rivals,
    "ablations": measure_ablations,
    "words": measure_words,
    "captions": measure_captions,
    "online": measure_online,
}


if __name__ == "__main__":
    measure_parts(
        "grid_protocol",
        "babyai_",
        PARTS,
        sys.argv[1:],
        evaluation_seed=EVALUATION_SEED,
        held_out=sorted(HELD_OUT_COMBINATIONS),
    )
