"""The README's picture: Direct and LogSumExp side by side, from the same start, with the same words and noise.

    python -m experiments.agent.readme_picture [run_dir] [picture]

run_dir holds the agent of a maze (pretrained/fork_maze if left out); the picture goes to docs/rollout.gif. Nobody picks
the episode: commands of the ambiguous suite, without those that mean a single cell, are drawn from a fixed seed, both
estimators play all of them, and what is drawn is the first episode in which just one of the two arrives (or, if there
is none, the first in which one takes longer). How often either arrives alone is printed beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.configs.checks import ConfigError, UserError
from goalbridge.configs.durable import write_atomically
from goalbridge.envs.rendering import WALL_COLOUR
from goalbridge.envs.suite import SATISFIABLE
from goalbridge.evaluation.watch import gif
from goalbridge.experiments.agent.trials import Trial
from goalbridge.worlds import Belief, Episodes, Moment, World

ESTIMATORS: Final = {"direct": "Direct", "logsumexp": "LogSumExp"}
SEED: Final = 2_000_000  # in no use elsewhere
EPISODES: Final = 8  # of each category
_GAP: Final = 8  # pixels


def chosen_episode(first: Episodes, second: Episodes) -> int:
    """The first episode in which one of the two arrives alone, or takes longer; ConfigError if they never differ."""
    for differs in (first.success != second.success, first.steps != second.steps):
        if differs.any():
            return int(differs.argmax())
    raise ConfigError(f"episodes={len(first.steps)}: expected estimators that differ, got the same; try another agent")


def side_by_side(world: World, played: Mapping[str, Episodes], episode: int, belief: Belief) -> list[NDArray[np.uint8]]:
    """Frames [h, w, 3] of one episode as each estimator played it, from left to right, until the slowest is done.

    played: by what stands over each, in front of the instruction. belief: what it is taken to mean.
    """
    paths = [one.goals[episode] for one in played.values()]
    result = []
    for step in range(max(len(path) for path in paths)):
        halves: list[Any] = []
        for (name, one), path in zip(played.items(), paths, strict=True):
            task = one.tasks[episode]
            moment = Moment(task, None, path[: step + 1])
            frame = world.frame(moment, belief, f"{name}: {task.text}")
            assert frame is not None  # mazes are always drawn
            halves += [frame, np.full((frame.shape[0], _GAP, 3), WALL_COLOUR, np.uint8)]
        result.append(np.concatenate(halves[:-1], axis=1))
    return result


def picture(agent: Agent, folder: Path) -> tuple[bytes, list[str]]:
    """The animation of the agent in `folder`, and what there is to say of it, in lines."""
    trial = Trial(folder, agent, suite="ambiguous", episodes=EPISODES * len(SATISFIABLE), seed=SEED)
    trial.tasks = [task for task in trial.tasks if task.meant.region.sum() > 1]
    played = {title: trial.play(agent.policy(name)).episodes for name, title in ESTIMATORS.items()}
    episode = chosen_episode(*played.values())
    policy, text = agent.policy(), trial.tasks[episode].text
    belief = Belief(policy.goals(), policy.goal_posterior([text])[0])
    return gif(side_by_side(trial.world, played, episode, belief)), _told(played, episode)


def _told(played: Mapping[str, Episodes], episode: int) -> list[str]:
    (first, one), (second, other) = played.items()
    task = one.tasks[episode]
    lines = [f'episode {episode}: "{task.text}" ({task.category})']
    for name, own, rival in ((first, one, other), (second, other, one)):
        alone = int((own.success & ~rival.success).sum())
        outcome = "arrives" if own.success[episode] else "does not arrive"
        lines.append(
            f"{name}: {outcome} in {own.steps[episode]} steps; of {len(own.steps)} episodes it arrives in "
            f"{own.success.sum()}, in {alone} of them alone"
        )
    return lines


def main(arguments: Sequence[str]) -> None:
    """Draws the picture; see the module."""
    if len(arguments) > 2:
        raise ConfigError(f"arguments={' '.join(arguments)}: expected at most a run_dir and a picture's name")
    folder = Path(arguments[0] if arguments else "pretrained/fork_maze")
    target = Path(arguments[1] if len(arguments) > 1 else "docs/rollout.gif")
    animation, lines = picture(Agent.from_pretrained(folder), folder)
    write_atomically(target, animation)
    print("\n".join([*lines, f"wrote {target} ({len(animation) // 1000} kB)"]))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
