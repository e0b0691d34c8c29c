"""`evaluate.py run_dir='runs/sweep/*'`: many runs at once, grouped by all settings but the seed.

Every agent of one world meets the same episodes: starts, commands and noise. So estimators are paired within a run, and
groups are paired by seed and episode. Intervals are over training seeds, then episodes (`statistics.interval`).
"""

from __future__ import annotations

import glob
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from goalbridge.agents.checkpoint import trained_steps
from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import ConfigError, UserError, require
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.run_folder import flat, read_run_config
from goalbridge.configs.schema import RunConfig
from goalbridge.evaluation.evaluation import evaluation_of
from goalbridge.evaluation.report import HEADINGS, cell, sure
from goalbridge.evaluation.statistics import Columns, interquartile_mean, interval, probability_of_improvement

# Of a run's settings, those that do not make another recipe; a layout is told apart by its world.
GATHERED: Final = "gathered"  # under which the runs' TensorBoard logs show what was found
NO_RECIPE: Final = ("run_dir", "resume", "device", "seed", "encoder.cache_dir", "env.layout")
SHOWN: Final = ("success", "spl_grid", "against_optimum", "mass", "first_guess", "wrong_visits")
LEGEND: Final = (
    "means with 95 % intervals over training seeds, then episodes; paired differences in success from the group's "
    "first estimator and from the world's first group (* where the interval leaves out 0); IQM: the mean of the middle "
    "half of the seeds' success; P(better): how probably a seed succeeds more often than one of the first group"
)

ByEstimator = Mapping[str, Columns]  # estimator, metric: [E]
Report = dict[str, Any]


@dataclass(frozen=True)
class Evaluated:
    """One run. recipe: its settings by dotted names, without seed and place. episodes_of: of its evaluation."""

    folder: Path
    run: RunConfig
    recipe: dict[str, Any]
    episodes_of: dict[str, Any]
    found: ByEstimator


def aggregate(config: EvaluateConfig) -> None:
    """Evaluates every finished run that config.run_dir matches; prints one table, writes one evaluation.json.

    The file lies in the deepest folder that the pattern names. Each run's figures go into its own TensorBoard log, for
    the view of settings beside results. Runs that cannot be evaluated are named and left out; ConfigError if all are.
    """
    require(config.instruction is None, "instruction", config.instruction, "is for one agent; give one run's run_dir")
    console = Console()
    runs: list[Evaluated] = []
    left_out: dict[str, str] = {}
    folders = sorted(Path(path) for path in glob.glob(config.run_dir) if Path(path).is_dir())
    require(bool(folders), "run_dir", config.run_dir, "matches no folder; runs/sweep/* would be all runs of a sweep")
    with console.status("") as status:
        for folder in folders:
            status.update(f"{folder} ({len(runs) + len(left_out) + 1} of {len(folders)})")
            try:
                runs.append(_evaluated(replace(config, run_dir=str(folder)), runs))
            except UserError as error:
                left_out[str(folder)] = " ".join(str(error).split())
    if not runs:
        why = Counter(left_out.values()).most_common(1)[0][0]
        raise ConfigError(f"run_dir={config.run_dir}: none of {len(folders)} can be evaluated: {why}")
    written = root_of(config.run_dir) / "evaluation.json"
    report = summary(runs, config) | {"left_out": left_out}
    write_json(written, report)
    for one in runs:
        _log(one)
    console.print(table(report))
    console.print(LEGEND, soft_wrap=True)
    for name, why in left_out.items():
        console.print(f"left out: {name}: {why}", soft_wrap=True, markup=False)
    console.print(f"wrote {written}; watch: tensorboard --logdir {written.parent} (HPARAMS)", soft_wrap=True)


def root_of(pattern: str) -> Path:
    """The deepest folder that a pattern names: runs/sweep of runs/sweep/*."""
    parts = Path(pattern).parts
    plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:plain])


