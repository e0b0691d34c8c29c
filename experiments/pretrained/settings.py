"""Settings of `python -m experiments.pretrained`: key=value, typed and checked before any work starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.load import build

T = TypeVar("T")


@dataclass(frozen=True)
class DigitsSettings:
    """Settings of `digits`.

    seeds: of training, one after the other. steps: of every training. trials: of 25 candidates, for each seed.
    clips: spoken clips of each number and language in training and test; 0 takes the experiment's own. split: whose
    writers and voices are tested, "test" or "development". folder: where speech and models are kept. out: the JSON
    file.
    """

    seeds: tuple[int, ...] = (10, 11, 12)
    steps: int = 600
    trials: int = 400
    clips: int = 0
    split: str = "test"
    folder: str = "runs/pretrained"
    out: str = "results/pretrained.json"

    def __post_init__(self) -> None:
        require(
            bool(self.seeds) and min(self.seeds) >= 0, "seeds", list(self.seeds), "must name at least one, none below 0"
        )
        at_least(1, steps=self.steps, trials=self.trials)
        at_least(0, clips=self.clips)
        require(self.split in ("development", "test"), "split", self.split, "must be development or test")


@dataclass(frozen=True)
class ManifestSettings:
    """Settings of `manifest`.

    manifest: the CSV file. image_model, audio_model: folders, or names on the model hub. candidates: of a trial.
    trials: how many. sizes: of the bridge, for the curve over M, next to all captions. batch_size: files or texts
    embedded at once. seed: of trials and of the bridge's subsets. cache: folder of embeddings. out: the JSON file.
    """

    manifest: str
    image_model: str
    audio_model: str
    candidates: int = 25
    trials: int = 1000
    sizes: tuple[int, ...] = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000)
    batch_size: int = 32
    seed: int = 0
    cache: str = "runs/pretrained/embeddings"
    out: str = "runs/pretrained/manifest.json"

    def __post_init__(self) -> None:
        at_least(2, candidates=self.candidates)
        at_least(1, trials=self.trials, batch_size=self.batch_size)
        at_least(0, seed=self.seed)
        require(all(size >= 1 for size in self.sizes), "sizes", list(self.sizes), "must be at least 1 each")


def require(holds: bool, name: str, value: object, needed: str) -> None:
    if not holds:
        raise ConfigError(f"{name}={value}: {needed}")


def at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        require(value >= least, name, value, f"must be at least {least}")


def read_settings(kind: type[T], arguments: Sequence[str], positional: Sequence[str] = ()) -> T:
    """The settings `kind` from arguments: values of `positional` fields first, then key=value.

    Raises ConfigError for a missing, unknown or ill-typed one.
    """
    if len(arguments) < len(positional):
        raise ConfigError(f"{positional[len(arguments)]}: is missing; give {' '.join(positional).upper()}")
    given = dict(zip(positional, arguments, strict=False))
    for argument in arguments[len(positional) :]:
        if "=" not in argument:
            raise ConfigError(f"{argument}: is no setting; give key=value")
    try:
        values = OmegaConf.to_container(OmegaConf.from_dotlist(list(arguments[len(positional) :])))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{' '.join(arguments)}: cannot be read ({str(error).splitlines()[0]})") from error
    assert isinstance(values, dict)
    return build(kind, {**given, **{str(key): value for key, value in values.items()}})


def check_output(name: str, path: Path) -> None:
    """Raises ConfigError where a result cannot be written to `path`."""
    there = next(part for part in (path.absolute().parent, *path.absolute().parents) if part.exists())
    if path.is_dir() or not there.is_dir():
        raise ConfigError(f"{name}={path}: {path if path.is_dir() else there} is in the way; choose another file")
