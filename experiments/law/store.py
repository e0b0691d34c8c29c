"""Trained models under runs/law: what has been trained once, with the same recipe, is read instead of trained again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from goalbridge.agents.storage import read_tensors, write_tensors
from goalbridge.experiments.law.training import ContrastiveModel, Pairs, Recipe, train

RUNS = Path("runs/law")


def trained(
    names: Sequence[str], data: Sequence[Pairs], kind: str, recipe: Recipe, report: Callable[[], None] = lambda: None
) -> list[ContrastiveModel]:
    """One model a world, as `train` gives them; `names` tell the worlds' models apart on disk.

    Those missing on disk, or of another recipe, are trained together and written.
    """
    found = [_read(_path(name), pairs, kind, recipe) for name, pairs in zip(names, data, strict=True)]
    missing = [place for place, model in enumerate(found) if model is None]
    if missing:
        began = time.process_time()
        models = train([data[place] for place in missing], kind, recipe, report=report)
        seconds = (time.process_time() - began) / len(missing)
        for place, model in zip(missing, models, strict=True):
            write_tensors(_path(names[place]), model.state_dict(), asdict(recipe) | {"seconds": seconds})
            found[place] = model
    return [model for model in found if model is not None]


def training_seconds(names: Sequence[str]) -> float:
    """Processor seconds that training the named models took."""
    return float(sum(read_tensors(_path(name))[1]["seconds"] for name in names))


def _path(name: str) -> Path:
    return RUNS / f"{name}.safetensors"


def _read(path: Path, pairs: Pairs, kind: str, recipe: Recipe) -> ContrastiveModel | None:
    if not path.is_file():
        return None
    tensors, metadata = read_tensors(path)
    if {name: metadata.get(name) for name in asdict(recipe)} != asdict(recipe):
        return None
    model = ContrastiveModel(pairs, kind, recipe)
    model.load_state_dict(tensors)
    return model.requires_grad_(False)
