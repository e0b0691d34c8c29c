"""What a run needs before its first step: a world, data, captions, and a learner that stands where it was left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from goalbridge.agents import Agent, Learner
from goalbridge.agents.checkpoint import CHECKPOINT, load_checkpoint
from goalbridge.agents.objectives import Objective
from goalbridge.agents.parallel import ALONE, Processes
from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import STORED
from goalbridge.configs.durable import write_atomically
from goalbridge.configs.registries import objectives, text_encoders
from goalbridge.configs.run_folder import record
from goalbridge.configs.schema import RunConfig
from goalbridge.data import CaptionPairs, TrajectoryBuffer
from goalbridge.data.captions import ACTIONS, BRIDGE_GOALS, LABELLED_GOALS, VALIDATION, caption_goals, stream
from goalbridge.data.episodes import discard, settle, stage
from goalbridge.data.minari_import import MinariEpisodes
from goalbridge.data.trajectories import FOLDER, require_unchanged
from goalbridge.encoders import TextEncoder
from goalbridge.encoders.text.sentence import CACHE
from goalbridge.training.sources import BatchSource, OnlineSource
from goalbridge.worlds import World, world_of

ACTION_POOL = 8192
VALIDATION_TEXTS = 400


class RunBuilder:
    """A run's world, data and learner, on `device`; the same for the same settings.

    resuming: whether run_dir holds the run already. processes: those that share the run; the first one collects and
    writes for all, while the others wait.
    """

    def __init__(
        self, config: RunConfig, device: torch.device, resuming: bool = False, processes: Processes = ALONE
    ) -> None:
        self.config, self.folder, self.device = config, Path(config.run_dir), device
        self.resuming, self.processes = resuming, processes
        self._encoder: type[TextEncoder] = text_encoders.get(config.encoder.kind, "encoder.kind")
        self._objective: type[Objective] = objectives.get(config.train.objective, "train.objective")
        self._text_folder = Path(config.encoder.cache_dir or config.run_dir)
        if self._text_folder.exists() and not self._text_folder.is_dir():
            raise ConfigError(f"encoder.cache_dir={self._text_folder}: is a file; choose a folder")

    @property
    def identity(self) -> dict[str, str]:
        """What tells this run's world from others, for checkpoints to be compared with."""
        return {"env": self.config.env.env_id, "layout": self.world.fingerprint}

    def prepare(self, say: Callable[[str], None] = lambda _: None) -> tuple[BatchSource, Learner]:
        """What to learn from, and a learner that stands where the last checkpoint left it.

        Nothing is written until everything that may be missing, or not in order, has been looked at. say: is told what
        is being done, which may take a minute.
        """
        self.world: World
        say("opening the world, reading its captions")
        with self.processes.first_before_the_others():
            known = self._look_at_everything()
            if not self.resuming and self.processes.is_first:
                self._write_record()
            say(f"data: {self.config.data.kind}")
            source = self._source()
        say("captions and networks")
        learner = self._learner(source, *(known or self._text()))
        if self.resuming:
            if (self.folder / CHECKPOINT).exists():
                source.restore(load_checkpoint(self.folder, learner, self.identity), self.folder)
            if self.processes.is_first:
                write_json(self.folder / "resumed.json", record())
        return source, learner

    def _look_at_everything(self) -> tuple[TextEncoder, NDArray[np.float32]] | None:
        """Opens the world and stages a dataset; the texts' features, where captions are known before the data."""
        trajectories = self.folder / FOLDER
        try:
            self.world = world_of(self.config.env).open_training(self.config, trajectories)
            self._check_objective()
            kept = self.folder / "layout.txt"
            if self.resuming and kept.is_file() and kept.read_text(errors="replace") != self.world.layout_text:
                layout = getattr(self.config.env, "layout", "")
                raise ConfigError(f"env.layout={layout}: has changed since {kept} was kept; use another run_dir")
            known = None if self.world.late_captions else self._text()
            if known is None:
                self._encoder.check(self.config.encoder)
            if self.config.data.kind == "minari" and not trajectories.is_dir():
                stage(MinariEpisodes(self.config.dataset, self.world.dataset_spec()), trajectories)
        except BaseException:
            discard(trajectories)
            raise
        return known

    def _check_objective(self) -> None:
        apart = self.config.data.kind == "online" or self.world.brings_captions
        if self._objective.pairs_captions_with_actions and apart:
            raise ConfigError(
                f"train.objective={self.config.train.objective}: expected one that needs no captions of what was done, "
                f"got data={self.config.data.kind}, which has none; try train.objective=bridge"
            )

    def _write_record(self) -> None:
        if self.world.layout_text:
            write_atomically(self.folder / "layout.txt", self.world.layout_text.encode())
        write_json(self.folder / "run.json", record())
        write_json(self.folder / "config.json", asdict(self.config))  # last: from here on, the run can be resumed

    def _source(self) -> BatchSource:
        if self.config.data.kind == "online":
            return OnlineSource(self.world, self.config, self._encoder.split())
        folder = self.folder / FOLDER
        if self.resuming and folder.is_dir() and self.processes.is_first:
            require_unchanged(folder)
        if not folder.is_dir() and self.config.data.kind in STORED:
            settle(folder)
        elif not folder.is_dir():
            self.world.collect(self.config.data, self.config.seed).save(folder)
        trajectories = TrajectoryBuffer.open(folder)
        return BatchSource(trajectories, self._captions(trajectories))

    def _captions(self, trajectories: TrajectoryBuffer) -> CaptionPairs:
        config = self.config
        rng = stream(config.seed, LABELLED_GOALS)
        led = trajectories.sample_futures(rng, config.data.labelled_goals, config.train.discount)
        self.world.meet(trajectories, led.goals)
        brought = self.world.own_pairs()
        if brought is not None:
            return brought
        shown = (led.states, led.actions) if self._objective.pairs_captions_with_actions else None
        return caption_goals(self.world.captions, led.goals, self._encoder.split(), config.seed, shown)

    def _text(self) -> tuple[TextEncoder, NDArray[np.float32]]:
        """The frozen text encoder and its features [captions, T] of all texts that captions are made of."""
        captions = self.world.captions
        text = self._encoder.from_config(self.config.encoder, self._text_folder / CACHE, captions.labels)
        self.world.check_texts(text)
        return text, text.encode(captions.all_texts(self._encoder.split()))

    def _learner(self, source: BatchSource, text: TextEncoder, features: NDArray[np.float32]) -> Learner:
        config = self.config
        rng = stream(config.seed, BRIDGE_GOALS)
        torch.manual_seed(config.seed)
        agent = Agent(
            self.world.spec,
            config.agent,
            config.policy,
            text,
            self.world.candidates(config.policy.candidate_actions),
            source.sample_futures(rng, config.agent.bridge_goals, config.train.discount).goals,
        ).to(self.device)
        agent.fit_ood_threshold(features, self._validation(text))
        pool = self.world.action_pool(ACTION_POOL, stream(config.seed, ACTIONS))  # [P, D]
        return Learner(agent, config.train, features, pool, self.processes)

    def _validation(self, text: TextEncoder) -> NDArray[np.float32] | None:
        """Features [V, T] of texts that should be understood and are not trained on; None where none are known."""
        texts = self.world.captions.validation_texts(self._encoder.split())
        if not texts:
            return None
        chosen = stream(self.config.seed, VALIDATION).permutation(len(texts))[:VALIDATION_TEXTS]
        return text.encode([texts[i] for i in sorted(chosen)])