def _evaluated(config: EvaluateConfig, others: list[Evaluated]) -> Evaluated:
    """One run's figures; ConfigError for a run that is not trained to its end, or the same as one of the `others`."""
    folder = Path(config.run_dir)
    run = read_run_config(folder)
    step = trained_steps(folder)
    if step is not None and step < run.train.steps:
        raise ConfigError(f"stands at step {step} of {run.train.steps}; train it to its end")
    evaluation = evaluation_of(config)
    recipe = {name: value for name, value in flat(asdict(run)).items() if name not in NO_RECIPE}
    of = (run.seed, recipe, evaluation.episodes_of)
    twin = next((one.folder for one in others if (one.run.seed, one.recipe, one.episodes_of) == of), None)
    if twin is not None:
        raise ConfigError(f"has the settings and the seed of {twin}")
    return Evaluated(folder, run, recipe, evaluation.episodes_of, evaluation.measure())


def _log(one: Evaluated) -> None:
    """Adds each mean to the run's own TensorBoard log, at its last step."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(one.folder)) as writer:
        for estimator, metrics in one.found.items():
            for metric, values in metrics.items():
                writer.add_scalar(f"{GATHERED}/{estimator}/{metric}", float(values.mean()), one.run.train.steps)


def summary(runs: list[Evaluated], config: EvaluateConfig) -> Report:
    """What evaluation.json holds.

    worlds: of each its env, what else decides on its episodes, `groups`, and the paired differences of the others from
    the first group. A group: its settings that others of the world do not share, seeds, run folders, estimators (each
    metric's mean, low, high, and the means per_seed), and paired differences from its first estimator.
    """
    worlds = []
    for same in _split(runs, lambda one: one.episodes_of):
        groups = _named_groups(same)
        first = next(iter(groups))
        differences = {name: _between(members, groups[first]) for name, members in groups.items() if name != first}
        worlds.append(
            same[0].episodes_of
            | {
                "groups": {name: _group(members, differing(same)) for name, members in groups.items()},
                f"paired_difference_from_{first}": differences,
            }
        )
    return {"run_dir": config.run_dir, "seed": config.seed, **config.further, "worlds": worlds}


def _split(runs: list[Evaluated], by: Callable[[Evaluated], Any]) -> list[list[Evaluated]]:
    """Runs that are alike, in the order in which they first come."""
    alike: dict[str, list[Evaluated]] = {}
    for one in runs:
        alike.setdefault(json.dumps(by(one), sort_keys=True), []).append(one)
    return list(alike.values())


def differing(runs: list[Evaluated]) -> list[str]:
    """The settings in which recipes differ."""
    names = dict.fromkeys(name for one in runs for name in one.recipe)
    return [name for name in names if len({repr(one.recipe.get(name)) for one in runs}) > 1]


def _named_groups(runs: list[Evaluated]) -> dict[str, dict[int, Evaluated]]:
    """Runs of one world by recipe, each by its seed."""
    names = differing(runs)
    groups = {}
    for members in _split(runs, lambda one: one.recipe):
        label = ", ".join(f"{name}={members[0].recipe.get(name)}" for name in names) or "all"
        groups[label] = {one.run.seed: one for one in sorted(members, key=lambda one: one.run.seed)}
    return groups


def _group(members: dict[int, Evaluated], names: list[str]) -> Report:
    found = {seed: one.found for seed, one in members.items()}
    estimators = list(next(iter(found.values())))
    first = estimators[0]
    by_estimator = {name: _over_seeds([of_seed[name] for of_seed in found.values()]) for name in estimators}
    others = {
        name: _over_seeds([_minus(of_seed[name], of_seed[first]) for of_seed in found.values()], paired=True)
        for name in estimators[1:]
    }
    one = next(iter(members.values()))
    return {
        "settings": {name: one.recipe.get(name) for name in names},
        "seeds": list(members),
        "runs": [str(one.folder) for one in members.values()],
        "episodes": len(next(iter(one.found[first].values()))),
        "estimators": by_estimator,
        f"paired_difference_from_{first}": others,
    }


def _between(members: dict[int, Evaluated], first: dict[int, Evaluated]) -> Report:
    """Paired differences from the first group, over the seeds that both have."""
    seeds = [seed for seed in members if seed in first]
    if not seeds:
        return {"seeds": [], "estimators": {}}
    pairs = [(members[seed].found, first[seed].found) for seed in seeds]
    names = [name for name in pairs[0][0] if name in pairs[0][1]]
    return {
        "seeds": seeds,
        "estimators": {
            name: _over_seeds([_minus(ours[name], theirs[name]) for ours, theirs in pairs], paired=True)
            | _improvement([ours[name] for ours, _ in pairs], [theirs[name] for _, theirs in pairs])
            for name in names
        },
    }


def _minus(ours: Columns, theirs: Columns) -> Columns:
    return {metric: values - theirs[metric] for metric, values in ours.items() if metric in theirs}


def _improvement(ours: list[Columns], theirs: list[Columns]) -> dict[str, Any]:
    """How probably a seed of ours succeeds more often than one of theirs, where there are several."""
    if len(ours) < 2:
        return {}
    success = [[float(of_seed["success"].mean()) for of_seed in by_seed] for by_seed in (ours, theirs)]
    return {"probability_of_improvement": asdict(probability_of_improvement(*success))}


def _over_seeds(by_seed: list[Columns], paired: bool = False) -> dict[str, Any]:
    """Each metric's mean and interval over S seeds, its interquartile mean where S > 1, and each seed's mean."""
    everywhere = set.intersection(*({n for n, v in of_seed.items() if np.isfinite(v).all()} for of_seed in by_seed))
    found: dict[str, Any] = {}
    for metric in (name for name in by_seed[0] if name in everywhere):
        values = [of_seed[metric] for of_seed in by_seed]
        per_seed = [float(own.mean()) for own in values]
        found[metric] = asdict(interval(values, paired)) | {"per_seed": [round(mean, 4) for mean in per_seed]}
        if len(values) > 1 and not paired:
            found[metric]["iqm"] = asdict(interquartile_mean(per_seed))
    return found


def table(report: Mapping[str, Any]) -> Group:
    """Of each group of each world a heading and a row an estimator: means with intervals, paired differences."""
    shown: list[RenderableType] = []
    for world in report["worlds"]:
        groups = world["groups"]
        between = world[f"paired_difference_from_{next(iter(groups))}"]
        for label, group in groups.items():
            first = next(iter(group["estimators"]))
            within = group[f"paired_difference_from_{first}"]
            across = between.get(label, {}).get("estimators", {})
            there = [metric for metric in SHOWN if any(metric in found for found in group["estimators"].values())]
            grid = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
            grid.add_column("estimator", no_wrap=True)
            for metric in (*there, "- first", "- group"):
                grid.add_column(HEADINGS.get(metric, metric), justify="right", no_wrap=True)
            for name, found in group["estimators"].items():
                cells = [cell(found.get(metric), metric) for metric in there]
                grid.add_row(name, *cells, sure(within.get(name)), sure(across.get(name)))
            title = f"[bold]{escape(world['env'].split('/')[-1])}[/bold]: {escape(_about(label, group))}"
            shown += [title, grid, *_of_seeds(group, across), ""]
    return Group(*shown)


def _of_seeds(group: Mapping[str, Any], across: Mapping[str, Any]) -> list[str]:
    """Lines of what only several seeds can say of success."""
    iqm = {name: found["success"].get("iqm") for name, found in group["estimators"].items()}
    better = {name: found.get("probability_of_improvement") for name, found in across.items()}
    said = []
    for what, figures in {"IQM": iqm, "P(better)": better}.items():
        cells = [f"{name} {cell(one, 'success')}".replace("\n", " ") for name, one in figures.items() if one]
        said += [f"{what}: {', '.join(cells)}"] if cells else []
    return said


def _about(label: str, group: Mapping[str, Any]) -> str:
    seeds = ", ".join(str(seed) for seed in group["seeds"])
    settings = "" if label == "all" else f"{label}; "
    return f"{settings}{'seeds' if len(group['seeds']) > 1 else 'seed'} {seeds}; {group['episodes']} episodes"
