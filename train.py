"""Train an agent: collect trajectories and captions, learn both contrastive pairs, evaluate, checkpoint.

    python train.py env=fork_maze seed=0 run_dir=runs/fork
    python train.py env=point_maze env.layout=my_maze.txt run_dir=runs/mine
    python train.py env=babyai run_dir=runs/babyai                         # BabyAI: one agent for all levels
    python train.py env=own env.id=my_worlds:Lake-v0 env.captions=my_worlds:captions run_dir=runs/lake   # your own
    python train.py env=fork_maze data=online run_dir=runs/online          # no expert: the agent's own play
    python train.py env=fork_maze seed=0 run_dir=runs/fork resume=true     # goes on from the last checkpoint
    python train.py -m env=fork_maze,island_maze seed=0,1,2                # a sweep, in runs/sweep
    torchrun --nproc-per-node 2 train.py env=fork_maze run_dir=runs/fork   # several processes share each batch
    tensorboard --logdir runs

The launchers of a sweep: hydra/launcher=joblib, ray or submitit_slurm; its folder: sweep_dir=...
All that is written lies under run_dir. Ctrl-C, like SIGTERM, leaves a checkpoint to go on from.
"""

from __future__ import annotations

from functools import partial

from goalbridge.configs.command import command_line
from goalbridge.configs.schema import RunConfig
from goalbridge.configs.sweep import run_sweep

# What takes seconds to import is imported where it runs: --help and a refused command are answered at once.


def main(config: RunConfig) -> None:
    """Trains one agent as `config` says, together with the other processes of torchrun's, if any."""
    from goalbridge.training.run import train

    train(config)


def finished(config: RunConfig) -> bool:
    """Whether run_dir holds this very run, trained to its last step."""
    from goalbridge.training import run

    return run.finished(config)


def command() -> None:
    """What `goalbridge-train` runs."""
    command_line(RunConfig, __doc__ or "", main, partial(run_sweep, finished))


if __name__ == "__main__":
    command()
