"""Retrieval between the user's images and sounds by two pretrained models that share nothing but captions.

The paper's Section 6.2.1: a model of images and text (CLIP, SigLIP) and one of audio and text (CLAP), each with its own
trained logit scale, meet in LogSumExp over captions. See `python -m experiments.pretrained manifest`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from rich.table import Table
from torch import Tensor

from goalbridge.agents.bridge import bridge_scores, direct_scores
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.run_folder import record
from goalbridge.experiments.pretrained.embeddings import EmbeddingCache
from goalbridge.experiments.pretrained.manifest import Manifest, read_manifest
from goalbridge.experiments.pretrained.models import PairModel, load_model
from goalbridge.experiments.pretrained.retrieval import RANKS, both_ways, summary
from goalbridge.experiments.pretrained.settings import ManifestSettings

DIRECT: Final = "Direct"
ALL: Final = "LogSumExp, all captions"
WAYS: Final = {"forward": "image to audio", "backward": "audio to image"}


def draw_trials(manifest: Manifest, settings: ManifestSettings) -> NDArray[np.int64]:
    """Pairs of each trial, [trials, candidates]; no file is in a trial twice.

    Raises ConfigError where the manifest has too few distinct files.
    """
    rng = np.random.default_rng([settings.seed, 0])
    drawn = []
    for _ in range(settings.trials):
        seen: set[Path] = set()
        trial: list[int] = []
        for pair in rng.permutation(len(manifest.audio)):
            files = {manifest.audio[pair], manifest.image[pair]}
            if not files & seen:
                seen |= files
                trial.append(int(pair))
            if len(trial) == settings.candidates:
                break
        if len(trial) < settings.candidates:
            raise ConfigError(
                f"candidates={settings.candidates}: {settings.manifest} has {len(trial)} pairs that share no file; "
                "ask for fewer"
            )
        drawn.append(trial)
    return np.array(drawn)


def free_captions(manifest: Manifest, trial: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which captions [T] may bridge a trial: those given to none of its files. The others would tell the answer."""
    files = {manifest.audio[pair] for pair in trial} | {manifest.image[pair] for pair in trial}
    shown = {pair for pair in range(len(manifest.audio)) if {manifest.audio[pair], manifest.image[pair]} & files}
    return np.array([not (owners & shown) for owners in manifest.owners])


class Retrieval:
    """Both models' embeddings of a manifest, and the scores of its trials."""

    def __init__(self, manifest: Manifest, images: PairModel, sounds: PairModel, settings: ManifestSettings) -> None:
        folder, size = Path(settings.cache), settings.batch_size
        self.images, self.sounds = images, sounds
        texts = [EmbeddingCache(folder, model.fingerprint, "texts") for model in (images, sounds)]
        self.bridge_ab = texts[0].embed(manifest.texts, images.embed_texts, size)  # [T, d]
        self.bridge_bc = texts[1].embed(manifest.texts, sounds.embed_texts, size)  # [T, d']
        self.a = EmbeddingCache(folder, images.fingerprint, "images").embed(manifest.image, images.embed_media, size)
        self.c = EmbeddingCache(folder, sounds.fingerprint, "sounds").embed(manifest.audio, sounds.embed_media, size)
        self.order = torch.from_numpy(np.random.default_rng([settings.seed, 1]).permutation(len(manifest.texts)))

    @property
    def has_direct(self) -> bool:
        """Whether the two spaces have as many dimensions; only then can Direct be computed at all."""
        return self.a.shape[1] == self.c.shape[1]

    def direct(self, trial: Tensor) -> Tensor:
        """Scores of a trial [N], as if both models were one: [N, N]."""
        return direct_scores(self.a[trial], self.c[trial], self.images.critic)

    def logsumexp(self, trial: Tensor, free: Tensor, size: int | None = None) -> Tensor:
        """Lemma 1 over the first `size` of the captions that are free [T] (in random order), or all of them: [N, N]."""
        kept = self.order[free[self.order]][:size]  # [M]
        bridges = self.bridge_ab[kept], self.bridge_bc[kept]
        scores = bridge_scores(self.a[trial], self.c[trial], *bridges, self.images.critic, self.sounds.critic)
        return scores + (self.images.bias + self.sounds.bias)


def measure(settings: ManifestSettings) -> dict[str, Any]:
    """Recalls with intervals, by method and by size of the bridge, of the user's manifest."""
    manifest = read_manifest(Path(settings.manifest), settings.candidates)
    trials = draw_trials(manifest, settings)
    free = [free_captions(manifest, trial) for trial in trials]
    fewest = min(int(of.sum()) for of in free)
    if fewest == 0:
        raise ConfigError(
            f"{settings.manifest}, text: some trial is left no caption but its own; add rows of text alone"
        )
    images, sounds = load_model(settings.image_model, "image"), load_model(settings.audio_model, "audio")
    retrieval = Retrieval(manifest, images, sounds, settings)
    sizes = [size for size in settings.sizes if size < fewest]
    scores: dict[str, list[Tensor]] = {}
    for drawn, allowed in track(list(zip(trials, free, strict=True)), description="trials"):
        trial, mask = torch.from_numpy(drawn), torch.from_numpy(allowed)
        found = {str(size): retrieval.logsumexp(trial, mask, size) for size in sizes}
        found[ALL] = retrieval.logsumexp(trial, mask)
        if retrieval.has_direct:
            found[DIRECT] = retrieval.direct(trial)
        for name, of in found.items():
            scores.setdefault(name, []).append(of)
    rows = summary([{name: both_ways(torch.stack(of)) for name, of in scores.items()}])
    run = record()
    return {
        "command": "python " + " ".join(["-m experiments.pretrained", *sys.argv[1:]]),
        "git_commit": run["git_commit"],
        "versions": run["versions"] | {"transformers": version("transformers")},
        "manifest": {"pairs": len(manifest.audio), "captions": len(manifest.texts), "fewest_in_a_bridge": fewest},
        "models": {model.modality: _about(model) for model in (images, sounds)},
        "seed": settings.seed,
        "trials": settings.trials,
        "candidates": settings.candidates,
        "methods": {name: rows[name] for name in (DIRECT, ALL) if name in rows},
        "sizes": {str(size): rows[str(size)] for size in sizes},
    }


def _about(model: PairModel) -> dict[str, Any]:
    scale = model.critic.scale.item()
    return {"name": model.name, "fingerprint": model.fingerprint, "logit_scale": scale, "logit_bias": model.bias}


def table(result: Mapping[str, Any]) -> Table:
    """Recalls of both directions, each with its 95 % interval below."""
    grid = Table(title=f"{result['trials']} trials of {result['candidates']} candidates (95 % intervals)")
    grid.add_column("method")
    for way in WAYS.values():
        for k in RANKS:
            grid.add_column(f"{way}\nR@{k}", justify="right")
    chance = [f"{min(k / result['candidates'], 1):.3f}" for _ in WAYS for k in RANKS]
    grid.add_row("chance", *chance)
    named = dict(result["methods"]) | {f"LogSumExp, M = {size}": row for size, row in result["sizes"].items()}
    for name, row in named.items():
        grid.add_row(name, *(_cell(row[way][f"R@{k}"]) for way in WAYS for k in RANKS))
    return grid


def _cell(found: Mapping[str, float]) -> str:
    return f"{found['mean']:.3f}\n[dim]{found['low']:.3f} to {found['high']:.3f}[/dim]"
