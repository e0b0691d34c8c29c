"""The README's picture: Direct and LogSumExp side by side, from the same start, with the same words and noise.

    python -m experiments.agent.readme_picture [run_dir] [picture]

run_dir holds the agent of a maze (pretrained/fork_maze if left out); the picture goes to docs/rollout.gif. Nobody picks
the episode: commands of the ambiguous suite, without those that mean a single cell, are drawn from a fixed seed, both
estimators play all of them, and what is drawn is the first episode in which just one of the two arrives (or, if there
is none, the first in which one takes longer). How often either arrives alone is printed beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.agents.storage import write_atomically
from goalbridge.configs.checks import ConfigError, UserError
from goalbridge.configs.run_folder import read_run_config
from goalbridge.envs.commands import Command
from goalbridge.envs.layouts import Layout
from goalbridge.envs.rendering import WALL_COLOUR, draw
from goalbridge.envs.suite import SATISFIABLE
from goalbridge.evaluation.rollouts import Episodes, play
from goalbridge.evaluation.suite import playable, suite_commands
from goalbridge.evaluation.watch import gif, posterior_map
from goalbridge.worlds import require_same
from goalbridge.worlds.maze.vector import make_world, surface
from goalbridge.worlds.maze.world import MazeWorld

ESTIMATORS: Final = {"direct": "Direct", "logsumexp": "LogSumExp"}
SEED: Final = 2_000_000  # in no use elsewhere
EPISODES: Final = 8  # of each category
_SIZE: Final = 330  # pixels along a maze
_GAP: Final = 8


def chosen_episode(first: Episodes, second: Episodes) -> int:
    """The first episode in which one of the two arrives alone, or takes longer; ConfigError if they never differ."""
    for differs in (first.success != second.success, first.steps != second.steps):
        if differs.any():
            return int(differs.argmax())
    raise ConfigError(
        f"episodes={len(first.steps)}: both estimators do the same in all of them; another agent would do"
    )


def side_by_side(
    layout: Layout,
    played: dict[str, Episodes],
    episode: int,
    command: Command,
    heat: NDArray[np.floating],
) -> list[NDArray[np.uint8]]:
    """Frames [h, w, 3] of one episode as each estimator played it, from left to right, until the slowest is done.

    played: by what stands over each, in front of the command. heat: [H, W], what the command is taken to mean.
    """
    paths = [one.path(episode).astype(np.float64) for one in played.values()]
    frames = []
    for step in range(max(len(path) for path in paths)):
        halves = []
        for name, path in zip(played, paths, strict=True):
            now = path[: step + 1]
            halves.append(draw(layout, now[-1], now, command.region, _SIZE, heat, f"{name}: {command.text}"))
            halves.append(np.full((halves[0].shape[0], _GAP, 3), WALL_COLOUR, np.uint8))
        frames.append(np.concatenate(halves[:-1], axis=1))
    return frames


def picture(agent: Agent, folder: Path) -> tuple[bytes, list[str]]:
    """The animation of the agent in `folder`, and what there is to say of it, in lines."""
    run = read_run_config(folder)
    require_same(MazeWorld(run.env, run.data), agent.world, str(folder))
    drawn = playable(suite_commands(surface(make_world(run.env, 1)).world, EPISODES * len(SATISFIABLE), SEED))
    commands = [command for command in drawn if command.region.sum() > 1]
    world = make_world(run.env, len(commands))
    played = {
        title: play(world, agent.policy(name), SEED, {"instructions": commands}) for name, title in ESTIMATORS.items()
    }
    episode = chosen_episode(*played.values())
    policy, command = agent.policy(), commands[episode]
    heat = posterior_map(
        surface(world).layout, agent.bridge_goals.cpu().numpy(), policy.goal_posterior([command.text])[0]
    )
    frames = side_by_side(surface(world).layout, played, episode, command, heat)
    return gif(frames), _told(played, episode, command)


def _told(played: dict[str, Episodes], episode: int, command: Command) -> list[str]:
    lines = [f'episode {episode}: "{command.text}" ({command.category})']
    (first, one), (second, other) = played.items()
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
        raise ConfigError(f"arguments={' '.join(arguments)}: a run_dir and a picture's name would do")
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
