"""Pretrained models of text and another modality: CLIP, SigLIP and CLAP, by name or folder, on transformers.

Each gives embeddings of texts and of media, and the critic that it was trained with: its own logit scale, on cosine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor

from goalbridge.agents.model import Critic
from goalbridge.configs.checks import ConfigError
from goalbridge.experiments.pretrained.media import read_image, read_wave

Modality = Literal["image", "audio"]
_WEIGHTS: Final = ("*.safetensors", "*.bin")
# Files that hold what is not needed here, or code.
_NOT_FETCHED: Final = ["*.h5", "*.msgpack", "*.ot", "*.onnx", "onnx/*", "*.py"]
_NEEDED: Final = {"image": "a CLIPModel or SiglipModel", "audio": "a ClapModel"}
_TYPES: Final[dict[str, Modality]] = {"clip": "image", "siglip": "image", "clap": "audio"}
_LONGEST_TEXT: Final = 100_000  # tokenizers without a limit say a far larger number


@dataclass(frozen=True)
class PairModel:
    """A pretrained model of one pair: text with images, or text with audio.

    critic: cosine with the model's trained logit scale. bias: SigLIP's, which its logits hold on top of the critic's
    score; 0 for the others. It is the same for all pairs: it moves scores, no ranks. fingerprint: of weights,
    configuration and preprocessing.
    """

    name: str
    modality: Modality
    fingerprint: str
    critic: Critic
    bias: float
    model: Any
    tokenizer: Any
    extractor: Any

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embeddings [N, d] of N texts; what is longer than the model reads is cut."""
        limit = self.tokenizer.model_max_length
        if limit > _LONGEST_TEXT:
            limit = self.model.config.text_config.max_position_embeddings
        # SigLIP was trained on texts padded to the full length, and attends to the padding: no mask.
        full = self.model.config.model_type == "siglip"
        tokens = self.tokenizer(
            list(texts),
            padding="max_length" if full else True,
            truncation=True,
            max_length=limit,
            return_attention_mask=not full,
            return_tensors="pt",
        )
        return _features(self.model.get_text_features(**tokens))

    @torch.no_grad()
    def embed_media(self, paths: Sequence[Path]) -> Tensor:
        """Embeddings [N, d] of N images or audio files. Raises ConfigError for one that cannot be read."""
        if self.modality == "image":
            images = [read_image(path) for path in paths]
            return _features(self.model.get_image_features(**self.extractor(images=images, return_tensors="pt")))
        rate, longest = self.extractor.sampling_rate, self.extractor.nb_max_samples
        # The extractor would crop what is longer at random; its beginning is the same in every run.
        waves = [read_wave(path, rate)[:longest] for path in paths]
        inputs = self.extractor(waves, sampling_rate=rate, return_tensors="pt")
        inputs["is_longer"] = torch.zeros(len(waves), 1, dtype=torch.bool)  # [N, 1]
        return _features(self.model.get_audio_features(**inputs))


def _features(output: Any) -> Tensor:
    """The embeddings [N, d] of a features call, which newer versions of transformers wrap."""
    features: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return features.float()


def find_model(name: str, setting: str) -> tuple[Path, str]:
    """The folder of a model and what identifies its files: (folder, fingerprint).

    name: a folder saved by `save_pretrained`, or a name on the hub, which is fetched unless it was before.
    setting: what the user calls it. Raises ConfigError where there is no such model.
    """
    folder = Path(name) if Path(name).is_dir() else _fetch(name, setting)
    weights = [path for pattern in _WEIGHTS for path in folder.glob(pattern)]
    if not (folder / "config.json").is_file() or not weights:
        raise ConfigError(f"{setting}={name}: holds no weights with a config.json; give a folder of save_pretrained")
    digest = hashlib.sha256()
    for path in sorted([*weights, *folder.glob("*.json"), *folder.glob("*.txt"), *folder.glob("*.model")]):
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return folder, digest.hexdigest()


def _fetch(name: str, setting: str) -> Path:
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ConfigError(f"{setting}={name}: there is no such folder; give one, or a name on the model hub")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, ignore_patterns=_NOT_FETCHED))
    except Exception as error:  # the hub client raises a dozen kinds; each means the same to the user
        raise ConfigError(
            f"{setting}={name}: weights are not on disk and could not be fetched ({type(error).__name__}); "
            "give the folder that holds them"
        ) from error


def load_model(name: str, modality: Modality) -> PairModel:
    """The pretrained model `name` (see `find_model`) of texts and `modality`.

    Raises ConfigError where it is not on disk, cannot be loaded, or is of another kind.
    """
    setting = f"{modality}_model"
    folder, fingerprint = find_model(name, setting)
    from transformers import AutoConfig, AutoFeatureExtractor, AutoImageProcessor, AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # what matters of it is raised below
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    local = {"local_files_only": True}
    try:
        found = AutoConfig.from_pretrained(folder, **local).model_type
        if _TYPES.get(found) != modality:
            raise ConfigError(f"{setting}={name}: is of kind {found}; give {_NEEDED[modality]}")
        model, report = AutoModel.from_pretrained(folder, **local, output_loading_info=True)
        if absent := sorted(set(report["missing_keys"]) & dict(model.named_parameters()).keys()):
            raise ConfigError(f"{setting}={name}: its weights lack {absent[0]}; restore them")  # it would be random
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        extractors = AutoImageProcessor if modality == "image" else AutoFeatureExtractor
        extractor = extractors.from_pretrained(folder, **local)  # type: ignore[no-untyped-call]
    except ConfigError:
        raise
    except Exception as error:  # damaged or missing files raise a dozen kinds; each means the same to the user
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{setting}={name}: {folder} cannot be loaded ({first}); give {_NEEDED[modality]}") from error
    critic, bias = trained_critic(model)
    return PairModel(name, modality, fingerprint, critic, bias, model.eval(), tokenizer, extractor)


def trained_critic(model: Any) -> tuple[Critic, float]:
    """The critic of a CLIP, SigLIP or CLAP model, and the bias of its logits.

    CLAP has a scale for either direction; the one of texts as queries is taken, for the bridge is made of texts.
    """
    log_scale = model.logit_scale_t if hasattr(model, "logit_scale_t") else model.logit_scale
    critic = Critic("cosine", initial_log_scale=log_scale.item()).requires_grad_(False)
    return critic, model.logit_bias.item() if hasattr(model, "logit_bias") else 0.0
