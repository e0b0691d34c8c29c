"""Evaluate a trained agent: a table with intervals, evaluation.json and rollout GIFs, all in its run_dir.

python evaluate.py run_dir=runs/fork episodes=1000
python evaluate.py run_dir=pretrained/fork_maze estimators=[logsumexp,direct,limit]
python evaluate.py run_dir=runs/fork suite=ambiguous
python evaluate.py run_dir=runs/fork instruction="go to row 3 or column 5"
python evaluate.py run_dir=runs/fork instruction=-    # each line of standard input
python evaluate.py run_dir=runs/babyai levels=[GoToLocal,GoTo] episodes=50 view=partial
python evaluate.py run_dir=runs/babyai instruction="go to a red thing"
python evaluate.py run_dir='runs/sweep/*'             # all runs of a sweep: groups by settings, intervals over seeds
"""

from __future__ import annotations

from goalbridge.configs.command import command_line
from goalbridge.configs.evaluation import EvaluateConfig

# What takes seconds to import is imported where it runs: --help and a refused command are answered at once.


def main(config: EvaluateConfig) -> None:
    """Evaluates the agent of one run_dir, or those of all that match a pattern, as `config` says."""
    from goalbridge.evaluation.evaluation import evaluate

    evaluate(config)


def command() -> None:
    """What `goalbridge-evaluate` runs."""
    command_line(EvaluateConfig, __doc__ or "", main)


if __name__ == "__main__":
    command()
